//! A table that was copied while an old service, without an SDK, still wrote to it.

use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use tempfile::TempDir;

use super::{at, ramp, run};
use crate::support::server::Controller;

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_copy_and_a_record_deleted_meanwhile_stand_against_target_first() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\n\
         [source]\nurl = \"sqlite:{0}/source.db?table=orders\"\n\
         [target]\nurl = \"sqlite:{0}/target.db?table=orders\"\n",
        dir.path().display()
    );
    let spec: Spec = text.parse().unwrap();
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    let connect = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("source.db"));
    let old_service = sqlx::SqlitePool::connect_with(connect).await.unwrap();
    let sql = async |sql: &'static str| sqlx::raw_sql(sql).execute(&old_service).await.unwrap();
    sql("INSERT INTO orders (tenant, key, value) VALUES ('t', 'k1', x'01'), ('t', 'k2', x'02'), ('t', 'k3', x'03')")
        .await;
    let told = at(url, &format!("backfill {path} --create-tables")).await.done();
    assert!(told.contains("clean: 3 scanned, 3 copied"), "{told}");

    sql("UPDATE orders SET value = x'11' WHERE key = 'k1'; DELETE FROM orders WHERE key = 'k2'").await;
    ramp(url, "--mirrored").await;
    let said = at(url, &format!("backfill {path}")).await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "NOT clean: 2 scanned, 1 copied, 1 there already, 1 EXTRA in the target",
        "extra \"t\"/\"k2\": source has none, target version 0 (1 bytes)",
        &format!("to delete them: cutover verify {path} --repair --remove-extra --reason TEXT"),
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let target = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    let id = |key: &str| Id::new("t", key).unwrap();
    let k1 = Record { version: Version::ZERO, value: Some(vec![0x11]) };
    assert_eq!(target.get(&id("k1")).await, Ok(Some(k1)), "the change is copied");
    let refused = at(url, "ramp orders --target-first 100 --override soak --reason test").await;
    assert!(refused.code == 65 && refused.err.contains("full-pass"), "{refused:?}");
    // A backfill could not be clean.
    assert!(refused.err.contains("cutover verify SPEC --repair --remove-extra --reason"), "{refused:?}");
    // Nor does a comparison open the gate, nor a repair.
    for repair in ["", "--repair"] {
        let said = at(url, &format!("verify {path} {repair}")).await;
        assert!(said.code == 1 && said.out.contains("1 extra"), "{said:?}");
    }

    let spec_file = path.to_string();
    let remove = ["--server", url, "verify", spec_file.as_str(), "--repair", "--remove-extra"];
    let refused = run(remove).await;
    assert!(refused.code != 0 && refused.err.contains("--reason"), "{refused:?}");
    let removed = run(remove.into_iter().chain(["--reason", "deleted by the old shop"])).await;
    assert!(removed.code == 0 && removed.out.contains("1 extra; 1 repaired"), "{removed:?}");
    assert_eq!(target.get(&id("k2")).await.unwrap().unwrap().value, None);
    let history = at(url, "history orders").await.done();
    assert!(history.contains("deleted by the old shop") && history.contains("DELETES"), "{history}");
    ramp(url, "--target-first").await;
    assert_eq!(source.get(&id("k2")).await, Ok(None), "the source is as it was");
}
