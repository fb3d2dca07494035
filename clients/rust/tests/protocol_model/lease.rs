//! The right to act expires: leases of clients, answers that callers hold, snapshots in files.

use cutover_client::store::Version;

use crate::{
    coverage::Branch,
    mutation::Omission,
    protocol::{Action, Protocol},
    restart::Known,
    state::{Client, Doing, Life, State, Work},
};

impl Protocol {
    /// What may happen to a client's right to act.
    pub(crate) fn lease_actions(&self, state: &State, at: usize, client: &Client, actions: &mut Vec<Action>) {
        let is_caller = client.life == Life::Caller;
        let expires =
            self.scenario.fenced || is_caller || self.scenario.saved && client.life != Life::Watching;
        if expires && client.leased {
            actions.push(Action::LeaseEnds(at));
        }
        if is_caller {
            if client.heard < state.ladder.newest() || !client.leased {
                actions.push(Action::Ask(at));
            }
            if client.doing.as_ref().is_some_and(|doing| doing.leased && doing.begun < client.heard) {
                actions.push(Action::AnswerEnds(at));
            }
            return;
        }
        if client.life.has_deadlines() {
            self.sidecar_actions(state, at, client, actions);
        }
        if client.life == Life::Killed {
            return;
        }
        let has_ended = !client.leased || self.has(Omission::CountedOutEarly);
        if expires && has_ended && !client.evicted && !self.is_waited_for_for_ever(client) {
            actions.push(Action::CountOut(at));
        }
        if client.doing.is_some() && !client.leased && !client.life.has_deadlines() {
            actions.push(Action::GiveUp(at));
        }
        let is_running = client.life != Life::Parked;
        if is_running && (client.evicted || !client.leased || client.life == Life::Offline) {
            actions.push(Action::ComeBack(at));
        }
        if !self.scenario.saved {
            return;
        }
        match client.life {
            Life::Watching => {
                if client.saved.is_none_or(|saved| saved < client.heard) {
                    actions.push(Action::Save(at));
                }
                if client.doing.is_none() || state.budget.crashes > 0 {
                    actions.push(Action::Park(at, None));
                }
                if self.has(Omission::SucceedsTheLiving) && client.doing.is_some() {
                    actions.push(Action::Succeed(at));
                }
            }
            Life::Parked => actions.extend([Action::Start(at), Action::Succeed(at)]),
            Life::Offline | Life::Caller | Life::Sidecar | Life::Killed => {}
        }
    }

    /// Whether this client may begin an operation, or make a call.
    pub(crate) fn may_act(&self, client: &Client, doing: Option<&Doing>) -> bool {
        let lenient =
            doing.is_some() && (self.has(Omission::LeaseNotRechecked) || self.has(Omission::CallsPastLease));
        let lenient =
            lenient || client.life.has_deadlines() && doing.is_some() && self.calls_past_deadlines();
        client.life != Life::Parked && (self.is_leased(client, doing) || lenient)
    }

    /// Whether this client may be told that its operation took effect.
    pub(crate) fn may_acknowledge(&self, client: &Client, doing: &Doing) -> bool {
        let is_held = self.is_leased(client, Some(doing)) && client.life != Life::Killed;
        is_held || self.has(Omission::LeaseNotRechecked) || self.ends_unheld(client)
    }

    fn is_leased(&self, client: &Client, doing: Option<&Doing>) -> bool {
        match doing {
            Some(doing) if client.life.has_deadlines() => doing.leased,
            _ => client.leased,
        }
    }

    pub(crate) fn lease_ends(&self, state: &State, at: usize) -> State {
        let mut after = state.clone();
        let client = &mut after.clients[at];
        client.leased = false;
        if !self.has(Omission::FileNeverExpires) {
            client.saved = None;
        }
        // What was begun under an older answer expired with it, or before.
        client.doing.iter_mut().for_each(|doing| doing.leased = false);
        self.coverage.note(Branch::LeaseEnded);
        after
    }

    /// The older answer that a caller's operation was begun under expires.
    pub(crate) fn answer_ends(state: &State, at: usize) -> State {
        let mut after = state.clone();
        after.clients[at].doing.iter_mut().for_each(|doing| doing.leased = false);
        after
    }

    /// A caller asks again, whether or not one of its operations is in flight.
    pub(crate) fn ask(&self, state: &State, at: usize) -> State {
        let mut after = state.clone();
        let newest = after.ladder.newest();
        let client = &mut after.clients[at];
        (client.heard, client.leased, client.evicted) = (newest, true, false);
        self.coverage.note(Branch::Asked);
        after
    }

