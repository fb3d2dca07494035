//! Errors of DynamoDB and of the network, and what to conclude from them.

use std::{error::Error, time::Duration};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::StoreError;
use cutover_core::outcome::ErrorClass;
use cutover_dynamodb::{never_connected, root_cause};

/// Whether a request reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Whatever happened, nothing was changed.
    Read,
    /// The request may have taken effect.
    Write,
}

/// Fails every time until somebody changes something.
pub(super) fn permanent(class: ErrorClass, field: &str, what: impl Into<String>) -> StoreError {
    StoreError::Permanent { class, field: field.to_owned(), what: what.into() }
}

/// What one failed request means.
pub(super) fn of_request<E>(access: Access, table: &str, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let unsure = |class, what: String| match access {
        Access::Read => StoreError::NotApplied { class, what },
        Access::Write => StoreError::Indeterminate { class, what },
    };
    match &error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            of_service(table, status, service.err().meta().code(), service.err().meta().message(), unsure)
        }
        SdkError::ConstructionFailure(_) => {
            permanent(ErrorClass::Other, "request", DisplayErrorContext(&error).to_string())
        }
        SdkError::TimeoutError(_) => {
            unsure(ErrorClass::Timeout, "DynamoDB did not answer in time".to_owned())
        }
        SdkError::DispatchFailure(failure) if failure.is_user() || failure.is_other() => {
            of_dispatch(&error, unsure)
        }
        SdkError::DispatchFailure(failure) if never_connected(&error) => {
            let class = if failure.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Connection };
            let what = format!(
                "DynamoDB can't be reached ({}): check endpoint, region and network",
                root_cause(&error)
            );
            StoreError::NotApplied { class, what }
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            unsure(ErrorClass::Timeout, "DynamoDB did not answer in time".to_owned())
        }
        _ => unsure(
            ErrorClass::Connection,
            format!("the connection to DynamoDB was cut off ({})", root_cause(&error)),
        ),
    }
}

/// Without credentials nothing is sent. For all other requests that were not sent, this is not certain.
fn of_dispatch<E>(
    error: &SdkError<E, HttpResponse>,
    unsure: impl Fn(ErrorClass, String) -> StoreError,
) -> StoreError
where
    E: Error + Send + Sync + 'static,
{
    if never_connected(error) {
        let what =
            format!("DynamoDB can't be reached ({}): check endpoint, region and network", root_cause(error));
        return StoreError::NotApplied { class: ErrorClass::Connection, what };
    }
    let whole = DisplayErrorContext(error).to_string();
    if whole.to_lowercase().contains("credentials") {
        return permanent(
            ErrorClass::Other,
            "credentials",
            format!("none can be had ({}): {GIVE}", root_cause(error)),
        );
    }
    unsure(ErrorClass::Other, whole)
}

const GIVE: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role";

/// By the codes of
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.
fn of_service(
    table: &str,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    unsure: impl Fn(ErrorClass, String) -> StoreError,
) -> StoreError {
    let said = message.unwrap_or("no reason given");
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "LimitExceededException" => throttled(format!("DynamoDB: {said}")),
        // Another request for the same item is in flight.
        "TransactionConflictException" | "ReplicatedWriteConflictException" => {
            throttled(format!("DynamoDB: {said}"))
        }
        "ResourceNotFoundException" => {
            StoreError::no_table(table, &format!("({said}): create it, or check region and endpoint"))
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => permanent(
            ErrorClass::Other,
            "credentials",
            format!("DynamoDB does not accept them ({said}): {GIVE}"),
        ),
        "ExpiredTokenException" | "ExpiredToken" => {
            permanent(ErrorClass::Other, "credentials", format!("they have expired ({said}): renew them"))
        }
        "AccessDeniedException" => permanent(
            ErrorClass::Other,
            "credentials",
            format!("they are not allowed to do this ({said}): allow it in the role's policy"),
        ),
        "ItemCollectionSizeLimitExceededException" => permanent(ErrorClass::Constraint, "tenant", said),
        "ValidationException" if said.contains("Item size") => permanent(
            ErrorClass::Constraint,
            "value",
            format!("400 KB is the most for an item, names of attributes included ({said}): make it smaller"),
        ),
        "ValidationException" => permanent(ErrorClass::Constraint, "record", said),
        code if (400..500).contains(&status) => {
            permanent(ErrorClass::Other, "request", format!("DynamoDB refuses it: {code} {said}"))
        }
        // A write that is answered by a 5xx may have been executed.
        code => unsure(ErrorClass::Server, format!("DynamoDB failed: {status} {code} {said}")),
    }
}

/// The shortest wait that helps; DynamoDB does not say how long.
pub(super) fn throttled(what: String) -> StoreError {
    StoreError::Throttled { retry_after: Duration::from_millis(100), what }
}

#[cfg(test)]
mod tests;
