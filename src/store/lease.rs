//! Several controllers may run over one store. One leads: it holds a lease, and only its commits are taken.
//!
//! The store has one row: an epoch, a beat and a holder. The leader raises the beat again and again. Whoever sees the
//! same beat for [`SILENT`], by its own clock, takes over and raises the epoch. A commit is taken only in the current
//! epoch. The leader stops by itself once its last beat is [`TRUSTED`] old. That is earlier, because it counts from
//! before it sent the beat, and the others from after they read it. No wall clock is involved (ADR 0082).

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use cutover_clock::Instant;
use cutover_core::routing::Mutation;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::Error;

/// What a store does once the term has ended takes no longer: it gives up, or has sent a commit and waits for its answer.
pub const CALL: Duration = Duration::from_secs(5);
/// Calls of a store that may follow each other then: a commit, a look for what became of it, and its publication.
const CALLS: u32 = 3;
/// How long a controller that lost its lease may take to end what it does.
pub const ENDING: Duration = CALL.saturating_mul(CALLS + 1);

/// Interval between beats.
const EVERY: Duration = Duration::from_millis(500);
/// How long the leader leads after a beat. Less than [`SILENT`] by more than clocks differ: 5 %.
pub const TRUSTED: Duration = Duration::from_millis(2_500);
/// How long the others wait for a beat.
pub const SILENT: Duration = Duration::from_millis(3_000);
/// Interval between looks of those who wait.
const LOOK: Duration = Duration::from_millis(250);
/// Longest wait for the store in one attempt.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The same for taking over.
const TAKE: Duration = Duration::from_secs(4);
/// Pause after an attempt that failed.
const RETRY: Duration = Duration::from_millis(100);

/// Why an attempt failed that was given up.
const SILENCE: &str = "it does not answer";

/// The row in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Grows with each change of leader.
    pub epoch: u64,
    /// Grows while the leader lives.
    pub beat: u64,
    /// Empty: nobody leads.
    pub holder: String,
    /// The id of the store's history.
    pub history: String,
}

/// One controller's time as the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The epoch.
    pub epoch: u64,
    /// This controller. No two have the same text, also if a store that was put back repeats an epoch.
    pub holder: String,
}

/// Reads and changes the row.
#[async_trait]
pub trait SeatStore: fmt::Debug + Send + Sync {
    /// The row.
    async fn read(&self) -> Result<Seat, Error>;

    /// Begins the next epoch, if the row is still as it was seen. False: it is not.
    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error>;

    /// Raises the beat. False: the term has ended.
    async fn beat(&self, term: &Term) -> Result<bool, Error>;

    /// Leaves the seat empty, if the term has not ended.
    async fn vacate(&self, term: &Term) -> Result<(), Error>;
}

/// What somebody who waits knows of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// Its name.
    Known(String),
    /// Nobody leads.
    Nobody,
    /// The store does not say, and why.
    Unknown(String),
}

#[derive(Debug)]
struct Held {
    term: Term,
    until: Instant,
}

/// A controller's claim to lead.
#[derive(Debug)]
pub struct Lease {
    seat: Box<dyn SeatStore>,
    held: ArcSwapOption<Held>,
    deposed: Notify,
    ended: Notify,
    /// Of the store, as somebody who waits has just read it.
    history: ArcSwapOption<String>,
}

impl Lease {
    /// Does not lead yet.
    pub fn new(seat: impl SeatStore + 'static) -> Self {
        Self {
            seat: Box::new(seat),
            held: ArcSwapOption::empty(),
            deposed: Notify::new(),
            ended: Notify::new(),
            history: ArcSwapOption::empty(),
        }
    }

    /// The term, if this controller leads as far as it knows. The store decides.
    pub fn term(&self) -> Option<Term> {
        self.held.load().as_ref().map(|held| held.term.clone())
    }

    /// Whether nobody else can lead yet. Call this after a request was received and before it is answered.
    pub fn is_held(&self) -> bool {
        self.held.load().as_ref().is_some_and(|held| !held.until.remaining().is_zero())
    }

