//! Whether the operations on one record have an order that explains all answers: linearizability.
//!
//! The search is that of Wing and Gong (1993) with the memory of Lowe (2017), as porcupine does it: an
//! operation may come next if no other one that is still to come ended before it began. A state that was
//! reached before, in whatever order, is not searched again. Three shortcuts lose no order:
//!
//! - A read that finds the present value comes next at once.
//! - A write that nobody observes comes right before another one that may come next as well.
//! - A write of unknown outcome that nobody observes never happened.

use std::collections::{BTreeSet, HashMap, HashSet};

/// The value of a record. `None`: it is not there.
pub type Value = Option<u64>;

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It found this.
    Read(Value),
    /// It wrote this, whatever was there.
    Write(Value),
    /// It found the first and wrote the second, and nothing came in between.
    Change(Value, Value),
}

/// An operation on the record.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What it did.
    pub action: Action,
    /// When it began.
    pub began: u64,
    /// When it ended. `None`: it is not known whether it did anything; if so, at any time after it began.
    pub ended: Option<u64>,
}

/// What the search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none. No order gets past this operation, by its number.
    Stuck(usize),
    /// Too many orders to try.
    Undecided,
}

/// More states than this are not searched.
const STATES_MAX: usize = 100_000;

/// What is done, and what that has left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Everything required before it is done.
    first: usize,
    /// What is done besides: required from `first` on, and optional.
    done: BTreeSet<usize>,
    value: Value,
}

struct Search {
    /// By beginning.
    operations: Vec<Operation>,
    observers: HashMap<Value, Vec<usize>>,
    optional: Vec<usize>,
}

/// Searches an order that explains the operations, which begin with `initial`.
pub fn check(initial: Value, operations: &[Operation]) -> Verdict {
    let mut numbers: Vec<usize> = (0..operations.len()).collect();
    numbers.sort_by_key(|number| operations[*number].began);
    let search = Search::new(numbers.iter().map(|number| operations[*number]).collect());
    let mut stack = vec![search.settled(State { first: 0, done: BTreeSet::new(), value: initial })];
    let mut seen: HashSet<State> = stack.iter().cloned().collect();
    let (mut furthest, mut stuck) = (0, 0);
    while let Some(state) = stack.pop() {
        let Some(blocking) = search.blocking(&state) else { return Verdict::Linearizable };
        if seen.len() > STATES_MAX {
            return Verdict::Undecided;
        }
        let got = state.first + state.done.len();
        if got >= furthest {
            (furthest, stuck) = (got, blocking);
        }
        for next in search.next(&state, blocking) {
            if seen.insert(next.clone()) {
                stack.push(next);
            }
        }
    }
    Verdict::Stuck(numbers[stuck])
}

impl Operation {
    const fn is_required(&self) -> bool {
        self.ended.is_some()
    }

    const fn found(&self) -> Option<Value> {
        match self.action {
            Action::Read(found) | Action::Change(found, _) => Some(found),
            Action::Write(_) => None,
        }
    }

    const fn written(&self) -> Option<Value> {
        match self.action {
            Action::Write(value) | Action::Change(_, value) => Some(value),
            Action::Read(_) => None,
        }
    }
}

impl Search {
    fn new(operations: Vec<Operation>) -> Self {
        let mut observers: HashMap<Value, Vec<usize>> = HashMap::new();
        for (number, operation) in operations.iter().enumerate() {
            if let Some(found) = operation.found() {
                observers.entry(found).or_default().push(number);
            }
        }
        let optional = (0..operations.len()).filter(|number| !operations[*number].is_required()).collect();
        Self { operations, observers, optional }
    }

    fn is_done(&self, state: &State, number: usize) -> bool {
        number < state.first && self.operations[number].is_required() || state.done.contains(&number)
    }

    /// Does anything that is still to come find this value?
    fn is_observed(&self, state: &State, value: Value) -> bool {
        let observers = self.observers.get(&value).into_iter().flatten();
        observers.into_iter().any(|number| !self.is_done(state, *number))
    }

    /// Of what is required and still to come: that which ends first. Everything else that comes next has begun
    /// before it ended.
    fn blocking(&self, state: &State) -> Option<usize> {
        let mut first: Option<(u64, usize)> = None;
        for (number, operation) in self.operations.iter().enumerate().skip(state.first) {
            if first.is_some_and(|(ended, _)| operation.began > ended) {
                break;
            }
            let Some(ended) = operation.ended else { continue };
            if !state.done.contains(&number) && first.is_none_or(|(least, _)| ended < least) {
                first = Some((ended, number));
            }
        }
        first.map(|(_, number)| number)
    }

