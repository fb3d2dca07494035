//! What a store does with one call. One call is one action of the model.

use cutover_client::{
    migrator::rules::{Answer, Condition},
    report::StoreRole,
    store::{Put, Version},
};

use crate::{
    coverage::Branch,
    mutation::Omission,
    protocol::Protocol,
    state::{DELETED, Late, State, When},
};

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Answered,
    /// It fails and does nothing.
    Fails,
    /// A put is executed, and its answer is lost.
    AnswerLost,
    /// A put has no answer, and may land later.
    Late,
}

impl Fate {
    /// Takes its cost from the budget; `false`: none is left.
    pub(crate) const fn pay(self, state: &mut State) -> bool {
        let left = match self {
            Self::Answered => return true,
            Self::Fails => &mut state.budget.failures,
            Self::AnswerLost => &mut state.budget.lost,
            Self::Late => &mut state.budget.late,
        };
        if *left == 0 {
            return false;
        }
        *left -= 1;
        true
    }
}

impl Protocol {
    /// Executes a put that has already been paid for.
    pub(crate) fn put(&self, state: &mut State, put: Late, fate: Fate) -> Answer {
        match fate {
            Fate::Fails => Answer::NotApplied,
            Fate::Answered => Answer::Put(self.land(state, put)),
            Fate::AnswerLost => {
                self.land(state, put);
                Answer::Indeterminate
            }
            Fate::Late => {
                state.late.push(put);
                Answer::Indeterminate
            }
        }
    }

    /// The store's compare-and-put: what `cutover_client::store::Store` promises.
    pub(crate) fn land(&self, state: &mut State, put: Late) -> Put {
        let held = state.stores.held(put.store);
        let current = held.map(|record| record.version);
        let applies = match put.when {
            When::Rules(Condition::Newer) => current.is_none_or(|current| put.record.version > current),
            When::Rules(Condition::Unchanged { expected, .. }) => current == expected,
            When::Unversioned => current.is_none_or(|current| {
                put.record.version > current || put.record.version == current && current == Version::ZERO
            }),
            When::Always => true,
            When::Absent => current.is_none(),
        };
        if !applies {
            return match current {
                Some(current) if current == put.record.version => Put::Present,
                current => Put::Stale(current.unwrap_or(Version::ZERO)),
            };
        }
        if put.record.content == DELETED {
            state.history.deleted = state.history.deleted.max(Some(put.record.version));
        }
        let vanishes = put.record.content == DELETED && self.has(Omission::NoTombstones);
        *state.stores.held(put.store) = (!vanishes).then_some(put.record);
        Put::Applied
    }

    /// What a copy depends on.
    pub(crate) fn copied_when(&self) -> When {
        if self.has(Omission::UnconditionalCopy) { When::Always } else { When::Rules(Condition::Newer) }
    }

    /// What a pass's copy depends on. Only passes put records without a version into the target.
    pub(crate) fn passed_when(&self) -> When {
        match self.copied_when() {
            When::Rules(Condition::Newer) if !self.has(Omission::UnversionedAreEqual) => When::Unversioned,
            when => when,
        }
    }

    /// A put that nobody waits for any more takes effect.
    pub(crate) fn land_late(&self, state: &State, at: usize) -> State {
        let mut after = state.clone();
        let late = after.late.remove(at);
        if matches!(self.land(&mut after, late), Put::Applied) {
            self.coverage.note(Branch::LandedLate);
        }
        after
    }

    /// The whole record there is `store`'s.
    pub(crate) const fn other(store: StoreRole) -> StoreRole {
        match store {
            StoreRole::Source => StoreRole::Target,
            StoreRole::Target => StoreRole::Source,
        }
    }
}
