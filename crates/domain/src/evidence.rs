//! The results of passes over the stores, as gates use them.

use cutover_core::text::span;
use serde::{Deserialize, Serialize};

use super::{Attribution, Finding, NewTables, Tenant, percent, sampling::differ_at_most};

/// The kind of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassKind {
    /// Scans the source, tombstones included, and writes to the target if newer.
    Full,
    /// Scans and compares both stores; may repair differences.
    Verify,
    /// Scans the target, and writes what the source has newer.
    Sweep,
    /// Compares some records.
    Sample,
    /// Scans the target, and writes to the source if newer.
    Reverse,
}

/// Whom a pass covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Buckets below this.
    pub upto_ppm: u32,
    /// Also these tenants.
    pub tenants: Vec<Tenant>,
}

/// A pass that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Unique in the controller.
    pub id: String,
    /// Its kind.
    pub kind: PassKind,
    /// Whom it covers.
    pub cover: Cover,
    /// The controller's revision when it began.
    pub began_revision: u64,
    /// Everybody had quiesced for this revision when the pass began.
    pub settled: u64,
    /// Identifies stores, mapping and options; empty: unknown.
    pub fingerprint: String,
    /// Number of segments for workers. 0: none; its caller scans by itself.
    pub segments: u32,
    /// Nothing is read before this time of the controller's steady clock, because writes that timed out may
    /// still land until then.
    ///
    /// [`u64::MAX`]: a sweep whose second barrier has not settled.
    pub begins_at_ms: u64,
    /// How long such writes can still land, in milliseconds.
    pub residual_ms: u64,
    /// It makes the target what the source has.
    #[serde(default)]
    pub source_wins: bool,
    /// Unix time when it began, for people. 0: an earlier version did not record it.
    #[serde(default)]
    pub began_at_ms: u64,
    /// A reverse pass was under way at some time while this one was. True if an earlier version began it, which did not
    /// record it.
    #[serde(default = "unknown_beside_reverse")]
    pub beside_reverse: bool,
    /// About how many records it reads, for people. 0: unknown.
    #[serde(default)]
    pub expected: u64,
    /// It began with an operator's assertion that these tables are other ones than in earlier passes.
    #[serde(default)]
    pub new_tables: NewTables,
}

const fn unknown_beside_reverse() -> bool {
    true
}

/// Counts of a pass, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassCounts {
    /// Read by the scan.
    pub scanned: u64,
    /// Written to the other store, which had an older version or none.
    pub copied: u64,
    /// The other store had the same version.
    pub present: u64,
    /// The other store had a newer version.
    pub stale: u64,
    /// Could not be stored in the other store.
    pub quarantined: u64,
    /// Could not be read or written.
    pub failed: u64,
    /// Bytes of keys and values, scanned.
    pub bytes: u64,
    /// Differences that persisted when re-read.
    pub found: Differences,
    /// Those of `found` that were not repaired.
    pub remaining: Differences,
    /// Compared, each record once, whichever store has it.
    pub compared: u64,
    /// Records of the target that a full pass looked at, to find those that only the target has. Not in `scanned`.
    #[serde(default)]
    pub checked: u64,
    /// Records that the target has newer, or alone, because their tenants have been at target-only. No differences.
    pub target_only: u64,
}

/// Differences between the stores, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Differences {
    /// Only the source has it.
    pub missing: u64,
    /// The target has an older version.
    pub stale: u64,
    /// The target has a newer version.
    pub ahead: u64,
    /// Only the target has it.
    pub extra: u64,
    /// Same version, different content: somebody wrote without the SDK.
    pub different: u64,
    /// Records of [`Self::extra`] without a version: it is unknown who deleted them in the source.
    pub unversioned: u64,
}

/// A pass that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The pass.
    pub job: Job,
    /// Its counts.
    pub counts: PassCounts,
    /// It ran to its end, and nothing was quarantined, failed or left different.
    pub clean: bool,
    /// Unix time.
    pub finished_at_ms: u64,
    /// Some differences, values redacted: of passes under an earlier version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
    /// Why records differ or could not be moved.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Who ended it early. `None`: it ran to its end, or an earlier version did not record it.
    #[serde(default)]
    pub canceled_by: Option<Attribution>,
}

/// Tenants that a step moves together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The tenants of these buckets that have no row of their own.
    Buckets {
        /// First bucket.
        from: u32,
        /// First bucket after the range.
        upto: u32,
    },
    /// One tenant.
    Tenant {
        /// The tenant.
        tenant: Tenant,
        /// Its bucket.
        bucket: u32,
    },
}

