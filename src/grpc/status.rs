//! Errors as gRPC statuses with machine-readable details.

use std::collections::HashMap;

use cutover_core::text;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::{
    domain::{Refusal, Unmet, Violation},
    service::{DecideError, FlagError, FlagErrorCode, JoinError, RegisterError, StoreError, operate},
};

/// Maximum bytes of what a status says, and of its details: a client takes trailers of 16 KiB, and drops the
/// connection for larger ones.
const MESSAGE_MAX_BYTES: usize = 2 << 10;
const DETAILS_MAX_BYTES: usize = 7 << 10;

/// Reason in an UNKNOWN status: it is unknown whether the change was made.
const UNKNOWN_OUTCOME: &str = "UNKNOWN_OUTCOME";

pub(super) fn invalid(violation: Violation) -> Status {
    refusal(Refusal::Invalid(vec![violation]))
}

pub(super) fn refusal(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::Invalid(violations) => {
            let fields: Vec<FieldViolation> = violations
                .into_iter()
                .map(|Violation { field, message }| FieldViolation::new(field, cut(&message)))
                .collect();
            let size = |it: &FieldViolation| it.field.len() + it.description.len();
            let (mut fields, left) = bounded(fields, DETAILS_MAX_BYTES, size);
            fields.extend(
                (left > 0).then(|| FieldViolation::new("more", format!("{left} more are not listed"))),
            );
            let message = cut(&message);
            let details = ErrorDetails::with_bad_request(fields);
            Status::with_error_details(tonic::Code::InvalidArgument, message, details)
        }
        Refusal::Unmet(unmet) => {
            let (mut lines, left) = bounded(unmet.iter().map(line).collect(), MESSAGE_MAX_BYTES, String::len);
            lines.extend((left > 0).then(|| format!("and {left} more")));
            let violations = unmet.into_iter().map(|Unmet { step, whom, gate, message, action, .. }| {
                let subject =
                    [whom, step].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
                PreconditionViolation::new(gate.name(), subject, cut(&format!("{message}\n{action}")))
            });
            let size = |it: &PreconditionViolation| it.r#type.len() + it.subject.len() + it.description.len();
            let (mut violations, left) = bounded(violations.collect(), DETAILS_MAX_BYTES, size);
            let more = || PreconditionViolation::new("more", "", format!("{left} more are not listed"));
            violations.extend((left > 0).then(more));
            let details = ErrorDetails::with_precondition_failure(violations);
            Status::with_error_details(tonic::Code::FailedPrecondition, lines.join("\n"), details)
        }
        Refusal::NotFound(_) => Status::not_found(message),
        Refusal::AlreadyExists(_) => Status::already_exists(message),
    }
}

/// The first ones that have room together, at least one, and how many are left. Each is short enough by itself.
fn bounded<T>(mut all: Vec<T>, max_bytes: usize, size: impl Fn(&T) -> usize) -> (Vec<T>, usize) {
    let mut bytes = 0;
    let fit = all.iter().take_while(|it| {
        // And some for their tags.
        bytes += size(it) + 16;
        bytes <= max_bytes
    });
    let fit = fit.count().max(1);
    let left = all.len().saturating_sub(fit);
    all.truncate(fit);
    (all, left)
}

fn cut(message: &str) -> String {
    text::cut(message, MESSAGE_MAX_BYTES)
}

/// An unmet condition in one line, with what to do about it.
fn line(unmet: &Unmet) -> String {
    let Unmet { step, whom, gate, message, action, .. } = unmet;
    let subject = match (whom.is_empty(), step.is_empty()) {
        (false, false) => format!("{whom} {step}: "),
        _ => String::new(),
    };
    cut(&format!("{subject}{gate}: {message} ({action})"))
}

