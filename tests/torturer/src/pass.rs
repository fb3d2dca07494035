//! A worker process of a pass.

use std::time::Duration;

use anyhow::Context as _;
use cutover::jobs::{self, Limits, Plan, Stores};
use cutover_proto::v1;

use crate::{
    KEY,
    bug::{self, Bug},
    stores,
    unreliable::{Mood, Moods},
};

/// Flags of `pass`.
#[derive(Clone, Debug, clap::Args)]
pub struct PassProcess {
    #[arg(long)]
    server: String,
    #[arg(long)]
    source: String,
    #[arg(long)]
    target: String,
    /// full or reverse
    #[arg(long)]
    kind: String,
    #[arg(long)]
    residual_ms: u64,
    /// Batches take up to this many ms longer to reach the target
    #[arg(long, default_value_t = 0)]
    slow_ms: u64,
    #[arg(long)]
    bug: Option<Bug>,
}

impl PassProcess {
    /// Runs it to its end.
    pub async fn run(self) -> anyhow::Result<()> {
        let name = format!("PASS_KIND_{}", self.kind.to_uppercase());
        let kind = v1::PassKind::from_str_name(&name).with_context(|| format!("no pass {}", self.kind))?;
        if self.bug.is_some_and(|bug| bug.skips(kind)) {
            return bug::claim_to_have_run(&self.server, kind).await;
        }
        let (mut source, mut target) = (stores::open(&self.source).await?, stores::open(&self.target).await?);
        if let Some(bug) = self.bug {
            (source, target) = bug.for_pass(source, target);
        }
        let moods = Moods::default();
        moods.set(Mood { target_put_ms: self.slow_ms, ..Mood::default() });
        (source, target) = moods.stores(source, target);
        let stores = Stores { source, target, quarantine: None };
        let plan = Plan {
            migration: KEY.to_owned(),
            kind,
            repair: false,
            remove_extra: false,
            source_wins: false,
            new_tables: Default::default(),
            values: None,
            reason: String::new(),
            sample_ppm: 0,
            expected: None,
            source_first: true,
            fingerprint: "torture".to_owned(),
            prefixes: Default::default(),
            segments: 3,
            on_target: match kind {
                v1::PassKind::Verify | v1::PassKind::Sample => 1,
                v1::PassKind::Reverse | v1::PassKind::Sweep => 3,
                _ => 0,
            },
            parallel: 2,
            statements: 2,
            way_back: None,
            ttl: None,
            residual: Duration::from_millis(self.residual_ms),
            tuning: v1::Tuning::default(),
            limits: Limits::default(),
            actor: "operator:torture".to_owned(),
            access: cutover_client::Access::default(),
        };
        jobs::worker::run(&self.server, &stores, &plan, |_| {}, std::future::pending()).await?;
        Ok(())
    }
}
