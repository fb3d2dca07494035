//! Finds the controller that leads among several candidates.
//!
//! The one that led last is asked first. Another one is asked as soon as an earlier one has failed or is on standby, or
//! has said nothing for [`HEDGE`]; earlier ones go on meanwhile. The first one that leads is taken.

use std::{
    collections::VecDeque,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    Address,
    dialer::Dialer,
    error::FindError,
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

/// The controller that leads.
pub(crate) struct Found {
    /// Connections to it, and to no other one.
    pub(crate) channel: AuthorizedChannel,
    /// The history of its store, if it was asked and said so.
    pub(crate) history: Option<String>,
    /// The history that was searched for.
    pub(crate) expected: Option<String>,
    /// Its name, if the list has other addresses.
    pub(crate) name: Option<String>,
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
        let expected = held.map(str::to_owned).or_else(|| self.known().history.clone());
        let Leading { candidate, history, channel } = self.leading(held).await?;
        let channel = match channel {
            Some(channel) => channel,
            None => {
                let endpoint = &self.places[candidate.place].endpoint;
                endpoint.connect_with_connector(Dialer::to(self, candidate)).await?
            }
        };
        let name = self.is_several().then(|| self.name(candidate));
        Ok(Found { channel: self.access.authorize(channel), history, expected, name })
    }

    /// By default, a search is for the controller with this history: the one of the file that this process may start from.
    pub(crate) fn expect(&self, history: String) {
        self.known().history = Some(history);
    }

    /// The controller that was found did not take this process: it is not asked first again.
    pub(crate) fn found_in_vain(&self) {
        self.known().last = None;
    }

    /// Finds the one that leads. Nobody is asked if there is only one. `held`: the history that this process goes by; by
    /// default that of the last one.
    pub(super) async fn leading(&self, held: Option<&str>) -> Result<Leading, FindError> {
        if let [place] = &self.places[..]
            && let [candidate] = place.candidates(0, self.connect_timeout).await[..]
        {
            return Ok(Leading { candidate, history: None, channel: None });
        }
        let held = held.map(str::to_owned).or_else(|| self.known().history.clone());
        let answers = self.round(held.as_deref()).await;
        let said: Vec<Said> = answers.iter().filter_map(|answer| self.said(answer)).collect();
        let mut known = self.known();
        known.failed_rounds = known.failed_rounds.saturating_add(1);
        // Not simply the first one: another installation's may be in the list, and one that does not say its history.
        let rank = |answer: &&Answer| match &answer.history {
            Some(history) if held.as_ref() == Some(history) => 0,
            Some(_) => 1,
            None => 2,
        };
        let leads = answers.iter().filter(|answer| answer.state == State::Leads).min_by_key(rank);
        let Some(leads) = leads else {
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

    /// All candidates.
    pub(super) async fn candidates(&self, within: Duration) -> Vec<Candidate> {
        let all = self.places.iter().enumerate().map(|(at, place)| place.candidates(at, within));
        join_all(all).await.concat()
    }

    /// Asks until one leads, and a little longer if the others could say that they belong to another installation.
    async fn round(&self, held: Option<&str>) -> Vec<Answer> {
        let (is_short, last) = {
            let known = self.known();
            (known.failed_rounds < SHORT_ROUNDS, known.last)
        };
        // Nobody waits for a name that takes long to resolve.
        let places = self.places.iter().enumerate();
        let mut resolving: FuturesUnordered<_> =
            places.map(|(at, place)| place.candidates(at, self.connect_timeout)).collect();
        let (mut waiting, mut asked) = (VecDeque::<Candidate>::new(), Vec::<Candidate>::new());
        let ask = |candidate| self.ask(candidate);
        let (mut running, mut answers) = (FuturesUnordered::new(), Vec::<Answer>::new());
        let mut next = Instant::now();
        let mut end = next + LIMIT;
        while !running.is_empty() || !waiting.is_empty() || !resolving.is_empty() {
            tokio::select! {
                biased;
                Some(candidates) = resolving.next(), if !resolving.is_empty() => {
                    waiting.extend(candidates);
                    waiting.make_contiguous().sort_by_key(|candidate| last != Some(*candidate));
                }
                Some(answer) = running.next(), if !running.is_empty() => {
                    let (now, answer): (_, Answer) = (Instant::now(), answer);
                    match answer.state {
                        State::Leads if self.is_enough(&answer, held) => {
                            answers.push(answer);
                            break;
                        }
                        State::Leads => {
                            asked.extend(&waiting);
                            running.extend(waiting.drain(..).map(ask));
                            end = end.min(now + HEDGE);
                        }
                        State::Standby if is_short => end = end.min(now + STANDBY_LIMIT),
                        _ => {}
                    }
                    next = now;
                    answers.push(answer);
                }
                () = sleep_until(next), if !waiting.is_empty() => {
                    let candidate = waiting.pop_front();
                    asked.extend(candidate);
                    running.extend(candidate.map(ask));
                    next = Instant::now() + HEDGE;
                }
                () = sleep_until(end) => break,
            }
        }
        asked.extend(waiting);
        let unresolved = (0..self.places.len()).filter(|at| !asked.iter().any(|asked| asked.place == *at));
        let unresolved: Vec<_> = unresolved.map(|place| Candidate { place, ip: None }).collect();
        let is_silent = |candidate: &Candidate| !answers.iter().any(|answer| answer.candidate == *candidate);
        let silent: Vec<_> = asked.into_iter().chain(unresolved).filter(is_silent).collect();
        answers.extend(silent.into_iter().map(Answer::silent));
        answers
    }

    /// Whether nobody else has to be asked: it has the history that this process goes by, and all have been heard. A process
    /// that goes by none asks until all have said the same.
    fn is_enough(&self, leads: &Answer, held: Option<&str>) -> bool {
        let Some(history) = leads.history.as_deref() else { return false };
        let known = self.known();
        let mut others = (0..self.places.len()).filter(|place| *place != leads.candidate.place);
        match held {
            Some(held) => held == history && !others.any(|place| known.is_silent(place)),
            None => others.all(|place| known.has_said(place, history)),
        }
    }

    fn said(&self, answer: &Answer) -> Option<Said> {
        Some((answer.candidate.place, self.name(answer.candidate), answer.history.clone()?))
    }

    fn name(&self, candidate: Candidate) -> String {
        Named(&self.places[candidate.place], candidate).to_string()
    }

    fn in_words(&self, answer: &Answer) -> String {
        let name = self.name(answer.candidate);
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

#[cfg(test)]
mod tests;