    /// The controller no longer waits for it.
    pub(crate) fn count_out(&self, state: &State, at: usize) -> State {
        let mut after = state.clone();
        after.clients[at].evicted = true;
        self.coverage.note(Branch::CountedOut);
        after
    }

    /// An operation whose lease has expired makes no further call: its caller gets no outcome.
    pub(crate) fn give_up(&self, state: &State, at: usize) -> Option<State> {
        let mut after = state.clone();
        let doing = after.clients[at].doing.take()?;
        self.unacknowledged(&mut after, at, &doing);
        self.coverage.note(Branch::GivenUp);
        Some(after)
    }

    /// It hears the controller again. If it was counted out or left behind, or started from a file, it is told so: it drops
    /// what it had begun, and continues with the current state.
    pub(crate) fn come_back(&self, state: &State, at: usize) -> Option<State> {
        let mut after = state.clone();
        let newest = after.ladder.newest();
        let client = &mut after.clients[at];
        let is_left = client.left_behind && !client.forgotten;
        let is_told = client.evicted || is_left || client.life == Life::Offline;
        // It was silent for long enough to know that somebody may have gone on: its right comes with the current state.
        if client.left_behind && !self.has(Omission::AnswersRevive) {
            (client.heard, client.gone_back) = (newest, false);
        }
        (client.evicted, client.left_behind, client.forgotten) = (false, false, false);
        (client.leased, client.known) = (true, Known::Heard);
        client.life = if client.life == Life::Sidecar { Life::Sidecar } else { Life::Watching };
        self.coverage.note(Branch::CameBack);
        if !is_told || self.has(Omission::ComesBackUntold) {
            return Some(after);
        }
        client.heard = newest;
        client.gone_back = false;
        if let Some(doing) = client.doing.take() {
            self.unacknowledged(&mut after, at, &doing);
        }
        Some(after)
    }

    /// Being left behind is in no store.
    pub(crate) fn forget(&self, state: &State) -> State {
        let mut after = state.clone();
        for client in after.clients.iter_mut().filter(|client| client.left_behind) {
            client.forgotten = true;
        }
        self.coverage.note(Branch::Forgotten);
        after
    }

    pub(crate) fn save(state: &State, at: usize) -> State {
        let mut after = state.clone();
        after.clients[at].saved = Some(after.clients[at].heard);
        after
    }

    /// Its process ends, cleanly or not, and its file remains. `late`: of a put that may still land.
    pub(crate) fn park(&self, state: &State, at: usize, late: Option<Version>) -> Option<State> {
        let mut after = state.clone();
        if after.clients[at].doing.is_some() {
            self.die(&mut after, at, late)?;
        }
        let client = &mut after.clients[at];
        client.life = Life::Parked;
        // Without a file nobody can come back.
        client.evicted |= client.saved.is_none() || self.has(Omission::ParkedForgotten);
        Some(after)
    }

    /// A process starts from the file, unless that has expired.
    pub(crate) fn start(&self, state: &State, at: usize) -> Option<State> {
        let mut after = state.clone();
        let client = &mut after.clients[at];
        let saved = client.saved?;
        (client.life, client.heard, client.gone_back, client.leased) = (Life::Offline, saved, false, true);
        self.coverage.note(Branch::Restarted);
        Some(after)
    }

    /// Another process takes the file over, locked, and registers. It answers for the file's old content until
    /// it has saved; nobody waits for its predecessor any more.
    pub(crate) fn succeed(&self, state: &State, at: usize) -> Option<State> {
        let mut after = state.clone();
        let newest = after.ladder.newest();
        let client = &mut after.clients[at];
        let predecessor = Client { evicted: true, ..client.clone() };
        client.saved?;
        (client.heard, client.life, client.doing) = (newest, Life::Watching, None);
        (client.evicted, client.left_behind, client.forgotten) = (false, false, false);
        (client.leased, client.gone_back, client.known) = (true, false, Known::Heard);
        self.coverage.note(Branch::Succeeded);
        // One of them is enough.
        let is_left = self.has(Omission::SucceedsTheLiving) || self.has(Omission::SucceedsACopy);
        if is_left && after.clients.len() == self.scenario.clients {
            after.clients.push(predecessor);
        }
        Some(after)
    }

    fn unacknowledged(&self, after: &mut State, at: usize, doing: &Doing) {
        match &doing.work {
            Work::Write { write, .. } => self.unanswered(after, write),
            Work::Read { .. } => after.history.unread(at),
        }
    }
}
