//! Records that expire: stores remove them without a tombstone. docs/protocol.md, "Records that expire".

use cutover_client::{
    migrator::rules::Seen,
    report::StoreRole::{self, Source, Target},
    routing::{
        Rung,
        Rung::{Dual, Mirrored, TargetFirst, TargetOnly},
    },
    store::Version,
};

use crate::{
    check::{holds, holds_deep, missed},
    coverage::Branch::{self, Buried, Expired, Passed, Removed, Reversed},
    mutation::Omission,
    protocol::{Action, Protocol},
    scenario::{BOTH, NONE, PLAIN, Scenario},
    state::{Budget, DELETED, Doing, Held, Job, ModelPass, Record, State, Work},
};

impl State {
    /// What an operation sees: an expired record is like a tombstone.
    pub(crate) fn seen(&self, held: Held) -> Option<Seen> {
        held.map(|record| Seen { tombstone: self.is_absent(Some(record)), version: record.version })
    }

    /// What a reader finds: after it has expired, any tombstone is as good as none.
    pub(crate) fn found(&self, held: Held) -> Held {
        held.filter(|_| !self.expired || !self.is_absent(held))
    }

    /// Whether a reader finds nothing.
    fn is_absent(&self, held: Held) -> bool {
        held.is_none_or(|record| record.content == DELETED || self.expired && record.expires)
    }

    fn expiring(&self) -> Option<Version> {
        let held = [self.stores.source, self.stores.target].into_iter().flatten();
        held.filter(|record| record.expires).map(|record| record.version).max()
    }

    /// The lowest stamp that clocks allow: a record has expired long after it was stamped.
    pub(crate) fn stamped_above(&self) -> u64 {
        self.history.deleted.filter(|_| self.expired).map_or(0, |version| version.0)
    }
}

impl Protocol {
    pub(crate) fn expiring_actions(state: &State, actions: &mut Vec<Action>) {
        if !state.expired && state.expiring().is_some() {
            actions.push(Action::Time);
        }
        for store in [Source, Target] {
            let mut stores = state.stores;
            if state.expired && stores.held(store).is_some_and(|record| record.expires) {
                actions.push(Action::Remove(store));
            }
        }
    }

    /// The record expires. By then every put of an older version has landed, or never will.
    pub(crate) fn time(&self, state: &State) -> Option<State> {
        let version = state.expiring()?;
        let is_older = |held: Held| held.is_some_and(|record| record.version < version);
        let is_under_way = |doing: &Doing| {
            let stamped = match &doing.work {
                Work::Write { write, .. } => write.sent && write.record.version <= version,
                Work::Read { .. } => false,
            };
            stamped || is_older(doing.source)
        };
        let doing = state.clients.iter().filter_map(|client| client.doing.as_ref());
        let landed = state.late.iter().all(|late| late.record.version > version)
            && state.jobs.iter().all(|job| job.record.version >= version)
            && !doing.into_iter().any(is_under_way);
        if !landed && !self.has(Omission::ExpiresSoon) {
            return None;
        }
        let mut after = state.clone();
        after.expired = true;
        after.history.deleted = after.history.deleted.max(Some(version));
        self.coverage.note(Expired);
        Some(after)
    }

    pub(crate) fn remove(&self, state: &State, store: StoreRole) -> State {
        let mut after = state.clone();
        *after.stores.held(store) = None;
        self.coverage.note(Removed);
        after
    }

    /// Whether a read or a mutation at target-first goes by the target alone.
    pub(crate) fn target_alone(&self, no_fallback: bool) -> bool {
        no_fallback || self.scenario.expires && !self.has(Omission::FallbackOfExpired)
    }

    /// Whether a full pass is clean: the target has nothing that the source lacks.
    pub(crate) fn has_stale_target(&self, state: &State) -> bool {
        let in_target = !state.is_absent(state.stores.target);
        self.scenario.expires && state.stores.source.is_none() && in_target && !state.ladder.floor
    }

    /// Whether a pass leaves out what it has read, because the other store lacks it.
    pub(crate) fn stays_away(&self, state: &State, job: &Job, store: StoreRole) -> bool {
        if !self.scenario.expires || self.has(Omission::PassAddsExpired) || job.expected.is_some() {
            return false;
        }
        let mut stores = state.stores;
        let lacks = stores.held(store).is_none();
        let is_read = store == Target && state.ladder.revision(job.begun).rung > Rung::Mirrored;
        lacks && (is_read || state.is_absent(Some(job.record)))
    }

