//! The two-person rule: what one person may not do alone waits as a request until another one approves it.

mod alone;
mod reserved;

use super::{Applied, Change, Context, Refusal, apply_now};
use crate::{Gate, Key, Migration, PendingRequest, Unmet, pending::Reserved};

/// Who has a name that was proven: the holder of a token.
const PROVEN: &str = "token:";
/// Maximum requests of a migration that wait.
const REQUESTS_MAX: usize = 16;
/// Lines that a request keeps of what it would do.
const LINES_MAX: usize = 10;

/// What the rule makes of a change. `None`: one person may make it.
pub(super) fn asked(
    migration: &Migration,
    change: &Change,
    context: &Context<'_>,
) -> Option<Result<Applied, Refusal>> {
    let document = &*migration.document;
    if let Change::ApproveRequest { revision } = change {
        return Some(approve(migration, *revision, context));
    }
    if let Err(refusal) = document.check_persons(migration, change, context) {
        return Some(Err(refusal));
    }
    let reserved = Reserved::of(document, change)?;
    Some(ask(migration, change, reserved, context))
}

/// Notes a change that a second person has to approve.
fn ask(
    migration: &Migration,
    change: &Change,
    reserved: Reserved,
    context: &Context<'_>,
) -> Result<Applied, Refusal> {
    let mut document = (*migration.document).clone();
    check_proven(context.actor, &document.key)?;
    // Whatever is wrong with it is said to who asks, not to who approves.
    let trial = apply_now(migration, change, context)?;
    if trial.summary.is_empty() {
        return Ok(trial);
    }
    document.requests.retain(|request| request.is_valid(context.steady_ms));
    let is_same = |request: &&PendingRequest| request.change == reserved && request.by == context.actor;
    if let Some(earlier) = document.requests.iter().find(is_same) {
        let waiting = vec![earlier.unmet(&document.key)];
        return Ok(Applied { waiting, ..Applied::at_once(Some((*migration.document).clone()), Vec::new()) });
    }
    if document.requests.len() >= REQUESTS_MAX {
        let message = format!("{REQUESTS_MAX} requests wait for a second person already");
        let action =
            format!("approve one (cutover status {}), or wait: each expires after a day", document.key);
        return Err(Unmet::of_change(Gate::SecondPerson, message, action).into());
    }
    let request = PendingRequest {
        revision: context.revision,
        by: context.actor.to_owned(),
        reason: context.reason.to_owned(),
        at_ms: context.now_ms,
        steady_ms: context.steady_ms,
        summary: trial.summary.into_iter().take(LINES_MAX).chain(reserved.details()).collect(),
        change: reserved,
    };
    let mut summary = vec!["asked; a second person has to approve it".to_owned()];
    summary.extend(request.summary.iter().map(|line| format!("would do: {line}")));
    let waiting = vec![request.unmet(&document.key)];
    document.requests.push(request);
    Ok(Applied { waiting, ..Applied::at_once(Some(document), summary) })
}

/// Makes a change that somebody else asked for, in that person's name, as things are now.
fn approve(migration: &Migration, revision: u64, context: &Context<'_>) -> Result<Applied, Refusal> {
    let key = migration.key();
    let found = migration.document.requests.iter().find(|request| request.revision == revision);
    let Some(request) = found.filter(|request| request.is_valid(context.steady_ms)).cloned() else {
        let message = format!("no request of revision {revision} waits for a second person");
        let action = format!("cutover status {key} shows those that do; each expires after a day");
        return Err(Unmet::of_change(Gate::SecondPerson, message, action).into());
    };
    check_proven(context.actor, key)?;
    check_other(&request.by, context.actor, "asked for it")?;
    if let Reserved::Update { policy: Some(_), before, .. } = &request.change
        && **before != migration.document.policy
    {
        let message = "the policy was changed since this was asked for";
        let action = format!("let {} ask again: cutover policy {key}", request.by);
        return Err(Unmet::of_change(Gate::SecondPerson, message, action).into());
    }
    let mut without = migration.clone();
    let mut document = (*without.document).clone();
    document.requests.retain(|other| other.revision != revision);
    without.document = document.into();
    let by = Context { actor: &request.by, reason: &request.reason, ..*context };
    let mut applied = apply_now(&without, &request.change.change(), &by)?;
    let asked = format!("approved what {} asked for in revision {revision}", request.by);
    if applied.summary.is_empty() {
        applied.summary.push("nothing is left to do".to_owned());
    }
    applied.summary.insert(0, asked);
    Ok(applied)
}