    /// Waits until a term has ended.
    pub async fn ended(&self, term: &Term) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.held.load().as_ref().is_none_or(|held| held.term != *term) {
                return;
            }
            ended.await;
        }
    }

    /// Ends the term, and returns what was held.
    fn end(&self) -> Option<Arc<Held>> {
        let held = self.held.swap(None);
        self.ended.notify_waiters();
        held
    }

    /// The id of the store's history, while this controller waits. `None`: the store does not say now.
    pub fn history(&self) -> Option<Arc<String>> {
        self.history.load_full()
    }

    /// Acts in a term that another handle of the same process has taken: for tests of the store.
    pub fn join(&self, term: Term) {
        self.held.store(Some(Arc::new(Held { term, until: Instant::now() + TRUSTED })));
    }

    /// Waits until this controller leads. `me` is for people. `saw` gets each news of the leader.
    pub async fn lead(&self, me: &str, mut saw: impl FnMut(&Leader)) {
        let mut seen: Option<(Seat, Instant)> = None;
        let mut last = None;
        loop {
            let read = timeout(ATTEMPT, self.seat.read()).await;
            let history = read.iter().flatten().map(|seat| Arc::new(seat.history.clone())).next();
            self.history.store(history);
            let leader = match read {
                Ok(Ok(seat)) => {
                    // After the answer: the beat was there before.
                    let since = match seen.take() {
                        Some((before, since)) if before == seat => since,
                        _ => Instant::now(),
                    };
                    let is_silent = since.elapsed() >= SILENT || Mutation::TakeoverAfterSilence.is_left_out();
                    if (seat.holder.is_empty() || is_silent) && self.take(&seat, me).await {
                        return;
                    }
                    let leader = Leader::of(&seat);
                    seen = Some((seat, since));
                    leader
                }
                Ok(Err(error)) => Leader::Unknown(error.to_string()),
                Err(_) => Leader::Unknown(SILENCE.to_owned()),
            };
            if last.as_ref() != Some(&leader) {
                saw(&leader);
                last = Some(leader);
            }
            sleep(LOOK).await;
        }
    }

    /// Leads if nobody else does: waits as long as a leader may be silent. The error names the leader.
    pub async fn lead_or_refuse(&self, me: &str) -> Result<(), Leader> {
        let mut leader = Leader::Unknown(SILENCE.to_owned());
        timeout(SILENT + 4 * LOOK, self.lead(me, |seen| leader = seen.clone())).await.map_err(|_| leader)
    }

    async fn take(&self, seat: &Seat, me: &str) -> bool {
        let holder = format!("{me}{UNIQUE}{:016x}", rand::random::<u64>());
        // It waits for commits of the last leader. If the answer is lost, nobody beats, and somebody takes over again.
        if !matches!(timeout(TAKE, self.seat.take(seat, &holder)).await, Ok(Ok(true))) {
            return false;
        }
        let term = Term { epoch: seat.epoch + 1, holder };
        // That may have taken long, so trust begins with a beat.
        let sent = Instant::now();
        let is_there = matches!(timeout(ATTEMPT, self.seat.beat(&term)).await, Ok(Ok(true)));
        if is_there {
            self.held.store(Some(Arc::new(Held { term, until: trusted_until(sent) })));
        }
        is_there
    }

    /// Beats until the term has ended, and returns why.
    pub async fn keep(&self) -> String {
        const TAKEN: &str = "another controller leads now";
        // So that a failure that lasts is logged once.
        let mut logged = String::new();
        loop {
            let Some(held) = self.held.load_full() else { return TAKEN.to_owned() };
            let left = held.until.remaining();
            if left.is_zero() {
                self.end();
                return format!("could not renew the lease for {:.1} s", TRUSTED.as_secs_f32());
            }
            let sent = Instant::now();
            let beat = timeout(ATTEMPT.min(left), self.seat.beat(&held.term)).await;
            let beat = beat.unwrap_or_else(|_| Err(Error::Unavailable(SILENCE.to_owned())));
            let pause = match beat {
                Ok(true) => {
                    let renewed = Arc::new(Held { term: held.term.clone(), until: trusted_until(sent) });
                    let held = Some(held);
                    let before = self.held.compare_and_swap(&held, Some(renewed));
                    // A term that was ended while the beat was under way stays ended.
                    if before.as_ref().map(Arc::as_ptr) != held.as_ref().map(Arc::as_ptr) {
                        return TAKEN.to_owned();
                    }
                    logged.clear();
                    EVERY
                }
                Ok(false) => {
                    self.end();
                    return TAKEN.to_owned();
                }
                Err(error) => {
                    let why = error.to_string();
                    if why != logged {
                        tracing::warn!(%error, "could not renew the lease; retrying");
                        logged = why;
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.deposed.notified() => {}
            }
        }
    }

    /// A commit of this term was refused: another controller leads.
    pub fn depose(&self, term: &Term) {
        if self.term().as_ref() == Some(term) {
            self.end();
            self.deposed.notify_one();
        }
    }

    /// Lets another controller take over at once. Call this when nothing acts in this term any more.
    pub async fn vacate(&self) {
        let Some(held) = self.end() else { return };
        match timeout(ATTEMPT, self.seat.vacate(&held.term)).await {
            Ok(Ok(())) => {}
            // The others find out by the beat.
            Ok(Err(error)) => tracing::warn!(%error, "could not give the lease back"),
            Err(_) => tracing::warn!("could not give the lease back: the store does not answer"),
        }
    }
}

impl Leader {
    fn of(seat: &Seat) -> Self {
        match &*seat.holder {
            "" => Self::Nobody,
            holder => Self::Known(for_people(holder).to_owned()),
        }
    }
}

/// Who leads, and whether the lease is renewed. Looks for as long as others would wait for that.
#[cfg(any(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
pub(super) async fn look(seat: &dyn SeatStore) -> Result<(Leader, bool), Error> {
    let (first, began) = (seat.read().await?, Instant::now());
    loop {
        sleep(LOOK).await;
        let now = seat.read().await?;
        let is_renewed = (now.epoch, now.beat) != (first.epoch, first.beat);
        if is_renewed || now.holder.is_empty() || began.elapsed() >= SILENT {
            return Ok((Leader::of(&now), is_renewed));
        }
    }
}

/// How long a lease lasts by a beat that was sent then and has been answered now.
fn trusted_until(sent: Instant) -> Instant {
    let from = if Mutation::LeaseFromRequest.is_left_out() { Instant::now() } else { sent };
    from + TRUSTED
}

/// Between a holder's name and what makes it unique.
const UNIQUE: &str = " #";

fn for_people(holder: &str) -> &str {
    holder.rsplit_once(UNIQUE).map_or(holder, |(name, _)| name)
}
