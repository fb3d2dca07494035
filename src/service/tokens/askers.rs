//! Whether somebody who asked for what needs a second person could still ask for it.

use super::Tokens;
use crate::domain::{Gate, Identity, PendingRequest, Principal, Refusal, Unmet};

impl Tokens {
    /// Refuses what was asked for with a token whose text is not accepted any more, even if its name has another text now;
    /// and with a login, unless the last one of the same account is still valid and still has the roles. The provider does
    /// not tell when somebody has left it, and this process forgets logins when it ends.
    pub fn check_asker(&self, asked: &PendingRequest, key: &str, now_ms: u64) -> Result<(), Refusal> {
        let PendingRequest { by, identity, revision, .. } = asked;
        let withdraw = format!("cutover withdraw {key} {revision} removes this one");
        let (is_valid, message, action) = match identity {
            Identity::Token(hash) => (
                self.known.load().accepted(hash).is_some_and(|accepted| accepted.is_valid(now_ms)),
                format!("{by} was revoked or rotated, or has expired, since it asked for this"),
                format!("let somebody ask again; {withdraw}"),
            ),
            Identity::Account(account) => {
                let login = self.provider().and_then(|provider| provider.last_login(account));
                let may_ask = |login: Principal| {
                    self.accepts(&login, now_ms) && asked.needs().iter().all(|need| login.may(*need))
                };
                (
                    login.is_some_and(may_ask),
                    format!(
                        "{by} has no valid login with the roles for this, as far as this controller has seen"
                    ),
                    format!(
                        "let {by} make any call with a new login, for example cutover status {key}, then approve it; {withdraw}"
                    ),
                )
            }
            Identity::Unproven => (
                false,
                format!("nothing proves that {by} asked for this: an earlier version stored it"),
                format!("let {by} ask again; {withdraw}"),
            ),
        };
        match is_valid {
            true => Ok(()),
            false => Err(Unmet::of_change(Gate::SecondPerson, message, action).into()),
        }
    }
}
