//! A store in one DynamoDB table, over which several controllers run. One leads (`store::lease`).
//!
//! Each transaction that writes raises the number of a [lane](lane) in the leader's own epoch, so one of a leader from
//! before is refused, and one whose answer was lost is before all that follow. A migration is a checkpoint and the events
//! after it, so a change of any size is one event. ADR 0091 says why.

mod commit;
mod compaction;
mod events;
mod item;
mod lane;
mod records;
mod request;
mod seat;
mod state;
mod table;
mod together;
mod tokens;
mod value;
mod windows;
mod writes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};

use self::{
    item::{Item, Key, key},
    lane::{Held, Lane},
    request::Table,
    value::Parts,
    writes::Writes,
};
use super::{
    CALL, ChainPage, Commit, Compacted, Dropped, Error, Expired, HistoryQuery, Lease, Store, StoredState,
    Upkeep, entry::new_id,
};
use crate::domain::Event;

pub(super) use self::table::{inspect, open};

/// Longest time for a write up to its last request, after its texts are uploaded. Most of it is waiting for others.
const WRITE: Duration = Duration::from_secs(15);
/// Slowest rate at which a write of many items is written down.
const BYTES_PER_MS: u64 = 500;
/// Longest time for a read.
const READ: Duration = Duration::from_secs(10);
/// The same for the change feed.
const FEED: Duration = Duration::from_secs(120);
/// What takes as long as the store is large: each request has a limit, and the term may end.
const PATIENT: Duration = Duration::MAX;
/// How often something is read before it counts as damaged. Items of one transaction become visible one after the other,
/// and parts may be deleted while somebody who does not lead reads them.
const READINGS: usize = 4;
/// Pause between them.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a write is made anew because another one came first.
const ATTEMPTS: usize = 32;

/// A store in a DynamoDB table.
#[derive(Debug)]
pub(super) struct DynamoDb {
    table: Arc<Table>,
    lease: Arc<Lease>,
    commits: Lane,
    records: Lane,
    windows: Lane,
    /// The newest revision that was in it, as this process knows.
    known: AtomicU64,
}

/// Why a write was not made, or may not have been.
#[derive(Debug)]
enum Unwritten {
    Conflict,
    /// Another controller leads.
    Deposed,
    /// Another write came first: nothing was written, and what this one was made from has changed.
    Moved,
    /// Nothing was written.
    Failed(Error),
    /// Nothing was written in time.
    Silent,
    /// The last request was sent, and its answer was lost.
    Unknown(String),
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl std::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflict | Self::Moved => f.write_str("another write came first"),
            Self::Deposed => f.write_str("another controller leads now"),
            Self::Failed(error) => error.fmt(f),
            Self::Silent => f.write_str("DynamoDB does not answer"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

/// The newest revision and the hash of its event. Belongs to the lane of commits.
fn counter_key() -> Key {
    key("state", "counter")
}

/// The history's id, and whether it was restored. Belongs to the lane of records.
fn identity_key() -> Key {
    key("state", "identity")
}

#[async_trait]
impl Store for DynamoDb {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        self.read(PATIENT, self.load()).await
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        self.read(FEED, self.sure(|| self.events_after(since, limit))).await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        self.write_commit(commit).await.map_err(|why| self.unwritten(why))?;
        self.known.fetch_max(commit.event.revision, SeqCst);
        Ok(())
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        self.read(READ, self.sure(|| self.past_events(query))).await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        self.read(READ, self.sure(|| self.chain_page(after, limit))).await
    }

    async fn compact(&self, expired: &Expired) -> Result<Compacted, Error> {
        self.drop_expired(expired).await.map_err(|why| self.unwritten(why))
    }

    async fn dropped(&self) -> Result<Dropped, Error> {
        self.read(READ, async { Ok(self.what_was_dropped().await?.0) }).await
    }

    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error> {
        self.write_records(upkeep).await.map_err(|why| self.unwritten(why))
    }

    async fn ping(&self) -> Result<(), Error> {
        // Also while another controller leads.
        let counter = counter_key();
        let answer = timeout(CALL, self.table.always(&counter)).await;
        answer.map_err(|_| self.unwritten(Unwritten::Silent))?.map(drop)
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        Some(self.lease.clone())
    }
}

impl DynamoDb {
    /// Reads. If this controller leads, that is refused unless the table knows its term.
    async fn read<T>(
        &self,
        limit: Duration,
        read: impl Future<Output = Result<T, Unwritten>> + Send,
    ) -> Result<T, Error> {
        self.within(limit, read).await.map_err(|why| self.unwritten(why))
    }

