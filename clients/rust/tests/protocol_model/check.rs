//! Runs a scenario to its end and reports the result.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::{
    coverage::Coverage,
    mutation::Omission,
    properties::{COVERED, SOURCE_AHEAD},
    protocol::{Action, Protocol},
    scenario::Scenario,
    state::{Budget, State},
};

type Broken = (&'static str, Path<State, Action>);

/// [`holds`], with the larger budget if `CUTOVER_MODEL=deep`.
pub(crate) fn holds_deep(scenario: Scenario, deep: Budget) {
    let is_deep = std::env::var("CUTOVER_MODEL").is_ok_and(|depth| depth == "deep");
    holds(Scenario { budget: if is_deep { deep } else { scenario.budget }, ..scenario });
}

/// Checks that every promise is kept in every state, and that everything expected happens.
pub(crate) fn holds(scenario: Scenario) {
    if let Some((property, path)) = run(scenario, None).first() {
        for (state, action) in path.clone().into_vec() {
            eprintln!("{state:?}\n  {action:?}");
        }
        panic!("{}: {property}: violated after {path}", scenario.name());
    }
}

/// Checks that the scenario holds, and does not with the mutation.
pub(crate) fn missed(mutation: Omission, scenario: Scenario) {
    holds(scenario);
    loses(mutation, scenario);
}

/// [`missed`], by this promise.
pub(crate) fn missed_by(promise: &str, mutation: Omission, scenario: Scenario) {
    holds(scenario);
    let broken = promises(run(scenario, Some(mutation)));
    assert!(broken.contains(&promise), "{mutation:?} in {} breaks {broken:?}", scenario.name());
}

/// Checks that with the mutation a promise is broken.
pub(crate) fn loses(mutation: Omission, scenario: Scenario) {
    let broken = run(scenario, Some(mutation));
    assert!(!broken.is_empty(), "{mutation:?} is not missed in {}", scenario.name());
}

/// The promises found broken, with the shortest way first. One state can break several.
fn run(scenario: Scenario, mutation: Option<Omission>) -> Vec<Broken> {
    let began = Instant::now();
    let model = Protocol { scenario, mutation, coverage: Coverage::of(scenario.expected) };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().filter(|(name, _)| *name != COVERED);
    let mut broken: Vec<_> = broken.collect();
    broken.sort_by_key(|(name, path)| (path.clone().into_actions().len(), *name));
    let verdict = broken.first().map_or("holds".to_owned(), |(property, path)| {
        let actions = path.clone().into_actions();
        let operations = actions.iter().filter(|action| matches!(action, Action::Begin(..))).count();
        format!("after {} steps, {operations} operations not: {property}", actions.len())
    });
    let mutation = mutation.map_or(String::new(), |mutation| format!(" | {mutation:?}"));
    eprintln!(
        "{}{mutation} | {} states, {} transitions, depth {}, {} ms | {verdict}",
        scenario.name(),
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_millis(),
    );
    if broken.is_empty() {
        let missing = checker.model().coverage.missing();
        assert!(missing.is_empty(), "{}: never came by {missing:?}", scenario.name());
    }
    broken
}

/// Checks that a promise is broken although no rule is left out: an exception that docs/protocol.md names.
pub(crate) fn is_excepted(scenario: Scenario) {
    let broken = promises(run(scenario, None));
    let is_promise = broken.iter().any(|property| *property != SOURCE_AHEAD);
    assert!(is_promise, "{}, {broken:?}: docs/protocol.md says that a promise is broken", scenario.name());
}

fn promises(broken: Vec<Broken>) -> Vec<&'static str> {
    broken.into_iter().map(|(property, _)| property).collect()
}
