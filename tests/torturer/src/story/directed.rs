//! Runs the scenario of a bug repeatedly, until the time is over or the bug is caught.

use std::{
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use cutover_proto::v1;

use super::{Story, is_seeded, operator::LADDER_TOP};
use crate::{
    bug::Bug,
    check, lives,
    log::{Line, now_ns},
    scenario::{self, Act},
    unreliable::Mood,
};

/// Longest wait for a ramp.
const RAMP_MOST: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_millis(800);
/// Nothing is delayed for longer in the passes of a scenario.
const RESIDUAL_MS: u64 = 300;

impl Story {
    /// True: something was found, and all processes are dead.
    pub(super) async fn directed(&mut self, bug: Bug, end: Instant, dir: &Path) -> anyhow::Result<bool> {
        let acts = scenario::of(bug);
        // Everybody is at work.
        tokio::time::sleep(START).await;
        while Instant::now() < end {
            for act in &acts {
                self.act(act).await?;
            }
            // Logs are read one after the other: what explains a later read may be in one that was read
            // before.
            let upto_ns = now_ns();
            let is_told = |line: &Line| !matches!(line, Line::Read { ended, .. } if *ended > upto_ns);
            let mut told = lives(dir)?;
            told.iter_mut().for_each(|lines| lines.retain(is_told));
            let verdict = check::check(&told, is_seeded, u64::MAX);
            if verdict.resurrected + verdict.back_in_time > 0 {
                for worker in &mut self.workers {
                    worker.kill().await?;
                }
                return Ok(true);
            }
        }
        self.moods(.., Mood::default()).await?;
        self.held.held.store(false, Ordering::Relaxed);
        Ok(false)
    }

    async fn act(&mut self, act: &Act) -> anyhow::Result<()> {
        if self.verbose {
            eprintln!("torture: {act:?}");
        }
        match *act {
            Act::Ask(at) => self.ask(at, 0).await,
            Act::Ramp(at) => self.arrive(at).await?,
            Act::Hold => self.held.held.store(true, Ordering::Relaxed),
            Act::Release => self.held.held.store(false, Ordering::Relaxed),
            Act::First(mood) => self.moods(..1, mood).await?,
            Act::Others(mood) => self.moods(1.., mood).await?,
            Act::Passes(mood) => self.places.pass_mood = mood,
            Act::Pass => {
                let whole = crate::cast::Places { bug: Vec::new(), ..self.places.clone() };
                let mut pass = whole.pass("full", RESIDUAL_MS)?;
                // A bug may have made it impossible; then the ramp reports it.
                let ended = tokio::time::timeout(RAMP_MOST * 2, pass.wait()).await;
                self.told.passes += u64::from(matches!(ended, Ok(Ok(status)) if status.success()));
            }
            Act::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
        Ok(())
    }

    async fn moods(
        &mut self,
        whose: impl std::slice::SliceIndex<[crate::cast::Life], Output = [crate::cast::Life]>,
        mood: Mood,
    ) -> anyhow::Result<()> {
        for worker in &mut self.workers[whose] {
            worker.mood(mood).await?;
        }
        Ok(())
    }

    /// Asks, and waits until nobody waits, running the passes that are needed.
    async fn arrive(&mut self, at: u32) -> anyhow::Result<()> {
        debug_assert!(at <= LADDER_TOP);
        let end = Instant::now() + RAMP_MOST;
        let wanted = match at {
            0 => v1::Rung::SourceOnly,
            1 => v1::Rung::Dual,
            3 => v1::Rung::Mirrored,
            5 => v1::Rung::TargetFirst,
            _ => v1::Rung::TargetOnly,
        };
        self.ask(at, 0).await;
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Some(pass) = &mut self.pass
                && let Some(ended) = pass.try_wait()?
            {
                self.told.passes += u64::from(ended.success());
                self.pass = None;
            }
            let Some(status) = self.status().await else { continue };
            self.note_stages(&status);
            if self.verbose {
                let waiting = status.waiting.iter().map(|waiting| (&waiting.gate, &waiting.message));
                eprintln!("torture: waits for {:?}", waiting.collect::<Vec<_>>());
            }
            let there = status.shares.iter().all(|share| share.ppm == 0 || share.rung == i32::from(wanted));
            if there && status.settled {
                break;
            }
            let waits = |gate: &str| status.waiting.iter().any(|waiting| waiting.gate == gate);
            if self.pass.is_none() && !waits("barrier") {
                // A tenant that has been to target-only stands at its floor.
                let stands = waits("floor") && status.settled;
                let kind = if waits("full-pass") { Some("full") } else { stands.then_some("reverse") };
                self.pass = kind.map(|kind| self.places.pass(kind, RESIDUAL_MS)).transpose()?;
            }
        }
        Ok(())
    }
}
