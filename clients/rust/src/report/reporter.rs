//! Delivers counts and acknowledgements to the controller.
//!
//! A report that failed is sent again unchanged, with its sequence number, before anything newer. The
//! controller counts it once, whether or not the first attempt arrived.

use std::{sync::Arc, time::Duration};

use cutover_core::routing::Mutation;
use cutover_proto::v1::{self, telemetry_service_client::TelemetryServiceClient};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tonic::{Code, Status};
use tracing::{error, warn};

use super::{
    Recorder,
    goodbye::{AGAIN, ANSWER, goodbye, longer},
};
use crate::{
    Address, clock,
    watch::{Current, Identity, Link, Session},
    words::explain,
};

/// A change waits this long for others, to be reported together.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// The time to the next report after a flush hint.
const FLUSH: Duration = Duration::from_millis(100);

/// Minimum interval between two reports because of errors.
const URGENT: Duration = Duration::from_millis(100);

/// A request to close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    pub(crate) deadline: Instant,
}

/// The task that reports.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) address: Address,
    pub(crate) identity: Arc<Identity>,
    pub(crate) current: Arc<Current>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) link: Arc<Link>,
    /// Replaces the controller's `report_ms`.
    pub(crate) interval: Option<Duration>,
    pub(crate) closing: watch::Receiver<Option<Closing>>,
    pub(crate) unanswered: Unanswered,
}

/// The one report that is not known to have arrived, and the acknowledgements of the last one that is.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    pending: Option<v1::ReportRequest>,
    sequence: u64,
    /// The session of the last accepted report, and its received and quiesced revision. What one leader has accepted, the
    /// next one does not know.
    acknowledged: (u64, (u64, u64)),
    /// The session that the controller no longer knows.
    forgotten: u64,
}

/// How a report went.
enum Sent {
    Accepted {
        flush: bool,
    },
    /// Its counts are taken, and the process has to register again.
    Counted,
    Failed,
}

impl Reporter {
    /// Reports until told to close. Returns true if everything was delivered, the goodbye included.
    pub(crate) async fn run(mut self) -> bool {
        let mut sessions = self.link.sessions();
        let mut received = self.current.subscribe();
        let mut closing = self.closing.clone();
        let mut due = Instant::now();
        // Errors do not trigger an early report while none gets through, or right after one was sent.
        let (mut is_heard, mut last) = (true, due);
        loop {
            tokio::select! {
                changed = closing.changed() => {
                    let closing = closing.borrow().filter(|_| changed.is_ok());
                    return match closing {
                        Some(closing) => self.close(closing).await,
                        None => false,
                    };
                }
                () = sleep_until(due) => {}
                // The senders live as long as `current` and `link`, so as long as this.
                _ = received.changed() => due = self.soon(due),
                _ = sessions.changed() => due = self.soon(due),
                () = self.current.operations_ended() => due = self.soon(due),
                () = self.recorder.urgent(), if is_heard => due = self.hastened(due, last),
            }
            if Instant::now() < due {
                continue;
            }
            let session = sessions.borrow_and_update().clone();
            last = Instant::now();
            let sent = self.send(session.as_ref()).await;
            is_heard = matches!(sent, Sent::Accepted { .. });
            let wait = match sent {
                // Changes during the last report are reported at once.
                Sent::Accepted { .. } if self.has_news() => Duration::ZERO,
                Sent::Accepted { flush: true } => FLUSH,
                Sent::Accepted { flush: false } | Sent::Counted | Sent::Failed => {
                    self.interval(session.as_ref())
                }
            };
            due = Instant::now() + wait;
            if is_heard {
                due = self.hastened(due, last);
            }
        }
    }

    /// When to report next, now that calls to the target may have failed.
    fn hastened(&self, due: Instant, last: Instant) -> Instant {
        if self.recorder.is_urgent() { due.min(last + URGENT) } else { due }
    }

    /// When to report next, now that something may have changed.
    fn soon(&self, due: Instant) -> Instant {
        if self.has_news() || self.unanswered.pending.is_some() {
            due.min(Instant::now() + DEBOUNCE)
        } else {
            due
        }
    }

    /// Whether the controller does not know yet what may be acknowledged.
    fn has_news(&self) -> bool {
        let session = match Mutation::AcknowledgedAnew.is_left_out() {
            true => self.unanswered.acknowledged.0,
            false => self.link.session_number(),
        };
        self.unanswered.acknowledged != (session, self.link.acknowledgement(&self.current))
    }

    fn interval(&self, session: Option<&Session>) -> Duration {
        let told = session.map(|session| session.report_ms).filter(|ms| *ms > 0);
        self.interval.unwrap_or(Duration::from_millis(told.unwrap_or(1_000).into()))
    }

