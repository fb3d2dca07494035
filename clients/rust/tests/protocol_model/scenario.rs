//! Where a check starts, which steps the controller takes, and what may happen meanwhile.

use cutover_client::{
    routing::{
        Level::{self, Acknowledged},
        Rung::{self, SourceOnly},
    },
    store::Version,
};

use crate::{
    coverage::Branch,
    state::{Budget, DELETED, Held, Record, Stores},
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) level: Level,
    pub(crate) clients: usize,
    pub(crate) rung: Rung,
    pub(crate) stores: Stores,
    /// The controller takes them one by one, each at any time at which it may.
    pub(crate) steps: &'static [Rung],
    /// Without a backfill: a second barrier in mirrored and a sweep are enough for target-first.
    pub(crate) lazy: bool,
    /// Clients may go back from target-first to mirrored on their own, until they receive a newer revision; a
    /// step from target-first to itself turns that off.
    pub(crate) local_guard: bool,
    /// The right to act expires: a client that does not hear the controller loses it, and is then
    /// counted out.
    pub(crate) fenced: bool,
    /// Clients keep the snapshot in a file, and may start from it without the controller.
    pub(crate) saved: bool,
    /// This many clients ask for each decision instead of watching; their answers expire.
    pub(crate) callers: usize,
    /// This many clients after those are sidecars: another process makes the store calls of each operation.
    pub(crate) sidecars: usize,
    /// The controller may be restarted, at any time and as often as it gets.
    pub(crate) restarts: bool,
    /// The request for the steps came with an override of the full pass, up to this rung.
    pub(crate) overridden: Option<Rung>,
    /// There is another tenant, and somebody has to ask for the steps: see [`Neighbour`](crate::overrides::Neighbour).
    pub(crate) neighbour: bool,
    /// The controller's store is restored in between, and everybody is put on hold.
    pub(crate) restored: bool,
    /// Between target-first and target-only everybody is on hold, so the two are never live together. A proposal.
    pub(crate) around_by_hold: bool,
    /// Somebody has written the target, or deleted from the source, without an SDK: the source is right.
    pub(crate) foreign: bool,
    /// A stamp may be one that an earlier holder of the writer slot has stamped.
    pub(crate) repeats: bool,
    /// One order explains the answers to all writes, at level acknowledged too. Reads may be behind it there.
    pub(crate) ordered: bool,
    /// Stores remove records that expire.
    pub(crate) expires: bool,
    /// Passes may begin when they are no evidence for anything.
    pub(crate) early_passes: bool,
    pub(crate) budget: Budget,
    pub(crate) expected: &'static [Branch],
}

pub(crate) const NOTHING: Held = None;
/// From before the migration: no version.
pub(crate) const OLD: Held = Some(Record { version: Version(0), content: 1, expires: false });
/// Copied before the migration, from what an application without the SDK has changed or deleted since.
pub(crate) const STALE_COPY: Held = Some(Record { version: Version(0), content: 2, expires: false });
pub(crate) const PUT: Held = Some(Record { version: Version(2), content: 1, expires: false });
/// The same version as [`PUT`], written without an SDK.
pub(crate) const OTHER: Held = Some(Record { version: Version(2), content: 2, expires: false });
pub(crate) const OLDER: Held = Some(Record { version: Version(1), content: 2, expires: false });
pub(crate) const DEAD: Held = Some(Record { version: Version(2), content: DELETED, expires: false });

pub(crate) const NONE: Budget = Budget {
    reads: 0,
    queries: 0,
    puts: 0,
    expiring: 0,
    deletes: 0,
    mutates: 0,
    put_ifs: 0,
    keeps: 0,
    passes: 0,
    failures: 0,
    lost: 0,
    late: 0,
    crashes: 0,
};

impl Scenario {
    pub(crate) fn name(&self) -> String {
        let steps = self.steps.iter().map(|rung| format!(" > {rung}"));
        format!("{} {}{}", self.level, self.rung, steps.collect::<String>())
    }
}

/// Two clients, one record that was there before, level acknowledged.
pub(crate) const PLAIN: Scenario = Scenario {
    level: Acknowledged,
    clients: 2,
    rung: SourceOnly,
    stores: Stores { source: OLD, target: NOTHING },
    steps: &[],
    lazy: false,
    local_guard: false,
    fenced: false,
    saved: false,
    callers: 0,
    sidecars: 0,
    restarts: false,
    overridden: None,
    neighbour: false,
    restored: false,
    around_by_hold: false,
    foreign: false,
    repeats: false,
    ordered: false,
    expires: false,
    early_passes: false,
    budget: NONE,
    expected: &[],
};
pub(crate) const BOTH: Stores = Stores { source: PUT, target: PUT };
