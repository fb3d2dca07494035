//! Finds the controller that leads among several candidates.
//!
//! The one that led last is asked first. Another one is asked as soon as an earlier one has failed or is on standby, or
//! has said nothing for [`HEDGE`]; earlier ones go on meanwhile. The first one that leads is taken.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    Address,
    dialer::Dialer,
    histories::{Known, Said},
    place::{Candidate, Named},
    probe::{Answer, State},
};
use crate::AuthorizedChannel;

/// How long to wait for an answer before another one is asked as well.
const HEDGE: Duration = Duration::from_millis(250);
/// Longest round.
pub(super) const LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for the others once a standby has answered: one of them leads soon, perhaps the one that answered.
const STANDBY_LIMIT: Duration = Duration::from_secs(1);
/// So many rounds in a row are short. A network may be slower than that.
const SHORT_ROUNDS: u32 = 8;

/// Why no controller can be used now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No address has a controller that leads.
    #[error("no controller leads: {}", heard.join("; "))]
    Nobody {
        /// What each address said.
        heard: Vec<String>,
        /// When a controller wants to be asked again.
        again: Option<Duration>,
    },
    /// Two addresses have different stores.
    #[error(
        "{one} and {other} belong to two installations: their stores have the histories {history} and {other_history}. Remove \
         one from the list of addresses. If the store was just restored, this passes within a second"
    )]
    Installations {
        /// The one that leads.
        one: String,
        /// Its history.
        history: String,
        /// The other one.
        other: String,
        /// Its history.
        other_history: String,
    },
    /// The one that leads may be of another installation.
    #[error(
        "{one} leads, but its store has the history {history}, and this process goes by {held}. Either {one} belongs to another \
         installation: remove it from the list of addresses. Or the store was restored: start the other controllers, or remove \
         them from the list and restart this process"
    )]
    OtherHistory {
        /// The one that leads.
        one: String,
        /// Its history.
        history: String,
        /// The history of what this process holds.
        held: String,
    },
    /// The only one can't be reached.
    #[error(transparent)]
    Connect(#[from] tonic::transport::Error),
}

/// The controller that leads.
pub(crate) struct Found {
    /// Connections to it, and to no other one.
    pub(crate) channel: AuthorizedChannel,
    /// The history of its store, if it was asked.
    pub(crate) history: Option<String>,
}

/// Which one leads.
pub(super) struct Leading {
    pub(super) candidate: Candidate,
    history: Option<String>,
    /// `None`: it is the only one, so nobody asked.
    channel: Option<tonic::transport::Channel>,
}

impl Address {
    /// Connects to the one that leads. `held`: the history that this process goes by.
    pub(crate) async fn leader(&self, held: Option<&str>) -> Result<Found, FindError> {
        let Leading { candidate, history, channel } = self.leading(held).await?;
        let channel = match channel {
            Some(channel) => channel,
            None => {
                let endpoint = &self.places[candidate.place].endpoint;
                endpoint.connect_with_connector(Dialer::to(self, candidate)).await?
            }
        };
        Ok(Found { channel: self.access.authorize(channel), history })
    }

    /// Finds the one that leads. Nobody is asked if there is only one. `held`: the history that this process goes by; by
    /// default that of the last one.
    pub(super) async fn leading(&self, held: Option<&str>) -> Result<Leading, FindError> {
        let candidates = self.candidates(self.connect_timeout).await;
        if let [candidate] = candidates[..] {
            return Ok(Leading { candidate, history: None, channel: None });
        }
        let held = held.map(str::to_owned).or_else(|| self.known().history.clone());
        let answers = self.round(candidates, held.as_deref()).await;
        let said: Vec<Said> = answers.iter().filter_map(|answer| self.said(answer)).collect();
        let mut known = self.known();
        known.failed_rounds = known.failed_rounds.saturating_add(1);
        let Some(leads) = answers.iter().find(|answer| answer.state == State::Leads) else {
            known.hear(&said);
            let again = answers.iter().filter_map(|answer| answer.again).min();
            let heard = answers.iter().map(|answer| self.in_words(answer)).collect();
            return Err(FindError::Nobody { heard, again });
        };
        if let Some(leads) = self.said(leads) {
            let checked = known.check(&leads, &said, held.as_deref());
            known.hear(&said);
            checked?;
            known.history = Some(leads.2);
        }
        (known.last, known.failed_rounds) = (Some(leads.candidate), 0);
        Ok(Leading {
            candidate: leads.candidate,
            history: leads.history.clone(),
            channel: leads.channel.clone(),
        })
    }

