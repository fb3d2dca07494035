//! A fingerprint changes with what is copied, and with nothing else.

use super::{SMALL, example, read};

fn changed(piece: &str, other: &str) -> bool {
    let example = example();
    assert!(example.contains(piece), "{piece}");
    read(&example.replacen(piece, other, 1)).fingerprint() != read(&example).fingerprint()
}

#[test]
fn it_is_stable() {
    let fingerprint = read(SMALL).fingerprint();
    assert_eq!(fingerprint, "bc0ef6298de098e983ca4a651134212e", "raise FORMAT if what is hashed was changed");
}

#[test]
fn it_covers_what_is_copied_and_where_to() {
    for (piece, other) in [
        ("migration = \"orders\"", "migration = \"orders2\""),
        ("//Orders?", "//Orders2?"),
        ("eu-west-1", "eu-west-2"),
        ("127.0.0.1:8000", "127.0.0.1:8001"),
        ("127.0.0.1:3306", "127.0.0.2:3306"),
        ("/shop", "/shop2"),
        ("table = \"orders\"", "table = \"orders2\""),
        ("key = \"order_id\"", "key = \"order_id\"\nversion = \"_v\""),
        ("key = \"order_id\"", "key = \"order_id\"\nkey_type = \"N\""),
        ("key = \"order_id\"", "key = \"order_id\"\ndeleted = \"gone\""),
        ("decimal(12,2)", "decimal(12,3)"),
        ("required = true", "required = false"),
        ("address.city", "address.town"),
        ("epoch_ms", "epoch_s"),
        ("Europe/Berlin", "Europe/Paris"),
        ("\"rest\"", "\"more\""),
        ("on_misfit = \"quarantine\"", "on_misfit = \"overflow\""),
        ("segments = 16", "segments = 17"),
        ("residual_ms = 30_000", "residual_ms = 30_000\nttl = \"expires_at\""),
    ] {
        assert!(changed(piece, other), "{piece}");
    }
}

#[test]
fn it_leaves_out_how_the_file_is_written_who_connects_and_how_fast() {
    for (piece, other) in [
        ("server = ", "# a comment\n  server   = "),
        ("cutover@", "somebody:secret@"),
        (":3306", ""),
        ("ssl-mode=REQUIRED", "ssl-mode=DISABLED"),
        ("chunk_ms = 250", "chunk_ms = 300"),
        ("workers = 2", "workers = 3"),
        ("rows_per_s = 0", "rows_per_s = 10"),
        ("required = true\n", "required = true\nfrom = \"price\"\n"),
        ("residual_ms = 30_000", ""),
    ] {
        let example = example();
        assert!(example.contains(piece), "{piece}");
        let mut text = example.replacen(piece, other, 1);
        if other.contains("secret") {
            // Two passwords are one too many.
            text = text.replace("password_env = \"ORDERS_TARGET_PASSWORD\"\n", "");
        }
        assert_eq!(read(&text).fingerprint(), read(&example).fingerprint(), "{piece}");
    }
}

#[test]
fn records_that_expire_have_to_live_as_long_in_every_spec() {
    let with = |residual: &str| {
        read(&example().replacen("residual_ms = 30_000", &format!("{residual}\nttl = \"expires_at\""), 1))
    };
    assert_eq!(with("").fingerprint(), with("residual_ms = 30_000").fingerprint());
    assert_ne!(with("").fingerprint(), with("residual_ms = 40_000").fingerprint());
}

#[test]
fn the_order_of_columns_means_nothing() {
    let example = example();
    let parts: Vec<&str> = example.split("[[target.columns]]").collect();
    let (last, limits) = parts[4].split_once("[limits]").expect("limits");
    let other =
        [parts[0], last, parts[3], parts[2], parts[1]].join("[[target.columns]]") + "[limits]" + limits;
    assert_eq!(read(&other).fingerprint(), read(&example).fingerprint());
}

#[test]
fn it_covers_the_ledger_which_is_of_one_table() {
    let ledger = |table: &str| {
        let columns = SMALL.replacen("\"orders\"\n[target]", &format!("{table:?}\n[target]"), 1);
        let spec = read(&columns.replacen("table = ", "versions = \"ledger\"\ntable = ", 1));
        assert_ne!(spec.fingerprint(), read(&columns).fingerprint());
        assert_eq!(spec.source.table, table);
        spec.source.sql_table().and_then(|table| table.ledger()).expect("a ledger")
    };
    assert_eq!(ledger("orders"), "cutover_ledger_orders");
    let long = "a".repeat(63);
    let names = ["orders", "Orders_eu", "orders_eu", &long, &long[1..], &long[23..], &long[22..]].map(ledger);
    for (at, name) in names.iter().enumerate() {
        assert!(name.len() <= 63, "{name}");
        assert!(!names[..at].contains(name), "{names:?}");
    }
}
