//! The controller's stream: connects, registers, hands every message to `taken`, notices when the stream is dead,
//! and reconnects.

use std::{sync::Arc, time::Duration};

use cutover_proto::v1::{self, routing_service_client::RoutingServiceClient, watch_response::Kind};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, Streaming};
use tracing::{info, warn};

use super::{
    Current, Link, Session, Source,
    backoff::{Attempt, pause},
    kept::held_tables,
};
use crate::{
    Address, AuthorizedChannel,
    address::{FindError, Found, told},
    clock, host,
    routing::Mutation,
    store::Version,
    wire::{Assembly, MESSAGE_MAX_BYTES, Misfit},
    words::{describe, explain},
};

/// A stream that is silent for longer than this is always given up.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A session that lasted this long was healthy: the next attempt counts as the first.
const HEALTHY: Duration = Duration::from_secs(10);

/// This instance, as the controller knows it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) instance_id: String,
    pub(crate) service: String,
    pub(crate) kind: v1::InstanceKind,
    pub(crate) tenant_fingerprint: String,
    /// Drawn when the process started.
    pub(crate) incarnation: u64,
    /// How long its last store calls may take after its right to act has expired.
    pub(crate) drain_ms: u32,
    /// How long its file may be used after it was last heard. 0: no file.
    pub(crate) file_valid_ms: u32,
    /// Processes that held the file before.
    pub(crate) succeeds: Vec<v1::Process>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("no connection: {}", describe(.0))]
    Find(#[from] FindError),
    #[error("no answer within {} ms: is this the controller's gRPC port?", .0.as_millis())]
    NoAnswer(Duration),
    #[error("nothing came for {} ms: the connection is dead", .0.as_millis())]
    Silent(Duration),
    #[error("the controller ended the stream")]
    Closed,
    #[error("{}", explain(.0))]
    Status(#[from] Status),
    #[error("the stream is not as the protocol has it: {0}")]
    Protocol(&'static str),
    #[error("{0}; asking for a snapshot")]
    Misfit(#[from] Misfit),
    #[error(
        "the controller is behind: it has revision {theirs}, {held} is held; was its store put back from a backup?"
    )]
    Behind { held: u64, theirs: u64 },
    #[error("the controller does not know this instance any more (evicted?); registering again")]
    Forgotten,
    #[error("the controller may have gone on while this process stood still; asking for the current state")]
    LeftBehind,
    #[error("a state could not be applied")]
    Panicked,
}

impl Ended {
    /// When the controller wants to be asked again.
    fn again(&self) -> Option<Duration> {
        match self {
            Self::Find(error) => error.again(),
            Self::Status(status) => told(status),
            _ => None,
        }
    }
}

/// The task that keeps [`Current`] up to date.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) address: Address,
    pub(crate) identity: Arc<Identity>,
    pub(crate) current: Arc<Current>,
    pub(crate) link: Arc<Link>,
    /// The current state can't be the base of a delta.
    pub(crate) wants_snapshot: bool,
    pub(crate) sessions: u64,
    /// Longest time without an answer since a state of this history was taken in.
    pub(crate) unheard: Duration,
    /// The controller had stopped waiting for this process, and no state has come since.
    pub(crate) given_up: bool,
}

/// What one session expects next.
pub(super) struct Receiving {
    pub(super) assembly: Assembly,
    pub(super) history_id: String,
    /// No operation may begin before the state is known to be the controller's current one.
    pub(super) suspended: bool,
    /// When it registered.
    pub(super) asked: clock::Instant,
    /// What this process routed by when it registered may still be routed by, as far as it is not known to be
    /// older than this.
    pub(super) continues: Option<Duration>,
}

