//! Starting, continuing and ending a plan.

use cutover_core::routing::{PPM, Rung};

use super::{Ask, Context, Draft, Refusal};
use crate::{
    Gate, Migration, Shares, State, Tenant, TenantRow, TripOutcome, Unmet, Violation, Wait, percent,
    plan::{OnTrip, Part, Plan, PlanMove, PlanState, PlanStatus, Step, Taken},
};

impl Draft {
    pub(super) fn apply_plan(&mut self, plan: &Plan, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        Refusal::unless_met(self.document.plan_held_back())?;
        let before = self.document.plan.as_ref().filter(|state| state.status == PlanStatus::Running);
        if before.is_some_and(|state| state.plan == *plan) {
            self.remark(format!("this plan runs already: cutover plan show {}", self.document.key));
            return Ok(());
        }
        let instead = if before.is_some() { ", in place of the one before" } else { "" };
        let state = PlanState::begun(
            plan.clone(),
            plan.in_place(&self.migration),
            (context.actor, context.identity),
            context.revision,
            context.now_ms,
        );
        let in_place = match state.taken.len() {
            0 => String::new(),
            1 => "; 1 of them is in place already, so step 2 is next".to_owned(),
            taken => format!("; {taken} of them are in place already, so step {} is next", taken + 1),
        };
        self.say(format!("applied a plan of {} steps{instead}{in_place}", plan.steps().len()));
        self.document.plan = Some(state);
        Ok(())
    }

    pub(super) fn stop_plan(&mut self) -> Result<(), Refusal> {
        if self.document.plan.is_none() {
            return Refusal::unless_met(self.document.plan_not_running());
        }
        if self.end_plan() {
            self.withdraw_steps();
        } else {
            self.remark("the plan is not running: it has ended before");
        }
        Ok(())
    }

    /// That the plan is held, if this change takes back steps that it has taken.
    pub(super) fn plan_taken_back(&self, drafted: &Migration) -> Option<String> {
        let state = drafted.document.plan.as_ref().filter(|state| state.status == PlanStatus::Running)?;
        let (taken, in_place) = (state.taken.len(), state.plan.in_place(drafted));
        let is_new = in_place < taken && state.plan.in_place(&self.migration) >= taken;
        let (step, key) = (in_place + 1, drafted.key());
        is_new.then(|| format!("the plan is held: cutover resume {key} takes step {step} again"))
    }

    /// Nobody goes further than they are: a step that still waits for its gate is not taken later.
    fn withdraw_steps(&mut self) {
        let (asked, reached) = (self.document.goal, self.document.rollout());
        self.document.goal = asked.at_most(reached);
        let withdrawn = asked.shares().into_iter().zip(self.document.goal.shares());
        for ((rung, asked), _) in withdrawn.filter(|((_, asked), (_, left))| left < asked) {
            self.say(format!("withdrawn: {rung} {} %, not reached yet", percent(asked)));
        }
        let still_pinned = self.document.plan.as_ref().and_then(PlanState::current).and_then(|(step, _)| {
            let Part::Tenants(tenants) = &step.part else { return None };
            let is_below = |tenant: &&Tenant| self.migration.placement(tenant).rung < step.rung;
            let below: Vec<&str> = tenants.iter().filter(is_below).map(Tenant::as_str).collect();
            let (rung, named, key) = (step.rung, below.join(", "), self.migration.key());
            let told =
                || format!("still pinned to {rung}: {named}. To stop them: cutover unpin {key} TENANT");
            (!below.is_empty()).then(told)
        });
        still_pinned.into_iter().for_each(|told| self.say(told));
    }

    /// The plan ends with its migration. Returns false if it had ended already.
    pub(super) fn end_plan(&mut self) -> bool {
        let open = |state: &&mut PlanState| matches!(state.status, PlanStatus::Running | PlanStatus::Stopped);
        let Some(state) = self.document.plan.as_mut().filter(open) else { return false };
        state.status = PlanStatus::Ended;
        self.say("the plan has ended; everybody stays where they are");
        true
    }

    /// A rollback stops the plan in the same commit: no step can come in between.
    pub(super) fn stop_plan_if_tripped(&mut self) {
        let is_tripped = self.document.state() == State::Tripped;
        let running = self.document.plan.as_mut().filter(|state| state.status == PlanStatus::Running);
        let Some(state) = running.filter(|_| is_tripped && !self.summary.is_empty()) else { return };
        let (status, how) = match state.plan.rules().on_trip {
            OnTrip::Stop => (PlanStatus::Stopped, "stops"),
            OnTrip::End => (PlanStatus::Ended, "ends"),
        };
        state.status = status;
        let step = state.taken.len();
        self.say(format!("the plan {how} at step {step}"));
    }

