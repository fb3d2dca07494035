//! Public data sets move between every ordered pair of stores, with the spec that `cutover spec init` writes and no line
//! of it edited. Another program compares all attributes: plain SQL, DynamoDB's JSON, and `serde_json`.

mod sets;
mod stores;

use serde_json::{Map, Value};
use sets::{Set, is_same};
use stores::{Kind, Place};
use tempfile::TempDir;

use super::{at, run_with_env};
use crate::support::server::{Controller, given};

/// Moves some of the sets from one kind of store to all others. Over all kinds each set goes every way.
async fn moves_from(from: Kind) {
    let Some(packages) = given("CUTOVER_TEST_DATASETS") else { return };
    let sets = sets::all(&packages);
    for (at, to) in Kind::ALL.into_iter().filter(|to| *to != from).enumerate() {
        for set in [2 * at, 2 * at + 1] {
            let set = &sets[(set + from as usize) % sets.len()];
            moves(set, from, to).await;
        }
    }
}

async fn moves(set: &Set, from: Kind, to: Kind) {
    let dir = TempDir::new().unwrap();
    let name = format!("{}_{from:?}_{to:?}_{}", set.name, std::process::id()).to_lowercase();
    let (Some(source), Some(target)) =
        (Place::new(from, &dir, "source", &name), Place::new(to, &dir, "target", &name))
    else {
        return;
    };
    let expected = source.fill(set).await;
    let url = source.url_of_table();
    let passwords = [("CUTOVER_SOURCE_PASSWORD", "cutover"), ("CUTOVER_TARGET_PASSWORD", "cutover")];
    let draft = super::draft::init(&url, &target.url, &["--table", &name, "--migration", "m"]).await.done();
    let what = format!("{} from {from:?} to {to:?}", set.name);
    assert!(draft.contains("# All of them fit and come back as they are."), "{what}: {draft}");
    let path = dir.path().join("draft.toml");
    std::fs::write(&path, &draft).unwrap();
    let path = path.display().to_string();
    run_with_env(["spec", "lint", &path], &passwords).await.done();
    source.prepare(&draft).await;

    let controller = Controller::start(dir.path(), 0).await;
    let server = controller.url.as_str();
    at(server, "create m --source one --target other").await.done();
    let backfill = ["--server", server, "backfill", &path, "--create-tables"];
    let said = run_with_env(backfill, &passwords).await;
    assert!(
        said.code == 0 && said.out.contains(&format!("{} copied", expected.len())),
        "{what}: {said:?}\n{draft}"
    );

    let spec: toml::Table = draft.parse().unwrap();
    let mut found = target.read(&spec["target"]).await;
    for (id, expected) in expected {
        let found = found.remove(&id).unwrap_or_else(|| panic!("{what}: {id:?} is missing"));
        let differs = differing(&expected, &found);
        assert!(
            differs.is_empty(),
            "{what}: {id:?} differs in {differs:?}:\n{expected:?}\n{found:?}\n{draft}"
        );
    }
    assert!(found.is_empty(), "{what}: {} more", found.len());
    controller.stop().await;
}

/// The names of the attributes that differ.
fn differing<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a String> {
    let names = one.keys().chain(other.keys());
    let differs = |name: &&String| match (one.get(*name), other.get(*name)) {
        (Some(one), Some(other)) => !is_same(one, other),
        _ => true,
    };
    names.filter(differs).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn public_data_moves_from_dynamodb_to_all_others() {
    moves_from(Kind::DynamoDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_data_moves_from_sqlite_to_all_others() {
    moves_from(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_data_moves_from_mariadb_to_all_others() {
    moves_from(Kind::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_data_moves_from_postgresql_to_all_others() {
    moves_from(Kind::Postgres).await;
}