    /// Does something until a deadline, or until the term ends.
    async fn within<T>(
        &self,
        limit: Duration,
        part: impl Future<Output = Result<T, Unwritten>> + Send,
    ) -> Result<T, Unwritten> {
        // What a request is made of is deeply nested.
        let part: BoxFuture<'_, _> = Box::pin(part);
        let term = self.lease.term();
        let limit = if term.is_some() { limit } else { limit.min(CALL) };
        let ends = async {
            match &term {
                Some(term) => self.lease.ended(term).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = timeout(limit, part) => done.unwrap_or(Err(Unwritten::Silent)),
            () = ends => Err(Unwritten::Deposed),
        }
    }

    /// Makes a write from what it reads while it holds a lane, again if another one came first.
    async fn writing<'a, F>(&'a self, limit: Duration, prepare: impl Fn() -> F) -> Result<(), Unwritten>
    where
        F: Future<Output = Result<(Held<'a>, Writes), Unwritten>> + Send,
    {
        for attempt in 0..ATTEMPTS {
            // A transaction that came first may not be visible everywhere yet.
            sleep(request::PAUSE * u32::try_from(attempt).unwrap_or(0).min(10)).await;
            let written = match self.within(limit, prepare()).await {
                Ok((held, writes)) => held.write(writes).await,
                Err(why) => Err(why),
            };
            match written {
                Err(Unwritten::Moved) => {}
                done => return done,
            }
        }
        Err(Unwritten::Moved)
    }

    /// Reads again what looks damaged.
    async fn sure<T, F>(&self, read: impl Fn() -> F) -> Result<T, Unwritten>
    where
        F: Future<Output = Result<T, Unwritten>> + Send,
    {
        for _ in 1..READINGS {
            match read().await {
                Err(Unwritten::Failed(Error::Corrupt(_))) => sleep(AGAIN).await,
                done => return done,
            }
        }
        read().await
    }

    /// How long a write of so many bytes may take.
    fn bounds_of(&self, bytes: usize) -> Duration {
        WRITE + Duration::from_millis(bytes as u64 / BYTES_PER_MS)
    }

    /// The counter now, in the term if this controller leads.
    async fn counter(&self) -> Result<Item, Unwritten> {
        let known = self.known.load(SeqCst);
        let Some(term) = self.lease.term() else { return Ok(self.table.always(&counter_key()).await?) };
        let key = counter_key();
        if self.settle(&self.commits).await? {
            self.table.together(std::slice::from_ref(&key)).await?;
        }
        let mut newest = 0;
        // The lane may show a commit before the counter does.
        for _ in 0..READINGS {
            let counter = async { Ok(self.table.always(&key).await?) };
            let (counter, _) = tokio::try_join!(counter, self.lane_in_term(self.commits.name, &term))?;
            newest = counter.number("revision")?;
            if newest >= known {
                self.known.fetch_max(newest, SeqCst);
                return Ok(counter);
            }
            sleep(AGAIN).await;
        }
        // The table lacks commits that this process has seen in it. The next term holds everybody.
        let why = format!(
            "this controller has seen revision {known}, and the store is at {newest}: was it restored?"
        );
        tracing::error!(known, newest, "the table has lost commits");
        Box::pin(self.write_records(&Upkeep { begin_history: Some(why.clone()), ..Upkeep::default() }))
            .await?;
        self.known.store(newest, SeqCst);
        self.lease.depose(&term);
        Err(Error::Unavailable(why).into())
    }

    /// Deletes parts that nothing refers to, while nobody waits. Those that remain are deleted by the compaction.
    fn delete_unused(&self, unused: Vec<Parts>) {
        let table = self.table.clone();
        tokio::spawn(async move {
            for parts in unused {
                if let Err(error) = table.delete_parts(&parts).await {
                    tracing::debug!(%error, "parts of an old text are deleted later");
                }
            }
        });
    }

    fn unwritten(&self, why: Unwritten) -> Error {
        let place = &self.table.place;
        match why {
            Unwritten::Conflict => Error::Conflict,
            Unwritten::Deposed => Error::Unavailable("another controller leads now: ask that one".to_owned()),
            Unwritten::Failed(error) => error,
            Unwritten::Moved => Error::Unavailable(format!("{place}: other writes always come first")),
            Unwritten::Silent => Error::Unavailable(format!("{place} does not answer")),
            Unwritten::Unknown(why) => Error::Unknown(format!("{place}: {why}")),
        }
    }
}