    /// Resumes after a rollback, or after somebody took steps back: from the steps that still hold.
    pub(super) fn resume_plan(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        let drafted = self.drafted();
        let Some(state) = &mut self.document.plan else { return Ok(()) };
        if !matches!(state.status, PlanStatus::Running | PlanStatus::Stopped) {
            return Ok(());
        }
        let is_stopped = state.status == PlanStatus::Stopped;
        if is_stopped && drafted.document.state() == State::Tripped {
            return Refusal::unless_met(self.document.plan_held_back());
        }
        let is_reset = state.reset_to(state.plan.in_place(&drafted), context.revision, context.now_ms);
        state.status = PlanStatus::Running;
        // What a step has shown so far, it has shown to a guard that then stopped it.
        let held = self.document.trips.iter().rev().find(|trip| trip.outcome == TripOutcome::Held);
        let last = state.taken.last_mut().zip(held).filter(|(taken, trip)| trip.revision > taken.revision);
        if let Some((taken, _)) = last {
            *taken = Taken::at(context.revision, context.now_ms);
            let step = state.taken.len();
            self.say(format!("step {step} of the plan starts again: a guard held it"));
        }
        let Some(state) = &self.document.plan else { return Ok(()) };
        if is_reset || is_stopped {
            let next = state.taken.len() + 1;
            self.say(format!("the plan continues before step {next}"));
        }
        Ok(())
    }

