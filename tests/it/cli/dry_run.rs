//! What would not come back unchanged is reported before anything moves.

use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use tempfile::TempDir;

use super::at;
use crate::support::server::{Controller, given};

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_why_a_record_does_not_move_is_told() {
    let Some(target) = given("CUTOVER_TEST_POSTGRES") else { return };
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let name = format!("each_reason_{}", std::process::id());
    let text = format!(
        "migration = \"orders\"\nquarantine_table = \"{name}_q\"\n\
         [source]\nurl = \"sqlite:{}/source.db\"\ntable = \"orders\"\n\
         [target]\nurl = \"{target}\"\ntable = \"{name}\"\n\
         columns = [{{ name = \"name\", type = \"varchar(5)\" }}, {{ name = \"n\", type = \"bigint\" }}]\n",
        dir.path().display()
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let spec: Spec = text.parse().unwrap();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    let wrong: [(&str, &[u8], &str); 6] = [
        ("long", br#"{"name":{"S":"longer"}}"#, "name: 6 characters where varchar(5) takes 5"),
        ("nul", br#"{"name":{"S":"a\u0000b"}}"#, "name: text with a NUL character, which PostgreSQL can't"),
        ("utf8", b"{\"name\":{\"S\":\"\xff\"}}", "value: the record: no typed JSON (invalid unicode"),
        ("other", b"by hand", "value: the record: no typed JSON (expected value"),
        ("more", br#"{"more":{"S":"x"}}"#, "more: no column takes it"),
        ("half", br#"{"n":{"N":"0.5"}}"#, "n: 1 digits before the point and 1 after it"),
    ];
    let record = |key: &str, value: &[u8]| {
        (Id::new("t", key).unwrap(), Record { version: Version(1), value: Some(value.to_vec()) })
    };
    let mut records: Vec<_> = wrong.iter().map(|(key, value, _)| record(key, value)).collect();
    records.push(record("fine", br#"{"name":{"S":"short"}}"#));
    source.put_many_if_newer(&records).await.unwrap();

    let path = path.display();
    for verb in ["backfill", "verify"] {
        let said = at(url, &format!("{verb} {path} --create-tables --dry-run")).await;
        assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:?}");
        assert!(said.out.contains("checked 7 records of the source: 6 do not fit"), "{said:?}");
        let counter = "7 records with a version that no SDK has stamped, such as 1 in \"t\"/\"";
        assert!(said.out.contains(counter), "{said:?}");
        for (key, _, reason) in wrong {
            let part = format!("1 does not fit the target: \"t\"/\"{key}\": {reason}");
            assert!(said.out.contains(&part), "{part}: {said:?}");
        }
    }
    let said = at(url, &format!("backfill {path} --create-tables")).await;
    assert!(said.out.contains("NOT clean: 7 scanned, 1 copied, 6 QUARANTINED"), "{said:?}");
    for (key, _, reason) in wrong {
        let part = format!("quarantined \"t\"/\"{key}\": {reason}");
        assert!(said.out.contains(&part), "{part}: {said:?}");
    }
    let (id, fine) = records.pop().unwrap();
    let target = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    assert_eq!(target.get(&id).await, Ok(Some(fine)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_folds_the_reasons_and_the_rest_can_be_had() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let text = format!(
        "migration = \"orders\"\nquarantine_table = \"kept\"\n\
         [source]\nurl = \"sqlite:{0}/source.db\"\ntable = \"orders\"\n\
         [target]\nurl = \"sqlite:{0}/target.db\"\ntable = \"orders\"\n\
         columns = [{{ name = \"name\", type = \"text\" }}]\n",
        dir.path().display()
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let spec: Spec = text.parse().unwrap();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    spec.target.open(Missing::Create, |_| None).await.unwrap();
    let record = |at: u8| {
        let letter = char::from(b'a' + at);
        let value = format!(r#"{{"{letter}":{{"S":"x"}}}}"#).into_bytes();
        (Id::new("t", &letter.to_string()).unwrap(), Record { version: Version(1), value: Some(value) })
    };
    source.put_many_if_newer(&(0..12).map(record).collect::<Vec<_>>()).await.unwrap();

    let path = path.display();
    let said = at(url, &format!("backfill {path} --dry-run")).await;
    let listed = |out: &str| out.matches("no column takes it").count();
    assert_eq!((said.code, listed(&said.out)), (1, 10), "{said:?}");
    assert!(said.out.contains("and 2 records for 2 other reasons, which --full and --json list"), "{said:?}");
    let warning =
        "warning: there is no quarantine table \"kept\", so the first record that does not fit ends";
    assert!(said.err.contains(warning), "{said:?}");
    let full = at(url, &format!("backfill {path} --dry-run --full")).await;
    assert!(listed(&full.out) == 12 && !full.out.contains("other reasons"), "{full:?}");
    let json = at(url, &format!("backfill {path} --dry-run --json")).await;
    assert_eq!((listed(&json.out), json.err.as_str()), (12, ""), "{json:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_own_mark_and_version_are_not_taken_for_ours() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let file = dir.path().join("shop.db");
    let connect = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(connect).await.unwrap();
    // A soft delete, and a counter that somebody decreased.
    let application = "CREATE TABLE orders (tenant TEXT NOT NULL, key TEXT NOT NULL, \
                       version INTEGER NOT NULL DEFAULT 0, deleted BOOLEAN NOT NULL DEFAULT 0, note TEXT, \
                       PRIMARY KEY (tenant, key)); \
                       INSERT INTO orders VALUES ('t', 'soft', 0, 1, 'keep'), ('t', 'counter', -1, 0, 'a'), \
                       ('t', 'fine', 0, 0, 'b');";
    sqlx::raw_sql(application).execute(&pool).await.unwrap();
    let path = dir.path().join("orders.toml");
    let spec = |names: &str| {
        let text = format!(
            "migration = \"orders\"\n[source]\nurl = \"sqlite:{}?table=orders\"\n{names}\
             columns = [{{ name = \"note\", type = \"text\" }}]\n\
             [target]\nurl = \"sqlite:{}/target.db?table=orders\"\n",
            file.display(),
            dir.path().display()
        );
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let said = at(url, &format!("backfill {} --create-tables --dry-run", spec(""))).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("it has no column cutover_version"), "the defaults meet nothing: {said:?}");

    let spec = spec("version = \"version\"\ndeleted = \"deleted\"\n");
    let reasons = [
        "deleted: the record is marked as deleted but has no version",
        "version: -1 is negative",
        "name another one in the spec (deleted = \"...\")",
        "name another one in the spec (version = \"...\")",
    ];
    let said = at(url, &format!("backfill {spec} --create-tables --dry-run")).await;
    assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:?}");
    assert!(said.out.contains("checked 3 records of the source: 2 do not fit"), "{said:?}");
    assert!(reasons.iter().all(|reason| said.out.contains(reason)), "{said:?}");
    assert!(said.out.contains("does not fit the source: \"t\"/\"soft\": deleted: "), "{said:?}");
    let said = at(url, &format!("backfill {spec} --create-tables")).await;
    assert!(said.out.contains("NOT clean: 3 scanned, 1 copied, 2 QUARANTINED"), "{said:?}");
    assert!(reasons.iter().all(|reason| said.out.contains(reason)), "{said:?}");
}

/// DynamoDB and a file, in either direction: a record that is too large for an item is named.
async fn is_too_large_for_an_item(verb: &str, of: &str) {
    let Some(url) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let file = format!("url = \"sqlite:{}/orders.db?table=orders\"", dir.path().display());
    let table = format!("Orders-{verb}-{}", std::process::id());
    let items = format!("url = \"{}\"", url.replace("dynamodb://", &format!("dynamodb://{table}")));
    let (source, target) = if of == "target" { (&items, &file) } else { (&file, &items) };
    let text = format!("migration = \"orders\"\n[source]\n{source}\n[target]\n{target}\n");
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let spec: Spec = text.parse().unwrap();
    spec.source.open(Missing::Create, |_| None).await.unwrap();
    spec.target.open(Missing::Create, |_| None).await.unwrap();

    let scanned = if of == "target" { &spec.target } else { &spec.source };
    let records = [("small", 100), ("large", 400 << 10)].map(|(key, bytes)| {
        let value = format!(r#"{{"a":{{"S":"{}"}}}}"#, "x".repeat(bytes)).into_bytes();
        (Id::new("t", key).unwrap(), Record { version: Version(1), value: Some(value) })
    });
    let store = scanned.open(Missing::Refuse, |_| None).await.unwrap();
    store.put_many_if_newer(&records).await.unwrap();
    let said = at(&controller.url, &format!("{verb} {} --dry-run", path.display())).await;
    let warning = "warning: there is no quarantine table \"cutover_quarantine\"";
    assert!(said.code == 1 && said.err.starts_with(warning) && said.err.lines().count() == 1, "{said:?}");
    // The largest version has 19 digits, in 11 bytes.
    let bytes = ["tenant", "t", "key", "large", "cutover_version", "a"].concat().len() + 11 + (400 << 10);
    for part in [
        format!("checked 2 records of the {of}: 1 does not fit:"),
        format!("\"t\"/\"large\": value: an item of {bytes} bytes"),
        "409600 (400 KB) is the most".to_owned(),
    ] {
        assert!(said.out.contains(&part), "{part}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_for_dynamodb_is_named_before_a_backfill() {
    is_too_large_for_an_item("backfill", "source").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_for_dynamodb_is_named_before_it_is_to_go_back() {
    is_too_large_for_an_item("reverse", "target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_partition_is_looked_at_as_far_as_many() {
    let Some(url) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let dir = TempDir::new().unwrap();
    let name = format!("one_partition_{}", std::process::id());
    let at_table = url.split_once('?').map_or(String::new(), |(_, parameters)| format!("?{parameters}"));
    let text = format!(
        "migration = \"orders\"\n[source]\nurl = \"dynamodb://{name}{at_table}\"\n\
         [target]\nurl = \"sqlite:{}/target.db\"\ntable = \"orders\"\n\
         columns = [{{ name = \"name\", type = \"varchar(5)\" }}]\n",
        dir.path().display()
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let source = text.parse::<Spec>().unwrap().source.open(Missing::Create, |_| None).await.unwrap();
    let record = |n: u32| {
        let value = if n == 2_500 { r#"{"name":{"S":"longer"}}"# } else { r#"{"name":{"S":"short"}}"# };
        let id = Id::new("t", &format!("{n:04}")).unwrap();
        (id, Record { version: Version(1), value: Some(value.as_bytes().to_vec()) })
    };
    source.put_many_if_newer(&(0..3_000).map(record).collect::<Vec<_>>()).await.unwrap();
    let said =
        at("http://127.0.0.1:1", &format!("backfill {} --create-tables --dry-run", path.display())).await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in ["checked 3000 records of the source: 1 does not fit", "target: \"t\"/\"2500\": name: 6 char"]
    {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
}

#[tokio::test]
async fn columns_that_no_record_fills_are_told_with_what_was_meant() {
    let dir = TempDir::new().unwrap();
    let at_dir = dir.path().display();
    let text = format!(
        "migration = \"orders\"\n[source]\nurl = \"sqlite:{at_dir}/source.db\"\ntable = \"orders\"\n\
         [target]\nurl = \"sqlite:{at_dir}/target.db\"\ntable = \"orders\"\noverflow = \"rest\"\ncolumns = [\n\
         {{ name = \"city\", from = \"adress.city\", type = \"text\" }},\n\
         {{ name = \"zip\", from = \"address.zip\", type = \"text\" }},\n\
         {{ name = \"colour\", type = \"text\" }}]\n"
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let source = text.parse::<Spec>().unwrap().source.open(Missing::Create, |_| None).await.unwrap();
    let value = br#"{"address":{"M":{"city":{"S":"Ulm"},"zip":{"S":"89073"}}},"n":{"N":"1"}}"#;
    let record = |n: u32| {
        let id = Id::new("t", &format!("{n:05}")).unwrap();
        (id, Record { version: Version(1), value: Some(value.to_vec()) })
    };
    source.put_many_if_newer(&(0..10_050).map(record).collect::<Vec<_>>()).await.unwrap();
    let path = path.display();
    let said = at("http://127.0.0.1:1", &format!("backfill {path} --dry-run")).await.done();
    for part in [
        "checked 10000 records of the source: all fit",
        "column city of the target: \"adress.city\" was found in 0 of 10000 records; did you mean \"address.city\"?",
        "column colour of the target: \"colour\" was found in 0 of 10000 records\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("column zip"), "{said}");
    let said = at("http://127.0.0.1:1", &format!("backfill {path} --dry-run --full --json")).await.object();
    assert_eq!((&said["checked"], said["empty_columns"].as_array().map(Vec::len)), (&10_050.into(), Some(2)));
    at("http://127.0.0.1:1", &format!("backfill {path} --full")).await.misused(&["--dry-run"]);
}