    /// Operations that may come next, optional ones only if somebody will observe them.
    fn candidates(&self, state: &State, blocking: usize) -> Vec<usize> {
        let before = self.operations[blocking].ended.unwrap_or(u64::MAX);
        let may_begin = |number: &usize| self.operations[*number].began < before;
        let required = (state.first..self.operations.len()).take_while(may_begin);
        let required =
            required.filter(|number| self.operations[*number].is_required() && !state.done.contains(number));
        let mut some_delete = false;
        let optional = self.optional.iter().copied().take_while(may_begin).filter(|number| {
            let Some(value) = self.operations[*number].written() else { return false };
            if state.done.contains(number) || !self.is_observed(state, value) {
                return false;
            }
            // One delete is as good as another.
            let is_blind_delete = self.operations[*number].action == Action::Write(None);
            !(is_blind_delete && std::mem::replace(&mut some_delete, true))
        });
        required.chain(optional).collect()
    }

    fn next(&self, state: &State, blocking: usize) -> Vec<State> {
        let candidates = self.candidates(state, blocking);
        let unobserved: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|number| match self.operations[*number].action {
                Action::Write(value) => !self.is_observed(state, value),
                _ => false,
            })
            .collect();
        let after = |number: usize| {
            let operation = &self.operations[number];
            let value = operation.written()?;
            let mut done = state.done.clone();
            match operation.found() {
                Some(found) if found != state.value => return None,
                Some(_) => {}
                None => done.extend(&unobserved),
            }
            done.insert(number);
            Some(self.settled(State { first: state.first, done, value }))
        };
        candidates.into_iter().filter_map(after).collect()
    }

    /// All reads that find the present value are done, and nothing is remembered that no longer matters.
    fn settled(&self, mut state: State) -> State {
        while let Some(blocking) = self.blocking(&state) {
            let finds = |number: &usize| self.operations[*number].action == Action::Read(state.value);
            let reads: Vec<usize> = self.candidates(&state, blocking).into_iter().filter(finds).collect();
            if reads.is_empty() {
                break;
            }
            state.done.extend(reads);
        }
        while let Some(operation) = self.operations.get(state.first) {
            if operation.is_required() && !state.done.remove(&state.first) {
                break;
            }
            state.first += 1;
        }
        // What was done and is observed by nobody would not be done again.
        let forgotten: Vec<usize> = state
            .done
            .iter()
            .copied()
            .filter(|number| {
                let operation = &self.operations[*number];
                let is_observed = operation.written().is_some_and(|value| self.is_observed(&state, value));
                !operation.is_required() && !is_observed
            })
            .collect();
        forgotten.iter().for_each(|number| _ = state.done.remove(number));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Change, Read, Write};

    fn history(operations: &[(Action, u64, u64)]) -> Vec<Operation> {
        let one = |(action, began, ended): &(Action, u64, u64)| Operation {
            action: *action,
            began: *began,
            ended: (*ended > 0).then_some(*ended),
        };
        operations.iter().map(one).collect()
    }

    fn verdict(operations: &[(Action, u64, u64)]) -> Verdict {
        check(None, &history(operations))
    }

    #[test]
    fn operations_that_overlap_have_any_order() {
        let both = |first, second| {
            [(Write(Some(1)), 1, 5), (Write(Some(2)), 2, 6), (Read(first), 7, 8), (Read(second), 9, 10)]
        };
        assert_eq!(verdict(&both(Some(1), Some(1))), Verdict::Linearizable);
        assert_eq!(verdict(&both(Some(2), Some(2))), Verdict::Linearizable);
        assert_eq!(verdict(&both(Some(1), Some(2))), Verdict::Stuck(3), "reads never go back");
        assert_eq!(verdict(&[(Write(Some(1)), 1, 9), (Read(None), 2, 3)]), Verdict::Linearizable);
        assert_eq!(verdict(&[(Write(Some(1)), 1, 9), (Read(Some(1)), 2, 3)]), Verdict::Linearizable);
        assert_eq!(verdict(&[(Read(Some(1)), 2, 3), (Write(Some(1)), 4, 9)]), Verdict::Stuck(0));
        assert_eq!(verdict(&[]), Verdict::Linearizable);
        assert_eq!(check(Some(7), &history(&[(Read(Some(7)), 1, 2)])), Verdict::Linearizable);
    }

    #[test]
    fn reads_do_not_go_back_while_a_write_is_under_way() {
        let read = |first, second| [(Write(Some(1)), 1, 9), (Read(first), 2, 3), (Read(second), 4, 5)];
        assert_eq!(verdict(&read(None, Some(1))), Verdict::Linearizable);
        assert_eq!(verdict(&read(Some(1), None)), Verdict::Stuck(2));
    }

    #[test]
    fn an_acknowledged_write_is_neither_lost_nor_replaced_by_an_older_one() {
        let lost = [(Write(Some(1)), 1, 2), (Write(Some(2)), 3, 4), (Read(Some(1)), 5, 6)];
        assert_eq!(verdict(&lost), Verdict::Stuck(2));
        let resurrected = [(Write(Some(1)), 1, 2), (Write(None), 3, 4), (Read(Some(1)), 5, 6)];
        assert_eq!(verdict(&resurrected), Verdict::Stuck(2));
        assert_eq!(verdict(&lost[..2]), Verdict::Linearizable);
    }

    #[test]
    fn a_write_of_unknown_outcome_takes_effect_once_late_or_never() {
        let unknown = (Write(Some(2)), 1, 0);
        let acknowledged = (Write(Some(1)), 3, 4);
        let read = |found, at| (Read(found), at, at + 1);
        let with = |reads: &[(Action, u64, u64)]| verdict(&[&[unknown, acknowledged], reads].concat());
        assert_eq!(with(&[read(Some(1), 5)]), Verdict::Linearizable, "never");
        assert_eq!(with(&[read(Some(2), 5)]), Verdict::Linearizable, "after the other one");
        assert_eq!(with(&[read(Some(1), 5), read(Some(2), 7), read(Some(2), 9)]), Verdict::Linearizable);
        let twice = [read(Some(2), 5), read(Some(1), 7)];
        assert_eq!(with(&twice), Verdict::Stuck(3), "it was replaced before it was there");
        let between = [read(Some(2), 2), read(Some(1), 5), read(Some(2), 7)];
        assert!(matches!(with(&between), Verdict::Stuck(_)), "only once");
        let early = [(Read(Some(2)), 1, 2), (Write(Some(2)), 3, 0)];
        assert_eq!(verdict(&early), Verdict::Stuck(0), "not before it began");
    }

    #[test]
    fn deletes_of_unknown_outcome_count_each_once() {
        let puts = |delete: &[(Action, u64, u64)]| {
            let rest = [
                (Write(Some(1)), 1, 2),
                (Read(None), 10, 11),
                (Write(Some(2)), 12, 13),
                (Read(None), 14, 15),
            ];
            verdict(&[&rest, delete].concat())
        };
        assert_eq!(puts(&[(Write(None), 3, 0), (Write(None), 4, 0)]), Verdict::Linearizable);
        assert_eq!(puts(&[(Write(None), 3, 0)]), Verdict::Stuck(3));
    }

    #[test]
    fn nothing_comes_between_what_a_change_finds_and_what_it_writes() {
        let counted =
            [(Change(None, Some(1)), 1, 5), (Change(Some(1), Some(2)), 2, 6), (Read(Some(2)), 7, 8)];
        assert_eq!(verdict(&counted), Verdict::Linearizable);
        let overwritten =
            [(Change(None, Some(1)), 1, 5), (Change(None, Some(2)), 2, 6), (Read(Some(2)), 7, 8)];
        assert!(matches!(verdict(&overwritten), Verdict::Stuck(_)));
        let unknown = [(Change(None, Some(1)), 1, 0), (Change(None, Some(2)), 2, 6), (Read(Some(2)), 7, 8)];
        assert_eq!(verdict(&unknown), Verdict::Linearizable);
        let between = [(Write(Some(1)), 1, 4), (Change(None, Some(2)), 2, 6), (Read(Some(1)), 7, 8)];
        assert_eq!(verdict(&between), Verdict::Linearizable, "the write came after it");
    }

    /// Against the definition: some permutation explains everything.
    fn by_definition(operations: &[Operation], done: u32, value: Value) -> bool {
        let left = |number: &usize| done & (1 << number) == 0;
        let numbers = || (0..operations.len()).filter(left);
        if numbers().all(|number| operations[number].ended.is_none()) {
            return true;
        }
        numbers().any(|number| {
            let operation = &operations[number];
            let too_late = |other: usize| operations[other].ended.is_some_and(|end| end < operation.began);
            let finds = operation.found().is_none_or(|found| found == value);
            let next = operation.written().unwrap_or(value);
            finds && !numbers().any(too_late) && by_definition(operations, done | 1 << number, next)
        })
    }

    #[test]
    fn the_search_agrees_with_the_definition_on_random_histories() {
        use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
        let mut random = SmallRng::seed_from_u64(12);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let count = random.random_range(1..=6);
            let operation = |number: usize, random: &mut SmallRng| {
                let value = |random: &mut SmallRng| match random.random_range(0..=count as u64) {
                    0 => None,
                    value => Some(value),
                };
                let own = Some(number as u64 + 1).filter(|_| random.random_range(0..4) > 0);
                let action = match random.random_range(0..5) {
                    0 | 1 => Read(value(random)),
                    2 | 3 => Write(own),
                    _ => Change(value(random), own),
                };
                let began = random.random_range(0..20) * 2;
                let ended = began + random.random_range(0..6) * 2 + 1;
                let is_known = matches!(action, Read(_)) || random.random_range(0..3) > 0;
                Operation { action, began, ended: is_known.then_some(ended) }
            };
            let operations: Vec<_> = (0..count).map(|number| operation(number, &mut random)).collect();
            let expected = by_definition(&operations, 0, None);
            assert_eq!(check(None, &operations) == Verdict::Linearizable, expected, "{operations:?}");
            *(if expected { &mut good } else { &mut bad }) += 1;
        }
        assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
    }
}
