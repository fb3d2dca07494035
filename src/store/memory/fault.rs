//! Faults of a store in memory.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::store::Error;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Read everything.
    Snapshot,
    /// Read events.
    Changes,
    /// Commit a change.
    Commit,
    /// Read past events.
    History,
    /// Drop past events.
    Compact,
    /// Write upkeep.
    Keep,
    /// Add counts.
    Count,
    /// Read windows.
    Windows,
    /// Ping.
    Ping,
    /// Read tokens.
    Tokens,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was done: [`Error::Unavailable`].
    Before,
    /// It was done and the answer was lost. For a write [`Error::Unknown`], for a read
    /// [`Error::Unavailable`].
    After,
    /// It was done, and the answer never arrives.
    Silent,
    /// It was not done, and the caller can't tell: as [`Fault::After`].
    Lost,
    /// It is not done, and no answer ever arrives.
    Hung,
    /// It takes this long.
    Slow(Duration),
}

type Choose = Box<dyn Fn(Call) -> Option<Fault> + Send + Sync>;

/// Queued faults.
#[derive(Default)]
pub(super) struct Faults {
    queued: Mutex<HashMap<Call, VecDeque<Fault>>>,
    choose: Mutex<Option<Choose>>,
}

impl Faults {
    pub(super) fn push(&self, call: Call, fault: Fault) {
        locked(&self.queued).entry(call).or_default().push_back(fault);
    }

    pub(super) fn choose_by(&self, choose: Choose) {
        *locked(&self.choose) = Some(choose);
    }

    /// Executes a call, or fails it.
    pub(super) async fn around<T>(
        &self,
        call: Call,
        make: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let queued = locked(&self.queued).get_mut(&call).and_then(VecDeque::pop_front);
        let fault = queued.or_else(|| locked(&self.choose).as_ref().and_then(|choose| choose(call)));
        let is_write = matches!(call, Call::Commit | Call::Compact | Call::Keep | Call::Count);
        let unknown = |why: &str| match is_write {
            true => Error::Unknown(why.to_owned()),
            false => Error::Unavailable(why.to_owned()),
        };
        match fault {
            Some(Fault::Before) => {
                return Err(Error::Unavailable("a fault before it was done".to_owned()));
            }
            Some(Fault::Lost) => return Err(unknown("the request was lost")),
            Some(Fault::Hung) => return std::future::pending().await,
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        // A refused call was not executed, whatever happens to the answer.
        let made = make()?;
        match fault {
            None | Some(Fault::Before | Fault::Lost | Fault::Hung | Fault::Slow(_)) => Ok(made),
            Some(Fault::Silent) => {
                drop(made);
                std::future::pending().await
            }
            Some(Fault::After) => Err(unknown("a fault after it was done")),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("queued", &*locked(&self.queued)).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
