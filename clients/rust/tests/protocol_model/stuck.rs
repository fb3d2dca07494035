//! Whether the scenario's end can be reached from every state: nothing that happens may block it for good.

use std::{collections::HashMap, time::Instant};

use stateright::Model;

use crate::{
    coverage::Coverage,
    mutation::Omission,
    overrides::Neighbour,
    protocol::{Action, Protocol},
    scenario::Scenario,
    state::State,
};

/// Checks that all steps can still be taken, whatever has happened.
pub(crate) fn always_arrives(scenario: Scenario) {
    if let Some(way) = shortest_way_to_stuck(scenario, None) {
        panic!("{}: nobody arrives any more after {way:?}", scenario.name());
    }
}

/// Checks that with the mutation some step may never be taken.
pub(crate) fn gets_stuck(mutation: Omission, scenario: Scenario) {
    let way = shortest_way_to_stuck(scenario, Some(mutation));
    assert!(way.is_some(), "{mutation:?} is not missed in {}", scenario.name());
}

fn shortest_way_to_stuck(scenario: Scenario, mutation: Option<Omission>) -> Option<Vec<Action>> {
    let began = Instant::now();
    let model = Protocol { scenario, mutation, coverage: Coverage::default() };
    let mut states = model.init_states();
    let mut numbers: HashMap<State, usize> = states.iter().cloned().zip(0..).collect();
    // How each state is reached, the shortest way first.
    let mut reached: Vec<Vec<(usize, Action)>> = vec![Vec::new(); states.len()];
    let mut at = 0;
    while let Some(state) = states.get(at).cloned() {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            let Some(next) = model.next_state(&state, action) else { continue };
            let number = *numbers.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                reached.push(Vec::new());
                states.len() - 1
            });
            reached[number].push((at, action));
        }
        at += 1;
    }
    let mut arrives = vec![false; states.len()];
    let mut open: Vec<usize> = (0..states.len()).filter(|at| has_arrived(&model, &states[*at])).collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut arrives[at], true) {
            open.extend(reached[at].iter().map(|(before, _)| before));
        }
    }
    let stuck = arrives.iter().position(|arrives| !arrives).map(|at| way_to(&reached, at));
    let verdict =
        stuck.as_ref().map_or("always arrives".to_owned(), |way| format!("stuck after {} steps", way.len()));
    let mutation = mutation.map_or(String::new(), |mutation| format!(" | {mutation:?}"));
    eprintln!(
        "{}{mutation} | {} states, {} ms | {verdict}",
        scenario.name(),
        states.len(),
        began.elapsed().as_millis()
    );
    stuck
}

/// States were found in the order of their distance.
fn way_to(reached: &[Vec<(usize, Action)>], mut at: usize) -> Vec<Action> {
    let mut way = Vec::new();
    while at != 0 {
        let (before, action) = reached[at][0];
        way.push(action);
        at = before;
    }
    way.reverse();
    way
}

fn has_arrived(model: &Protocol, state: &State) -> bool {
    let ladder = &state.ladder;
    usize::from(ladder.taken) == model.scenario.steps.len()
        && ladder.neighbour.is_none_or(|neighbour| neighbour == Neighbour::Arrived)
}
