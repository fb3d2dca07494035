//! What somebody on call reads first: `list`, and the first line of `status`.

use cutover_proto::v1;
use tempfile::TempDir;

use super::at;
use crate::support::server::Controller;

#[tokio::test(flavor = "multi_thread")]
async fn status_leads_with_what_is_going_on_why_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    let first = async || at(url, "status orders").await.done().lines().next().unwrap().to_owned();
    at(url, "create orders --source ddb --target mysql").await.done();
    assert_eq!(
        first().await,
        "orders is idle: 100 % source-only, settled. Next: cutover ramp orders --dual PCT"
    );
    let nobody = at(url, "status orders").await.done();
    assert!(nobody.contains("\n  no instance is registered\n"), "{nobody}");
    at(url, "ramp orders --mirrored 100").await.done();
    let ramp = at(url, "ramp orders --target-first 1 --wait --timeout 300ms").await;
    assert_eq!(ramp.code, 3, "{ramp:?}");
    let blocked = first().await;
    let whom = "orders is blocked: 1 % of the tenants mirrored -> target-first: ";
    assert!(blocked.starts_with(whom), "{blocked}");
    assert!(at(url, "list").await.done().contains("orders    blocked "), "in the list, too");
    assert!(blocked.contains("cutover backfill SPEC"), "the remedy: {blocked}");
    run_pause(url).await;
    let paused = first().await;
    assert!(paused.starts_with("orders is paused by operator:ada "), "{paused}");
    assert!(paused.ends_with(" ago: incident. Next: cutover resume orders"), "{paused}");
    at(url, "rollback orders --reason latency").await.done();
    let back = first().await;
    assert!(back.starts_with("orders is rolled back to source-only"), "{back}");
    assert!(
        back.contains("by operator:ada ")
            && back
                .contains(": latency. Next: cutover ack orders --reason .. and cutover resume orders, once"),
        "{back}"
    );
    let status = at(url, "status orders --json").await.object();
    assert_eq!((&status["standing"], &status["migration"]["state"]), (&"tripped".into(), &"tripped".into()));
    assert!(status["next"].as_str().unwrap().contains("cutover ack orders"), "{status}");
    assert_eq!(status["migration"]["paused_by"]["reason"], "incident");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_wait_for_answers_of_decide_say_so_in_plain_words() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let asks =
        v1::DecideRequest { migration: "orders".to_owned(), tenant: "acme".to_owned(), ..Default::default() };
    controller.routing().await.decide(asks).await.unwrap();
    let ramp = at(url, "ramp orders --mirrored 100 --wait --timeout 300ms").await;
    assert_eq!(ramp.code, 3, "{ramp:?}");
    let why = "cached answers of Decide or OpenFeature from before revision ";
    assert!(ramp.err.contains(why) && ramp.err.contains("at most 11 s after a step"), "{ramp:?}");
    let status = at(url, "status orders").await.done();
    let status = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(status.contains(why), "{status}");
    assert!(status.contains(". Nothing to do: they expire at most 11 s after a step."), "{status}");
    assert!(status.contains(" state waiting, revision "), "{status}");
    assert!(
        status
            .contains(" no instance is registered; cached answers of Decide or OpenFeature have not expired"),
        "{status}"
    );
    controller.stop().await;
}

/// A step waits for answers that callers may act on; this is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_delays_no_step() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    for step in ["--dual 100", "--mirrored 100", "--mirrored 0", "--dual 0"] {
        let decided = at(url, "decide orders acme --json").await.object();
        assert_eq!(decided["valid_for_ms"], 0, "{decided}");
        // Without --wait it is refused if it has to wait for anything.
        at(url, &format!("ramp orders {step}")).await.done();
        let status = at(url, "status orders --json").await.object();
        assert_eq!(
            (&status["settled"], &status["callers"]),
            (&true.into(), &serde_json::Value::Null),
            "{status}"
        );
    }
    let look_up =
        v1::DecideRequest { migration: "orders".to_owned(), tenant: "acme".to_owned(), look_up_only: true };
    let answer = controller.routing().await.decide(look_up).await.unwrap().into_inner();
    assert_eq!((answer.valid_for_ms, answer.finish_within_ms), (0, 0), "no service can act on it");
    controller.stop().await;
}

