//! Refusals of the controller, as people see them.

use tempfile::TempDir;

use super::{at, run, run_with};
use crate::support::server::Controller;

/// A controller with one migration, everybody at dual.
async fn orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source ddb --target mysql").await.done();
    at(&controller.url, "ramp orders --dual 100").await.done();
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_tenants_and_shares_that_make_no_sense() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let before = at(url, "show orders").await.done();
    at(url, "create orders --source a --target b").await.refused(&["orders exists already", "another key"]);
    at(url, "create Orders! --source a --target b").await.misused(&["cutover: \"Orders!\"", "a-z"]);
    let long = "k".repeat(64);
    at(url, &format!("create {long} --source a --target b")).await.misused(&["63"]);
    for verb in [
        "show nope",
        "status nope",
        "ramp nope --dual 1",
        "pins nope",
        "pause nope",
        "history nope",
        "history nope --export",
    ] {
        at(url, verb).await.refused(&["nope", "cutover list"]);
    }
    at(url, "decide nope acme").await.refused(&["\"nope\"", "check the key (cutover list)"]);
    at(url, "instances nope").await.refused(&["nope", "cutover list"]);
    at(url, "ramp orders").await.misused(&["--dual", "--target-only"]);
    at(url, "ramp orders --dual 10 --target-first 20")
        .await
        .misused(&["--target-first: 20 % is over dual 10 %"]);

    let tenants = [("", "empty"), ("a\nb", "control character"), (&"x".repeat(257), "256")];
    for (tenant, part) in tenants {
        for verb in [
            &["decide", "orders", tenant][..],
            &["explain", "orders", tenant],
            &["pin", "orders", tenant, "dual"],
        ] {
            run(["--server", url].iter().chain(verb)).await.misused(&["tenant", part]);
        }
    }
    run(["--server", url, "rollback", "orders", "--tenant", ""]).await.misused(&["tenant", "empty"]);
    run(["--server", url, "pause", "orders", "--reason", "a\u{7}"]).await.misused(&["--reason", "control"]);
    assert_eq!(at(url, "show orders").await.done(), before, "nothing was changed");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_is_refused_with_everything_that_is_missing() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "create users --source a --target b --required-service users-api").await.done();
    let jump = "ramp users --target-only 100";
    at(url, jump).await.refused(&[
        "3 conditions are not met",
        "[services]",
        "users-api",
        "mirrored -> target-first: a full pass has to cover these tenants",
        "target-first -> target-only: ",
    ]);
    at(url, &format!("{jump} --dry-run")).await.refused(&["[services]", "[full-pass]"]);
    at(url, "pin users acme target-only").await.refused(&["[services]", "[full-pass]"]);
    at(url, &format!("{jump} --override barrier --reason x")).await.misused(&["barrier", "only services"]);
    at(url, &format!("{jump} --override full-pass")).await.misused(&["--reason"]);
    let shown = at(url, "show users --json").await.object();
    assert_eq!((&shown["revision"], &shown["state"]), (&3.into(), &"idle".into()), "nothing was changed");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_not_legal_now() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "delete orders").await.refused(&["has started", "cutover finish orders"]);
    at(url, "finish orders --confirm orders")
        .await
        .refused(&["not everybody is at target-only", "cutover ramp"]);
    at(url, "finish orders --confirm users").await.misused(&["orders", "--confirm"]);
    at(url, "ack orders --reason none").await.refused(&["no rollback is active"]);
    at(url, "ack orders").await.misused(&["ack also needs --reason <REASON>", "see cutover help ack"]);
    at(url, "rollback orders --reason r").await.done();
    at(url, "create users --source a --target b").await.done();
    at(url, "rollback users").await.refused(&["nothing to roll back"]);
    let unpinned = at(url, "unpin orders nobody").await.done();
    assert!(
        unpinned.contains("tenant nobody is not pinned") && unpinned.contains("cutover ack orders"),
        "{unpinned}"
    );
    at(url, "resume orders")
        .await
        .refused(&["[tripped] orders is not paused: it is rolled back", "cutover ack orders"]);
    let held_back = ["[tripped] rolled back to source-only", "cutover ack orders --reason"];
    at(url, "ramp orders --dual 100").await.refused(&held_back);
    at(url, "ramp orders --dual 100 --wait").await.refused(&held_back);
    at(url, "pin orders acme mirrored").await.refused(&["[tripped]", "cutover ack orders"]);
    at(url, "ramp orders --dual 40").await.done();
    at(url, "ramp orders --dual 0").await.done();
    at(url, "ramp orders --dual 0").await.done();
    at(url, "evict nobody --reason gone").await.refused(&["nobody", "cutover instances"]);
    run(["--server", url, "evict", "nobody", "--reason", ""]).await.misused(&["--reason"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_a_repeated_and_a_dry_change() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "pause orders --expected-revision 1").await.refused(&["revision 2, not 1", "look again"]);
    assert!(at(url, "pause orders --expected-revision 2 --dry-run").await.done().starts_with("dry run: "));
    assert_eq!(at(url, "show orders --json").await.object()["revision"], 2, "a dry run changes nothing");
    let pause = "pause orders --expected-revision 2 --request-id r1 --json";
    assert_eq!(at(url, pause).await.object()["repeated"], false);
    assert_eq!(at(url, pause).await.object()["repeated"], true);
    at(url, "resume orders --request-id r1").await.refused(&["\"r1\"", "draw a new one"]);
    at(url, "create new --source a --target b --dry-run").await.done();
    at(url, "show new").await.refused(&["new"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_read_whole_before_a_pin_is_sent() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let import = async |text: &str| run_with(["--server", url, "import-pins", "orders", "-"], text).await;
    import("acme,dual\nzeta\n").await.refused(&[
        "line 2",
        "\"zeta\"",
        "TENANT,STAGE",
        "nothing was imported",
    ]);
    import("acme,dual\n\nzeta,duel\n").await.refused(&["line 3", "\"duel\"", "source-only, dual"]);
    import("acme,dual\n,dual\n").await.refused(&["line 2", "empty"]);
    import("acme,dual\na\u{1}b,dual\n").await.refused(&["line 2", "control character"]);
    import(&format!("{},dual\n", "x".repeat(257))).await.refused(&["line 1", "256"]);
    at(url, "import-pins orders /nowhere/pins.csv")
        .await
        .refused(&["/nowhere/pins.csv", "Nothing was imported"]);
    at(url, &format!("import-pins orders {}", dir.path().display())).await.refused(&["can't read"]);
    assert!(at(url, "pins orders --json").await.objects().is_empty());

    // The controller refuses whole batches, and the error says how many pins were imported.
    import("acme,dual\nzeta,target-only\n").await.refused(&["0 pins are imported", "full-pass"]);
    let many: String = (0..10_000).map(|n| format!("t{n},dual\n")).collect();
    import(&format!("{many}zeta,target-only\n")).await.refused(&["10000 pins are imported", "full-pass"]);
    assert_eq!(at(url, "show orders --json").await.object()["pins"], 10_000);

    import("acme,source-only\n").await.done();
    let dry =
        run_with(["--server", url, "import-pins", "orders", "-", "--dry-run"], "beta,dual\n").await.done();
    assert!(dry.starts_with("would import 1 pins"), "{dry}");
    assert_eq!(at(url, "show orders --json").await.object()["pins"], 10_001);
    controller.stop().await;
}
