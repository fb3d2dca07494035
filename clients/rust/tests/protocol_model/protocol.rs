//! The model as `stateright` sees it: states, actions, promises. One action is one store call, or one thing
//! that the controller, a worker or chance does.

use cutover_client::{
    migrator::rules::{Condition, ReadCall, WriteCall},
    report::StoreRole,
    routing::{Level, Rung},
    store::Version,
};
use stateright::{Model, Property};

use crate::{
    canonical::APART,
    coverage::{Branch, Coverage},
    history::{History, Order},
    mutation::Omission,
    operations::Kind,
    overrides::Neighbour,
    properties,
    restart::Known,
    scenario::Scenario,
    state::{Client, DELETED, Ladder, Life, ModelPass, Record, Revision, State, Work},
    stores::Fate,
};

pub(crate) struct Protocol {
    pub(crate) scenario: Scenario,
    pub(crate) mutation: Option<Omission>,
    pub(crate) coverage: Coverage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Begin(usize, Kind),
    /// A client's next store call. The version is the stamp of the put that stamps.
    Call(usize, Version, Fate),
    Hear(usize),
    /// A client goes back on its own.
    GoBack(usize),
    /// With the stamp of a put that may still land.
    Crash(usize, Option<Version>),
    /// A worker loses the right to act, and is counted out.
    WorkerEnds(usize),
    Evict(usize),
    /// A client's right to act has expired.
    LeaseEnds(usize),
    /// So has that of a caller's operation, while the caller holds a newer answer.
    AnswerEnds(usize),
    /// So has the deadline of an operation whose calls another process makes.
    DeadlineEnds(usize),
    /// A sidecar dies, and the other process continues.
    KillSidecar(usize),
    Ask(usize),
    CountOut(usize),
    GiveUp(usize),
    ComeBack(usize),
    Save(usize),
    /// With the stamp of a put that may still land.
    Park(usize, Option<Version>),
    Start(usize),
    /// Another process takes over the file of one that has ended.
    Succeed(usize),
    /// The controller does not know any more whom it has left behind.
    Forget,
    /// The controller is restarted.
    Restart,
    /// The restarted controller hears a client.
    Report(usize),
    Step,
    /// Somebody pins the other tenant, and overrides the full pass.
    Pin,
    /// Somebody asks for the scenario's steps.
    Ramp,
    NeighbourSteps,
    BeginPass(ModelPass),
    GoOn(usize, Fate),
    Land(usize),
    /// A put that had not landed never will: the stores' residual time is over.
    Expire(usize),
    Purge,
    /// What expires has expired.
    Time,
    /// A store removes it.
    Remove(StoreRole),
}

impl Protocol {
    pub(crate) fn has(&self, mutation: Omission) -> bool {
        self.mutation == Some(mutation)
    }

    pub(crate) fn linearizable(&self) -> bool {
        self.scenario.level == Level::Linearizable
    }

    /// Whether one order has to explain all answers: those to reads, too, at level linearizable.
    pub(crate) fn ordered(&self) -> bool {
        self.linearizable() || self.scenario.ordered
    }

