//! Who makes a call. Every call that changes something names its actor here, and nowhere else: the name of the token or
//! the person, or what the request says if the controller has no tokens.

use cutover_proto::v1;
use tonic::{Request, Status};

use super::status;
use crate::{
    domain::{Need, Principal},
    service::operate::RequestMeta,
};

/// The actor of a call that declares none.
const UNKNOWN: &str = "operator:unknown";

/// Whoever makes a call. Absent: nobody looked at its token, so it may change nothing.
#[derive(Debug)]
pub(super) struct Caller(Option<Principal>);

/// Whoever makes a call that changes nothing.
pub(super) fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    request.extensions().get::<Principal>().cloned().ok_or_else(unauthenticated)
}

/// A way to the services that passes no check is a fault of this program.
fn unauthenticated() -> Status {
    Status::internal("the call was not authenticated: please report this")
}

impl Caller {
    /// The caller of a request, and its message.
    pub(super) fn of<T>(request: Request<T>) -> (Self, T) {
        (Self(request.extensions().get::<Principal>().cloned()), request.into_inner())
    }

    /// What the caller asks for, checked.
    pub(super) fn mutation(&self, wire: Option<v1::Mutation>) -> Result<RequestMeta, Status> {
        let principal = self.0.as_ref().ok_or_else(unauthenticated)?;
        let v1::Mutation { actor, reason, expected_revision, request_id, dry_run } = wire.unwrap_or_default();
        let expected_revision = Some(expected_revision).filter(|revision| *revision > 0);
        let identity = principal.identity();
        let asked = RequestMeta { actor, identity, reason, expected_revision, request_id, dry_run };
        asked.check_texts().map_err(status::invalid)?;
        let actor = match principal.actor() {
            Some(actor) => actor,
            None => {
                asked.check_unproven().map_err(status::invalid)?;
                if asked.actor.is_empty() { UNKNOWN.to_owned() } else { asked.actor.clone() }
            }
        };
        Ok(RequestMeta { actor, ..asked })
    }

    /// The caller itself.
    pub(super) fn principal(&self) -> Result<&Principal, Status> {
        self.0.as_ref().ok_or_else(unauthenticated)
    }

    /// Refuses a call that its path alone does not show to need this.
    pub(super) fn check(&self, call: &str, need: Need) -> Result<(), Status> {
        let principal = self.principal()?;
        match principal.may(need) {
            true => Ok(()),
            false => Err(Status::permission_denied(principal.refusal(call, need))),
        }
    }

    /// Refuses gates to override, unless the caller may do so. `call`: what it is called.
    pub(super) fn check_overrides(&self, call: &str, gates: &[String]) -> Result<(), Status> {
        match gates {
            [] => Ok(()),
            _ => self.check(&format!("override gates in {call}"), Need::Approve),
        }
    }

    /// [`Self::mutation`] for a request that has only an actor and a reason.
    pub(super) fn acting(&self, actor: String, reason: String) -> Result<RequestMeta, Status> {
        self.mutation(Some(v1::Mutation { actor, reason, ..v1::Mutation::default() }))
    }
}
