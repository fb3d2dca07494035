//! What a client is told about errors, as docs/guides/errors.md says.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cutover_client::{
    migrator::{Cause, ReadError, Unavailable, WriteError},
    store::StoreError,
};
use serde::Serialize;

/// An error as `{"error": .., "message": ..}`.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    status: StatusCode,
    /// For programs.
    error: &'static str,
    /// For people.
    message: String,
}

impl Failure {
    fn new(status: StatusCode, error: &'static str, message: impl ToString) -> Self {
        Self { status, error, message: message.to_string() }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such order")
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// A retry won't help until somebody changes something.
    fn internal(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Nothing has happened.
    fn retry(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "retry", message)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Invalid(_) => Self::invalid(&error.to_string()),
            ReadError::Unavailable(why) => why.into(),
            ReadError::Value(_)
            | ReadError::ValueOf { .. }
            | ReadError::Failed { error: StoreError::Permanent { .. }, .. } => Self::internal(error),
            // A read has changed nothing, whatever happened.
            _ => Self::retry(error),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::Invalid(_) => Self::invalid(&error.to_string()),
            WriteError::Unavailable(why) => why.into(),
            WriteError::Value(_)
            | WriteError::Writes(_)
            | WriteError::NotApplied(Cause::Store { error: StoreError::Permanent { .. }, .. }) => {
                Self::internal(error)
            }
            WriteError::NotApplied(Cause::Contended(_)) => {
                Self::new(StatusCode::CONFLICT, "contended", error)
            }
            WriteError::NotApplied(_) => Self::retry(error),
            // Indeterminate, or an error that a later SDK adds: neither "done" nor "failed" would be true.
            _ => {
                let message = "it is not known whether this was saved: send the same request again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unknown_outcome", message)
            }
        }
    }
}

impl From<&Unavailable> for Failure {
    fn from(why: &Unavailable) -> Self {
        if why.is_unknown_migration() { Self::internal(why) } else { Self::retry(why) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = super::json(self.status, &self);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