    /// The candidates, the one that led last first.
    pub(super) async fn candidates(&self, within: Duration) -> Vec<Candidate> {
        let all = self.places.iter().enumerate().map(|(at, place)| place.candidates(at, within));
        let mut candidates = join_all(all).await.concat();
        let last = self.known().last;
        candidates.sort_by_key(|candidate| last != Some(*candidate));
        candidates
    }

    /// Asks until one leads, and a little longer if the others could say that they belong to another installation.
    async fn round(&self, candidates: Vec<Candidate>, held: Option<&str>) -> Vec<Answer> {
        let is_short = self.known().failed_rounds < SHORT_ROUNDS;
        let mut waiting = candidates.clone().into_iter();
        let ask = |candidate| self.ask(candidate);
        let (mut running, mut answers) = (FuturesUnordered::new(), Vec::<Answer>::new());
        let mut next = Instant::now();
        let mut end = next + LIMIT;
        while !running.is_empty() || waiting.len() > 0 {
            tokio::select! {
                biased;
                Some(answer) = running.next(), if !running.is_empty() => {
                    let (now, answer): (_, Answer) = (Instant::now(), answer);
                    match answer.state {
                        State::Leads if self.is_enough(&answer, held) => {
                            answers.push(answer);
                            break;
                        }
                        State::Leads => {
                            running.extend(waiting.by_ref().map(ask));
                            end = end.min(now + HEDGE);
                        }
                        State::Standby if is_short => end = end.min(now + STANDBY_LIMIT),
                        _ => {}
                    }
                    next = now;
                    answers.push(answer);
                }
                () = sleep_until(next), if waiting.len() > 0 => {
                    running.extend(waiting.next().map(ask));
                    next = Instant::now() + HEDGE;
                }
                () = sleep_until(end) => break,
            }
        }
        let is_silent = |candidate: &Candidate| !answers.iter().any(|answer| answer.candidate == *candidate);
        let silent: Vec<_> = candidates.into_iter().filter(is_silent).collect();
        answers.extend(silent.into_iter().map(Answer::silent));
        answers
    }

    /// Whether nobody else has to be asked: all have been heard, and it has the history that this process goes by.
    fn is_enough(&self, leads: &Answer, held: Option<&str>) -> bool {
        let known = self.known();
        let is_same = held.is_none() || leads.history.as_deref() == held;
        is_same
            && !(0..self.places.len()).any(|place| place != leads.candidate.place && known.is_silent(place))
    }

    fn said(&self, answer: &Answer) -> Option<Said> {
        let Candidate { place, .. } = answer.candidate;
        let name = Named(&self.places[place], answer.candidate).to_string();
        Some((place, name, answer.history.clone()?))
    }

    fn in_words(&self, answer: &Answer) -> String {
        let name = Named(&self.places[answer.candidate.place], answer.candidate);
        match &answer.state {
            State::Leads => format!("{name} leads"),
            State::Standby => format!("{name} is on standby"),
            State::Failed(why) => format!("{name}: {why}"),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FindError {
    /// The one that caused an error, if one did.
    pub fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
    }

    /// Whether one of the controllers is about to lead: one on standby has answered.
    pub const fn is_passing(&self) -> bool {
        self.again().is_some()
    }

    /// When a controller wants to be asked again.
    pub(crate) const fn again(&self) -> Option<Duration> {
        match self {
            Self::Nobody { again, .. } => *again,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