    async fn send(&mut self, session: Option<&Session>) -> Sent {
        let Some(session) = session.filter(|session| session.number != self.unanswered.forgotten) else {
            return Sent::Failed;
        };
        // Until the state of the controller's history has come there is nothing to say about its revisions.
        if self.link.held().is_some_and(|held| held.history_id != session.history_id) {
            return Sent::Failed;
        }
        let mut request = match self.unanswered.pending.take() {
            // Its history has ended, for example because the controller's store was restored. It would be
            // refused for ever, and every report behind it would wait.
            Some(old) if !old.history_id.is_empty() && old.history_id != self.history_id() => {
                self.recorder.drop_cells(old.cells.len() as u64);
                self.compose()
            }
            Some(request) => request,
            None => self.compose(),
        };
        let mut client = TelemetryServiceClient::new(session.channel.clone());
        // A leftover report is sent for the current membership; it does not exceed that membership's
        // revisions.
        request.admission = session.admission;
        let sent = clock::Instant::now();
        let answer = timeout(ANSWER, client.report(request.clone())).await;
        let status = match answer {
            Ok(Ok(response)) if response.get_ref().sequence > request.sequence => {
                // An earlier process with this id had reached that number, so this report was taken for a
                // repetition.
                request.sequence = response.get_ref().sequence + 1;
                self.unanswered.sequence = request.sequence;
                self.unanswered.pending = Some(request);
                return Sent::Failed;
            }
            Ok(Ok(response)) if response.get_ref().forgotten => {
                self.forgotten(session);
                return Sent::Counted;
            }
            Ok(Ok(response)) => {
                self.current.answered(sent);
                let acknowledged = (request.received_revision, request.applied_revision);
                self.unanswered.acknowledged = (session.number, acknowledged);
                return Sent::Accepted { flush: response.get_ref().flush };
            }
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer to a report"),
        };
        self.failed(request, session, &status);
        Sent::Failed
    }

    fn failed(&mut self, request: v1::ReportRequest, session: &Session, status: &Status) {
        self.link.failed(format!("report {}: {}", request.sequence, explain(status)));
        match status.code() {
            Code::NotFound => self.forgotten(session),
            // It would be rejected for ever, and everything newer would wait behind it.
            Code::InvalidArgument | Code::OutOfRange => {
                let (sequence, cells) = (request.sequence, request.cells.len());
                error!(sequence, cells, "a report was refused, its counts are lost: {}", explain(status));
                self.recorder.drop_cells(cells as u64);
                return;
            }
            _ => {}
        }
        self.unanswered.pending = Some(request);
    }

    fn forgotten(&mut self, session: &Session) {
        self.unanswered.forgotten = session.number;
        self.link.forgotten(session.number);
    }

    fn compose(&mut self) -> v1::ReportRequest {
        // First: newer revisions than this belong to a history about which nothing is reported yet.
        let history_id = self.history_id();
        let (received_revision, applied_revision) = self.link.acknowledgement(&self.current);
        let mut drained = self.recorder.drain();
        // Calls that hang before any has ended: the current revision is the best one known.
        let snapshot = drained.cells.iter().any(|cell| cell.revision == 0).then(|| self.current.snapshot());
        if let Some(snapshot) = snapshot.flatten() {
            for cell in drained.cells.iter_mut().filter(|cell| cell.revision == 0) {
                cell.revision = snapshot.table(&cell.migration).map_or(0, |table| table.revision());
            }
        }
        self.unanswered.sequence += 1;
        v1::ReportRequest {
            instance_id: self.identity.instance_id.clone(),
            sequence: self.unanswered.sequence,
            applied_revision,
            received_revision,
            cells: drained.cells,
            dropped_cells: drained.dropped_cells,
            incarnation: self.identity.incarnation,
            history_id,
            // Set when it is sent.
            admission: 0,
        }
    }

    /// Of what is held. Empty: nothing is.
    fn history_id(&self) -> String {
        self.link.held().map_or_else(String::new, |held| held.history_id.clone())
    }

    /// Waits for the operations, delivers the remaining counts, and says goodbye if all operations have
    /// ended.
    async fn close(&mut self, closing: Closing) -> bool {
        let mut session = self.link.sessions().borrow().clone();
        while !self.current.is_idle() {
            let again = Instant::now() + self.interval(session.as_ref());
            tokio::select! {
                () = sleep_until(closing.deadline) => break,
                () = self.current.operations_ended() => {}
                // The lease must not expire meanwhile.
                () = sleep_until(again) => {
                    if !matches!(self.send(session.as_ref()).await, Sent::Accepted { .. }) {
                        self.follow(&mut session);
                    }
                }
            }
        }
        let idle = self.current.is_idle();
        if !idle {
            warn!("closing while operations run: the controller is not told goodbye and waits for them");
        }
        let delivered = timeout_at(closing.deadline.max(Instant::now() + DEBOUNCE), async {
            let is_delivered = self.deliver(&mut session).await;
            let channel = session.map(|session| session.channel).filter(|_| idle);
            let Some(channel) = channel else { return false };
            let file_valid_ms = self.identity.file_valid_ms;
            goodbye(&self.address, &self.identity, file_valid_ms, channel).await && is_delivered
        });
        delivered.await.unwrap_or(false)
    }

    /// Sends until nothing is left; the pending report comes first. False: the controller does not know this process any
    /// more, and takes none of its counts.
    async fn deliver(&mut self, session: &mut Option<Session>) -> bool {
        let mut pause = AGAIN;
        // If it has been given up by now, only its counts matter.
        self.unanswered.forgotten = 0;
        loop {
            let had_pending = self.unanswered.pending.is_some();
            let sent = self.send(session.as_ref()).await;
            let pending = self.unanswered.pending.is_some();
            match sent {
                Sent::Accepted { .. } | Sent::Counted if !had_pending && !pending => return true,
                Sent::Accepted { .. } => {}
                Sent::Counted => self.unanswered.forgotten = 0,
                Sent::Failed if session.as_ref().is_none_or(|s| s.number == self.unanswered.forgotten) => {
                    if session.is_some() {
                        warn!("the controller has forgotten this process: its last counts may be lost");
                    }
                    return false;
                }
                Sent::Failed => {
                    self.follow(session);
                    sleep(pause).await;
                    pause = longer(pause);
                }
            }
        }
    }

    /// Goes on at whichever controller leads. No session begins any more, and the store knows this instance's registration.
    fn follow(&self, session: &mut Option<Session>) {
        if let Some(session) = session {
            session.channel = self.address.connect_lazy();
        }
    }
}