impl Cover {
    /// Whether all of these tenants are covered.
    pub fn covers(&self, whom: &Whom) -> bool {
        match whom {
            Whom::Buckets { upto, .. } => *upto <= self.upto_ppm,
            Whom::Tenant { tenant, bucket } => *bucket < self.upto_ppm || self.tenants.contains(tenant),
        }
    }

    /// Whether any of these tenants is covered.
    pub fn touches(&self, whom: &Whom) -> bool {
        match whom {
            Whom::Buckets { from, .. } => *from < self.upto_ppm,
            Whom::Tenant { .. } => self.covers(whom),
        }
    }
}

impl Evidence {
    /// Whether it is what a gate asks for: a clean full pass over these tenants, begun when everybody had
    /// quiesced for revision `since`. Comparing everything proves the same as copying.
    pub fn is_full_pass(&self, whom: &Whom, since: u64) -> bool {
        matches!(self.job.kind, PassKind::Full | PassKind::Verify) && self.shows(whom, since)
    }

    /// Whether it may replace a full pass before target-first, where reads copy what is missing: a clean
    /// sweep that began once a second barrier had settled and late writes had landed.
    pub fn is_drained_sweep(&self, whom: &Whom, since: u64) -> bool {
        self.job.kind == PassKind::Sweep && !self.job.drains() && self.shows(whom, since)
    }

    /// Whether it compared content, and found what a pass that copies does not see: other content at the same version,
    /// or a record of the target that can't be read.
    pub fn finds_what_copying_misses(&self) -> bool {
        let found = self.counts.remaining.different > 0 || self.counts.failed > 0;
        matches!(self.job.kind, PassKind::Verify | PassKind::Sweep | PassKind::Sample) && found
    }

    /// The highest share of all records that may differ, with 95 % confidence, by a sample that ran to its end.
    pub fn differ_at_most(&self) -> Option<f64> {
        let Differences { missing, stale, ahead, extra, different, unversioned: _ } = self.counts.found;
        let (differ, compared) = (missing + stale + ahead + extra + different, self.counts.compared);
        // One that was canceled has compared the first records, not any.
        let is_sample = self.job.kind == PassKind::Sample && self.canceled_by.is_none();
        (is_sample && compared > 0).then(|| differ_at_most(differ, compared))
    }

    /// Can it be what a gate asks for, for any tenant and revision?
    pub fn may_open_gates(&self) -> bool {
        self.clean && self.job.kind.may_open_gates()
    }

    /// That it was not clean, and what it left: `verification shop/pass-1 was not clean: 10 missing in the target`.
    pub fn told_unclean(&self) -> String {
        let Self { job, counts, .. } = self;
        if self.canceled_by.is_some() {
            return format!("the newest {}, {}, was canceled", job.kind.name(), job.id);
        }
        let Differences { missing, stale, ahead, extra, different, unversioned: _ } = counts.remaining;
        let left = [
            (counts.quarantined, "in quarantine"),
            (counts.failed, "unreadable or not writable"),
            (missing, "missing in the target"),
            (stale, "older in the target"),
            (ahead, "newer in the target"),
            (extra, "only in the target"),
            (different, "with other content at the same version"),
            (job.doubts(counts), "written at target-only, which count because a reverse pass ran beside it"),
        ];
        let left = left.iter().filter(|(records, _)| *records > 0);
        let left: Vec<String> = left.map(|(records, what)| format!("{records} {what}")).collect();
        let left = if left.is_empty() { String::new() } else { format!(". Records: {}", left.join(", ")) };
        format!("the newest {}, {}, was not clean{left}", job.kind.name(), job.id)
    }

