//! Restarts of the controller. The store has the members, who of them was counted out, which files were left, and that
//! there are callers. It has no acknowledgements and no leases: nobody has acknowledged anything, and nobody is lost,
//! before the new process has listened.

use cutover_client::routing::Rung::{Dual, Mirrored, SourceOnly, TargetFirst, TargetOnly};

use crate::{
    check::{holds_deep, loses, missed},
    coverage::Branch::{
        self, Acknowledged, CameBack, ControllerRestarted, CountedOut, HeardAgain, LeftBehind, Passed,
        Reversed, Succeeded, Swept,
    },
    mutation::Omission,
    protocol::{Action, Protocol},
    scenario::{BOTH, NONE, PLAIN, Scenario},
    state::{Budget, Client, Life, State},
    stuck::{always_arrives, gets_stuck},
};

/// What the controller knows of a client's acknowledgements. Callers acknowledge nothing: their answers expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Known {
    /// It has heard the client: what the client has acknowledged counts.
    Heard,
    /// It was restarted, and has not heard the client since.
    Unheard,
    /// Only mutations: as if the client had acknowledged this revision.
    Assumed(u8),
}

impl Client {
    pub(crate) fn is_assumed(&self, revision: u8) -> bool {
        matches!(self.known, Known::Assumed(assumed) if assumed >= revision)
    }
}

impl Protocol {
    pub(crate) fn restart_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !self.scenario.restarts {
            return;
        }
        actions.push(Action::Restart);
        for (at, client) in state.clients.iter().enumerate() {
            let hears = client.life.is_on_stream() && client.leased && !client.evicted;
            if client.known == Known::Unheard && hears {
                actions.push(Action::Report(at));
            }
        }
    }

    /// Another process of the controller starts from the store.
    pub(crate) fn restart(&self, state: &State) -> State {
        let mut after = state.clone();
        let newest = after.ladder.newest();
        let assumes = self.has(Omission::RestartAssumesAcknowledged);
        for client in &mut after.clients {
            match client.life {
                Life::Caller => {
                    client.evicted |= self.has(Omission::CallersForgottenAtRestart);
                    continue;
                }
                Life::Parked => client.evicted |= self.has(Omission::ParkedForgottenAtRestart),
                _ if client.evicted && self.has(Omission::CountedOutForgotten) => {
                    // It still knows by itself for how long it was silent.
                    (client.evicted, client.left_behind) = (false, true);
                }
                _ => {}
            }
            client.forgotten |= client.left_behind;
            if !client.evicted {
                client.known = if assumes { Known::Assumed(newest) } else { Known::Unheard };
            }
        }
        self.coverage.note(ControllerRestarted);
        after
    }

    /// The restarted controller hears a client, which registers again with the snapshot that it holds.
    pub(crate) fn report(&self, state: &State, at: usize) -> Option<State> {
        let mut after = state.clone();
        let newest = after.ladder.newest();
        let client = &mut after.clients[at];
        self.coverage.note(HeardAgain);
        if self.has(Omission::MembersForgotten) {
            // It holds a snapshot and is unknown, so it is told that it was given up.
            client.evicted = true;
            return self.come_back(&after, at);
        }
        let is_new = self.has(Omission::HoldersAreNew);
        client.known = if is_new { Known::Assumed(newest) } else { Known::Heard };
        Some(after)
    }

    /// Whether nobody will ever stop waiting for the file that this client has left.
    pub(crate) fn is_waited_for_for_ever(&self, client: &Client) -> bool {
        let is_unheard = client.life == Life::Parked && client.known == Known::Unheard;
        is_unheard && self.has(Omission::FileWaitedForForEver)
    }
}

const ONE: Budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };

const UP: Scenario = Scenario {
    restarts: true,
    steps: &[Mirrored, TargetFirst],
    budget: ONE,
    expected: &[Branch::TargetFirst, Acknowledged, Passed, ControllerRestarted, HeardAgain],
    ..PLAIN
};

