//! Failures as JSON.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{JSON, NO_STORE};
use crate::refusal::{Reason, headline, reasons};

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    body: Value,
    /// For a wrong verb: the right one.
    allow: Option<&'static str>,
}

impl Failure {
    pub(super) fn of(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: json!({ "code": code, "message": message.into() }), allow: None }
    }

    /// A mistake in the request.
    pub(super) fn mistake(message: impl Into<String>) -> Self {
        Self::of(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message)
    }

    /// There is no such thing.
    pub(super) fn unknown(what: &str) -> Self {
        Self::of(StatusCode::NOT_FOUND, "UNIMPLEMENTED", format!("{what}: GET /api/v1 lists the methods"))
    }

    /// Another verb is needed.
    pub(super) fn verb(what: &str, allow: &'static str) -> Self {
        let message = format!("{what}: use {allow}");
        let allow = Some(allow);
        Self { allow, ..Self::of(StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED", message) }
    }

    pub(super) fn json(&self) -> &Value {
        &self.body
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let (code, http) = meaning(status.code());
        let refusals = reasons(&status);
        let message = match refusals.len() {
            0 => status.message().to_owned(),
            conditions => headline(conditions),
        };
        let mut failure = Self::of(http, code, message);
        if !refusals.is_empty() {
            failure.body["refusals"] = refusals.iter().map(Reason::json).collect();
        }
        if let Some(bad) = status.get_details_bad_request() {
            let fields = bad.field_violations.into_iter();
            failure.body["fields"] =
                fields.map(|it| json!({ "field": it.field, "message": it.description })).collect();
        }
        // Whether the change was made is unknown: the same request_id finds out.
        if let Some(info) = status.get_details_error_info() {
            failure.body["reason"] = info.reason.into();
        }
        failure
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = self.body.to_string() + "\n";
        let mut response = (self.status, [JSON, NO_STORE], body).into_response();
        if let Some(verb) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(verb));
        }
        response
    }
}

/// A code's name, and the HTTP status that google.rpc.Code maps it to.
pub(super) const fn meaning(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::Ok => ("OK", StatusCode::OK),
        Code::Cancelled => ("CANCELLED", StatusCode::SERVICE_UNAVAILABLE),
        Code::Unknown => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument => ("INVALID_ARGUMENT", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("ALREADY_EXISTS", StatusCode::CONFLICT),
        Code::PermissionDenied => ("PERMISSION_DENIED", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", StatusCode::BAD_REQUEST),
        Code::Aborted => ("ABORTED", StatusCode::CONFLICT),
        Code::OutOfRange => ("OUT_OF_RANGE", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("UNIMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
        Code::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("DATA_LOSS", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
    }
}