pub(super) fn change(error: operate::Error) -> Status {
    let message = error.to_string();
    match error {
        operate::Error::Refused(refused) => refusal(refused),
        operate::Error::Stale { .. } => Status::aborted(message),
        operate::Error::RequestIdReused(_) => {
            invalid(Violation { field: "mutation.request_id".to_owned(), message })
        }
        operate::Error::UnknownJob(_) => Status::not_found(message),
        operate::Error::Store(error) => store(error),
    }
}

pub(super) fn store(error: StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::Conflict => Status::aborted(message),
        StoreError::Unavailable(_) => Status::unavailable(message),
        StoreError::Unknown(_) => {
            let details = ErrorDetails::with_error_info(UNKNOWN_OUTCOME, "cutover", HashMap::new());
            Status::with_error_details(tonic::Code::Unknown, message, details)
        }
        StoreError::Corrupt(_) => Status::data_loss(message),
        StoreError::Dropped(_) => Status::out_of_range(message),
        StoreError::NoFile => Status::failed_precondition(message),
    }
}

pub(super) fn join(error: JoinError) -> Status {
    match error {
        JoinError::Register(error) => register(error),
        JoinError::Operate(error) => change(error),
        JoinError::Unproven { .. } => Status::failed_precondition(error.to_string()),
        JoinError::PutBack => Status::unavailable(error.to_string()),
    }
}

pub(super) fn decide(error: DecideError) -> Status {
    let message = error.to_string();
    match error {
        DecideError::Routing(error) => routing(error),
        DecideError::Store(error) => store(error),
        DecideError::OutOfScope(_) => Status::permission_denied(message),
        DecideError::OnHold(_) | DecideError::Restored(_) | DecideError::Stopping => {
            Status::unavailable(message)
        }
    }
}

/// As flagd's providers map codes to OpenFeature's: INVALID_ARGUMENT is a wrong type, and nothing else.
pub(super) fn flag(error: FlagError) -> Status {
    let code = match error.code {
        FlagErrorCode::FlagNotFound => tonic::Code::NotFound,
        FlagErrorCode::TypeMismatch => tonic::Code::InvalidArgument,
        FlagErrorCode::ParseError => tonic::Code::DataLoss,
        FlagErrorCode::TargetingKeyMissing | FlagErrorCode::InvalidContext => tonic::Code::FailedPrecondition,
        FlagErrorCode::ProviderNotReady => tonic::Code::Unavailable,
        FlagErrorCode::Forbidden => tonic::Code::PermissionDenied,
        FlagErrorCode::General => tonic::Code::Internal,
    };
    Status::new(code, error.details)
}

fn register(error: RegisterError) -> Status {
    match error {
        RegisterError::Invalid(violation) => invalid(violation),
        RegisterError::Bound { .. } => Status::permission_denied(error.to_string()),
        RegisterError::Gone => Status::failed_precondition(error.to_string()),
        RegisterError::Full | RegisterError::Share(_) => Status::resource_exhausted(error.to_string()),
        RegisterError::Resting(_) | RegisterError::Restored(_) => Status::unavailable(error.to_string()),
        RegisterError::Store(error) => store(error),
    }
}

fn routing(error: cutover_core::routing::Error) -> Status {
    use cutover_core::routing::Error;
    match error {
        Error::UnknownMigration(_) => Status::not_found(error.to_string()),
        Error::Unreadable { .. } => Status::failed_precondition(error.to_string()),
        Error::Tenant(error) => invalid(Violation::new("tenant", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Gate;

    #[test]
    fn one_long_condition_leaves_an_answer_that_a_client_reads() {
        let long = "<".repeat(20_000);
        let unmet = Unmet::of_change(Gate::Restored, long.clone(), long.clone());
        for status in [refusal(unmet.into()), invalid(Violation::new("reason", long))] {
            let mut headers = hyper::HeaderMap::new();
            status.add_header(&mut headers).expect("it can be sent");
            let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            assert!(bytes < 16 << 10, "{bytes} bytes");
        }
    }
}