    fn client_actions(&self, state: &State, at: usize, client: &Client, actions: &mut Vec<Action>) {
        self.lease_actions(state, at, client, actions);
        let hears = client.life.is_on_stream() && client.leased && !client.evicted;
        if client.heard < state.ladder.newest() && hears {
            actions.push(Action::Hear(at));
        }
        if !self.may_act(client, client.doing.as_ref()) {
            return;
        }
        let revision = state.ladder.route(client);
        if revision.local_guard && revision.rung == Rung::TargetFirst && !revision.no_fallback {
            actions.push(Action::GoBack(at));
        }
        if self.has(Omission::EvictsTheLiving) && state.clients.iter().all(|client| !client.evicted) {
            actions.push(Action::Evict(at));
        }
        let Some(doing) = &client.doing else {
            if client.life == Life::Killed {
                return;
            }
            let budget = &state.budget;
            let may = [
                (budget.reads, Kind::Read),
                (budget.queries, Kind::Query),
                (budget.puts, Kind::Put),
                (if state.expired { 0 } else { budget.expiring }, Kind::Expiring),
                (budget.deletes, Kind::Delete),
                (budget.mutates, Kind::Mutate),
                (budget.keeps, Kind::Keep),
            ];
            if state.ladder.revision(client.heard).rung != Rung::Hold {
                let left = may.into_iter().filter(|(left, _)| *left > 0);
                actions.extend(left.map(|(_, kind)| Action::Begin(at, kind)));
                if budget.put_ifs > 0 {
                    let expected = state.stores.contents().into_iter();
                    actions.extend(expected.map(|content| Action::Begin(at, Kind::PutIf(content))));
                }
            }
            return;
        };
        let (puts, above) = match &doing.work {
            Work::Read { call, .. } => (*call == ReadCall::Copy, None),
            Work::Write { call: WriteCall::Get(_), .. } => (false, None),
            Work::Write { call: WriteCall::Mirror | WriteCall::Copy, .. } => (true, None),
            Work::Write { call: WriteCall::Put { above, store, condition }, .. } => {
                (true, Some((*above, *store, *condition)))
            }
        };
        for stamp in self.stamps(state, above) {
            actions.push(Action::Call(at, stamp, Fate::Answered));
            if puts && state.budget.lost > 0 {
                actions.push(Action::Call(at, stamp, Fate::AnswerLost));
            }
            if puts && state.budget.late > 0 {
                actions.push(Action::Call(at, stamp, Fate::Late));
            }
            if puts && state.budget.late > 0 && state.budget.crashes > 0 {
                actions.push(Action::Crash(at, Some(stamp)));
                if self.scenario.saved && client.life == Life::Watching {
                    actions.push(Action::Park(at, Some(stamp)));
                }
            }
        }
        if state.budget.failures > 0 {
            actions.push(Action::Call(at, Version::ZERO, Fate::Fails));
        }
        if state.budget.crashes > 0 {
            actions.push(Action::Crash(at, None));
        }
    }