    pub(super) fn approve_plan(&mut self, asked: Option<usize>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.plan_not_running())?;
        let Some(state) = &mut self.document.plan else { return Ok(()) };
        let steps = state.plan.steps();
        let first = state.taken.len().max(state.approved);
        let open = (first..steps.len()).find(|at| steps[*at].approval);
        let Some(at) = open.filter(|at| asked.is_none_or(|asked| asked == *at)) else {
            let message = match open {
                None => "no step to come needs an approval".to_owned(),
                Some(at) => format!("the next step that needs an approval is {}", at + 1),
            };
            return Err(Unmet::of_change(
                Gate::Stage,
                message,
                format!("cutover plan show {} shows it", self.document.key),
            )
            .into());
        };
        // A repeated command must not approve what nobody has looked at.
        if asked.is_none() && at != state.taken.len() {
            let message = format!("step {} needs an approval, and is not next", at + 1);
            let action =
                format!("cutover plan approve {} --step {} approves it now", self.document.key, at + 1);
            return Err(Unmet::of_change(Gate::Stage, message, action).into());
        }
        state.approved = at + 1;
        self.say(format!("approved step {} of the plan", at + 1));
        Ok(())
    }

    pub(super) fn skip_plan_step(
        &mut self,
        asked: Option<usize>,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        if context.reason.is_empty() {
            let message = "say why the plan need not wait";
            return Err(Violation::new("reason", message).into());
        }
        Refusal::unless_met(self.document.plan_not_running())?;
        let Some(state) = &mut self.document.plan else { return Ok(()) };
        let at = state.taken.len();
        let Some(taken) = state.taken.last_mut().filter(|_| asked.is_none_or(|asked| asked + 1 == at)) else {
            let message = match at {
                0 => "no step of the plan was taken yet".to_owned(),
                at => format!("step {at} is the one that is waited for"),
            };
            return Err(Unmet::of_change(
                Gate::Stage,
                message,
                format!("cutover plan show {} shows it", self.document.key),
            )
            .into());
        };
        if taken.skipped.is_some() {
            self.remark(format!("step {at} of the plan counts as over already"));
        } else {
            taken.skipped = Some(context.reason.to_owned());
            self.say(format!("step {at} of the plan counts as over: {}", context.reason));
        }
        Ok(())
    }

    /// Makes a plan's move. If it was already made, changes nothing.
    pub(super) fn move_plan(&mut self, going: PlanMove, context: &Context<'_>) -> Result<(), Refusal> {
        let is_open = !matches!(self.document.state(), State::Tripped | State::Finished | State::Abandoned);
        let state = self.document.plan.as_ref().filter(|state| state.status == PlanStatus::Running);
        let Some(state) = state.filter(|_| is_open && !self.document.paused) else { return Ok(()) };
        let (at, steps) = (state.taken.len(), state.plan.steps().len());
        if state.plan.in_place(&self.migration) < at {
            return Ok(());
        }
        match going {
            PlanMove::Take(step) if step == at => match state.plan.steps().get(at).cloned() {
                Some(step) => self.take_plan_step(&step, at, context)?,
                None => return Ok(()),
            },
            PlanMove::Settle(step) if step == at && self.is_settled(context) => {
                let told = format!("step {at} of {steps} of the plan is settled");
                self.note(told, |taken| &mut taken.settled_at_ms, context);
                let taken = self.document.plan.as_mut().and_then(|state| state.taken.last_mut());
                if let Some(taken) = taken {
                    taken.settled_steady_ms.get_or_insert(context.steady_ms);
                }
            }
            PlanMove::Show(step) if step == at => {
                let told = format!("step {at} of {steps} of the plan has all its evidence");
                self.note(told, |taken| &mut taken.shown_at_ms, context);
            }
            PlanMove::Pause(step) if step == at => {
                self.stop_going_up(context);
                self.say(format!("paused: there is no data about step {at} of {steps} of the plan"));
            }
            PlanMove::Finish if steps == at => {
                if let Some(state) = &mut self.document.plan {
                    state.status = PlanStatus::Done;
                }
                self.say(format!("the plan is done, all {steps} steps"));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_plan_step(&mut self, step: &Step, at: usize, context: &Context<'_>) -> Result<(), Refusal> {
        let ask = Ask { wait: true, overrides: Vec::new() };
        let whom = match &step.part {
            Part::Share(ppm) => format!("{} %", percent(*ppm)),
            Part::Tenants(tenants) => format!("{} tenants", tenants.len()),
        };
        let steps = self.document.plan.as_mut().map_or(0, |state| {
            state.taken.push(Taken::at(context.revision, context.now_ms));
            state.plan.steps().len()
        });
        self.say(format!("step {} of {steps} of the plan: {} {whom}", at + 1, step.rung));
        if let Part::Share(PPM) = step.part {
            self.release_pins(step.rung);
        }
        match &step.part {
            // Somebody may have been faster: a plan takes nobody back.
            _ if step.is_in_place(&self.migration) => Ok(()),
            Part::Share(ppm) => self.set_rollout(&shares(step.rung, *ppm), &ask, context),
            Part::Tenants(tenants) => {
                let below = tenants.iter().filter(|tenant| self.migration.wanted(tenant).rung < step.rung);
                let pins: Vec<_> = below.map(|tenant| (tenant.clone(), step.rung)).collect();
                self.set_pins(&pins, &ask, context)
            }
        }
    }

    /// Unpins tenants that the plan pinned once their bucket leads as far.
    fn release_pins(&mut self, rung: Rung) {
        let Some(state) = &self.document.plan else { return };
        let steps = state.plan.steps().iter().filter(|step| step.rung <= rung);
        let named = steps.flat_map(|step| match &step.part {
            Part::Tenants(tenants) => tenants.iter().map(|tenant| (tenant.clone(), step.rung)).collect(),
            Part::Share(_) => Vec::new(),
        });
        let named: Vec<(Tenant, Rung)> = named.collect();
        let mut released = 0;
        for (tenant, rung) in named {
            let row = self.row(&tenant);
            if row.pin == Some(rung) {
                self.set_row(&tenant, TenantRow { pin: None, overridden: 0, ..row });
                released += 1;
            }
        }
        if released > 0 {
            self.say(format!("unpinned {released} tenants of the plan: everybody is to be as far"));
        }
    }

    fn is_settled(&self, context: &Context<'_>) -> bool {
        let newest = self.migration.newest_step();
        !self.migration.document.ramping && context.fleet.acknowledged(newest, Wait::Quiesced)
    }

    /// Records, once, the time of something about the last step taken.
    fn note(&mut self, told: String, of: impl Fn(&mut Taken) -> &mut Option<u64>, context: &Context<'_>) {
        let taken = self.document.plan.as_mut().and_then(|state| state.taken.last_mut());
        if let Some(at_ms) = taken.map(of).filter(|at_ms| at_ms.is_none()) {
            *at_ms = Some(context.now_ms);
            self.say(told);
        }
    }
}

fn shares(rung: Rung, ppm: u32) -> Shares {
    let share = |of: Rung| (of == rung).then_some(ppm);
    Shares {
        dual_ppm: share(Rung::Dual),
        mirrored_ppm: share(Rung::Mirrored),
        target_first_ppm: share(Rung::TargetFirst),
        target_only_ppm: share(Rung::TargetOnly),
    }
}
