//! The end of a migration's key, and what has to be known before it is used again. A service that was at target-only
//! would otherwise find itself at source-only, with a source that lacks its newest writes.

use super::{Applied, Deletion, Refusal};
use crate::{Event, Gate, Key, Migration, Placement, Unmet, Violation};

pub(super) fn delete(migration: &Migration, deletion: &Deletion) -> Result<Applied, Refusal> {
    let Deletion { confirm, calls } = deletion;
    check(confirm, migration.key())?;
    Refusal::unless_met(migration.keeps_from_deleting(confirm, calls))?;
    let summary = vec![format!("deleted migration {}", migration.key())];
    Ok(Applied::at_once(None, summary))
}

/// Whether a key may be used for a new migration. `newest`: the newest two events under this key, newest first; fewer
/// if there are no more.
pub fn may_use_again(key: &Key, confirm: &str, newest: &[Event]) -> Result<(), Refusal> {
    check(confirm, key)?;
    let [deleted, before @ ..] = newest else { return Ok(()) };
    // If what was deleted is not known any more, it may have been finished.
    let was_finished = before
        .first()
        .and_then(|event| event.document.as_ref())
        .is_none_or(|document| document.finished_at_ms.is_some());
    Refusal::unless_met((deleted.document.is_none() && was_finished && confirm.is_empty()).then(|| {
        let message = format!(
            "a migration {key} was finished and deleted (revision {}). Everybody would begin at source-only again, \
             without the writes that only its target has",
            deleted.revision
        );
        let action = format!(
            "choose another key; or, if no service uses that target any more: the same with --confirm {key}"
        );
        Unmet::of_change(Gate::Finished, message, action)
    }))
}

fn check(confirm: &str, key: &Key) -> Result<(), Refusal> {
    if confirm.is_empty() || confirm == key.as_str() {
        return Ok(());
    }
    Err(Violation::new("confirm", format!("type the migration's key, {key}: got {confirm:?}")).into())
}

impl Migration {
    fn keeps_from_deleting(&self, confirm: &str, calls: &str) -> Vec<Unmet> {
        let document = &*self.document;
        let key = &document.key;
        if let Some(restored) = document.restored() {
            return vec![restored];
        }
        let mut unmet = Vec::new();
        let has_started = self.placements().any(|placement| placement != Placement::START);
        let is_finished = document.finished_at_ms.is_some();
        if has_started && !is_finished && document.abandoned_at_ms.is_none() {
            let action = format!(
                "cutover finish {key} --confirm {key} once everybody is at target-only; or cutover abandon {key} \
                 --reason .. once everybody is back at source-only"
            );
            let message = "the migration has started and is not over: services still ask for it";
            unmet.push(Unmet::of_change(Gate::Stage, message, action));
        }
        if !calls.is_empty() {
            let message = format!("services still use it, and their calls would fail: {calls}");
            let action = format!(
                "stop them, or take the migration out of their code (cutover instances {key} lists them); 10 s later \
                 run this again"
            );
            unmet.push(Unmet::of_change(Gate::Services, message, action));
        }
        if is_finished && confirm.is_empty() {
            let message =
                format!("{key} is finished: a service that still asks for it fails, and has no way back");
            let action = format!("if none does any more: cutover delete {key} --confirm {key}");
            unmet.push(Unmet::of_change(Gate::Finished, message, action));
        }
        unmet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(document: Option<crate::Document>) -> Event {
        let [actor, reason, request_id, change] = [const { String::new() }; 4];
        let key = Key::parse("orders").expect("a key");
        let (summary, rows) = (Vec::new(), Vec::new());
        Event { revision: 7, key, at_ms: 1, actor, reason, request_id, change, summary, document, rows }
    }

    #[test]
    fn a_deleted_key_of_which_no_more_is_known_may_have_been_finished() {
        let key = Key::parse("orders").expect("a key");
        assert_eq!(may_use_again(&key, "", &[]), Ok(()), "it is new");
        let deleted = [event(None)];
        assert!(matches!(may_use_again(&key, "", &deleted), Err(Refusal::Unmet(_))));
        assert_eq!(may_use_again(&key, "orders", &deleted), Ok(()));
        assert!(matches!(may_use_again(&key, "users", &[]), Err(Refusal::Invalid(_))));
    }
}
