//! Failures of calls. The reason of each says what became of a write.

use std::collections::HashMap;

use cutover_client::{
    migrator::{Cause, ReadError, Unavailable, WriteError},
    routing,
    store::StoreError,
    watch::{BeginError, HoldError},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Nothing was written, and nothing will be.
const NOT_APPLIED: &str = "NOT_APPLIED";
/// It may have been written, or may still be.
const UNKNOWN_OUTCOME: &str = "UNKNOWN_OUTCOME";

fn of(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(
        code,
        message,
        ErrorDetails::with_error_info(reason, "cutover", HashMap::new()),
    )
}

/// A call that can't begin now.
pub(super) fn not_begun(message: &str) -> Status {
    of(Code::Unavailable, NOT_APPLIED, message)
}

/// A mistake in a request.
pub(super) fn invalid(message: impl Into<String>) -> Status {
    of(Code::InvalidArgument, NOT_APPLIED, message)
}

/// A mistake in an `End`: the operation continues, and what became of its write is known when it has ended.
pub(super) fn not_ended(message: &str) -> Status {
    of(Code::InvalidArgument, UNKNOWN_OUTCOME, message)
}

/// Something that does not exist.
pub(super) fn missing(message: impl Into<String>) -> Status {
    of(Code::NotFound, NOT_APPLIED, message)
}

/// A limit.
pub(super) fn exhausted(message: impl Into<String>) -> Status {
    of(Code::ResourceExhausted, NOT_APPLIED, message)
}

/// A value that JSON can't hold, or another thing that has to be changed first.
pub(super) fn refused(message: impl Into<String>) -> Status {
    of(Code::FailedPrecondition, NOT_APPLIED, message)
}

/// It is not known what became of a write.
pub(super) fn unknown(message: &str) -> Status {
    of(Code::Unknown, UNKNOWN_OUTCOME, message)
}

pub(super) fn begin(error: &BeginError) -> Status {
    let message = error.to_string();
    match error {
        BeginError::Routing(routing::Error::UnknownMigration(_)) => missing(message),
        BeginError::Routing(routing::Error::Tenant(_)) => invalid(message),
        _ => not_begun(&message),
    }
}

pub(super) fn hold(error: &HoldError) -> Status {
    match error {
        HoldError::Begin(error) => begin(error),
        other => not_begun(&other.to_string()),
    }
}

fn unavailable(error: &Unavailable) -> Status {
    match error {
        Unavailable::Begin(error) => begin(error),
        other => not_begun(&other.to_string()),
    }
}

pub(super) fn read(error: &ReadError) -> Status {
    let message = error.to_string();
    match error {
        ReadError::Failed { error, .. } => store(error, message),
        ReadError::Unavailable(error) => unavailable(error),
        ReadError::Invalid(_) => invalid(message),
        ReadError::Value(_) | ReadError::ValueOf { .. } => refused(message),
        _ => not_begun(&message),
    }
}

pub(super) fn write(error: &WriteError) -> Status {
    let message = error.to_string();
    match error {
        WriteError::NotApplied(Cause::Store { error, .. }) => store(error, message),
        WriteError::NotApplied(Cause::BesideTargetOnly(_) | Cause::ExpiresTooSoon { .. }) => refused(message),
        WriteError::NotApplied(Cause::Contended(_)) => of(Code::Aborted, NOT_APPLIED, message),
        WriteError::NotApplied(_) => not_begun(&message),
        WriteError::Unavailable(error) => unavailable(error),
        WriteError::Invalid(_) | WriteError::Value(_) | WriteError::Writes(_) => invalid(message),
        // Also what a later version of the SDK adds.
        _ => unknown(&message),
    }
}

/// A store's error of a call that wrote nothing.
fn store(error: &StoreError, message: String) -> Status {
    match error {
        StoreError::Permanent { .. } => refused(message),
        _ => not_begun(&message),
    }
}
