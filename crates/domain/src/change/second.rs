//! The two-person rule: what one person may not do alone waits as a request until another one approves it.

mod alone;
mod basis;
mod reserved;

use super::{Applied, Change, Context, Refusal, apply_now};
use crate::{
    BY_OIDC, Document, Gate, Identity, Key, Migration, PendingRequest, Unmet, is_proven, is_same_person,
    pending::{Basis, Reserved},
};

/// Maximum requests of a migration that wait.
const REQUESTS_MAX: usize = 16;
/// Maximum requests of one person: nobody keeps the others from asking.
const OWN_MAX: usize = 4;
/// Steps that a request shows of what it would do at once.
const STEPS_MAX: usize = 10;

/// What the rule makes of a change. `None`: one person may make it.
pub(super) fn asked(
    migration: &Migration,
    change: &Change,
    context: &Context<'_>,
) -> Option<Result<Applied, Refusal>> {
    let document = &*migration.document;
    match change {
        Change::ApproveRequest { revision, calls } => {
            return Some(approve(migration, *revision, calls, context));
        }
        Change::WithdrawRequest { revision } => return Some(withdraw(document, *revision)),
        _ => {}
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
    check_proven(context, &document.key)?;
    // Whatever is wrong with it is said to who asks, not to who approves.
    let Applied { mut summary, asked_lines, .. } = apply_now(migration, change, context)?;
    if summary.is_empty() {
        return Ok(Applied::at_once(Some(document), summary));
    }
    document.requests.retain(|request| request.is_open(&migration.document, context.steady_ms));
    let is_same = |request: &&PendingRequest| request.change == reserved && request.is_by(context);
    if let Some(earlier) = document.requests.iter().find(is_same) {
        let waiting = vec![earlier.unmet(&document.key)];
        return Ok(Applied { waiting, ..Applied::at_once(Some((*migration.document).clone()), Vec::new()) });
    }
    document.check_room(context)?;
    summary.truncate(asked_lines + STEPS_MAX);
    summary.extend(reserved.details());
    let request = PendingRequest {
        revision: context.revision,
        by: context.actor.to_owned(),
        identity: context.identity.clone(),
        reason: context.reason.to_owned(),
        at_ms: context.now_ms,
        steady_ms: context.steady_ms,
        summary,
        asked_lines,
        basis: Basis::of(&document, &reserved),
        change: reserved,
    };
    let mut summary = vec!["asked; a second person has to approve it".to_owned()];
    summary.extend(request.summary.iter().map(|line| format!("would do: {line}")));
    let waiting = vec![request.unmet(&document.key)];
    document.requests.push(request);
    Ok(Applied { waiting, ..Applied::at_once(Some(document), summary) })
}

/// Makes a change that somebody else asked for, in that person's name, as things are now.
fn approve(
    migration: &Migration,
    revision: u64,
    calls: &str,
    context: &Context<'_>,
) -> Result<Applied, Refusal> {
    let (key, document) = (migration.key(), &*migration.document);
    let found = document.requests.iter().find(|request| request.revision == revision);
    let Some(request) = found.filter(|request| request.is_valid(context.steady_ms)) else {
        return Err(no_request(key, revision));
    };
    check_proven(context, key)?;
    check_other((&request.by, &request.identity), context, "asked for it")?;
    if let Some(change) = request.outlived(document) {
        return Err(ask_again(request, key, &format!("{change} since this was asked for")));
    }
    let mut without = migration.clone();
    without.document = document.without_request(revision).into();
    let PendingRequest { by, identity, reason, .. } = request;
    let by = Context { actor: by, identity, reason, ..*context };
    let change = request.change.change(calls);
    // What it was made to pass may have come since.
    without.document.check_persons(&without, &change, &by)?;
    let mut applied = apply_now(&without, &change, &by)?;
    if applied.summary[..applied.asked_lines] != request.summary[..request.asked_lines] {
        let now = match &applied.summary[..applied.asked_lines] {
            [] => "nothing".to_owned(),
            lines => lines.join("; "),
        };
        return Err(ask_again(request, key, &format!("it would do something else than it says: {now}")));
    }
    applied.summary.insert(0, format!("approved what {} asked for in revision {revision}", request.by));
    applied.asked_lines += 1;
    Ok(applied)
}

/// Anybody who may ask may withdraw: it moves nobody.
fn withdraw(document: &Document, revision: u64) -> Result<Applied, Refusal> {
    let Some(request) = document.requests.iter().find(|request| request.revision == revision) else {
        return Err(no_request(&document.key, revision));
    };
    let summary = vec![format!("withdrew what {} asked for in revision {revision}", request.by)];
    Ok(Applied::at_once(Some(document.without_request(revision)), summary))
}

impl Document {
    /// What a request waits for, if this revision asked for it.
    pub fn asked_in(&self, revision: u64) -> Option<Unmet> {
        let request = self.requests.iter().find(|request| request.revision == revision)?;
        Some(request.unmet(&self.key))
    }

    fn without_request(&self, revision: u64) -> Self {
        let mut document = self.clone();
        document.requests.retain(|request| request.revision != revision);
        document
    }

    fn check_room(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let actor = context.actor;
        let own = self.requests.iter().filter(|request| request.is_by(context)).count();
        let message = match self.requests.len() {
            _ if own >= OWN_MAX => {
                format!("{actor} has {own} requests that wait for a second person already")
            }
            all if all >= REQUESTS_MAX => format!("{all} requests wait for a second person already"),
            _ => return Ok(()),
        };
        let action = format!(
            "cutover status {0} shows them: cutover approve {0} REVISION, or cutover withdraw {0} REVISION",
            self.key
        );
        Err(Unmet::of_change(Gate::SecondPerson, message, action).into())
    }
}

fn no_request(key: &Key, revision: u64) -> Refusal {
    let message = format!("no request of revision {revision} waits for a second person");
    let action = format!("cutover status {key} shows those that do; each expires after a day");
    Unmet::of_change(Gate::SecondPerson, message, action).into()
}

fn ask_again(request: &PendingRequest, key: &Key, message: &str) -> Refusal {
    let PendingRequest { by, revision, .. } = request;
    let action = format!("let {by} ask again; cutover withdraw {key} {revision} removes this one");
    Unmet::of_change(Gate::SecondPerson, message, action).into()
}

impl PendingRequest {
    fn is_by(&self, context: &Context<'_>) -> bool {
        is_same_person((&self.by, &self.identity), (context.actor, context.identity))
    }
}

/// The rule is about people, so somebody has to have proven who they are.
pub(super) fn check_proven(context: &Context<'_>, key: &Key) -> Result<(), Refusal> {
    let Context { actor, identity, .. } = *context;
    let (message, action) = match is_proven(actor) {
        false => (
            "the two-person rule needs names that are proven, and this controller has no tokens".to_owned(),
            format!("make tokens (docs/guides/security.md), then repeat it for {key}"),
        ),
        true if is_without_account(actor, identity) => (
            format!(
                "the login of {actor} has no claim \"sub\", so the two-person rule can't tell whose account it is"
            ),
            format!(
                "let the provider put it into its tokens (docs/guides/security.md), or use a token of Cutover for {key}"
            ),
        ),
        true => return Ok(()),
    };
    Err(Unmet::of_change(Gate::SecondPerson, message, action).into())
}

/// A person can choose another name, but no other account.
fn is_without_account(actor: &str, identity: &Identity) -> bool {
    actor.starts_with(BY_OIDC) && !matches!(identity, Identity::Account(_))
}

fn check_other(first: (&str, &Identity), context: &Context<'_>, did: &str) -> Result<(), Refusal> {
    if !is_same_person(first, (context.actor, context.identity)) {
        return Ok(());
    }
    let also = match first.0 == context.actor {
        true => String::new(),
        false => format!(" as {}", first.0),
    };
    let message = format!("{} {did}{also}, and the two-person rule wants somebody else", context.actor);
    Err(Unmet::of_change(Gate::SecondPerson, message, "let another person with role approver do it").into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
