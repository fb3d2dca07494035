//! Where what was reported is kept, beside the migrations that it is about.
//!
//! A trait of its own: windows are no part of a migration's document, nobody waits for them, and no
//! event tells of them. Yet they are in the same store, for they go when their migration goes, in that
//! transaction.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{Counts, Key, Scale, WindowId};

/// The last report of an instance that windows have: what comes again up to it is no news.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardRecord {
    /// Its id.
    pub instance_id: String,
    /// Drawn by its process. 0: not said.
    pub incarnation: u64,
    /// The highest one that was counted. 0: none was.
    pub sequence: u64,
    /// What it said last of cells that it had to drop.
    pub dropped_cells: u64,
}

/// What was counted since the last time.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// To be added to what is kept under the same id.
    pub windows: Vec<(WindowId, Counts)>,
    /// Instances whose reports are among it.
    pub heard: Vec<HeardRecord>,
    /// Ids of instances that are gone.
    pub forgotten: Vec<String>,
    /// Unix time, or less where the clock is not to be believed: windows that are too old by then are
    /// dropped.
    pub now_s: u64,
}

/// Windows of one migration and scale.
#[derive(Clone, Debug)]
pub struct WindowQuery {
    /// The migration.
    pub key: Key,
    /// The scale.
    pub scale: Scale,
    /// That begin here or later.
    pub from: u64,
    /// And before this.
    pub before: u64,
}

/// A place that keeps windows. What it keeps of one migration is bounded by [`Scale`].
#[async_trait]
pub trait WindowStore: Send + Sync {
    /// Adds counts, all or none, durable when it returns. Those of migrations that there are not are
    /// left out.
    async fn count(&self, counted: &Counted) -> Result<(), Error>;

    /// Windows in order.
    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error>;
}
