//! Whether this controller knows how an SDK splits versions.

use cutover_store::Version;
use tonic::Status;

/// Refuses an SDK that splits versions in a way that is newer than this controller: it can't tell which writer slot no other
/// process could stamp the same versions with.
pub(super) fn check_layout(layout: u32) -> Result<(), Status> {
    if layout <= Version::LAYOUT {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "this SDK splits versions by layout {layout}, and this controller knows layouts up to {}: upgrade the controller first \
         (docs/guides/running.md, Upgrade)",
        Version::LAYOUT
    )))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn an_sdk_with_a_newer_layout_is_refused_and_earlier_ones_are_known() {
        let refused = check_layout(Version::LAYOUT + 1).expect_err("a newer layout");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let says =
            "splits versions by layout 2, and this controller knows layouts up to 1: upgrade the controller";
        assert!(refused.message().contains(says), "{refused}");
        for layout in 0..=Version::LAYOUT {
            check_layout(layout).expect("it knows the layout");
        }
    }
}