/// The rule is about names, so somebody has to have proven them.
pub(super) fn check_proven(actor: &str, key: &Key) -> Result<(), Refusal> {
    if actor.starts_with(PROVEN) {
        return Ok(());
    }
    let message = "the two-person rule needs names that are proven, and this controller has no tokens";
    let action = format!("make tokens (docs/guides/security.md), then repeat it for {key}");
    Err(Unmet::of_change(Gate::SecondPerson, message, action).into())
}

fn check_other(first: &str, actor: &str, did: &str) -> Result<(), Refusal> {
    if first != actor {
        return Ok(());
    }
    let message = format!("{actor} {did}, and the two-person rule wants somebody else");
    Err(Unmet::of_change(Gate::SecondPerson, message, "let another person with role approver do it").into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use imbl::OrdMap;

    use super::*;
    use crate::{Fleet, Policy, REQUEST_VALID_MS, apply};

    /// A migration with the rule, and a clock.
    struct World {
        migration: Migration,
        steady_ms: u64,
    }

    impl World {
        fn new() -> Self {
            let change = Change::Create {
                salt: String::new(),
                source: String::new(),
                target: String::new(),
                description: String::new(),
                policy: Policy { two_persons: true, ..Policy::default() },
                confirm: String::new(),
            };
            let fleet = Fleet::default();
            let context = Context { actor: "token:ada", ..context(&fleet, 1, 0) };
            let created = apply(None, &key(), &change, &context).unwrap();
            Self { migration: Migration::new(1, created.document.unwrap(), OrdMap::new()), steady_ms: 0 }
        }

        fn change(&mut self, actor: &str, change: &Change) -> Result<Vec<String>, Refusal> {
            let revision = self.migration.revision + 1;
            let fleet = Fleet::default();
            let context = Context { actor, ..context(&fleet, revision, self.steady_ms) };
            let applied = apply(Some(&self.migration), &key(), change, &context)?;
            self.migration = Migration::new(revision, applied.document.unwrap(), OrdMap::new());
            Ok(applied.summary)
        }

        fn soak(&self, soak_ms: u64) -> Change {
            let policy = Policy { soak_ms, ..self.migration.document.policy.clone() };
            Change::Update { description: None, policy: Some(policy), guards: Vec::new() }
        }
    }

    fn key() -> Key {
        Key::parse("orders").unwrap()
    }

    fn context(fleet: &Fleet, revision: u64, steady_ms: u64) -> Context<'_> {
        Context { revision, now_ms: 1, steady_ms, actor: "", reason: "a test", fleet }
    }

    #[test]
    fn a_request_expires_and_makes_room() {
        let mut world = World::new();
        for soak_ms in 1..=16 {
            world.change("token:ada", &world.soak(soak_ms)).unwrap();
        }
        let refused = world.change("token:ada", &world.soak(17)).unwrap_err().to_string();
        assert!(refused.contains("16 requests wait"), "{refused}");
        world.steady_ms = REQUEST_VALID_MS - 1;
        let newest = Change::ApproveRequest { revision: 17 };
        let without = world.migration.clone();
        world.change("token:bob", &newest).unwrap();
        assert_eq!(world.migration.document.policy.soak_ms, 16);
        world.migration = without;
        world.steady_ms += 1;
        let refused = world.change("token:bob", &newest).unwrap_err().to_string();
        assert!(refused.contains("no request of revision 17"), "{refused}");
        world.change("token:ada", &world.soak(17)).unwrap();
        assert_eq!(world.migration.document.requests.len(), 1);
    }

    #[test]
    fn names_that_nobody_proved_are_nobody() {
        let mut world = World::new();
        for actor in ["operator:ada", "controller", "plan", "Token:ada", ""] {
            assert!(world.change(actor, &world.soak(1)).is_err(), "{actor}");
        }
        world.change("token:ada", &world.soak(1)).unwrap();
        for actor in ["operator:bob", "controller", "plan", "Token:bob", "token:ada"] {
            assert!(world.change(actor, &Change::ApproveRequest { revision: 2 }).is_err(), "{actor}");
        }
    }
}