    /// A reverse pass finds in the source what the target has no more.
    pub(crate) fn buries(
        &self,
        state: &State,
        pass: ModelPass,
        for_mirrored: bool,
    ) -> Option<(Record, Version)> {
        let applies = pass == ModelPass::Reverse && for_mirrored && self.scenario.expires;
        let source = state.stores.source.filter(|_| applies && !self.has(Omission::ObsoleteNotBuried))?;
        // What is under way has not reached the target yet.
        let is_of_write = |doing: &Doing| match &doing.work {
            Work::Write { write, .. } => write.record.version == source.version,
            Work::Read { .. } => false,
        };
        let mut doing = state.clients.iter().filter_map(|client| client.doing.as_ref());
        let is_settled =
            !doing.any(is_of_write) && state.late.iter().all(|late| late.record.version != source.version);
        if state.stores.target.is_some() || state.is_absent(Some(source)) || !is_settled {
            return None;
        }
        self.coverage.note(Buried);
        let gone = Version(source.version.0 + 1);
        Some((Record { version: gone, content: DELETED, expires: false }, source.version))
    }
}

const EXPIRES: Scenario = Scenario { expires: true, stores: BOTH, ..PLAIN };
const ONE: Budget = Budget { expiring: 1, reads: 1, ..NONE };

#[test]
fn what_expires_on_the_way_up_does_not_come_back() {
    let budget = Budget { puts: 1, passes: 1, late: 1, ..ONE };
    let up = Scenario {
        rung: Mirrored,
        steps: &[TargetFirst],
        expected: &[Branch::TargetFirst, Expired, Removed, Passed],
        budget,
        ..EXPIRES
    };
    holds_deep(up, Budget { reads: 2, failures: 1, ..budget });
    let from_dual = Budget { failures: 1, passes: 1, ..ONE };
    holds(Scenario { rung: Dual, steps: &[Mirrored, TargetFirst], budget: from_dual, ..up });
    let mutates = Budget { mutates: 1, ..ONE };
    holds(Scenario { rung: TargetFirst, steps: &[], budget: mutates, expected: &[Expired, Removed], ..up });
}

const BACK: Scenario = Scenario {
    rung: TargetOnly,
    steps: &[TargetFirst, Mirrored],
    budget: Budget { passes: 1, ..ONE },
    ..EXPIRES
};

#[test]
fn what_expires_on_the_way_back_does_not_come_back() {
    let budget = Budget { puts: 1, passes: 1, failures: 1, ..ONE };
    let back = Scenario { budget, expected: &[Branch::Mirrored, Expired, Removed, Reversed, Buried], ..BACK };
    holds_deep(back, Budget { late: 1, ..budget });
    let around = Scenario { rung: TargetFirst, steps: &[TargetOnly, TargetFirst, Mirrored], ..back };
    holds(Scenario { budget: Budget { passes: 2, ..ONE }, expected: &[Branch::Mirrored, Expired], ..around });
    let rolled_back = &[Mirrored, Dual];
    holds(Scenario { rung: TargetFirst, steps: rolled_back, budget, expected: &[Expired, Removed], ..back });
}

#[test]
fn a_record_that_expires_soon() {
    let budget = Budget { puts: 1, late: 1, ..ONE };
    missed(Omission::ExpiresSoon, Scenario { rung: TargetFirst, budget, ..EXPIRES });
}

#[test]
fn a_reader_at_target_first_that_falls_back() {
    let scenario =
        Scenario { rung: TargetFirst, steps: &[TargetOnly], budget: Budget { passes: 1, ..ONE }, ..EXPIRES };
    missed(Omission::FallbackOfExpired, scenario);
}

#[test]
fn a_pass_that_copies_what_the_target_lacks() {
    missed(Omission::PassAddsExpired, Scenario { steps: &[], ..BACK });
}

#[test]
fn a_reverse_pass_that_leaves_what_only_the_source_has() {
    missed(Omission::ObsoleteNotBuried, BACK);
}