impl Watcher {
    /// Watches until it is canceled.
    pub(crate) async fn run(mut self) {
        let mut attempt = 0;
        loop {
            let (began, sessions) = (Instant::now(), self.sessions);
            let Err(ended) = self.session().await;
            if began.elapsed() >= HEALTHY {
                attempt = 0;
            }
            self.wants_snapshot |= matches!(ended, Ended::Misfit(_));
            if let Ended::Status(status) = &ended
                && matches!(
                    status.code(),
                    Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated
                )
            {
                self.link.refused(ended.to_string());
            }
            if attempt == 0 {
                warn!(instance = self.identity.instance_id, "not watching: {ended}");
            }
            self.link.disconnected(ended.to_string());
            if self.sessions == sessions && !matches!(ended, Ended::Find(_)) {
                self.address.found_in_vain();
            }
            // These are problems that a healthy controller can fix at once; the second one in a row waits.
            let at_once =
                attempt == 0 && matches!(ended, Ended::Misfit(_) | Ended::Forgotten | Ended::LeftBehind);
            if !at_once {
                let again = ended.again();
                let how = match self.sessions > sessions {
                    true => Attempt::Lost { again },
                    false => Attempt::Failed { again },
                };
                let wait = pause(attempt, how, &mut rand::rng());
                sleep(wait).await;
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// One connection, from beginning to end.
    async fn session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let Found { channel, history, expected, name } = loop {
            let history = self.link.history();
            let found = self.address.leader(history.as_deref()).await?;
            // A file may have been loaded meanwhile: then the search was for another history.
            if found.name.is_none() || self.link.history() == history {
                break found;
            }
        };
        let held = self.link.held();
        let unheard = (!self.given_up).then(|| self.unheard.max(self.current.lease_age()));
        // A million overrides take a while.
        let tables = match held.clone() {
            Some(held) => {
                host::blocking(move || held_tables(&held, unheard)).await.map_err(|_| Ended::Panicked)?
            }
            None => Vec::new(),
        };
        // Before the request is sent: the controller counts from when it receives it.
        let asked = clock::Instant::now();
        let known = held.as_ref().filter(|_| !self.wants_snapshot);
        let request = v1::WatchRequest {
            instance_id: self.identity.instance_id.clone(),
            service: self.identity.service.clone(),
            sdk: concat!("rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            kind: self.identity.kind.into(),
            tenant_fingerprint: self.identity.tenant_fingerprint.clone(),
            last_revision: known.map_or(0, |held| held.snapshot.revision()),
            history_id: held.as_ref().map_or_else(String::new, |held| held.history_id.clone()),
            held_revision: held.as_ref().map_or(0, |held| held.snapshot.revision()),
            incarnation: self.identity.incarnation,
            admission: self.link.admission(),
            holds_snapshot: held.is_some(),
            drain_ms: self.identity.drain_ms,
            file_valid_ms: self.identity.file_valid_ms,
            held: tables,
            succeeds: self.identity.succeeds.clone(),
            writer_slot: held.as_ref().map(|_| self.link.writer_slot().into()),
            held_seal: held.as_ref().map_or_else(String::new, |held| held.seal.clone()),
            version_layout: Version::LAYOUT,
        };
        let mut client =
            RoutingServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES);
        let open = async {
            let mut stream = client.watch(request).await?.into_inner();
            let first = stream.message().await?;
            Ok::<_, Status>((stream, first))
        };
        let (mut stream, first) =
            timeout(SILENCE_MAX, open).await.map_err(|_| Ended::NoAnswer(SILENCE_MAX))??;
        let Some(v1::WatchResponse { kind: Some(Kind::Registered(registered)) }) = first else {
            return Err(first.map_or(Ended::Closed, |_| Ended::Protocol("`registered` must come first")));
        };
        match (history, name, expected) {
            (Some(history), ..) if history != registered.history_id => {
                return Err(Ended::Protocol("it has another history than the controller that was asked"));
            }
            // One that says no history when it is asked, such as an older one.
            (None, Some(one), Some(held)) if held != registered.history_id => {
                let history = registered.history_id;
                self.address.found_in_vain();
                return Err(FindError::OtherHistory { one, history, held }.into());
            }
            _ => {}
        }
        let mut receiving = self.registered(&registered, channel, asked)?;
        let limit = silence_limit(registered.heartbeat_ms);
        loop {
            let message = tokio::select! {
                message = next(&mut stream, limit) => message?,
                () = self.link.until_forgotten(self.sessions) => return Err(Ended::Forgotten),
            };
            self.current.heard();
            self.take(&mut receiving, message).await?;
        }
    }

    fn registered(
        &mut self,
        registered: &v1::Registered,
        channel: AuthorizedChannel,
        asked: clock::Instant,
    ) -> Result<Receiving, Ended> {
        if registered.writer_slot >= u32::from(Version::SLOTS) {
            return Err(Ended::Protocol("a writer slot is below 16383"));
        }
        self.sessions += 1;
        // The current state comes from a time when the controller did not wait for this instance. In this
        // order, an operation that still finds the old snapshot has the old admission, and no report of the
        // new membership is sent before.
        let held = self.link.take_no_file();
        let source = held.as_ref().map(|held| held.source);
        let readmitted = registered.readmitted && !Mutation::Readmitted.is_left_out();
        let suspended = readmitted || source == Some(Source::Persisted);
        if suspended {
            self.current.suspend();
            self.current.readmitted();
        }
        let session = Session {
            channel,
            report_ms: registered.report_ms,
            admission: registered.admission,
            history_id: registered.history_id.clone(),
            number: self.sessions,
        };
        self.link.connected(registered.writer_slot as u16, session);
        self.unheard = self.unheard.max(self.current.lease_age());
        self.given_up |= readmitted && held.is_some_and(|held| held.history_id == registered.history_id);
        self.current.answered(asked);
        self.current.heard();
        if registered.duplicate {
            warn!(
                instance = self.identity.instance_id,
                "another process is connected with this instance id; give each process an id of its own"
            );
        }
        info!(
            instance = self.identity.instance_id,
            writer_slot = registered.writer_slot,
            readmitted = registered.readmitted,
            "registered at the controller"
        );
        Ok(Receiving {
            assembly: Assembly::default(),
            history_id: registered.history_id.clone(),
            suspended,
            asked,
            continues: (source == Some(Source::Controller) && !self.given_up).then_some(self.unheard),
        })
    }
}

/// The next message, or why there is none.
async fn next(
    stream: &mut Streaming<v1::WatchResponse>,
    limit: Duration,
) -> Result<v1::WatchResponse, Ended> {
    timeout(limit, stream.message()).await.map_err(|_| Ended::Silent(limit))??.ok_or(Ended::Closed)
}

/// How long a stream may be silent: two heartbeats plus a second.
fn silence_limit(heartbeat_ms: u32) -> Duration {
    (2 * Duration::from_millis(heartbeat_ms.into()) + Duration::from_secs(1)).min(SILENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_dead_after_two_heartbeats_and_a_second_but_never_later_than_5_s() {
        assert_eq!(silence_limit(50), Duration::from_millis(1_100));
        assert_eq!(silence_limit(1_000), Duration::from_secs(3));
        assert_eq!(silence_limit(u32::MAX), Duration::from_secs(5));
    }
}