    /// What to do about what it left, so that the next pass, which `command` runs, may be clean. `jobs`: the passes that
    /// are under way. `overwrites`: everybody reads the source, so it may overwrite the target.
    pub fn before(&self, jobs: &[Job], overwrites: bool, command: &str) -> String {
        let Differences { missing: _, stale: _, ahead, extra, different, unversioned } =
            self.counts.remaining;
        let stamped = extra.saturating_sub(unversioned).saturating_add(ahead).saturating_add(different);
        let reverses = jobs.iter().any(|job| job.kind == PassKind::Reverse);
        let first = [
            (
                if reverses { self.job.doubts(&self.counts) } else { 0 },
                "let the reverse pass end that is under way (cutover reverse SPEC works on it)",
            ),
            (
                unversioned,
                "delete what only the target has (cutover verify SPEC --repair --remove-extra --reason ..), or write or \
                 delete each of those records once with an SDK",
            ),
            (
                stamped,
                match overwrites {
                    true => {
                        "write or delete once with an SDK what was changed without one, or, if the source is right in all \
                         that differs, overwrite the target (cutover verify SPEC --repair --source-wins --reason ..)"
                    }
                    false => "write or delete once with an SDK what was changed without one",
                },
            ),
            (self.counts.quarantined, "fix the records in quarantine (cutover quarantine list SPEC)"),
            (self.counts.failed, "correct what can't be read or written, with the store's own tools"),
        ];
        let first: Vec<&str> =
            first.into_iter().filter(|(records, _)| *records > 0).map(|(_, what)| what).collect();
        match first.is_empty() {
            true => command.to_owned(),
            false => format!("{}, then run: {command}", first.join("; ")),
        }
    }

    fn shows(&self, whom: &Whom, since: u64) -> bool {
        self.clean && self.job.settled >= since && self.job.cover.covers(whom)
    }
}

impl PassKind {
    /// Whether a clean pass of this kind may be what a gate asks for.
    pub const fn may_open_gates(self) -> bool {
        matches!(self, Self::Full | Self::Verify | Self::Sweep)
    }

    /// The name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full pass",
            Self::Verify => "verification",
            Self::Sweep => "sweep",
            Self::Sample => "sample",
            Self::Reverse => "reverse pass",
        }
    }
}

impl Job {
    /// Why its workers may not read yet; `None`: they may.
    pub fn waits_for(&self, steady_ms: u64) -> Option<String> {
        if self.drains() {
            return Some("waits for everybody to quiesce once more (cutover status)".to_owned());
        }
        let left_ms = self.begins_at_ms.saturating_sub(steady_ms);
        (left_ms > 0)
            .then(|| format!("waits {} in case writes that timed out still arrive", span(left_ms + 999)))
    }

    /// How many of the records that it counted as written at target-only are differences after all: a reverse pass beside
    /// it may lower the floor of a tenant whose records were counted while it had one.
    pub const fn doubts(&self, counts: &PassCounts) -> u64 {
        if self.beside_reverse { counts.target_only } else { 0 }
    }

    /// Whether it is a sweep whose second barrier has not settled.
    pub const fn drains(&self) -> bool {
        self.begins_at_ms == u64::MAX
    }
}

impl Differences {
    /// The sum of all differences.
    pub const fn total(&self) -> u64 {
        self.missing
            .saturating_add(self.stale)
            .saturating_add(self.ahead)
            .saturating_add(self.extra)
            .saturating_add(self.different)
    }

    /// Adds the counts of another part.
    pub const fn add(&mut self, other: &Self) {
        let Self { missing, stale, ahead, extra, different, unversioned } = other;
        self.missing = self.missing.saturating_add(*missing);
        self.stale = self.stale.saturating_add(*stale);
        self.ahead = self.ahead.saturating_add(*ahead);
        self.extra = self.extra.saturating_add(*extra);
        self.different = self.different.saturating_add(*different);
        self.unversioned = self.unversioned.saturating_add(*unversioned);
    }
}

impl PassCounts {
    /// Adds the counts of another part.
    pub const fn add(&mut self, other: &Self) {
        let Self {
            scanned,
            copied,
            present,
            stale,
            quarantined,
            failed,
            bytes,
            found,
            remaining,
            compared,
            checked,
            target_only,
        } = other;
        self.compared = self.compared.saturating_add(*compared);
        self.checked = self.checked.saturating_add(*checked);
        self.target_only = self.target_only.saturating_add(*target_only);
        self.scanned = self.scanned.saturating_add(*scanned);
        self.copied = self.copied.saturating_add(*copied);
        self.present = self.present.saturating_add(*present);
        self.stale = self.stale.saturating_add(*stale);
        self.quarantined = self.quarantined.saturating_add(*quarantined);
        self.failed = self.failed.saturating_add(*failed);
        self.bytes = self.bytes.saturating_add(*bytes);
        self.found.add(found);
        self.remaining.add(remaining);
    }
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Buckets { from, upto } => write!(f, "{}-{} %", percent(*from), percent(*upto)),
            Self::Tenant { tenant, .. } => write!(f, "tenant {tenant}"),
        }
    }
}
