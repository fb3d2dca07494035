//! Why the controller refused, from the details of its status.

use serde_json::{Value, json};
use tonic::Status;
use tonic_types::{PreconditionViolation, StatusExt as _};

/// One of the things that stand in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// Empty: none, it is a mistake in what was given.
    pub gate: String,
    /// Whose step; empty: the whole request's.
    pub whom: String,
    /// e.g. `mirrored -> target-first`; empty: it is about no step.
    pub step: String,
    /// What is missing.
    pub message: String,
    /// What to do about it.
    pub action: String,
}

impl Reason {
    /// A mistake in a file or a field.
    pub fn mistake(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// As `--json` and the JSON API print it.
    pub fn json(&self) -> Value {
        if self.gate.is_empty() {
            return json!({ "message": self.message });
        }
        json!({
            "gate": self.gate, "whom": self.whom, "step": self.step, "message": self.message,
            "action": self.action,
        })
    }
}

/// `refused: 2 conditions are not met`
pub fn headline(conditions: usize) -> String {
    match conditions {
        1 => "refused: 1 condition is not met".to_owned(),
        many => format!("refused: {many} conditions are not met"),
    }
}

/// The same reasons, those of several tenants once.
pub fn together(reasons: &[Reason]) -> Vec<Reason> {
    cutover_core::text::together(reasons.iter().cloned(), |reason| &mut reason.whom)
}

/// The unmet conditions of a refusal, as `grpc/status` writes them.
pub fn reasons(status: &Status) -> Vec<Reason> {
    let unmet = status.get_details_precondition_failure().map(|unmet| unmet.violations);
    let reason = |unmet: PreconditionViolation| {
        let (message, action) = unmet.description.split_once('\n').unwrap_or((&unmet.description, ""));
        // "0-25 % dual -> mirrored": a step has three words.
        let words: Vec<&str> = unmet.subject.rsplitn(4, ' ').collect();
        let (whom, step) = match words.as_slice() {
            [to, "->", from, whom] => (*whom, format!("{from} -> {to}")),
            _ => (unmet.subject.as_str(), String::new()),
        };
        Reason {
            whom: whom.to_owned(),
            step,
            message: message.to_owned(),
            action: action.to_owned(),
            gate: unmet.r#type,
        }
    };
    unmet.unwrap_or_default().into_iter().map(reason).collect()
}
