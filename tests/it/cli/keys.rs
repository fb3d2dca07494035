//! Targets whose keys are numbers, UUIDs, or texts of which different ones are equal.

use std::{path::Path, sync::Arc};

use cutover_store::{
    Id, Record, SqliteOptions, SqliteStore, Store, Version,
    spec::{Missing, Spec},
};
use serde_json::json;
use sqlx::SqlitePool;
use tempfile::TempDir;

use super::{at, draft_sql::Admin, ramp};
use crate::support::server::{Controller, given};

fn record(version: u64) -> Record {
    Record { version: Version(version), value: Some(version.to_be_bytes().to_vec()) }
}

fn id(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).unwrap()
}

struct Case {
    admin: Admin,
    url: String,
    /// Types of tenant and key.
    types: [&'static str; 2],
    ledger: bool,
    fine: Vec<Id>,
    /// What the target does not take, and what the quarantine says of it.
    misfits: Vec<(Id, &'static str)>,
}

async fn source(path: &Path) -> SqliteStore {
    SqliteStore::create(path, "orders", SqliteOptions::default()).await.unwrap()
}

async fn moves_what_fits_and_names_the_rest(case: Case) {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let name = format!("typed_{}_{}", case.types.concat().len(), std::process::id());
    let (key, blob) = match case.admin {
        Admin::MySql(_) => ("`key`", "LONGBLOB"),
        Admin::Sqlite(_) | Admin::Postgres(_) => ("key", "BYTEA"),
    };
    let ([of_tenant, of_key], null) = (case.types, if case.ledger { "NOT NULL" } else { "" });
    let version = if case.ledger { "" } else { "cutover_version BIGINT NOT NULL, " };
    let drop = format!("DROP TABLE IF EXISTS {name}, cutover_ledger_{name}, cutover_quarantine");
    case.admin.sql(drop.clone()).await;
    case.admin
        .sql(format!(
            "CREATE TABLE {name} (tenant {of_tenant} NOT NULL, {key} {of_key} NOT NULL, {version}value {blob} {null}, \
             PRIMARY KEY (tenant, {key}))"
        ))
        .await;
    let file = dir.path().join("source.db");
    let whole = source(&file).await;
    let ids = case.fine.iter().chain(case.misfits.iter().map(|(id, _)| id));
    let records: Vec<_> = ids.zip(1..).map(|(id, at)| (id.clone(), record(at))).collect();
    whole.put_many_if_newer(&records).await.unwrap();
    let versions = if case.ledger { "versions = \"ledger\"\n" } else { "" };
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\nquarantine_table = \"quarantine_{name}\"\n[source]\nurl = \"sqlite:{}\"\n\
         table = \"orders\"\n[target]\nurl = \"{}\"\ntable = \"{name}\"\n{versions}[limits]\nchunk_bytes = 1000\n",
        file.display(),
        case.url
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let (path, spec) = (path.display().to_string(), text.parse::<Spec>().unwrap());

    // Known before anything moves: types and lengths, and the server is asked which ids are equal.
    let (fine, wrong) = (case.fine.len(), case.misfits.iter().filter(|(_, why)| why.contains("the column")));
    let wrong: Vec<_> = wrong.collect();
    let dry = at(url, &format!("backfill {path} --dry-run --full --create-tables --json")).await;
    let dry = serde_json::from_str::<serde_json::Value>(dry.out.lines().last().unwrap()).unwrap();
    assert_eq!(dry["misfits"], json!(case.misfits.len()), "{dry}");
    assert_eq!(dry["checked"], json!(fine + case.misfits.len()), "{dry}");
    // Each reason once, with the first record that it is true of.
    let without_numbers = |text: &str| text.replace(|it: char| it.is_ascii_digit(), "");
    let reasons = without_numbers(&dry["reasons"].to_string());
    assert!(wrong.iter().all(|(_, why)| reasons.contains(&without_numbers(why))), "{dry}");
    let has_equal = wrong.len() < case.misfits.len();
    assert_eq!(reasons.contains("it is equal to"), has_equal, "{dry}");
    let most = wrong.len().max(1) + usize::from(has_equal);
    assert!(dry["reasons"].as_array().unwrap().len() < most, "{dry}");

    ramp(url, "--mirrored").await;
    let said = at(url, &format!("backfill {path} --create-tables")).await;
    let told = format!("{}{}", said.out, said.err);
    for (misfit, why) in &case.misfits {
        let place = format!("{:?}/{:?}", misfit.tenant, misfit.key);
        assert!(told.contains(&place) && told.contains(why), "{place} {why}: {told}");
    }
    assert!(said.code != 0 && told.contains("not clean"), "{told}");
    let target: Arc<dyn Store> = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    let stored: Vec<_> = (1..=case.fine.len() as u64).map(|at| Some(record(at))).collect();
    assert_eq!(target.get_many(&case.fine).await.unwrap(), stored);
    let listed = at(url, &format!("quarantine list {path}")).await;
    for (misfit, why) in &case.misfits {
        assert_eq!(target.get(misfit).await.unwrap(), None);
        assert!(listed.out.contains(&misfit.key) && listed.out.contains(why), "{listed:?}");
    }

    // Without them the pass is clean, and so is a comparison, which can't follow both orders at once.
    let admin = SqlitePool::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    for (misfit, _) in &case.misfits {
        let delete = sqlx::query("DELETE FROM orders WHERE tenant = ?1 AND key = ?2");
        delete.bind(&misfit.tenant).bind(&misfit.key).execute(&admin).await.unwrap();
    }
    at(url, &format!("quarantine retry {path}")).await;
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains("nothing to copy"), "{told}");
    ramp(url, "--target-first").await;
    let verified = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!(verified["clean"], json!(true), "{verified}");
    assert_eq!(verified["counts"]["compared"], json!(case.fine.len()), "{verified}");

    // Each of a missing and an additional row is found.
    let [gone, more] = [&case.fine[3], &case.fine[7]];
    case.admin
        .sql(format!("DELETE FROM {name} WHERE {key} = '{}' AND tenant = '{}'", gone.key, gone.tenant))
        .await;
    let delete = sqlx::query("DELETE FROM orders WHERE tenant = ?1 AND key = ?2");
    delete.bind(&more.tenant).bind(&more.key).execute(&admin).await.unwrap();
    let said = at(url, &format!("verify {path} --json")).await;
    let verified: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!(verified["clean"], json!(false), "{said:?}");
    let counts = &verified["counts"]["found"];
    assert_eq!((&counts["missing"], &counts["extra"]), (&json!(1), &json!(1)), "{said:?}");
    whole.put_if_newer(more, &record(8)).await.unwrap();
    let told = at(url, &format!("verify {path} --repair")).await.done();
    assert!(told.contains("1 repaired"), "{told}");

    // And back.
    ramp(url, "--target-only").await;
    let newer = record(10_000);
    target.put_if_newer(&case.fine[2], &newer).await.unwrap();
    assert_eq!(at(url, "ramp orders --target-only 0 --wait --timeout 20s").await.code, 0);
    let told = at(url, &format!("reverse {path}")).await.done();
    assert!(told.contains("1 copied"), "{told}");
    assert_eq!(whole.get(&case.fine[2]).await.unwrap(), Some(newer));
    case.admin.sql(drop.replace("cutover_quarantine", &format!("quarantine_{name}"))).await;
}

fn numbers() -> Vec<Id> {
    (-150..150_i64).map(|n| id(&(n % 3).to_string(), &(n * n * n).to_string())).collect()
}

fn no_numbers() -> Vec<(Id, &'static str)> {
    vec![
        (id("1", "007"), "the column would give it back as 7, which is another id"),
        (id("1", "+8"), "the column would give it back as 8, which is another id"),
        (id("1", "seven"), "the column takes whole numbers"),
        (id("one", "1"), "the column takes whole numbers"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_to_numbers_in_mariadb() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    for ledger in [false, true] {
        let admin = Admin::connect(&url).await;
        let (url, fine) = (url.clone(), numbers());
        let case = Case { admin, url, types: ["BIGINT", "BIGINT"], ledger, fine, misfits: no_numbers() };
        moves_what_fits_and_names_the_rest(case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_to_numbers_in_postgresql() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    for ledger in [false, true] {
        let admin = Admin::connect(&url).await;
        let (url, fine) = (url.clone(), numbers());
        let case = Case { admin, url, types: ["INTEGER", "BIGINT"], ledger, fine, misfits: no_numbers() };
        moves_what_fits_and_names_the_rest(case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_to_keys_that_mariadb_takes_for_equal() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let admin = Admin::connect(&url).await;
    let fine = (0..200).map(|n| {
        let key = if n % 2 == 0 { format!("KEY-{n}") } else { format!("key-{n}") };
        id(&format!("t{}", n % 3), &key)
    });
    let types = [
        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    ];
    // In byte order they come after the ones that they are equal to.
    let misfits = vec![
        (id("t0", "KEY-6 "), "is equal to \"t0\"/\"KEY-6\", which is there"),
        (id("t1", "kéy-7"), "is equal to \"t1\"/\"key-7\", which is there"),
    ];
    let case = Case { admin, url, types, ledger: false, fine: fine.collect(), misfits };
    moves_what_fits_and_names_the_rest(case).await;
}
