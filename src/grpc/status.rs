//! Errors as gRPC statuses with machine-readable details.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::{
    domain::{Refusal, Unmet, Violation},
    service::{RegisterError, StoreError, operate},
};

/// Reason in an UNKNOWN status: it is unknown whether the change was made.
const UNKNOWN_OUTCOME: &str = "UNKNOWN_OUTCOME";

pub(super) fn invalid(violation: Violation) -> Status {
    refusal(Refusal::Invalid(vec![violation]))
}

pub(super) fn refusal(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::Invalid(violations) => {
            let fields = violations
                .into_iter()
                .map(|Violation { field, message }| FieldViolation::new(field, message));
            let details = ErrorDetails::with_bad_request(fields.collect::<Vec<_>>());
            Status::with_error_details(tonic::Code::InvalidArgument, message, details)
        }
        Refusal::Unmet(unmet) => {
            let lines: Vec<String> = unmet.iter().map(line).collect();
            let violations = unmet.into_iter().map(|Unmet { step, whom, gate, message, action, .. }| {
                let subject =
                    [whom, step].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
                PreconditionViolation::new(gate.name(), subject, format!("{message}; {action}"))
            });
            let details = ErrorDetails::with_precondition_failure(violations.collect::<Vec<_>>());
            Status::with_error_details(tonic::Code::FailedPrecondition, lines.join(" | "), details)
        }
        Refusal::NotFound(_) => Status::not_found(message),
        Refusal::AlreadyExists(_) => Status::already_exists(message),
    }
}

/// An unmet condition in one line, with what to do about it.
fn line(unmet: &Unmet) -> String {
    let Unmet { step, whom, gate, message, action, .. } = unmet;
    let subject = match (whom.is_empty(), step.is_empty()) {
        (false, false) => format!("{whom} {step}: "),
        _ => String::new(),
    };
    format!("{subject}{gate}: {message} ({action})")
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
    }
}

pub(super) fn register(error: RegisterError) -> Status {
    match error {
        RegisterError::Invalid(violation) => invalid(violation),
        RegisterError::Gone => Status::failed_precondition(error.to_string()),
        RegisterError::Full => Status::resource_exhausted(error.to_string()),
        RegisterError::Store(error) => store(error),
    }
}

pub(super) fn routing(error: cutover_client::routing::Error) -> Status {
    use cutover_client::routing::Error;
    match error {
        Error::UnknownMigration(_) => Status::not_found(error.to_string()),
        Error::Unreadable { .. } => Status::failed_precondition(error.to_string()),
        Error::Tenant(error) => invalid(Violation::new("tenant", error.to_string())),
    }
}