    /// Every position for a new version among those that anybody still knows; clocks are not to be trusted.
    /// Below what the store holds all positions are equivalent: the put is stale.
    fn stamps(&self, state: &State, put: Option<(Version, StoreRole, Condition)>) -> Vec<Version> {
        let Some((above, store, condition)) = put else { return vec![Version::ZERO] };
        let mut stores = state.stores;
        let held = stores.held(store).map_or(0, |record| record.version.0);
        let lowest = if condition == Condition::Newer && held > above.0 { held - APART } else { above.0 };
        let lowest = lowest.max(above.0).max(state.stamped_above());
        let repeated = (self.scenario.repeats && held > above.0).then_some(Version(held));
        let new = (lowest..=state.highest).step_by(APART as usize).map(|below| Version(below + 1));
        new.chain(repeated).collect()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Scenario { rung, stores, budget, clients, local_guard, .. } = self.scenario;
        let revision = Revision { rung, no_fallback: false, local_guard };
        let client = Client {
            heard: 0,
            gone_back: false,
            evicted: false,
            left_behind: false,
            forgotten: false,
            known: Known::Heard,
            leased: true,
            saved: self.scenario.saved.then_some(0),
            life: Life::Watching,
            doing: None,
        };
        let mut clients = vec![client; clients];
        let Scenario { callers, sidecars, .. } = self.scenario;
        for (at, client) in clients.iter_mut().enumerate().take(callers + sidecars) {
            client.life = if at < callers { Life::Caller } else { Life::Sidecar };
        }
        let truth = if self.scenario.foreign { stores.source } else { stores.truth() };
        let orders = if self.ordered() {
            vec![Order::of(truth.map_or(DELETED, |record| record.content))]
        } else {
            Vec::new()
        };
        let ladder = Ladder {
            taken: 0,
            window: vec![revision],
            since: 0,
            was: rung,
            mirrored_since: (rung >= Rung::Mirrored).then_some(0),
            target_first_since: (rung >= Rung::TargetFirst).then_some(0),
            drained: false,
            floor: rung == Rung::TargetOnly,
            full_since_mirrored: rung >= Rung::TargetFirst,
            full_since_target_first: rung == Rung::TargetOnly,
            swept: false,
            overridden: self.scenario.overridden,
            asked: !self.scenario.neighbour,
            neighbour: self.scenario.neighbour.then_some(Neighbour::Waiting),
        };
        let acknowledged = truth.map(Record::seen);
        let deleted = acknowledged.filter(|seen| seen.tombstone).map(|seen| seen.version);
        let history = History { acknowledged, deleted, orders, ..History::default() };
        let state = State {
            stores,
            clients,
            jobs: Vec::new(),
            late: Vec::new(),
            ladder,
            budget,
            history,
            broken: None,
            expired: false,
            highest: 0,
        };
        vec![state.canonical()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for (at, client) in state.clients.iter().enumerate() {
            self.client_actions(state, at, client, actions);
        }
        actions.push(Action::Step);
        Self::neighbour_actions(state, actions);
        self.restart_actions(state, actions);
        Self::expiring_actions(state, actions);
        if state.clients.iter().any(|client| client.left_behind && !client.forgotten) {
            actions.push(Action::Forget);
        }
        for at in 0..state.late.len() {
            actions.extend([Action::Land(at), Action::Expire(at)]);
        }
        for at in 0..state.jobs.len() {
            if self.scenario.fenced && state.jobs[at].leased {
                actions.push(Action::WorkerEnds(at));
            }
            actions.push(Action::GoOn(at, Fate::Answered));
            if state.budget.late > 0 {
                actions.push(Action::GoOn(at, Fate::Late));
            }
        }
        if state.budget.passes > 0 {
            actions.extend([ModelPass::Full, ModelPass::Sweep, ModelPass::Reverse].map(Action::BeginPass));
            if self.scenario.foreign {
                actions.push(Action::BeginPass(ModelPass::SourceWins));
            }
        }
        if self.has(Omission::PurgedTombstones) || self.has(Omission::PurgedTombstonesWithFallback) {
            actions.push(Action::Purge);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let after = match action {
            Action::Begin(client, kind) => {
                let mut after = self.begin(state, client, kind)?;
                let left = match kind {
                    Kind::Read => &mut after.budget.reads,
                    Kind::Query => &mut after.budget.queries,
                    Kind::Put => &mut after.budget.puts,
                    Kind::Expiring => &mut after.budget.expiring,
                    Kind::Delete => &mut after.budget.deletes,
                    Kind::Mutate => &mut after.budget.mutates,
                    Kind::PutIf(_) => &mut after.budget.put_ifs,
                    Kind::Keep => &mut after.budget.keeps,
                };
                *left -= 1;
                after
            }
            Action::Call(client, stamp, fate) => self.call(state, client, stamp, fate)?,
            Action::Hear(client) => {
                let mut after = state.clone();
                after.clients[client].heard += 1;
                after.clients[client].gone_back = false;
                after
            }
            Action::GoBack(client) => {
                let mut after = state.clone();
                after.clients[client].gone_back = true;
                self.coverage.note(Branch::WentBack);
                after
            }
            Action::Crash(client, late) => self.crash(state, client, late)?,
            Action::WorkerEnds(job) => {
                let mut after = state.clone();
                after.jobs[job].leased = false;
                after
            }
            Action::Evict(client) => {
                let mut after = state.clone();
                after.clients[client].evicted = true;
                after
            }
            Action::LeaseEnds(client) => self.lease_ends(state, client),
            Action::AnswerEnds(client) => Self::answer_ends(state, client),
            Action::DeadlineEnds(client) => self.deadline_ends(state, client),
            Action::KillSidecar(client) => self.kill_sidecar(state, client)?,
            Action::Ask(client) => self.ask(state, client),
            Action::CountOut(client) => self.count_out(state, client),
            Action::GiveUp(client) => self.give_up(state, client)?,
            Action::ComeBack(client) => self.come_back(state, client)?,
            Action::Save(client) => Self::save(state, client),
            Action::Park(client, late) => self.park(state, client, late)?,
            Action::Start(client) => self.start(state, client)?,
            Action::Succeed(client) => self.succeed(state, client)?,
            Action::Forget => self.forget(state),
            Action::Restart => self.restart(state),
            Action::Report(client) => self.report(state, client)?,
            Action::Step => self.step(state)?,
            Action::Pin => Self::pin(state),
            Action::Ramp => self.ramp(state),
            Action::NeighbourSteps => self.neighbour_steps(state),
            Action::BeginPass(pass) => self.begin_pass(state, pass)?,
            Action::GoOn(job, fate) => self.go_on(state, job, fate)?,
            Action::Land(late) => self.land_late(state, late),
            Action::Expire(late) => {
                let mut after = state.clone();
                after.late.remove(late);
                after
            }
            Action::Time => self.time(state)?,
            Action::Remove(store) => self.remove(state, store),
            Action::Purge => {
                let settled = state.ladder.rung() == Rung::TargetOnly && state.quiesced(state.ladder.since);
                let mut after = state.clone();
                after.stores.target.take_if(|record| settled && record.seen().tombstone)?;
                after
            }
        };
        Some(after.canonical())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}
