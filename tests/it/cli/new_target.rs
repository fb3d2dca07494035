//! A target whose table is gone: nothing makes an empty one in the place of one that is in use.

use std::path::Path;

use cutover_store::spec::{Missing, Spec};
use tempfile::TempDir;

use super::at;
use crate::support::server::Controller;

fn spec(dir: &Path) -> String {
    let store =
        |name: &str| format!("[{name}]\nurl = \"sqlite:{}/{name}.db\"\ntable = \"orders\"\n", dir.display());
    let path = dir.join("orders.toml");
    std::fs::write(&path, format!("migration = \"orders\"\n{}{}", store("source"), store("target"))).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_in_use_is_not_replaced_by_an_empty_one() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    let path = spec(dir.path());
    let parsed: Spec = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    parsed.source.open(Missing::Create, |_| None).await.unwrap();
    at(url, "create orders --source old --target new").await.done();

    // Before anybody uses it, it is made.
    let backfill = format!("backfill {path} --create-tables");
    at(url, "ramp orders --mirrored 100 --wait").await.done();
    at(url, &format!("backfill {path}")).await.fails(&["before the first pass, --create-tables creates"]);
    at(url, &format!("doctor {path}")).await.done();
    at(url, &backfill).await.done();

    // What a pass showed was about the old table, also if the new one stays empty.
    let (target, away) = (dir.path().join("target.db"), dir.path().join("away.db"));
    let dry_run = format!("{backfill} --dry-run");
    std::fs::rename(&target, dir.path().join("older.db")).unwrap();
    at(url, &dry_run).await.done();
    at(url, "ramp orders --target-first 100").await.fails(&["full-pass"]);
    let history = at(url, "history orders").await.done();
    assert!(history.contains("earlier passes open no gate any more"), "{history}");
    at(url, &backfill).await.done();
    at(url, "ramp orders --target-first 100 --wait").await.done();

    std::fs::rename(&target, &away).unwrap();
    let in_use = [
        "the target of this spec has no table",
        "Tenants at target-first or above read the target",
        "rename it back",
    ];
    let refused = async |command: &str, words: &[&str]| {
        let said = at(url, command).await;
        assert!(said.code != 0 && words.iter().all(|word| said.err.contains(word)), "{command}: {said:?}");
        assert!(!said.err.contains("creates its table"), "{command}: {said:?}");
        assert!(!target.exists(), "{command} made a table");
    };
    let verify = format!("verify {path} --create-tables");
    for command in [&backfill, &dry_run, &verify, &format!("backfill {path}")] {
        refused(command, &in_use).await;
    }
    let said = at(url, &format!("doctor {path}")).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("failed   the target of this spec has no table")
            && said.out.contains("rename it back"),
        "{said:?}"
    );

    std::fs::rename(&away, &target).unwrap();
    at(url, &backfill).await.done();
    at(url, "ramp orders --target-only 100 --wait").await.done();
    at(url, "ramp orders --target-only 0 --wait").await.done();
    std::fs::rename(&target, &away).unwrap();
    let alone =
        ["The target has acknowledged writes that the source lacks", "an empty one in its place would lose"];
    for command in [&backfill, &format!("reverse {path} --create-tables")] {
        refused(command, &alone).await;
    }
    controller.stop().await;
}
