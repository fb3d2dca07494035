use super::*;

/// The error for a write with this answer.
fn answered(status: u16, code: &str) -> StoreError {
    let unsure = |class, what| StoreError::Indeterminate { class, what };
    of_service("orders", status, Some(code), Some("it said so"), unsure)
}

#[test]
fn overload_is_throttling() {
    for code in ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"] {
        let error = answered(400, code);
        assert!(matches!(error, StoreError::Throttled { .. }), "{code}: {error}");
    }
}

#[test]
fn what_somebody_has_to_change_is_named() {
    let cases = [
        ("ResourceNotFoundException", "table: ", "\"orders\""),
        ("UnrecognizedClientException", "credentials: ", "AWS_ACCESS_KEY_ID"),
        ("ExpiredTokenException", "credentials: ", "renew"),
        ("AccessDeniedException", "credentials: ", "policy"),
        ("SomethingNewException", "request: ", "SomethingNewException"),
    ];
    for (code, field, advice) in cases {
        let error = answered(400, code).to_string();
        assert!(error.starts_with(field) && error.contains(advice), "{code}: {error}");
        assert!(error.contains("it said so"), "{code}: {error}");
    }
}

#[test]
fn a_write_answered_by_the_servers_own_failure_may_have_been_made() {
    for (status, code) in [(500, "InternalServerError"), (503, "ServiceUnavailable"), (502, "")] {
        assert!(answered(status, code).may_apply(), "{status}");
    }
}
