//! A migration that was rolled back or paused, in words.

use cutover_proto::v1;

use super::{Gist, Tone, by_whom, rung, shares, together, trip_text, whom};

/// Somebody or a guard rolled it back.
pub(super) fn tripped(status: &v1::Status, migration: &v1::Migration, when: fn(u64, u64) -> String) -> Gist {
    let key = &migration.key;
    let mut whom = match (migration.ceiling, migration.tenants_rolled_back) {
        (0, 1) => format!("1 tenant of {key} is rolled back"),
        (0, tenants) => format!("{tenants} tenants of {key} are rolled back"),
        (ceiling, _) => format!("{key} is rolled back to {}", rung(ceiling)),
    };
    let kept = kept(status);
    if let Some(kept) = &kept {
        whom.push_str(&format!(", but {kept}"));
    }
    if !status.settled && migration.ceiling != 0 {
        let is_behind = |it: &v1::Instance| !it.settled && !it.counted_out;
        let are_callers_behind = status.callers.is_some_and(|callers| !callers.settled);
        whom.push_str(match (status.instances.iter().any(is_behind), are_callers_behind) {
            (true, false) => " (not every instance follows yet)",
            (true, true) => " (not every instance follows yet, nor do callers without an SDK)",
            (false, true) => " (callers without an SDK follow within 11 s)",
            // A line of a list does not know who.
            (false, false) => " (not everybody follows yet)",
        });
    }
    if migration.paused {
        whom.push_str(" and paused");
    }
    let since = migration.state_since.clone().unwrap_or_default();
    let trip = migration.trips.iter().rev().find(|trip| trip.outcome() == v1::TripOutcome::RolledBack);
    let (why, (first, last)) = match trip {
        Some(trip) if trip.revision >= since.revision => {
            let when = when(status.at_ms, trip.at_ms);
            let why = format!("guard {} tripped {when}: {}", trip.guard, trip_text(trip));
            (why, ("repair the target, then ", ""))
        }
        _ if since.by.is_empty() => ("see cutover history".to_owned(), ("", ", once it may go up again")),
        _ => (by_whom(&since, &when(status.at_ms, since.at_ms)), ("", ", once it may go up again")),
    };
    let resume = if migration.paused { format!(" and cutover resume {key}") } else { String::new() };
    // At target-first they read the target: nothing but the reverse pass takes them away from it.
    let reverse = match (&kept, lost(status)) {
        (None, _) => String::new(),
        (Some(_), None) => "cutover reverse SPEC, then ".to_owned(),
        // The pass waits for it.
        (Some(_), Some(name)) => format!(
            "bring {name} back, or, once its process has certainly ended, cutover evict {name} --lost --reason ..; then \
             cutover reverse SPEC, then "
        ),
    };
    let next = format!("{first}{reverse}cutover ack {key} --reason ..{resume}{last}");
    Gist::of("tripped", Tone::Alarm, format!("{whom}: {why}"), next)
}

/// An instance that is out of reach and waited for until somebody does something.
fn lost(status: &v1::Status) -> Option<&str> {
    let is_waited_for =
        |it: &&v1::Instance| it.lost && !it.settled && !it.counted_out && it.waited_for_ms == 0;
    status.instances.iter().find(is_waited_for).map(|it| it.name.as_str())
}

/// Somebody or a guard paused it.
pub(super) fn paused(status: &v1::Status, migration: &v1::Migration, when: fn(u64, u64) -> String) -> Gist {
    let key = &migration.key;
    let by = migration.paused_by.clone().unwrap_or_default();
    let held = migration.trips.iter().rev().find(|trip| {
        trip.outcome() == v1::TripOutcome::Held && (by.revision == trip.revision || by.by.is_empty())
    });
    let what = match held {
        Some(trip) => {
            let when = when(status.at_ms, trip.at_ms);
            let why = if is_of_target(trip) { no_way_back(status) } else { String::new() };
            format!("{key} was paused by guard {} {when}: {}{why}", trip.guard, trip_text(trip))
        }
        None if by.by.is_empty() => format!("{key} is paused: nobody goes up"),
        None => format!("{key} is paused {}", by_whom(&by, &when(status.at_ms, by.at_ms))),
    };
    let next = match held {
        Some(trip) if trip.cause == "instances_gone" => format!(
            "cutover instances {key}. Bring them back, or cutover evict --lost if they are dead; then cutover resume {key}"
        ),
        Some(trip) if trip.guard == "mismatch" => format!(
            "cutover verify SPEC shows which records differ, and --repair corrects what it can; then cutover resume {key}"
        ),
        Some(trip) if trip.cause == "common_mode" => {
            format!("repair both stores, then cutover resume {key}")
        }
        Some(trip) if is_of_target(trip) => format!("repair the target, then cutover resume {key}"),
        _ => format!("cutover resume {key}"),
    };
    Gist::of("paused", Tone::Waiting, what, next)
}

/// Tenants that a rollback can't take to its ceiling before a reverse pass, with the rung that they keep.
fn kept(status: &v1::Status) -> Option<String> {
    let floored = together(&status.waiting).into_iter().filter(|waiting| waiting.gate == "floor");
    let kept: Vec<String> = floored
        .map(|waiting| {
            let at = waiting.step.split(' ').next().unwrap_or_default();
            format!("{} can't leave {at}", whom(&waiting.whom))
        })
        .collect();
    let why = "before a reverse pass has copied their writes to the source";
    (!kept.is_empty()).then(|| format!("{} {why}", kept.join(" and ")))
}

/// Whether a guard found the target's calls bad, and only those: at more than one instance, and not the source's too.
fn is_of_target(trip: &v1::Trip) -> bool {
    let is_elsewhere =
        matches!(trip.cause.as_str(), "instances_gone" | "no_target_calls" | "common_mode" | "one_instance");
    !is_elsewhere && trip.guard != "mismatch"
}

/// Why a guard that would have rolled back could only pause.
fn no_way_back(status: &v1::Status) -> String {
    let at =
        |stage: v1::Rung| status.shares.iter().find(|share| share.rung() == stage).map_or(0, |it| it.ppm);
    match (at(v1::Rung::TargetOnly), at(v1::Rung::TargetFirst)) {
        (1_000_000, _) => {
            ". Everybody reads and writes only the target, so a rollback would not help".to_owned()
        }
        (0, 0) => String::new(),
        _ => format!(
            ". It is at {}: the target has writes that the source lacks, so nobody can leave it",
            shares(&status.shares)
        ),
    }
}
