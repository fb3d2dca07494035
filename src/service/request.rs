//! Who asks for a change.

use cutover_core::text::is_visible;

use crate::domain::{BY_OIDC, BY_TOKEN, Identity, Violation, is_proven};

/// Maximum bytes of an actor or a request id.
const NAME_MAX_BYTES: usize = 128;
/// Maximum bytes of a reason.
const REASON_MAX_BYTES: usize = 1024;

/// Who requests a change, and how.
#[derive(Clone, Debug, Default)]
pub struct RequestMeta {
    /// `operator:<name>`, `plan`, `guard:<name>` or `controller`.
    pub actor: String,
    /// What proves that.
    pub identity: Identity,
    /// Why; may be empty.
    pub reason: String,
    /// The migration's revision that the change is based on. `None`: any.
    pub expected_revision: Option<u64>,
    /// A retry with the same id returns the first answer. Empty: none.
    pub request_id: String,
    /// Only say what would change.
    pub dry_run: bool,
}

impl RequestMeta {
    /// Refuses texts that are too long, or that people would not read as they are written.
    pub fn check_texts(&self) -> Result<(), Violation> {
        let texts = [
            ("actor", &self.actor, NAME_MAX_BYTES),
            ("reason", &self.reason, REASON_MAX_BYTES),
            ("request_id", &self.request_id, NAME_MAX_BYTES),
        ];
        // Joiners, which some scripts and emoji need, do no harm in a sentence.
        let is_joiner = |it| matches!(it, '\u{200c}' | '\u{200d}');
        let is_wrong = |(field, text, max_bytes): &(&str, &String, usize)| {
            let is_right = |it| is_visible(it) || *field == "reason" && is_joiner(it);
            text.len() > *max_bytes || !text.chars().all(is_right)
        };
        texts.into_iter().find(is_wrong).map_or(Ok(()), |(field, _, max_bytes)| {
            let message = format!(
                "give at most {max_bytes} bytes in one line, without control characters and others that nobody sees"
            );
            Err(Violation::new(field, message))
        })
    }

    /// Refuses the name of somebody who proved none, if it looks like one that was proven.
    pub fn check_unproven(&self) -> Result<(), Violation> {
        if !is_proven(&self.actor.trim().to_ascii_lowercase()) {
            return Ok(());
        }
        let message =
            format!("must not begin with {BY_TOKEN} or {BY_OIDC}, which stand for a name that was proven");
        Err(Violation::new("actor", message))
    }
}
