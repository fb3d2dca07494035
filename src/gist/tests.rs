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
        message: "cached answers of Decide or OpenFeature from before revision 4 have not expired".to_owned(),
        action: "nothing to do: they expire at most 11 s after a step".to_owned(),
        by_itself: true,
        ..Default::default()
    };
    let line = said(|it, _| it.waiting = vec![expiring], v1::State::Ramping);
    assert_eq!(
        line,
        "orders is ramping and waits: cached answers of Decide or OpenFeature from before revision 4 have not expired. \
         Nothing to do: they expire at most 11 s after a step."
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

/// A guard that would have rolled back, and could not.
fn held() -> v1::Trip {
    v1::Trip {
        revision: 7,
        at_ms: NOW_MS - 7_000,
        guard: "error_absolute".to_owned(),
        operation: v1::Operation::Read.into(),
        outcome: v1::TripOutcome::Held.into(),
        cause: "breach".to_owned(),
        target: 43,
        target_bad: 37,
        onset_ms: 800,
        ..Default::default()
    }
}

#[test]
fn a_dead_target_is_repaired_before_anybody_resumes() {
    let paused = |shares: &[(v1::Rung, u32)], trip: v1::Trip| {
        said(
            |it, migration| {
                let share = |(rung, ppm): &(v1::Rung, u32)| v1::RungShare { rung: (*rung).into(), ppm: *ppm };
                it.shares = shares.iter().map(share).collect();
                migration.paused_by = by("guard:error_absolute", "", 7_000);
                migration.trips = vec![trip];
            },
            v1::State::Paused,
        )
    };
    let all = paused(&[(v1::Rung::TargetOnly, 1_000_000)], held());
    assert_eq!(
        all,
        "orders was paused by guard error_absolute 7 s ago: 37 of 43 target reads failed within 0.8 s (86.05 %). Everybody \
         reads and writes only the target, so a rollback would not help. Next: repair the target, then cutover resume orders"
    );
    let half = paused(&[(v1::Rung::TargetFirst, 500_000), (v1::Rung::TargetOnly, 500_000)], held());
    assert!(
        half.contains("It is at 50 % target-first, 50 % target-only: the target has writes that"),
        "{half}"
    );
    let both = paused(&[], v1::Trip { cause: "common_mode".to_owned(), source: 9, source_bad: 9, ..held() });
    assert!(both.ends_with("Next: repair both stores, then cutover resume orders"), "{both}");
}

#[test]
fn records_in_quarantine_come_before_the_next_backfill() {
    let pass = |quarantined, canceled| v1::Evidence {
        kind: v1::PassKind::Full.into(),
        counts: Some(v1::PassCounts { quarantined, ..Default::default() }),
        canceled_by: if canceled { by("operator:ada", "", 0) } else { None },
        ..Default::default()
    };
    let verify = v1::Evidence { kind: v1::PassKind::Verify.into(), ..Default::default() };
    let next = |evidence: Vec<v1::Evidence>| {
        said(
            |_, migration| {
                let mirrored =
                    v1::Rollout { dual_ppm: 1_000_000, mirrored_ppm: 1_000_000, ..Default::default() };
                (migration.rollout, migration.evidence) = (Some(mirrored), evidence);
            },
            v1::State::Idle,
        )
    };
    let eleven = next(vec![pass(11, false), verify.clone(), pass(0, true)]);
    assert!(
        eleven.contains(
            "Next: fix the 11 records in quarantine (cutover quarantine list SPEC), then cutover backfill"
        ),
        "{eleven}"
    );
    let unreadable =
        v1::Evidence { counts: Some(v1::PassCounts { failed: 1, ..Default::default() }), ..verify.clone() };
    let doubted = next(vec![unreadable, pass(0, false), verify.clone()]);
    assert!(doubted.contains("Next: cutover verify SPEC, which"), "a backfill opens no gate: {doubted}");
    let none = next(vec![pass(11, false), pass(0, false), verify]);
    assert!(none.contains("Next: cutover backfill SPEC, then"), "{none}");
}

#[test]
fn a_request_for_a_second_person_blocks_nobody() {
    let request = v1::Waiting {
        gate: "second-person".to_owned(),
        message: "operator:ada asks for what needs a second person: policy changed".to_owned(),
        action: "somebody else: cutover approve orders 7".to_owned(),
        ..Default::default()
    };
    let mut status = status(v1::State::Idle);
    status.waiting = vec![request];
    let gist = gist(&status, ago);
    assert_eq!((gist.standing, gist.tone), ("idle", Tone::Waiting));
    assert!(gist.what.ends_with("settled. operator:ada asks for what needs a second person: policy changed"));
    assert!(
        gist.next.starts_with("somebody else: cutover approve orders 7; then cutover ramp"),
        "{}",
        gist.next
    );
}

#[test]
fn a_ramp_that_goes_down_says_so() {
    let line = said(
        |it, migration| {
            it.waiting =
                vec![v1::Waiting { message: "no barrier".to_owned(), by_itself: true, ..Default::default() }];
            migration.rollout = Some(v1::Rollout { dual_ppm: 500_000, ..Default::default() });
            migration.goal = Some(v1::Rollout::default());
        },
        v1::State::Ramping,
    );
    assert!(line.starts_with("orders is ramping down and waits: no barrier"), "{line}");
}

#[test]
fn a_lost_instance_is_named_before_the_reverse_pass_that_waits_for_it() {
    let line = |lost: bool, waited_for_ms: u64| {
        said(
            |status, it| {
                status.waiting = vec![v1::Waiting {
                    gate: "floor".to_owned(),
                    step: "target-first -> mirrored".to_owned(),
                    whom: "everybody".to_owned(),
                    ..Default::default()
                }];
                let name = "api-1".to_owned();
                status.instances = vec![v1::Instance { name, lost, waited_for_ms, ..Default::default() }];
                it.ceiling = v1::Rung::Dual.into();
                it.state_since = by("operator:ada", "", 60_000);
            },
            v1::State::Tripped,
        )
    };
    let evict = "Next: bring api-1 back, or, once its process has certainly ended, cutover evict api-1 --lost --reason ..; \
                 then cutover reverse SPEC, then cutover ack orders";
    assert!(line(true, 0).contains(evict), "{}", line(true, 0));
    // It is heard, or no longer waited for soon.
    for line in [line(false, 0), line(true, 9_000)] {
        assert!(line.contains("Next: cutover reverse SPEC, then cutover ack orders"), "{line}");
    }
}
