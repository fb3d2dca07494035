//! Stores what was reported, next to the migrations that it is about.
//!
//! A separate trait: windows are not part of a migration's document, nobody waits for them, and no event
//! mentions them. But they are in the same store, because they are removed in the same transaction as their
//! migration.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{Counts, Key, Scale, WindowId};

/// The last report of an instance that is in the windows: repeated reports up to it are not counted again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardRecord {
    /// Its id.
    pub instance_id: String,
    /// Drawn by its process. 0: unknown.
    pub incarnation: u64,
    /// The highest sequence number that was counted. 0: none.
    pub sequence: u64,
    /// Its last reported number of dropped cells.
    pub dropped_cells: u64,
}

/// Counts since the last transaction.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// To be added to the stored windows with the same ids.
    pub windows: Vec<(WindowId, Counts)>,
    /// Instances whose reports are included.
    pub heard: Vec<HeardRecord>,
    /// Ids of instances that are gone.
    pub forgotten: Vec<String>,
    /// Unix time, or less if the clock is not trusted: windows that are too old by then are removed.
    pub now_s: u64,
}

/// Selects windows of one migration and scale.
#[derive(Clone, Debug)]
pub struct WindowQuery {
    /// The migration.
    pub key: Key,
    /// The scale.
    pub scale: Scale,
    /// Windows that begin here or later.
    pub from: u64,
    /// And before this.
    pub before: u64,
}

/// A store of windows. [`Scale`] limits what it keeps of one migration.
#[async_trait]
pub trait WindowStore: Send + Sync {
    /// Adds counts, all or none, durable when it returns. Counts of migrations that do not exist are left
    /// out.
    async fn count(&self, counted: &Counted) -> Result<(), Error>;

    /// Windows in order.
    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error>;
}

/// What a scale is called in stored data.
#[cfg(any(feature = "dynamodb", feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub(super) const fn name(scale: Scale) -> &'static str {
    match scale {
        Scale::Revision => "revision",
        Scale::Second => "second",
        Scale::Minute => "minute",
        Scale::HalfHour => "half-hour",
    }
}

/// Migrations that got windows of revisions, whose number is limited.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub(super) fn with_revisions(counted: &Counted) -> std::collections::BTreeSet<&str> {
    let of_revisions = counted.windows.iter().filter(|(id, _)| id.scale == Scale::Revision);
    of_revisions.map(|(id, _)| id.key.as_str()).collect()
}
