//! What the controller knows of a migration besides the reports, for metrics. Nothing is counted by tenant.

use crate::domain::{PassKind, plan::PlanStatus};

/// One migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Its key.
    pub migration: String,
    /// Share of the tenants at dual or above.
    pub dual_ppm: u32,
    /// Share of the tenants at mirrored or above.
    pub mirrored_ppm: u32,
    /// Share of the tenants at target-first or above.
    pub target_first_ppm: u32,
    /// Share of the tenants at target-only.
    pub target_only_ppm: u32,
    /// Registered instances, lost ones included.
    pub instances: u64,
    /// Those that have not acknowledged the newest step.
    pub unsettled: u64,
    /// Those that are lost.
    pub lost_instances: u64,
    /// How long ago the oldest step was taken that somebody has not acknowledged, in seconds. 0: all have.
    pub acknowledgement_lag_seconds: u64,
    /// An operator or a guard has paused it.
    pub paused: bool,
    /// It, or a tenant, is rolled back, and nobody has acknowledged that.
    pub tripped: bool,
    /// Its plan, if it has one.
    pub plan: Option<PlanGauges>,
    /// At most one for each kind: the passes that run, or else the last one.
    pub passes: Vec<PassGauges>,
}

/// A plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanGauges {
    /// Its status.
    pub status: PlanStatus,
    /// Number of its steps.
    pub steps: u64,
    /// Steps taken.
    pub steps_taken: u64,
    /// Unix time of the last step, or else of the beginning, in seconds.
    pub step_timestamp_seconds: u64,
}

/// The passes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassGauges {
    /// Their kind.
    pub kind: PassKind,
    /// How many run. 0: what follows is of the last one.
    pub running: u64,
    /// Their workers.
    pub workers: u64,
    /// Their segments.
    pub segments: u64,
    /// Those that are done.
    pub segments_done: u64,
    /// Records read by the scan.
    pub scanned_records: u64,
    /// Records that could not be stored in the other store.
    pub quarantined_records: u64,
    /// Records that could not be read or written.
    pub failed_records: u64,
    /// Differences that were found and not repaired.
    pub different_records: u64,
}

impl Gauges {
    /// All values of the migration itself, by name, with their meaning.
    pub(super) fn named(&self) -> [(&'static str, &'static str, u64); 10] {
        const SHARE: &str = "Share of the tenants at this stage or above, in millionths";
        [
            ("dual_ppm", SHARE, self.dual_ppm.into()),
            ("mirrored_ppm", SHARE, self.mirrored_ppm.into()),
            ("target_first_ppm", SHARE, self.target_first_ppm.into()),
            ("target_only_ppm", SHARE, self.target_only_ppm.into()),
            ("instances", "Registered instances, lost ones included", self.instances),
            ("unsettled", "Instances that have not acknowledged the newest step", self.unsettled),
            (
                "lost_instances",
                "Instances that have been silent for longer than their lease",
                self.lost_instances,
            ),
            (
                "acknowledgement_lag_seconds",
                "Time since the oldest step was taken that some instance has not acknowledged",
                self.acknowledgement_lag_seconds,
            ),
            ("paused", "1 while an operator or a guard has paused the migration", self.paused.into()),
            ("tripped", "1 while a rollback has not been acknowledged by an operator", self.tripped.into()),
        ]
    }
}

impl PlanGauges {
    /// Its states, and which is the present one.
    pub(super) fn states(&self) -> [(&'static str, u64); 4] {
        let states = [
            ("running", PlanStatus::Running),
            ("stopped", PlanStatus::Stopped),
            ("ended", PlanStatus::Ended),
            ("done", PlanStatus::Done),
        ];
        states.map(|(name, status)| (name, u64::from(status == self.status)))
    }

    /// All other values, by name, with their meaning.
    pub(super) fn named(&self) -> [(&'static str, &'static str, u64); 3] {
        [
            ("plan_steps", "Steps of the plan", self.steps),
            ("plan_steps_taken", "Steps of the plan taken so far", self.steps_taken),
            (
                "plan_step_timestamp_seconds",
                "Unix time of the plan's last step, or else of its beginning",
                self.step_timestamp_seconds,
            ),
        ]
    }

    pub(super) const NONE: Self =
        Self { status: PlanStatus::Ended, steps: 0, steps_taken: 0, step_timestamp_seconds: 0 };
}

impl PassGauges {
    /// No pass of this kind.
    pub const fn none(kind: PassKind) -> Self {
        Self {
            kind,
            running: 0,
            workers: 0,
            segments: 0,
            segments_done: 0,
            scanned_records: 0,
            quarantined_records: 0,
            failed_records: 0,
            different_records: 0,
        }
    }

    /// The kind, as a label.
    pub(super) const fn kind_name(&self) -> &'static str {
        match self.kind {
            PassKind::Full => "full",
            PassKind::Verify => "verify",
            PassKind::Sweep => "sweep",
            PassKind::Sample => "sample",
            PassKind::Reverse => "reverse",
        }
    }

    /// All values, by name, with their meaning.
    pub(super) fn named(&self) -> [(&'static str, &'static str, u64); 8] {
        [
            ("pass_running", "Passes that are running", self.running),
            ("pass_workers", "Workers on running passes", self.workers),
            ("pass_segments", "Segments of the running passes, or else of the last one", self.segments),
            ("pass_segments_done", "Segments that are done", self.segments_done),
            ("pass_scanned_records", "Records that were read by the scan", self.scanned_records),
            (
                "pass_quarantined_records",
                "Records that could not be stored in the other store",
                self.quarantined_records,
            ),
            ("pass_failed_records", "Records that could not be read or written", self.failed_records),
            (
                "pass_different_records",
                "Differences that were found and not repaired",
                self.different_records,
            ),
        ]
    }
}
