//! `cutover spec lint`: all mistakes of a spec at once.

use tempfile::TempDir;

use super::run;

fn written(text: &str) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path.display().to_string())
}

const FINE: &str = r#"migration = "orders"

[source]
url = "dynamodb://Orders?region=eu-west-1"

[target]
url = "mysql://cutover@db/shop"
table = "orders"
columns = [
    { name = "price", type = "decimal(12,2)" },
    { name = "city", from = "address.city", type = "varchar(100)" },
]
"#;

#[tokio::test]
async fn a_spec_without_mistakes_is_said_to_have_none() {
    let (_dir, path) = written(FINE);
    let said = run(["spec", "lint", &path]).await.done();
    assert!(said.contains("has no mistakes (migration orders)"), "{said}");
    let said = run(["spec", "lint", &path, "--json"]).await.done();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["migration"], said["fingerprint"].as_str().map(str::len)),
        (&"orders".into(), Some(32))
    );
}

/// Each comment is what has to be said of its line; with a number, how many mistakes there are.
const WRONG: &str = r#"migration = "Orders" # 13: migration: "Orders" is not a valid key: use
server = 7 # 10: server: give a text in quotes
residual_ms = "1s" # 15: residual_ms: give milliseconds as a number without quotes
quarantine_table = "my quarantine" # 20: quarantine_table: "my quarantine" is no name
[source] # 1: url: it is missing: add url =
table = "orders"
tenat = "customer" # 1: unknown "tenat": did you mean "tenant"?
key = order_id # 7: key: a text needs quotes: key = "order_id"
versions = "legder" # 12: unknown "legder": did you mean "ledger"?
[[source.columns]]
name = "a b"
type = "float" # 8: "float" is no column type
[[source.columns]] # 1: name: it is missing
type = "text"
format = "iso" # 10: format: a text column has no dates or times
[target]
url = "mysql://u:secret@/shop" # 7: url: it names no host
password_env = "P"
table = "orders; drop" # 9: table: "orders; drop" is no name
tenant_type = "S" # 15: tenant_type: in SQL tenant and key are text
key = "tenant "
on_misfit = "overflow" # 13: columns: on_misfit = "overflow" needs an overflow column
columns = [
    { name = "version", type = "text", from = "v" },
    { name = "cutover_version", type = "bigint" }, # 5: fields: "cutover_version" names two different things
    { name = "price", type = "decimal(99,2)" }, # 30: decimal(99,2) is out of range: give 1 to 65 digits
    { name = "Price", type = "text", from = "p" }, # 5: columns: column "Price" is there twice
    { name = "city", type = "text", from = "address.city" },
    { name = "street", type = "json", from = "address" }, # 5: columns: columns "city" and "street" take the same
    { name = "at", type = "datetime(3)", zone = "Mars" }, # 49: zone: "Mars" is no time zone
    { name = "on", type = "date", format = "epoch_s" }, # 5: columns: column on: a date column has no seconds
    { name = "ok", type = "text", requird = true }, # 35: unknown "requird": did you mean "required"?
    { name = "no", type = "text", required = "yes" }, # 46: required: write true or false
    { name = "deep", type = "text", from = "a..b" }, # 44: no path of an attribute
    "text", # 5: columns: it is a list
]
[limts] # 2: unknown "limts": did you mean "limits"?
workers = 1
[limits]
workers = 0 # 11: workers: 0 is out of range
chunk_ms = 1.5 # 12: chunk_ms: give milliseconds as a number
rows_per_s = 5 # 14: rows_per_s: it is records_per_s by another name
records_per_s = 5
"#;

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let (_dir, path) = written(WRONG);
    let said = run(["spec", "lint", &path]).await;
    assert_eq!(said.code, 65, "{said:?}");
    assert!(!said.err.contains("secret"), "{said:?}");
    let mut lines = said.err.lines();
    let head = lines.next().unwrap().to_owned();
    let told: Vec<&str> = lines.map(str::trim).collect();
    let mut expected = Vec::new();
    for (line, text) in WRONG.lines().enumerate() {
        if let Some((column, what)) = text.split_once(" # ").and_then(|(_, told)| told.split_once(": ")) {
            expected.push(format!("line {}, column {column}: {what}", line + 1));
        }
    }
    // What has no room for a comment, or has a line of its own.
    expected.push("line 10, column 1: columns: \"a b\" is no name".to_owned());
    expected.push("line 21, column 7: fields: \"tenant \" is no name".to_owned());
    for begins in &expected {
        assert!(told.iter().any(|told| told.starts_with(begins.as_str())), "{begins}\n{}", said.err);
    }
    assert_eq!(told.len(), expected.len(), "{}", said.err);
    assert!(head.ends_with(&format!("orders.toml has {} mistakes", expected.len())), "{head}");
    let json = run(["spec", "lint", &path, "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(
        (&json["exit_code"], json["reasons"].as_array().map(Vec::len)),
        (&65.into(), Some(expected.len()))
    );
}

#[tokio::test]
async fn a_line_that_is_no_toml_hides_no_other() {
    let text =
        FINE.replace("url = \"mysql://cutover@db/shop\"", "url = mysql://u:secret@db/shop\ntenat = \"t\"");
    let (_dir, path) = written(&text);
    let said = run(["spec", "lint", &path]).await;
    assert!(said.code == 65 && said.err.contains("2 mistakes") && !said.err.contains("secret"), "{said:?}");
    for part in ["line 7, column 7: url: a text needs quotes", "line 8, column 1: unknown \"tenat\""] {
        assert!(said.err.contains(part), "{said:?}");
    }
    let (_dir, path) = written("");
    let said = run(["spec", "lint", &path]).await.err;
    for part in ["migration: it is missing", "source: it is missing", "target: it is missing"] {
        assert!(said.contains(part), "{said}");
    }
    // Nobody knows to which section the lines after a broken header belong.
    let (_dir, path) = written(&FINE.replace("[target]", "[target"));
    let said = run(["spec", "lint", &path]).await.err;
    assert!(said.contains("has a mistake") && said.contains("line 6, column"), "{said}");
}
