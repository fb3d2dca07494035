//! `ttl`: when records expire.

use std::time::Duration;

use super::{SMALL, example, read, refusal};

fn with(columns: &str) -> String {
    let small = SMALL.replacen("migration", "ttl = \"expires_at\"\nmigration", 1);
    format!("{small}overflow = \"rest\"\ncolumns = [{columns}]\n")
}

#[test]
fn it_names_an_attribute() {
    assert_eq!(read(&example()).ttl, None);
    let spec = read(&example().replacen("residual_ms = 30_000", "residual_ms = 60_000\nttl = \"until\"", 1));
    let ttl = spec.ttl.expect("it is given");
    assert_eq!((ttl.attribute(), ttl.least()), ("until", Duration::from_secs(300)));
    read(&with(""));
}

#[test]
fn its_column_has_seconds() {
    for fine in [
        r#"{ name = "expires_at", type = "bigint" }"#,
        r#"{ name = "until", from = "expires_at", type = "int" }"#,
        r#"{ name = "expires_at", type = "datetime(0)", format = "epoch_s" }"#,
        r#"{ name = "expires_at", type = "timestamptz(0)", format = "epoch_s", required = true }"#,
        r#"{ name = "inside", from = "expires_at.at", type = "text" }"#,
    ] {
        read(&with(fine));
    }
    for wrong in [
        r#"{ name = "expires_at", type = "text" }"#,
        r#"{ name = "expires_at", type = "datetime(0)" }"#,
        r#"{ name = "expires_at", type = "timestamptz(3)", format = "epoch_ms" }"#,
        r#"{ name = "expires_at", type = "json" }"#,
        r#"{ name = "expires_at", type = "date" }"#,
    ] {
        let refusal = refusal(&with(wrong));
        assert!(refusal.contains("ttl: column \"expires_at\" takes it and is"), "{refusal}");
        assert!(refusal.contains("make the column bigint, or datetime"), "{refusal}");
    }
}

#[test]
fn somebody_has_to_look_into_the_records() {
    let refusal = refusal(&SMALL.replacen("migration", "ttl = \"expires_at\"\nmigration", 1));
    assert!(refusal.contains("line 1, column 7: ttl: both stores keep whole records"), "{refusal}");
    let refusal = self::refusal(&with("").replace("\"expires_at\"", "\"\""));
    assert!(refusal.contains("ttl: it is empty"), "{refusal}");
    let refusal = self::refusal(&example().replacen("migration =", "ttl = \"order_id\"\nmigration =", 1));
    assert!(refusal.contains("as a field of its own"), "{refusal}");
}
