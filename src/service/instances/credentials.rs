//! Which token speaks for a process.
//!
//! While the token by which a process registered is valid, nobody with another one registers as this process, reports
//! for it, says goodbye for it, or succeeds it. And silence says nothing about a process whose token has ended: it may
//! run, and be refused; nor about one for which somebody spoke with another token, as it may be itself.

use std::sync::Arc;

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

use super::{
    Asking, Instances, RegisterError,
    live::Live,
    member::{Heard, Who},
};
use crate::{
    domain::Credential,
    service::{RefusedWatch, Standing, Tokens},
    telemetry::now_ms,
};

impl Instances {
    /// From now on these tokens are those that speak for processes.
    pub fn know_tokens(&self, tokens: Arc<Tokens>) {
        self.live().tokens = Some(tokens);
    }

    /// Whether the holder of this token speaks for a process; also for an unknown one, for which nobody does.
    pub fn speaks(&self, instance_id: &str, incarnation: u64, by: Option<&Credential>) -> bool {
        let mut live = self.live();
        let Some(who) = live.who(instance_id, incarnation) else { return true };
        let Some(heard) = live.members.get(&who) else { return true };
        if !live.may_speak(heard, by) {
            live.contest(&who);
            tracing::warn!(
                instance = instance_id,
                token = by.map(|by| by.token.as_str()),
                "another token than that of the instance spoke for it, and was refused"
            );
            return false;
        }
        // The text that it shows now: it may have been rotated.
        if let Some(heard) = live.members.get_mut(&who).filter(|_| by.is_some()) {
            heard.record.credential = by.cloned();
        }
        true
    }

    /// A process was refused because it can't prove what it claims to hold.
    pub fn note_unproven(&self, why: &str) {
        let tokens = self.live().tokens.clone();
        tokens.iter().for_each(|tokens| tokens.refusals().note_unproven(why));
    }

    /// Somebody was refused within the last 30 s who may route.
    pub fn refused_lately(&self) -> Option<RefusedWatch> {
        let tokens = self.live().tokens.clone();
        tokens.and_then(|tokens| tokens.refusals().watched_lately())
    }
}

impl Live {
    /// Refuses a registration by a token that does not speak for the process, and leaves out predecessors that it does
    /// not speak for: those are waited for.
    pub(super) fn checked(&mut self, mut asking: Asking) -> Result<Asking, RegisterError> {
        let (by, who) = (asking.record.credential.as_ref(), Who::of(&asking.record));
        if let Some(heard) = self.members.get(&who).filter(|heard| !self.may_speak(heard, by)) {
            let token = heard.record.credential.as_ref().map(|it| it.token.clone()).unwrap_or_default();
            self.contest(&who);
            return Err(RegisterError::Bound { instance: who.instance_id, token });
        }
        if by.is_some() {
            let speaks = |who: &Who| self.members.get(who).is_some_and(|heard| self.may_speak(heard, by));
            asking.succeeds = asking.succeeds.into_iter().filter(speaks).collect();
        }
        Ok(asking)
    }

    fn may_speak(&self, heard: &Heard, by: Option<&Credential>) -> bool {
        match (&heard.record.credential, by) {
            (Some(of), Some(by)) => of.token == by.token || self.standing(of) == Standing::Ended,
            // It registered, or this call was made, while no call needed a token.
            _ => true,
        }
    }

    /// Somebody else spoke for it: perhaps itself, with another token than before.
    fn contest(&mut self, who: &Who) {
        self.members.get_mut(who).into_iter().for_each(|heard| heard.contested = true);
    }

    fn standing(&self, credential: &Credential) -> Standing {
        self.tokens.as_ref().map_or(Standing::Valid, |tokens| tokens.standing(credential, now_ms()))
    }

    /// Whether it is lost, and its calls would be refused. Of one that said goodbye nobody expects any.
    pub(super) fn is_refused(&self, heard: &Heard, now: Instant) -> bool {
        let would_be_refused = || match &heard.record.credential {
            Some(of) => self.standing(of) != Standing::Valid,
            // It registered while calls needed no token, and has shown none since.
            None => self.tokens.as_ref().is_some_and(|tokens| !tokens.is_open()),
        };
        !heard.record.parked
            && heard.is_lost(self.silent(heard, now))
            && (heard.contested || would_be_refused())
    }

    /// Whether another process with its id is connected, by the same token, which began after it was last heard, so that it has
    /// ended. One that may run and be refused has not, nor one that shares its id with another by mistake.
    pub(super) fn is_replaced(&self, who: &Who, heard: &Heard, now: Instant) -> bool {
        let token = |heard: &Heard| heard.record.credential.as_ref().map(|it| it.token.clone());
        let of = token(heard);
        let anybody = Mutation::ReplacedHasEnded.is_left_out();
        let follows = |other: &Heard| other.began.is_some_and(|began| heard.at <= began) || anybody;
        let replaces = |other: &Heard| follows(other) && (of.is_none() || token(other) == of);
        (!heard.record.shares_id || anybody)
            && !self.is_refused(heard, now)
            && self.connected_as(who).any(replaces)
    }
}
