use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

fn status(state: v1::State) -> v1::Status {
    let migration = v1::Migration { key: "orders".to_owned(), state: state.into(), ..Default::default() };
    v1::Status { migration: Some(migration), settled: true, at_ms: NOW_MS, ..Default::default() }
}

fn said(edit: impl FnOnce(&mut v1::Status, &mut v1::Migration), state: v1::State) -> String {
    let mut status = status(state);
    let mut migration = status.migration.take().unwrap_or_default();
    edit(&mut status, &mut migration);
    status.migration = Some(migration);
    gist(&status, ago).line()
}

fn by(name: &str, reason: &str, ago_ms: u64) -> Option<v1::Attribution> {
    Some(v1::Attribution {
        by: name.to_owned(),
        reason: reason.to_owned(),
        at_ms: NOW_MS - ago_ms,
        revision: 7,
    })
}

#[test]
fn a_pause_names_who_when_and_why() {
    let line = said(|_, it| it.paused_by = by("operator:ada", "incident 17", 720_000), v1::State::Paused);
    assert_eq!(line, "orders is paused by operator:ada 12 min ago: incident 17. Next: cutover resume orders");
    let line = said(|_, it| it.paused_by = by("operator:ada", "", 5_000), v1::State::Paused);
    assert!(line.contains("5 s ago: no reason given"), "{line}");
}

#[test]
fn a_trip_and_a_hold_name_the_guard_and_its_counts() {
    let trip = |outcome: v1::TripOutcome, cause: &str| v1::Trip {
        revision: 7,
        at_ms: NOW_MS - 60_000,
        guard: "write_divergence".to_owned(),
        operation: v1::Operation::Write.into(),
        outcome: outcome.into(),
        cause: cause.to_owned(),
        target: 180,
        target_bad: 55,
        onset_ms: 60_576,
        limit: Some(0.001),
        ..Default::default()
    };
    let line = said(
        |_, it| {
            it.ceiling = v1::Rung::Dual.into();
            it.state_since = by("guard:write_divergence", "", 60_000);
            it.trips = vec![trip(v1::TripOutcome::RolledBack, "breach")];
        },
        v1::State::Tripped,
    );
    assert_eq!(
        line,
        "orders is rolled back to dual: guard write_divergence tripped 60 s ago: 55 of 180 target writes \
         failed within 60 s (30.56 %, limit 0.1 %). Next: repair the target, then cutover ack orders --reason .."
    );
    let line = said(
        |_, it| {
            (it.ceiling, it.paused) = (v1::Rung::Dual.into(), true);
            it.state_since = by("operator:ada", "latency", 60_000);
        },
        v1::State::Tripped,
    );
    assert_eq!(
        line,
        "orders is rolled back to dual and paused: by operator:ada 60 s ago: latency. Next: cutover ack orders \
         --reason .. and cutover resume orders, once it may go up again"
    );
    let line = said(
        |_, it| {
            it.paused_by = by("guard:blindness", "", 60_000);
            let held = trip(v1::TripOutcome::Held, "instances_gone");
            it.trips = vec![v1::Trip { guard: "blindness".to_owned(), target: 13, target_bad: 27, ..held }];
        },
        v1::State::Paused,
    );
    assert!(line.contains("paused by guard blindness"), "{line}");
    assert!(line.contains("27 of 40 instances stopped reporting within 10 s"), "{line}");
}

#[test]
fn what_somebody_has_to_see_to_comes_before_what_goes_by_itself() {
    let waiting = |message: &str, action: &str, by_itself| v1::Waiting {
        message: message.to_owned(),
        action: action.to_owned(),
        by_itself,
        ..Default::default()
    };
    let line = said(
        |it, _| {
            it.waiting =
                vec![waiting("soak", "wait", true), waiting("no pass", "cutover backfill SPEC", false)]
        },
        v1::State::Ramping,
    );
    assert_eq!(line, "orders is blocked: no pass (and 1 more). Next: cutover backfill SPEC");
}

#[test]
fn what_goes_by_itself_asks_for_nothing() {
    let expiring = v1::Waiting {
        message: "callers without an SDK may still act on answers from before revision 4".to_owned(),
        action: "nothing to do: at each step these expire within 11 s".to_owned(),
        by_itself: true,
        ..Default::default()
    };
    let line = said(|it, _| it.waiting = vec![expiring], v1::State::Ramping);
    assert_eq!(
        line,
        "orders is ramping and waits: callers without an SDK may still act on answers from before revision 4. Nothing to \
         do: at each step these expire within 11 s."
    );
}

#[test]
fn a_pass_that_stands_still_is_continued_first() {
    let pass = |paused, claims: Vec<v1::Claim>| {
        let tuning = Some(v1::Tuning { paused, ..Default::default() });
        let job = v1::Job { id: "orders/pass-1".to_owned(), tuning, claims, ..Default::default() };
        said(|it, _| it.jobs = vec![job.clone()], v1::State::Idle)
    };
    let left = pass(false, Vec::new());
    assert!(left.ends_with("NO WORKER. Next: cutover backfill SPEC, which continues it"), "{left}");
    let paused = pass(true, vec![v1::Claim::default()]);
    assert!(paused.ends_with("paused. Next: cutover tune orders/pass-1 --resume"), "{paused}");
    let runs = pass(false, vec![v1::Claim::default()]);
    assert!(runs.ends_with("1 worker. Next: cutover jobs orders shows how far it is"), "{runs}");
}

#[test]
fn an_idle_migration_says_where_it_is_and_what_usually_comes_next() {
    let line = said(
        |it, migration| {
            it.shares = vec![v1::RungShare { rung: v1::Rung::Mirrored.into(), ppm: 1_000_000 }];
            let mirrored = v1::Rollout { dual_ppm: 1_000_000, mirrored_ppm: 1_000_000, ..Default::default() };
            migration.rollout = Some(mirrored);
        },
        v1::State::Idle,
    );
    assert!(
        line.starts_with("orders is idle: 100 % mirrored, settled. Next: cutover backfill SPEC"),
        "{line}"
    );
}

#[test]
fn endpoints_say_what_they_did_not_get() {
    let failing = v1::Endpoint {
        name: "ops".to_owned(),
        failing_ms: 720_000,
        answer: "HTTP 503".to_owned(),
        waiting: 3,
        ..Default::default()
    };
    assert_eq!(
        endpoint(&failing),
        ["endpoint ops has failed for 12 min (HTTP 503); not sent yet: 3 messages"]
    );
    let last_set_aside = "rollback of orders, revision 42".to_owned();
    let lost = v1::Endpoint {
        name: "ops".to_owned(),
        set_aside: 1,
        dropped: 2,
        last_set_aside,
        ..Default::default()
    };
    assert_eq!(
        endpoint(&lost),
        [
            "endpoint ops could not process 1 message, last: rollback of orders, revision 42. Set aside",
            "endpoint ops rejected 2 messages; see the controller's log",
        ]
    );
}
