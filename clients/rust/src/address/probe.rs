//! Asks a controller whether it leads, and which history its store has. It shows no token.

use std::time::Duration;

use cutover_core::servers::{HISTORY_HEADER, PUSHBACK_HEADER};
use tokio::time::timeout;
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    Address,
    dialer::Dialer,
    place::{Candidate, Named},
};
use crate::words::{describe, explain};

/// Longest wait for one controller's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to ask a standby again that does not say when.
const STANDBY_AGAIN: Duration = Duration::from_millis(750);
/// Longest wait that a standby may ask for: another controller may lead sooner than it thinks.
const STANDBY_MAX: Duration = Duration::from_secs(5);
/// The service to ask about. Only a controller has it, so nobody else is taken for one and sees a token.
const SERVICE: &str = "cutover.v1.RoutingService";
/// Longest id of a history.
const HISTORY_MAX: usize = 64;

/// What an address said: see [`Address::probe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probed {
    /// The address as it was given.
    pub given: String,
    /// The address as it was given, with the IP address if it is one of several.
    pub address: String,
    /// What it is.
    pub state: State,
    /// The id of its store's history. `None`: it did not say.
    pub history: Option<String>,
}

/// What a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It leads.
    Leads,
    /// It waits for its turn.
    Standby,
    /// It can't be used, and why.
    Failed(String),
}

/// What a candidate said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) candidate: Candidate,
    pub(super) state: State,
    pub(super) history: Option<String>,
    /// When to ask it again.
    pub(super) again: Option<Duration>,
    /// A connection to it, and to no other one.
    pub(super) channel: Option<Channel>,
}

impl Answer {
    /// Of a candidate that can't be used.
    fn failed(candidate: Candidate, why: String) -> Self {
        Self { candidate, state: State::Failed(why), history: None, again: None, channel: None }
    }

    /// Of a candidate that has said nothing yet.
    pub(super) fn silent(candidate: Candidate) -> Self {
        Self::failed(candidate, "no answer yet".to_owned())
    }
}

impl Address {
    /// Asks every address what it is.
    pub async fn probe(&self) -> Vec<Probed> {
        let candidates = self.candidates(PATIENCE).await;
        let asked = candidates.into_iter().map(|candidate| self.ask(candidate));
        let answers = futures::future::join_all(asked).await;
        let probed = |answer: Answer| Probed {
            given: self.places[answer.candidate.place].address.clone(),
            address: Named(&self.places[answer.candidate.place], answer.candidate).to_string(),
            state: answer.state,
            history: answer.history,
        };
        answers.into_iter().map(probed).collect()
    }

    /// Asks a candidate.
    pub(super) async fn ask(&self, candidate: Candidate) -> Answer {
        let failed = |why: String| Answer::failed(candidate, why);
        let asked = async {
            let endpoint = &self.places[candidate.place].endpoint;
            let channel = endpoint.connect_with_connector(Dialer::to(self, candidate)).await;
            let channel = match channel {
                Ok(channel) => channel,
                Err(error) => return failed(describe(&error)),
            };
            let mut health = HealthClient::new(channel.clone());
            let request = HealthCheckRequest { service: SERVICE.to_owned() };
            let (state, history, again) = match health.check(request).await {
                Ok(answer) => {
                    let (history, again) = (history(answer.metadata()), pushback(answer.metadata()));
                    match answer.get_ref().status() {
                        ServingStatus::Serving => (State::Leads, history, None),
                        ServingStatus::NotServing => {
                            let again = again.unwrap_or(STANDBY_AGAIN).min(STANDBY_MAX);
                            (State::Standby, history, Some(again))
                        }
                        _ => return failed("it does not say whether it leads".to_owned()),
                    }
                }
                Err(status) if status.code() == Code::NotFound => {
                    return failed("what answers there is no Cutover controller".to_owned());
                }
                // A controller that has no room for more says when to come again.
                Err(status) if status.code() == Code::ResourceExhausted => {
                    return Answer { again: pushback(status.metadata()), ..failed(explain(&status)) };
                }
                Err(status) => return failed(explain(&status)),
            };
            Answer { candidate, state, history, again, channel: Some(channel) }
        };
        let silent = || failed(format!("no answer within {} s", PATIENCE.as_secs()));
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| silent())
    }
}

fn history(metadata: &MetadataMap) -> Option<String> {
    let id = metadata.get(HISTORY_HEADER)?.to_str().ok()?;
    (id.len() <= HISTORY_MAX).then(|| id.to_owned())
}

fn pushback(metadata: &MetadataMap) -> Option<Duration> {
    Some(Duration::from_millis(metadata.get(PUSHBACK_HEADER)?.to_str().ok()?.parse().ok()?))
}

/// When the controller wants to be asked again.
pub(crate) fn told(status: &Status) -> Option<Duration> {
    pushback(status.metadata())
}
