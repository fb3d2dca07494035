//! A worker of a pass: what `cutover backfill`, `verify` and `reverse` run.

use std::{sync::Arc, time::Duration};

use cutover::{
    jobs::{self, Limits, Plan, Stores},
    refusal,
};
use cutover_proto::v1;

use super::KEY;
use crate::{
    data::{self, DataStore},
    expiring, play,
    world::{self, Pid},
};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which pass.
    pub kind: v1::PassKind,
    /// What differs in the target is overwritten.
    pub source_wins: bool,
}

/// Works on a pass until it ends.
pub async fn run(pid: Pid, name: String, task: Task, on_target: u32, stores: [DataStore; 2]) {
    let Task { kind, source_wins } = task;
    let remove_extra = kind == v1::PassKind::Verify && !source_wins && play::legacy_has_ended();
    let [source, target] = stores.map(|store| Arc::new(store) as _);
    let stores = Stores { source, target, quarantine: None };
    let plan = Plan {
        migration: KEY.to_owned(),
        kind,
        repair: kind == v1::PassKind::Verify,
        // The service without the SDK has ended, so what only the target has it had deleted.
        remove_extra,
        source_wins,
        new_tables: Default::default(),
        values: None,
        reason: if remove_extra || source_wins { "nobody needs them".to_owned() } else { String::new() },
        sample_ppm: 0,
        expected: None,
        source_first: true,
        fingerprint: format!("simulated {remove_extra} {source_wins} {on_target}"),
        prefixes: Default::default(),
        segments: 2,
        on_target: match kind {
            v1::PassKind::Reverse if expiring::ttl().is_some() => 1,
            v1::PassKind::Reverse | v1::PassKind::Sweep => 2,
            v1::PassKind::Verify => on_target,
            _ => 1,
        },
        parallel: 2,
        statements: 2,
        way_back: None,
        ttl: expiring::ttl(),
        residual: data::residual(),
        tuning: v1::Tuning::default(),
        limits: Limits { patience: Duration::from_secs(30), ..Limits::default() },
        actor: "operator:simulated".to_owned(),
        access: cutover_client::Access::default(),
    };
    let kind = kind.as_str_name().trim_start_matches("PASS_KIND_").to_lowercase();
    let kind = if source_wins { "repair".to_owned() } else { kind };
    if source_wins {
        play::foreign::note_repair(true);
    }
    world::tell(|| format!("{name}: begins a pass {kind}"));
    match jobs::worker::run(&play::address(), &stores, &plan, |_| {}, std::future::pending()).await {
        Ok(evidence) => {
            let counts = evidence.counts.unwrap_or_default();
            if source_wins {
                play::foreign::note_repair(false);
            }
            world::tell(|| format!("{name}: pass {kind} ended, {} scanned", counts.scanned));
        }
        Err(error) => {
            world::tell(|| format!("{name}: pass {kind}: {error}"));
            if let jobs::Error::Controller(status) = error {
                play::calm::refused(refusal::reasons(&status));
            }
        }
    }
    play::ended(pid);
}
