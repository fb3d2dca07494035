//! Whether an SDK splits versions as this controller does.

use cutover_store::Version;
use tonic::Status;

/// Refuses an SDK that splits versions another way than this controller's: both might stamp one version, and a store would
/// take the second write for the first. Callers that are no SDK stamp nothing.
pub(super) fn check_layout(sdk: &str, layout: u32) -> Result<(), Status> {
    if !sdk.starts_with("rust/") || layout == Version::LAYOUT {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "this SDK splits versions by layout {layout}, and this controller by layout {}: two writes could get one version. \
         Stop all services and workers, then start all of them with the controller's version (docs/guides/running.md, \
         Upgrade)",
        Version::LAYOUT
    )))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn an_sdk_with_another_split_is_refused_in_words() {
        let refused = check_layout("rust/0.1.0", 0).expect_err("another split");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("layout 0, and this controller by layout 1"), "{refused}");
        assert!(refused.message().contains("Stop all services and workers"), "{refused}");
        check_layout("rust/0.1.0", Version::LAYOUT).expect("its own split");
        check_layout("", 0).expect("no SDK");
    }
}
