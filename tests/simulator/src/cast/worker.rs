//! A worker of a pass: what `cutover backfill`, `verify` and `reverse` run.

use std::{sync::Arc, time::Duration};

use cutover::jobs::{self, Limits, Plan, Stores};
use cutover_proto::v1;

use super::{CONTROLLER, KEY};
use crate::{
    data::{self, DataStore},
    play,
    world::{self, Pid},
};

/// Works on a pass until it ends.
pub async fn run(pid: Pid, name: String, kind: v1::PassKind, on_target: u32, stores: [DataStore; 2]) {
    let remove_extra = kind == v1::PassKind::Verify && play::legacy_has_ended();
    let [source, target] = stores.map(|store| Arc::new(store) as _);
    let stores = Stores { source, target, quarantine: None };
    let plan = Plan {
        migration: KEY.to_owned(),
        kind,
        repair: kind == v1::PassKind::Verify,
        // The service without the SDK has ended, so what only the target has it had deleted.
        remove_extra,
        source_wins: false,
        values: None,
        reason: if remove_extra { "nobody needs them".to_owned() } else { String::new() },
        sample_ppm: 0,
        fingerprint: format!("simulated {remove_extra} {on_target}"),
        segments: 2,
        on_target: match kind {
            v1::PassKind::Reverse | v1::PassKind::Sweep => 2,
            v1::PassKind::Verify => on_target,
            _ => 1,
        },
        parallel: 2,
        statements: 2,
        way_back: None,
        residual: data::residual(),
        tuning: v1::Tuning::default(),
        limits: Limits { patience: Duration::from_secs(30), ..Limits::default() },
        actor: "operator:simulated".to_owned(),
    };
    let kind = kind.as_str_name().trim_start_matches("PASS_KIND_").to_lowercase();
    world::tell(|| format!("{name}: begins a pass {kind}"));
    match jobs::worker::run(CONTROLLER, &stores, &plan, |_| {}, std::future::pending()).await {
        Ok(evidence) => {
            let counts = evidence.counts.unwrap_or_default();
            world::tell(|| format!("{name}: pass {kind} ended, {} scanned", counts.scanned));
        }
        Err(error) => world::tell(|| format!("{name}: pass {kind}: {error}")),
    }
    play::ended(pid);
}
