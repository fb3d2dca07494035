//! What people do about records that differ or do not fit, from the command line.

use std::process::Stdio;

use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use tempfile::TempDir;

use super::{PATIENCE, at, binary, ramp, run};
use crate::support::server::Controller;

/// A controller with a migration of documents into columns, and the spec of both stores.
async fn world(dir: &TempDir) -> (Controller, Spec, String) {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source one --target other").await.done();
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\n\
         [source]\nurl = \"sqlite:{0}/source.db?table=orders\"\n\
         [target]\nurl = \"sqlite:{0}/target.db?table=orders\"\n\
         columns = [{{ name = \"price\", type = \"bigint\" }}, {{ name = \"city\", type = \"varchar(5)\" }}]\n",
        dir.path().display()
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    (controller, text.parse().unwrap(), path.display().to_string())
}

fn id(key: &str) -> Id {
    Id::new("acme", key).unwrap()
}

fn order(version: u64, price: u64, city: &str) -> Record {
    let value = format!(r#"{{"city":{{"S":"{city}"}},"price":{{"N":"{price}"}}}}"#);
    Record { version: Version(version), value: Some(value.into_bytes()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_the_source_before_there_is_a_target() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    source.put_if_newer(&id("a"), &order(1, 1, "Graz")).await.unwrap();
    let told = at(url, &format!("backfill {path} --dry-run")).await.done();
    for part in ["target: not there yet", "--create-tables", "would copy 1 record in", "checked 1 record of"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    source.put_if_newer(&id("b"), &order(1, 1, "Bregenz")).await.unwrap();
    let said = at(url, &format!("backfill {path} --dry-run")).await;
    assert!(said.code == 1 && said.out.contains("city: 7 characters where varchar(5) takes 5"), "{said:?}");
    let said = at(url, &format!("backfill {path} --dry-run --json")).await;
    assert!(said.out.contains("\"target_exists\":false"), "{said:?}");
    assert!(!dir.path().join("target.db").exists(), "it only looks");
    at(url, &format!("verify {path} --dry-run")).await.fails(&["the target", "--create-tables"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_the_way_back_says_what_has_to_come_first() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    source.put_if_newer(&id("a"), &order(1, 1, "Graz")).await.unwrap();
    ramp(url, "--mirrored").await;
    at(url, &format!("backfill {path} --create-tables")).await.done();
    ramp(url, "--target-first").await;
    let said = at(url, &format!("reverse {path} --dry-run")).await;
    assert!(said.code == 65 && said.err.contains("they may go down without a reverse pass"), "{said:?}");
    at(url, &format!("backfill {path}")).await.done();
    ramp(url, "--target-only").await;
    for verb in ["reverse --dry-run", "reverse"] {
        let said = at(url, &format!("{verb} {path}")).await;
        assert!(
            said.code == 65 && said.err.contains("cutover ramp orders --target-only 0 --wait"),
            "{said:?}"
        );
    }
    at(url, "ramp orders --target-only 0 --wait --timeout 20s").await.done();
    let told = at(url, &format!("reverse {path} --dry-run")).await.done();
    assert!(told.contains("would copy back 1 record in"), "{told}");
    at(url, "jobs orders").await.done();

    // Asked to go on without it, they stay, and every command names it.
    let part = "[floor] can't go below target-first yet: writes that only the target has would be lost";
    let said = at(url, "ramp orders --dual 0 --wait --timeout 20s").await;
    assert!(
        said.code == 4 && said.err.contains(part) && said.err.contains("cutover reverse SPEC"),
        "{said:?}"
    );
    assert_eq!(at(url, "wait orders").await.code, 4);
    let said = at(url, "status orders").await.done();
    assert!(
        said.starts_with("orders can't go back further: 100 % of the tenants target-first -> source-only: "),
        "{said}"
    );
    at(url, "abandon orders --reason test").await.fails(&["cutover reverse SPEC"]);
    at(url, &format!("reverse {path}")).await.done();
    assert_eq!(at(url, "wait orders --timeout 20s").await.code, 0, "they go on by themselves");
    let said = at(url, "status orders").await.done();
    assert!(said.contains("100 % source-only"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_pass_copies_back_only_what_tenants_may_have_written_at_target_only() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    let target = spec.target.open(Missing::Create, |_| None).await.unwrap();
    let gates = "--override full-pass --override soak --reason test";
    at(url, &format!("pin orders acme target-only --wait --timeout 20s {gates}")).await.done();
    at(url, "pin orders acme target-first --wait --timeout 20s").await.done();
    target.put_if_newer(&id("a"), &order(5, 1, "Graz")).await.unwrap();
    // An old copy, whose record somebody has deleted in the source without an SDK.
    let foreign = cutover_store::Id::new("zeta", "old").unwrap();
    target.put_if_newer(&foreign, &order(0, 1, "Wels")).await.unwrap();
    let reverse = format!("reverse {path} --create-tables");
    at(url, &reverse).await.fails(&["no pass has had the source yet", "verify SPEC --sample 1"]);
    at(url, &format!("verify {path} --sample 100")).await;
    let told = at(url, &reverse).await.done();
    assert!(told.contains("2 scanned, 1 copied, 1 of tenants that were not at target-only"), "{told}");
    assert_eq!(source.get(&id("a")).await, Ok(Some(order(5, 1, "Graz"))));
    assert_eq!(source.get(&foreign).await, Ok(None), "it stays deleted");
    at(url, "pin orders acme source-only --wait --timeout 20s").await.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_quarantine_are_listed_and_tried_again() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    for (key, city) in [("a", "Graz"), ("b", "Bregenz"), ("c", "Klagenfurt")] {
        source.put_if_newer(&id(key), &order(1, 1, city)).await.unwrap();
    }
    at(url, &format!("quarantine list {path}")).await.fails(&["the quarantine", "target.db"]);
    let said = at(url, &format!("backfill {path} --create-tables")).await;
    for part in [
        "NOT clean: 3 scanned, 1 copied, 2 QUARANTINED",
        "2 quarantined: city: N characters where varchar(N) takes N",
        "  quarantined \"acme\"/\"b\": city: 7 characters where varchar(5) takes 5",
        &format!("cutover quarantine list {path}"),
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let told = at(url, &format!("quarantine list {path}")).await.done();
    for part in [
        "2 records of orders can't be moved:",
        "  2 like this: city: 7 characters where varchar(5) takes 5\n",
        "RECORD      TO      SINCE",
        "  city: 10 characters where varchar(5) takes 5\n",
        &format!("cutover quarantine retry {path}"),
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("Klagenfurt"), "no values: {told}");
    // Nothing that copies can bring the two.
    let said = at(url, &format!("verify {path}")).await;
    for part in [
        "2 records are missing or older in the target",
        &format!(
            "2 records in quarantine don't fit, so no pass can copy them. Fix them: cutover quarantine list {path}"
        ),
    ] {
        assert!(said.code == 1 && said.out.contains(part), "{part}: {said:?}");
    }
    let rows = at(url, &format!("quarantine list {path} --json")).await.objects();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["tenant"], &rows[0]["toward"]), (&"acme".into(), &"target".into()));
    let told = at(url, &format!("quarantine list {path} --limit 1")).await.done();
    assert!(told.contains("and 1 more: --limit 2 shows all"), "{told}");

    source.put_if_newer(&id("b"), &order(2, 1, "Linz")).await.unwrap();
    let said = at(url, &format!("quarantine retry {path}")).await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in ["still in quarantine \"acme\"/\"c\": city: 10 characters", "2 tried, 1 moved, 1 left"] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    // As in `cutover quarantine retry SPEC | head -0`.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut piped = binary();
    piped.args(["--server", url, "quarantine", "retry", &path]).stdout(writer).stderr(Stdio::null());
    let ended = tokio::time::timeout(PATIENCE, piped.status()).await;
    ended.expect("it ends in bounded time").unwrap();
    let left = at(url, "instances").await.done();
    assert!(!left.contains("cutover-retry"), "it said goodbye: {left}");
    source.put_if_newer(&id("c"), &order(2, 1, "Wels")).await.unwrap();
    let counts = at(url, &format!("quarantine retry {path} --json")).await.object();
    assert_eq!((&counts["tried"], &counts["moved"], &counts["left"]), (&1.into(), &1.into(), &0.into()));
    let told = at(url, &format!("quarantine list {path}")).await.done();
    assert_eq!(told, "no record of orders is in quarantine\n");
    let target = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    assert_eq!(target.get(&id("c")).await, Ok(Some(order(2, 1, "Wels"))));
    at(url, "quarantine list orders")
        .await
        .refused(&["can't read orders: No such file", "Give the spec file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_named_and_the_source_wins_where_somebody_says_so() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    let target = spec.target.open(Missing::Create, |_| None).await.unwrap();
    for (key, price, city) in [("a", 2, "Wien"), ("b", 2, "Wien"), ("c", 1, "Graz"), ("d", 1, "Wien")] {
        source.put_if_newer(&id(key), &order(5, 1, "Wien")).await.unwrap();
        target.put_if_newer(&id(key), &order(5, price, city)).await.unwrap();
    }
    ramp(url, "--mirrored").await;
    let said = at(url, &format!("verify {path}")).await;
    for part in [
        "NOT clean: 4 compared: 1 the same, 3 different",
        "2 different in price",
        "different \"acme\"/\"c\": source version 5 (39 bytes), target version 5 (39 bytes), which differ in city",
        &format!("cutover verify {path} --repair --source-wins --reason TEXT"),
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    assert!(said.code == 1 && !said.out.contains("Graz"), "{said:?}");
    let said = at(url, &format!("verify {path} --show-values")).await;
    let values = "different \"acme\"/\"c\"\n    city: source {\"S\":\"Wien\"}, target {\"S\":\"Graz\"}";
    assert!(said.out.contains(values), "{said:?}");
    let status = at(url, "status orders --json").await.done();
    assert!(!status.contains("Graz"), "the controller has no values: {status}");

    let wins = ["--server", url, "verify", path.as_str(), "--repair", "--source-wins"];
    let refused = run(wins).await;
    assert!(refused.code == 64 && refused.err.contains("--reason"), "{refused:?}");
    let wins = wins.into_iter().chain(["--reason", "a script wrote there"]);
    let refused = run(wins.clone().chain(["--remove-extra"])).await;
    assert!(refused.code == 64 && refused.err.contains("--remove-extra"), "{refused:?}");
    let said = run(wins.clone()).await;
    assert!(said.code == 0 && said.err.contains("warning: --source-wins overwrites"), "{said:?}");
    assert!(said.out.contains("4 compared: 1 the same, 3 different; 3 repaired"), "{said:?}");
    assert_eq!(target.get(&id("c")).await, Ok(Some(order(5, 1, "Wien"))));
    let history = at(url, "history orders").await.done();
    assert!(history.contains("OVERWRITES") && history.contains("a script wrote there"), "{history}");

    let refused = run(wins.clone().chain(["--sample", "5"])).await;
    assert_eq!(refused.code, 64, "{refused:?}");

    ramp(url, "--target-first").await;
    let refused = run(wins).await;
    assert_eq!(refused.code, 65, "{refused:?}");
    for part in ["target-first or above read the target", "cutover ramp orders --target-first 0 --wait"] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    let told = at(url, &format!("verify {path} --sample 50")).await;
    assert!(
        told.code == 0 && told.out.contains("found no difference") && !told.out.contains("clean"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_recreated_needs_an_operators_word_and_a_new_pass() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    let filled = async || {
        let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
        source.put_if_newer(&id("a"), &order(1, 1, "Graz")).await.unwrap();
    };
    filled().await;
    ramp(url, "--mirrored").await;
    let told = at(url, &format!("backfill {path} --create-tables")).await.done();
    assert!(!told.contains("NO RECORD FOUND"), "{told}");
    for file in ["source.db", "source.db-wal", "source.db-shm"] {
        _ = std::fs::remove_file(dir.path().join(file));
    }
    filled().await;
    for verb in ["backfill", "verify"] {
        let said = at(url, &format!("{verb} {path}")).await;
        let advice = format!("cutover {verb} SPEC --new-tables source --reason ..");
        assert!(said.code == 65 && said.err.contains("this pass has the source table orders of"), "{said:?}");
        assert!(
            said.err.contains("earlier passes had table orders of") && said.err.contains(&advice),
            "{said:?}"
        );
    }
    let other = "this pass has the source table orders of";
    at(url, &format!("backfill {path} --dry-run")).await.fails(&[other]);
    at(url, &format!("quarantine retry {path}")).await.fails(&[other]);
    let said = at(url, &format!("doctor {path}")).await;
    assert!(said.code == 1 && said.out.contains(other), "{said:?}");
    assert_eq!(at(url, "jobs orders").await.done(), "no pass is under way\n");
    at(url, &format!("backfill {path} --new-tables source")).await.fails(&["--reason"]);
    at(url, "ramp orders --target-first 100 --dry-run").await.done();
    let moved = format!("backfill {path} --new-tables source --reason restored");
    at(url, &moved).await.done();
    let history = at(url, "history orders --export").await.objects();
    let told: Vec<_> = history.iter().filter(|event| event["reason"] == "restored").collect();
    let summary = told[0]["summary"].to_string();
    assert!(told.len() == 1 && summary.contains("earlier passes open no gate any more"), "{told:?}");
    at(url, &format!("backfill {path}")).await.done();
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_pass_that_found_nothing_says_so_loudly() {
    let dir = TempDir::new().unwrap();
    let (controller, spec, path) = world(&dir).await;
    let url = controller.url.as_str();
    drop(spec.source.open(Missing::Create, |_| None).await.unwrap());
    let told = at(url, &format!("backfill {path} --create-tables")).await.done();
    assert!(told.contains("NO RECORD FOUND: is the source the right table?"), "{told}");
    for shown in ["status orders", "show orders"] {
        let shown = at(url, shown).await.done();
        // Lines are wrapped.
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("NO RECORD FOUND: is the source the right table?"), "{shown}");
    }
    let history = at(url, "history orders").await.done();
    assert!(history.contains("it found NO RECORD in table orders of"), "{history}");
    controller.stop().await;
}
