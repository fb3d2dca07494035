//! Who has yet to acknowledge a revision, whether that ends by itself, and what to do if it does not.

use std::time::Duration;

use cutover_core::text::span;

use super::{Fleet, Gate, Job, Member, Migration, PassKind, Unmet, Wait, percent};

/// Maximum instances named in one message.
pub(super) const NAMED_MAX: usize = 20;
/// Whoever has to wait for longer may want to end the wait. No fence lasts as long, but a snapshot file may.
const LONG: Duration = Duration::from_secs(90);

/// What to do about live instances.
const UNTIL_ENDED: &str =
    "nothing to do: the controller waits until their operations have ended. If one hangs, stop its process";

/// The barrier of a revision, for members that are behind it.
pub fn barrier(behind: &[&Member], revision: u64, wait: Wait) -> Unmet {
    let (by_itself, action) = what_to_do(behind);
    Unmet { by_itself, ..Unmet::of_change(Gate::Barrier, awaited_message(behind, revision, wait), action) }
}

fn awaited_message(behind: &[&Member], revision: u64, wait: Wait) -> String {
    if are_callers(behind) {
        return format!(
            "cached answers of Decide or OpenFeature from before revision {revision} have not expired"
        );
    }
    let named = names(behind);
    match wait {
        Wait::Quiesced => format!("operations from before revision {revision} may be in flight at: {named}"),
        _ => format!("revision {revision} has not been received by: {named}"),
    }
}