const LEASED: Scenario =
    Scenario { fenced: true, expected: &[CountedOut, CameBack, ControllerRestarted, HeardAgain], ..UP };
const SAVED: Scenario = Scenario {
    saved: true,
    expected: &[Branch::Restarted, Succeeded, CountedOut, ControllerRestarted],
    ..UP
};
/// A process that leaves a file and starts from it, and nobody else.
const ALONE: Scenario = Scenario { clients: 1, ..SAVED };
const CALLED: Scenario =
    Scenario { callers: 1, expected: &[Branch::Asked, ControllerRestarted, HeardAgain], ..UP };
const AT_TARGET_FIRST: Scenario = Scenario { rung: TargetFirst, stores: BOTH, ..UP };

#[test]
fn on_the_way_up() {
    holds_deep(UP, Budget { puts: 2, failures: 1, ..ONE });
}

#[test]
fn around_target_only() {
    let expected = &[Branch::TargetOnly, Branch::Mirrored, Reversed, ControllerRestarted, HeardAgain];
    let steps = &[TargetOnly, TargetFirst, Mirrored];
    let budget = Budget { passes: 2, ..ONE };
    holds_deep(Scenario { steps, budget, expected, ..AT_TARGET_FIRST }, Budget { puts: 2, ..budget });
}

#[test]
fn before_a_sweep() {
    let budget = Budget { failures: 1, ..ONE };
    let expected = &[Branch::TargetFirst, Swept, ControllerRestarted, HeardAgain];
    let steps = &[Mirrored, Mirrored, TargetFirst];
    let scenario = Scenario { rung: Dual, lazy: true, steps, budget, expected, ..UP };
    holds_deep(scenario, Budget { puts: 2, late: 1, ..budget });
}

#[test]
fn on_the_way_down_past_a_client_that_is_silent() {
    let budget = Budget { passes: 0, ..ONE };
    let expected = &[Branch::SourceOnly, LeftBehind, CameBack, ControllerRestarted, HeardAgain];
    let steps = &[Mirrored, Dual, SourceOnly];
    let scenario = Scenario { fenced: true, steps, budget, expected, ..AT_TARGET_FIRST };
    holds_deep(scenario, Budget { reads: 2, failures: 1, ..budget });
}

#[test]
fn while_processes_leave_files_and_start_from_them() {
    holds_deep(SAVED, Budget { puts: 2, ..ONE });
}

#[test]
fn everybody_arrives_however_often_it_is_restarted() {
    always_arrives(UP);
    always_arrives(CALLED);
    always_arrives(ALONE);
}

#[test]
fn acknowledgements_taken_for_granted() {
    loses(Omission::RestartAssumesAcknowledged, UP);
}

#[test]
fn registered_with_an_older_snapshot_and_taken_for_new() {
    loses(Omission::HoldersAreNew, UP);
}

#[test]
fn members_not_in_the_store() {
    loses(Omission::MembersForgotten, UP);
}

#[test]
fn leases_do_not_start_over() {
    let budget = Budget { failures: 1, ..ONE };
    let expected = &[Branch::Mirrored, Branch::Dual, ControllerRestarted, HeardAgain];
    let scenario = Scenario { steps: &[Mirrored, Dual], budget, expected, ..AT_TARGET_FIRST };
    missed(Omission::UnheardAreLost, scenario);
}

#[test]
fn counted_out_but_not_in_the_store() {
    missed(Omission::CountedOutForgotten, LEASED);
}

#[test]
fn a_file_that_was_left_is_not_in_the_store() {
    missed(Omission::ParkedForgottenAtRestart, ALONE);
}

#[test]
fn a_file_that_was_left_is_waited_for_for_ever() {
    gets_stuck(Omission::FileWaitedForForEver, ALONE);
}

#[test]
fn callers_not_in_the_store() {
    missed(Omission::CallersForgottenAtRestart, CALLED);
}
