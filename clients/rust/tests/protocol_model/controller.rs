//! The controller's side: which step is legal, what it waits for, which evidence it needs. The counterpart of
//! `domain::{placement, gate, advance}` in the controller's crate, for one tenant.

use std::borrow::Cow;

use cutover_client::routing::{
    Level,
    Rung::{self, Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly},
};

use crate::{
    coverage::Branch,
    mutation::Omission,
    protocol::Protocol,
    restart::Known,
    state::{Client, Life, ModelPass, Revision, State},
};

/// Which acknowledgement of the last step the next one has to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Received,
    Quiesced,
}

impl Protocol {
    /// Takes the scenario's next step, if it may be taken now.
    pub(crate) fn step(&self, state: &State) -> Option<State> {
        let next =
            *self.scenario.steps.get(usize::from(state.ladder.taken)).filter(|_| state.ladder.asked)?;
        let from = state.ladder.rung();
        // Not a step, but a change of policy: it waits for nobody.
        let guard_off = from == TargetFirst && next == TargetFirst;
        if guard_off {
            return Some(self.guard_off(state));
        }
        if !self.has(Omission::Jumps) {
            assert!(
                legal(from, next, self.scenario.level, self.scenario.restored)
                    || self.scenario.around_by_hold && around_by_hold(from, next),
                "{from} -> {next} is no step of the ladder"
            );
        }
        if !self.acknowledged(state, next) || !self.gates(state, next) {
            return None;
        }
        self.coverage.note(Branch::reached(next));
        if next < from && next == state.ladder.was {
            self.coverage.note(Branch::Undone);
        }
        let mut after = state.clone();
        let before = state.ladder.since;
        for client in after.clients.iter_mut().filter(|client| client.heard < before && self.is_lost(client))
        {
            client.left_behind = true;
            self.coverage.note(Branch::LeftBehind);
        }
        let ladder = &mut after.ladder;
        // On the way around target-only a hold counts as target-first.
        let keeps = next == Hold && self.scenario.around_by_hold;
        if ladder.floor && next < TargetFirst && !keeps {
            // Only if the gate was left out: the floor counts as lowered from here on.
            ladder.floor = false;
        }
        ladder.taken += 1;
        ladder.was = from;
        ladder.floor |= next == TargetOnly;
        let no_fallback = ladder.floor && !self.has(Omission::PurgedTombstonesWithFallback);
        let Revision { local_guard, .. } = ladder.revision(ladder.newest());
        ladder.window.push(Revision { rung: next, no_fallback, local_guard });
        let newest = ladder.newest();
        ladder.since = newest;
        self.end_override(ladder, from, next);
        let since = |at_least: Rung, before: Option<u8>| match keeps {
            true => before,
            false => (next >= at_least && next != Hold).then(|| before.unwrap_or(newest)),
        };
        ladder.drained = from == Mirrored && next == Mirrored;
        ladder.mirrored_since = since(Mirrored, ladder.mirrored_since);
        ladder.target_first_since = since(TargetFirst, ladder.target_first_since);
        ladder.full_since_mirrored &= ladder.mirrored_since.is_some();
        ladder.full_since_target_first &= ladder.target_first_since.is_some();
        ladder.swept &= next == TargetFirst;
        for job in &mut after.jobs {
            job.for_target_first &=
                if job.pass == ModelPass::Sweep { ladder.drained } else { ladder.mirrored_since.is_some() };
            job.for_target_only &= ladder.target_first_since.is_some();
            job.for_mirrored &= next == TargetFirst || keeps;
        }
        Some(after)
    }

    /// From here on nobody who has received this goes back on their own. What a pass showed before no longer
    /// counts: not everybody was at target-first.
    fn guard_off(&self, state: &State) -> State {
        let mut after = state.clone();
        let ladder = &mut after.ladder;
        let newest = ladder.revision(ladder.newest());
        ladder.taken += 1;
        ladder.window.push(Revision { local_guard: false, ..newest });
        ladder.since = ladder.newest();
        if !self.has(Omission::LocalGuardOffUnheard) {
            ladder.target_first_since = Some(ladder.newest());
            ladder.full_since_target_first = false;
            after.jobs.iter_mut().for_each(|job| job.for_target_only = false);
        }
        after
    }

    fn acknowledged(&self, state: &State, next: Rung) -> bool {
        let ladder = &state.ladder;
        let (rung, since) = (ladder.rung(), ladder.since);
        let up = next >= rung && rung != Hold;
        let from_target_only = !up && (rung == TargetOnly || ladder.was == TargetOnly);
        match wait_for(rung, ladder.was, next) {
            // A restored store knows of no step that anybody could be waited for.
            _ if next == Hold && self.scenario.restored => true,
            Wait::Nothing => true,
            Wait::Quiesced if up && self.has(Omission::ReceiptGoingUp) => state.received(since),
            Wait::Quiesced if from_target_only && self.has(Omission::ReceiptFromTargetOnly) => {
                state.received(since)
            }
            Wait::Quiesced if rung == Hold && self.has(Omission::HoldLeftEarly) => true,
            Wait::Received if self.has(Omission::EverybodyLost) => true,
            Wait::Received => {
                self.has(Omission::NoBarrier) || self.received(&self.without_lost(state), since)
            }
            Wait::Quiesced if next == TargetOnly && self.has(Omission::LocalGuardOffUnheard) => true,
            Wait::Quiesced => self.quiesced(state, since),
        }
    }