/// The first of these members, and how many more there are.
pub(super) fn names(members: &[&Member]) -> String {
    let name = |member: &&Member| match (member.lost, member.worker) {
        _ if member.refused => format!("{} (REFUSED for its token)", member.name),
        (true, true) => format!("{} (LOST, a worker of a pass)", member.name),
        (true, false) => format!("{} (LOST)", member.name),
        (false, _) => member.name.clone(),
    };
    let named: Vec<String> = members.iter().take(NAMED_MAX).map(name).collect();
    match members.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn are_callers(behind: &[&Member]) -> bool {
    !behind.is_empty() && behind.iter().all(|member| member.is_callers())
}

/// Whether waiting for these members will end without an operator, and what to do.
pub(super) fn what_to_do(behind: &[&Member]) -> (bool, String) {
    let for_good: Vec<&Member> =
        behind.iter().copied().filter(|member| member.lost && member.waited_for.is_none()).collect();
    if let Some(refused) = for_good.iter().find(|member| member.refused) {
        return (false, renew(refused));
    }
    if !for_good.is_empty() {
        return (false, evict(&for_good));
    }
    if are_callers(behind) {
        // No countdown: whoever follows a ramp would see a new line each second.
        return (true, "nothing to do: they expire at most 11 s after a step".to_owned());
    }
    let longest = behind.iter().max_by_key(|member| member.waited_for);
    let action = match longest.and_then(|member| Some((member, member.waited_for?))) {
        // Its process has ended, and its snapshot file has not expired yet.
        Some((member, longest)) if longest > LONG => format!(
            "wait at most {} more, or, once its process is certainly dead and nothing will start from its \
             snapshot file: cutover evict {} --lost --reason ..",
            span(longest.as_millis() as u64 + 1000),
            member.name
        ),
        Some((_, longest)) if behind.iter().all(|member| member.waited_for.is_some()) => {
            format!("nothing to do: waited for at most {} s more", longest.as_secs() + 1)
        }
        _ => UNTIL_ENDED.to_owned(),
    };
    (true, action)
}

/// What to do about a member that may run, but whose calls are refused.
fn renew(refused: &Member) -> String {
    let Member { name, service, .. } = refused;
    format!(
        "give {service} a valid token (cutover token list), and it is back; or, once the process of {name} has \
         certainly ended: cutover evict {name} --force --reason .."
    )
}

/// What to do about members that are waited for until they are back or evicted. A worker that ended never comes
/// back: the next one has another id.
fn evict(lost: &[&Member]) -> String {
    let of = |worker: bool| {
        let named = lost.iter().filter(|member| member.worker == worker).take(NAMED_MAX);
        named.map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (of(false).as_str(), of(true).as_str()) {
        (service, "") if lost.len() == 1 => {
            let evict = format!("cutover evict {service} --lost --reason ..");
            format!("bring back {service}, or, once its process has certainly ended: {evict}")
        }
        (services, "") => format!(
            "bring back {services}, or, once their processes have certainly ended: cutover evict --lost --reason .."
        ),
        ("", workers) if lost.len() == 1 => {
            format!("once its process has certainly ended: cutover evict {workers} --lost --reason ..")
        }
        ("", _) => "once their processes have certainly ended: cutover evict --lost --reason ..".to_owned(),
        (services, workers) => format!(
            "bring back {services}; once they and {workers} have certainly ended: cutover evict --lost --reason .."
        ),
    }
}

impl Job {
    /// Why no gate will accept it, however it ends, and what to do for one that counts: it began before mirrored
    /// had settled for anybody. `None`: a gate may.
    pub fn useless(&self, migration: &Migration, fleet: &Fleet) -> Option<Unmet> {
        if matches!(self.kind, PassKind::Sample | PassKind::Reverse) {
            return None;
        }
        let key = migration.key();
        let reached = migration.placements().map(|placement| placement.mirrored_since);
        let Some(since) = reached.filter(|since| *since > 0).min() else {
            let share = match migration.document.goal.dual_ppm() {
                0 => "PCT".to_owned(),
                ppm => percent(ppm).to_string(),
            };
            let action = format!("cutover ramp {key} --mirrored {share} --wait");
            return Some(Unmet::of_change(Gate::FullPass, "nobody is at mirrored or above", action));
        };
        if since <= self.settled {
            return None;
        }
        let behind: Vec<_> = fleet.behind(since, Wait::Quiesced).collect();
        let began = format!("it began before everybody had acknowledged mirrored (revision {since})");
        let (message, (by_itself, action)) = match behind.as_slice() {
            [] => (began, (true, String::new())),
            some => (format!("{began}; still missing: {}", names(some)), what_to_do(some)),
        };
        Some(Unmet { by_itself, ..Unmet::of_change(Gate::FullPass, message, action) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(name: &str, worker: bool) -> Member {
        let (name, service) = (name.to_owned(), "any".to_owned());
        Member {
            name,
            service,
            received: 1,
            applied: 1,
            lost: true,
            refused: false,
            worker,
            waited_for: None,
        }
    }

    #[test]
    fn nobody_is_asked_to_bring_back_a_worker_of_a_pass() {
        let (api, full) = (lost("api-1", false), lost("cutover-full-1", true));
        let told = |behind: &[&Member]| barrier(behind, 7, Wait::Quiesced);
        let worker = told(&[&full]);
        assert!(worker.message.ends_with("at: cutover-full-1 (LOST, a worker of a pass)"), "{worker:?}");
        assert_eq!(
            (worker.by_itself, worker.action.as_str()),
            (false, "once its process has certainly ended: cutover evict cutover-full-1 --lost --reason ..")
        );
        assert_eq!(
            told(&[&api]).action,
            "bring back api-1, or, once its process has certainly ended: cutover evict api-1 --lost --reason .."
        );
        let both = told(&[&api, &full]).action;
        assert!(
            both.starts_with("bring back api-1; once they and cutover-full-1 have certainly ended"),
            "{both}"
        );
    }

    #[test]
    fn a_refused_process_may_run_so_it_gets_a_token_before_anybody_evicts_it() {
        let refused = Member { refused: true, ..lost("api-1", false) };
        let told = barrier(&[&lost("api-2", false), &refused], 7, Wait::Quiesced);
        assert!(told.message.ends_with("at: api-2 (LOST), api-1 (REFUSED for its token)"), "{told:?}");
        assert!(!told.by_itself && told.action.starts_with("give any a valid token"), "{told:?}");
        assert!(told.action.ends_with("cutover evict api-1 --force --reason .."), "{told:?}");
    }

    #[test]
    fn who_is_counted_out_in_time_is_waited_for_until_then_and_nobody_is_asked_to_act() {
        let until = |ms| Some(Duration::from_millis(ms));
        let fenced = Member { waited_for: until(20_400), ..lost("api-1", false) };
        let sooner = Member { waited_for: until(3_000), ..lost("api-2", false) };
        let told = barrier(&[&sooner, &fenced], 7, Wait::Quiesced);
        assert_eq!(
            (told.by_itself, told.action.as_str()),
            (true, "nothing to do: waited for at most 21 s more")
        );
        let file = Member { waited_for: until(3_600_000), ..lost("api-3", false) };
        let told = barrier(&[&fenced, &file], 7, Wait::Quiesced);
        assert!(told.by_itself && told.action.starts_with("wait at most 60 min more, or, once"), "{told:?}");
        let told = barrier(&[&fenced, &lost("api-4", false)], 7, Wait::Quiesced);
        assert!(!told.by_itself && told.action.starts_with("bring back api-4, or"), "{told:?}");
    }

    #[test]
    fn no_end_is_promised_for_an_instance_because_callers_have_one() {
        let live = Member { lost: false, ..lost("api-1", false) };
        let callers = Member { waited_for: Some(Duration::from_secs(7)), ..live.clone() };
        assert_eq!(barrier(&[&live, &callers], 7, Wait::Quiesced).action, UNTIL_ENDED);
        let fenced = barrier(&[&callers], 7, Wait::Quiesced).action;
        assert_eq!(fenced, "nothing to do: waited for at most 8 s more");
    }
}
