//! Who makes a call. Every call that changes something names its actor here, and nowhere else.

use cutover_proto::v1;
use tonic::{Request, Status};

use super::status;
use crate::{domain::Violation, service::operate::RequestMeta};

/// The actor of a call that declares none.
const UNKNOWN: &str = "operator:unknown";
/// Maximum bytes of an actor or a request id.
const NAME_MAX_BYTES: usize = 128;
/// Maximum bytes of a reason.
const REASON_MAX_BYTES: usize = 1024;

/// Whoever makes a call. Nothing authenticates callers: the actor is what the request declares.
#[derive(Debug)]
pub(super) struct Caller(());

impl Caller {
    /// The caller of a request, and its message.
    pub(super) fn of<T>(request: Request<T>) -> (Self, T) {
        (Self(()), request.into_inner())
    }

    /// What the caller asks for, checked.
    pub(super) fn mutation(&self, wire: Option<v1::Mutation>) -> Result<RequestMeta, Status> {
        let v1::Mutation { actor, reason, expected_revision, request_id, dry_run } = wire.unwrap_or_default();
        let texts = [
            ("actor", &actor, NAME_MAX_BYTES),
            ("reason", &reason, REASON_MAX_BYTES),
            ("request_id", &request_id, NAME_MAX_BYTES),
        ];
        for (field, text, max_bytes) in texts {
            if text.len() > max_bytes || text.chars().any(char::is_control) {
                let message = format!("give at most {max_bytes} bytes without control characters");
                return Err(status::invalid(Violation::new(field, message)));
            }
        }
        let actor = if actor.is_empty() { UNKNOWN.to_owned() } else { actor };
        let expected_revision = Some(expected_revision).filter(|revision| *revision > 0);
        Ok(RequestMeta { actor, reason, expected_revision, request_id, dry_run })
    }

    /// The same for a request that has only an actor and a reason.
    pub(super) fn acting(&self, actor: String, reason: String) -> Result<RequestMeta, Status> {
        self.mutation(Some(v1::Mutation { actor, reason, ..v1::Mutation::default() }))
    }
}