    /// Whether everybody had quiesced for `since`, as the evidence of a pass says.
    pub(crate) fn settled(&self, state: &State, since: Option<u8>) -> bool {
        let receipt = self.has(Omission::ReceiptGoingUp) || self.has(Omission::ReceiptFromTargetOnly);
        since.is_some_and(|since| self.quiesced(state, since) || receipt && state.received(since))
    }

    fn quiesced(&self, state: &State, revision: u8) -> bool {
        if self.has(Omission::CopiesNotDrained) {
            return State { jobs: Vec::new(), ..state.clone() }.quiesced(revision);
        }
        self.has(Omission::NoBarrier) || self.seen(state).quiesced(revision)
    }

    /// A step down does not wait for clients that are silent for longer than their lease.
    fn without_lost(&self, state: &State) -> State {
        let mut heard = state.clone();
        heard.clients.retain(|client| !self.is_lost(client));
        heard
    }

    fn is_lost(&self, client: &Client) -> bool {
        let is_silent = self.scenario.fenced && client.life.is_on_stream() && !client.leased;
        let unheard = client.known == Known::Unheard && self.has(Omission::UnheardAreLost);
        is_silent || client.life == Life::Killed || unheard
    }

    fn received(&self, state: &State, revision: u8) -> bool {
        self.seen(state).received(revision)
    }

    /// What the controller knows of its clients, which a mutation may distort.
    fn seen<'a>(&self, state: &'a State) -> Cow<'a, State> {
        let mut seen = Cow::Borrowed(state);
        let mut each = |distort: &dyn Fn(&mut Client)| seen.to_mut().clients.iter_mut().for_each(distort);
        match self.mutation {
            Some(Omission::CallersForgotten) => each(&|client| client.evicted |= client.life == Life::Caller),
            Some(Omission::NewerAnswerCounts) => each(&|client| {
                if client.life == Life::Caller
                    && let Some(doing) = &mut client.doing
                {
                    doing.leased &= doing.begun == client.heard;
                }
            }),
            Some(Omission::AcknowledgedUnsaved) => each(&|client| client.saved = None),
            Some(Omission::MembersForgotten) => {
                each(&|client| client.evicted |= client.known == Known::Unheard);
            }
            _ => {}
        }
        seen
    }

    fn gates(&self, state: &State, next: Rung) -> bool {
        let ladder = &state.ladder;
        match (ladder.rung(), next) {
            (Mirrored, Mirrored) if self.has(Omission::ResidualWaitTooEarly) => state.late.is_empty(),
            (TargetFirst, TargetOnly)
                if ladder.revision(ladder.newest()).local_guard && !self.has(Omission::LocalGuardLeftOn) =>
            {
                false
            }
            (Mirrored, TargetFirst) | (TargetFirst, TargetOnly) if self.is_overridden(ladder, next) => true,
            (Mirrored, TargetFirst) if self.scenario.lazy => ladder.swept || ladder.full_since_mirrored,
            (Mirrored, TargetFirst) => ladder.full_since_mirrored || self.has(Omission::PassSkipped),
            (TargetFirst | Hold, TargetOnly) => {
                ladder.full_since_target_first || self.has(Omission::PassSkippedAfterLazy)
            }
            (TargetFirst, Hold) if self.scenario.around_by_hold => true,
            (Hold, TargetFirst) => ladder.full_since_mirrored,
            (TargetFirst, Mirrored | Hold) if ladder.floor => self.has(Omission::ReverseSkipped),
            _ => true,
        }
    }
}

/// May a tenant go from one rung to the other in one step? The second step in mirrored is the
/// lazy way's second barrier. `restored`: the store is confirmed after a restore, when nobody knows where
/// the tenant stands.
fn legal(from: Rung, next: Rung, level: Level, restored: bool) -> bool {
    match (from, next) {
        (SourceOnly, Dual | Mirrored) | (Dual | Mirrored, SourceOnly) => true,
        (Dual, Mirrored) | (Mirrored, Dual | Mirrored | TargetFirst) => true,
        (TargetFirst, Mirrored | TargetOnly) | (TargetOnly, TargetFirst) => true,
        (TargetFirst, Hold) => level == Level::Linearizable || restored,
        (SourceOnly | Dual | Mirrored, Hold) => restored,
        (Hold, SourceOnly | Dual | Mirrored) => true,
        _ => false,
    }
}

/// The same around target-only, as ADR 0052 proposes it for level linearizable.
fn around_by_hold(from: Rung, next: Rung) -> bool {
    matches!((from, next), (TargetFirst | TargetOnly, Hold) | (Hold, TargetFirst | TargetOnly))
}

/// The controller's `Placement::wait_for`.
fn wait_for(rung: Rung, was: Rung, next: Rung) -> Wait {
    let down = next < rung;
    if down && rung != Hold && (next == Hold || next == was) {
        return Wait::Nothing;
    }
    let target_only_involved = rung == TargetOnly || was == TargetOnly;
    if down && rung != Hold && !target_only_involved { Wait::Received } else { Wait::Quiesced }
}