/// Of two that can't go further down, one is at target-first and reads the failing target.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_to_stay_above_a_rollback_is_named() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql --soak 0s").await.done();
    at(url, "ramp orders --target-first 100 --wait --override full-pass --reason empty").await.done();
    at(url, "ramp orders --target-only 50 --wait --override full-pass --reason empty").await.done();
    at(url, "rollback orders --reason first").await.done();
    at(url, "rollback orders --reason second").await.done();
    let first = at(url, "status orders").await.done().lines().next().unwrap().to_owned();
    assert!(
        first.starts_with(
            "orders is rolled back to dual, but 50 % of the tenants can't leave target-first before a reverse pass"
        ),
        "{first}"
    );
    assert!(first.contains("Next: cutover reverse SPEC, then cutover ack orders"), "{first}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_tenants_that_keep_a_migration_from_its_end_are_named() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql --soak 0s --finish-soak 0s").await.done();
    at(url, "pin orders bolt dual --wait").await.done();
    let ramp = "ramp orders --target-only 100 --wait --override full-pass --reason empty";
    at(url, ramp).await.done();
    let first = at(url, "status orders").await.done();
    assert!(
        first.starts_with(
            "orders is idle: 100 % target-only, settled; 1 tenant is pinned. Next: cutover finish orders"
        ),
        "{first}"
    );
    assert!(
        first.contains("once each pinned tenant is at target-only: cutover pins orders shows them"),
        "{first}"
    );
    at(url, "finish orders --confirm orders").await.refused(&[
        "refused: 1 condition",
        "the shares do not move this tenant: bolt (dual)",
        "cutover unpin orders TENANT --wait",
    ]);
    controller.stop().await;
}

async fn run_pause(url: &str) {
    at(url, "pause orders --reason incident").await.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn list_has_a_line_for_each_that_fits_80_columns() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    at(url, "create users --source ddb --target mysql").await.done();
    at(url, "ramp orders --dual 12.5").await.done();
    at(url, "rollback orders --reason x").await.done();
    let list = at(url, "list").await.done();
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{list}");
    assert!(lines[0].starts_with("MIGRATION STATE"), "{list}");
    assert!(lines[1].starts_with("orders    tripped ") && lines[2].starts_with("users     idle "), "{list}");
    let objects = at(url, "list --json").await.objects();
    super::has(&objects[0], &["plan", "jobs", "lost", "settled", "state_since", "paused_by"]);
    assert_eq!(objects[0]["state_since"]["by"], "operator:ada");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_quotes_the_newest_of_two_rollbacks() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    at(url, "ramp orders --mirrored 100").await.done();
    at(url, "ramp orders --target-first 100 --override full-pass --reason test --wait").await.done();
    at(url, "rollback orders --reason first").await.done();
    at(url, "rollback orders --reason second").await.done();
    let first = at(url, "status orders").await.done().lines().next().unwrap().to_owned();
    assert!(first.starts_with("orders is rolled back to source-only"), "{first}");
    assert!(first.contains(" ago: second. Next: "), "{first}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_says_what_it_waits_for_and_a_wait_where_it_ended() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let up = at(url, "ramp orders --mirrored 25 --wait").await.done();
    assert!(up.contains("asked for dual 25 %, mirrored 25 %\n"), "{up}");
    assert!(up.contains("25 % of the tenants: source-only -> mirrored\n"), "{up}");
    assert!(up.ends_with("settled: 75 % source-only, 25 % mirrored\n"), "{up}");
    let waits = at(url, "wait orders").await.done();
    assert_eq!(waits, "settled: 75 % source-only, 25 % mirrored\n");
    // Neighbours that do the same are told together, although they came at different times.
    let up = at(url, "ramp orders --mirrored 40").await.done();
    assert!(up.ends_with("15 % of the tenants (buckets 25-40 %): source-only -> mirrored\n"), "{up}");
    let back = at(url, "ramp orders --dual 0 --dry-run").await.done();
    assert!(back.ends_with("dry run: 40 % of the tenants: mirrored -> source-only\n"), "{back}");
    at(url, "ramp orders --dual 25 --wait").await.done();
    let up = at(url, "ramp orders --target-first 25 --wait --timeout 300ms").await;
    assert!(up.err.contains("waiting: 25 % of the tenants mirrored -> target-first: [full-pass] "), "{up:?}");
    // What others wait for is no concern of these.
    for line in
        ["pin orders acme source-only", "policy orders --soak 1m", "guards orders --set mismatch --rate 1%"]
    {
        let told = at(url, line).await.done();
        assert!(!told.contains("waiting"), "{line}: {told}");
    }
    let down = at(url, "ramp orders --dual 10").await.done();
    assert!(down.contains("asked for dual 10 %, down from 25 %, mirrored 10 %, down from 25 %, "), "{down}");
    let guards = at(url, "guards orders").await.done();
    assert!(guards.starts_with("GUARD "), "{guards}");
    assert!(
        guards.lines().any(|line| line.starts_with("mismatch ") && line.ends_with("at most 1 % differed"))
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_from_mirrored_says_that_it_is_two_rungs() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    at(url, "ramp orders --mirrored 100").await.done();
    let only = "so this is two rungs back. Only to dual: cutover ramp orders --mirrored 0\n";
    let dry = at(url, "rollback orders --dry-run").await.done();
    assert!(dry.starts_with("dry run: rolled back to source-only\n") && dry.ends_with(only), "{dry}");
    at(url, "ramp orders --mirrored 0").await.done();
    let dry = at(url, "rollback orders --dry-run").await.done();
    assert!(!dry.contains("two rungs"), "{dry}");
    let help = super::run(["help", "rollback"]).await.done();
    assert!(help.contains("cutover ramp KEY --mirrored 0"), "{help}");
    controller.stop().await;
}
