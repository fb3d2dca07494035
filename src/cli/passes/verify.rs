//! How a verification compares, and what it repairs.

use cutover_proto::v1;

use super::super::{out, percent};
use crate::jobs::{Plan, attributes::Values};

/// Flags of `cutover verify`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Comparison {
    /// Write what the target lacks or has older; other differences are left to you
    #[arg(long)]
    repair: bool,
    /// Delete from the target what the source does not have and has no version: records that were copied
    /// before everybody used an SDK, and deleted in the source since
    #[arg(
        long,
        group = "removes",
        requires_all = ["repair", "reason"],
        conflicts_with_all = ["sample", "sweep"]
    )]
    remove_extra: bool,
    /// OVERWRITE whatever differs in the target with what the source has, and delete what only the target
    /// has; refused unless everybody reads the source
    #[arg(
        long,
        group = "removes",
        requires_all = ["repair", "reason"],
        conflicts_with_all = ["sample", "sweep"]
    )]
    source_wins: bool,
    /// Compare only this share of the records, in percent; no gate accepts it
    #[arg(long, value_name = "PCT", value_parser = sample_ppm, conflicts_with_all = ["sweep", "repair"])]
    sample: Option<u32>,
    /// Look only at what the target has, and repair that: stands for a backfill before
    /// target-first, where reads copy what is missing
    #[arg(long)]
    sweep: bool,
    /// Show the values of the first records that differ; they are printed here and kept nowhere
    #[arg(long)]
    show_values: bool,
}

/// The flags, once they are checked.
pub(super) struct Settings {
    repair: bool,
    remove_extra: bool,
    source_wins: bool,
    sample_ppm: u32,
    pub(super) values: Option<Values>,
}

impl Comparison {
    pub(super) const fn kind(&self) -> v1::PassKind {
        match (self.sample, self.sweep) {
            (Some(_), _) => v1::PassKind::Sample,
            (None, true) => v1::PassKind::Sweep,
            (None, false) => v1::PassKind::Verify,
        }
    }

    pub(super) fn settings(self) -> Settings {
        Settings {
            repair: self.repair,
            remove_extra: self.remove_extra,
            source_wins: self.source_wins,
            sample_ppm: self.sample.unwrap_or(0),
            values: self.show_values.then(Values::default),
        }
    }
}

impl Settings {
    /// Says what can't be undone, before it is done.
    pub(super) fn warn(&self, json: bool) {
        if self.source_wins && !json {
            out::error(
                "warning: --source-wins overwrites whatever differs in the target, and deletes what only the \
                 target has",
            );
        }
    }

    pub(super) fn apply(&self, plan: &mut Plan) {
        plan.repair = self.repair;
        plan.remove_extra = self.remove_extra;
        plan.source_wins = self.source_wins;
        plan.sample_ppm = self.sample_ppm;
        plan.values.clone_from(&self.values);
        // Those who do something else don't join.
        plan.fingerprint.push_str(match (self.repair, self.remove_extra, self.source_wins) {
            (_, _, true) => "+source-wins",
            (_, true, _) => "+remove-extra",
            (true, ..) => "+repair",
            (false, ..) => "",
        });
        if plan.kind == v1::PassKind::Sample {
            plan.fingerprint.push_str(&format!("+sample-{}", self.sample_ppm));
        }
    }
}

/// Prints the values of records that differ.
pub(super) fn show(values: Option<&Values>, json: bool) {
    let Some(values) = values else { return };
    for record in values.lines() {
        if json {
            out::json(&serde_json::json!({ "differs": record }));
        } else {
            record.lines().for_each(|line| out::line(&format!("  {line}")));
        }
    }
}

fn sample_ppm(text: &str) -> Result<u32, String> {
    match percent::ppm(text)? {
        0 => Err("give more than 0 and at most 100 percent".to_owned()),
        ppm => Ok(ppm),
    }
}
