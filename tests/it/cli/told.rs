//! What changes say besides: what they leave as it is, and what they do not do yet.

use tempfile::TempDir;

use super::{at, run, run_with};
use crate::support::server::Controller;

async fn orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source ddb --target mysql").await.done();
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_names_the_pins_that_it_lowers_and_a_ramp_those_that_do_not_move() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "pin orders alice dual --reason first").await.done();
    at(url, "ramp orders --dual 100").await.done();
    at(url, "rollback orders --reason test").await.done();
    let told = at(url, "ack orders --reason ok").await.done();
    let stays =
        "1 pinned tenant stays where the rollback ended, by a pin that is now lower: alice (source-only)";
    assert!(told.contains(stays) && told.contains("cutover unpin orders TENANT"), "{told}");
    assert!(at(url, "history orders --limit 1").await.done().contains(stays), "nobody forgets it");
    let explained = at(url, "explain orders alice").await.done();
    assert!(
        explained
            .contains("it is pinned to source-only since operator:ada acknowledged a rollback (revision "),
        "{explained}"
    );
    let ramped = at(url, "ramp orders --dual 100").await.done();
    assert!(
        ramped.contains("1 pinned tenant does not move with the shares: cutover pins orders"),
        "{ramped}"
    );
    at(url, "unpin orders alice").await.done();
    let again = at(url, "explain orders alice").await.done();
    assert!(!again.contains("pinned"), "{again}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_down_by_hand_says_that_it_holds_the_plan() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let plan = "steps:\n- { stage: dual, percent: [50, 100], evidence: none, bake: 1h }\n";
    let apply = ["--server", url, "plan", "apply", "orders", "-"];
    run_with(apply, plan).await.done();
    while at(url, "show orders --json").await.object()["rollout"]["dual_ppm"] != 500_000 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let down = at(url, "ramp orders --dual 30").await.done();
    assert!(down.contains("the plan is held: cutover resume orders takes step 1 again"), "{down}");
    let shown = at(url, "plan show orders").await.done();
    assert!(shown.starts_with("plan of orders is held, 1 of 2 steps taken"), "{shown}");
    let further = at(url, "ramp orders --dual 20").await.done();
    assert!(!further.contains("the plan is held"), "it was before: {further}");
    at(url, "plan stop orders").await.done();
    assert!(at(url, "plan show orders").await.done().starts_with("plan of orders has ended, 1 of 2"));
    assert_eq!(
        at(url, "plan stop orders").await.done(),
        "nothing to do: the plan is not running: it has ended before\n"
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_has_what_a_guard_was_set_to_before_and_after() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let set = "guards orders --set error_absolute --operation write";
    for (how, told) in [
        ("--rate 5%", "error_absolute of writes: limit 2 % -> 5 %"),
        ("--mode observe", "error_absolute of writes: enforce -> observe"),
        ("--mode off", "error_absolute of writes: observe -> off"),
        ("--mode enforce --rate 1%", "error_absolute of writes: off -> enforce, limit 1 %"),
    ] {
        let said = at(url, &format!("{set} {how}")).await.done();
        assert_eq!(said, format!("guards changed: {told}\n"));
    }
    let said = at(url, "guards orders --set blindness --mode observe").await.done();
    assert_eq!(said, "guards changed: blindness: enforce -> observe\n");
    let newest = at(url, "history orders --limit 2 --json").await.objects();
    assert_eq!(newest[1]["summary"], "guards changed: error_absolute of writes: off -> enforce, limit 1 %");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_says_up_to_when_and_what_is_none_is_named() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let place = |name: &str| elsewhere.path().join(name).display().to_string();
    let told = at(url, &format!("backup {}", place("backup.db"))).await.done();
    assert!(told.ends_with("/backup.db, everything up to revision 1\n"), "{told}");
    std::fs::write(place("orders.toml"), "migration = \"orders\", and more text than a page has bytes")
        .unwrap();
    let store = format!("sqlite:{}", place("restored.db"));
    for (file, told) in [
        (
            "orders.toml",
            "/orders.toml is damaged, or not a backup of a controller's store: give a file that cutover",
        ),
        ("none.db", "/none.db: No such file or directory. Give a file that cutover backup wrote"),
    ] {
        let said = run(["restore", &place(file), "--store", &store]).await;
        assert!(said.code == 1 && said.err.contains(told) && !said.err.contains(".part"), "{said:?}");
    }
    controller.stop().await;
}
