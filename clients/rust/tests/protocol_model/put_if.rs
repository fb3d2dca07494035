//! `put_if`: a write that compares the content first. Where it is refused, and which exceptions are left: docs/protocol.md,
//! "Writes that compare first".

use cutover_client::{
    migrator::rules::{Condition, OperationStep, WriteCall, compares_alone},
    report::StoreRole::{self, Source, Target},
    routing::{
        Level::Linearizable,
        Rung::{self, Dual, Mirrored, SourceOnly, TargetFirst, TargetOnly},
    },
};

use crate::{
    check::{holds, holds_deep, is_excepted, missed_by},
    coverage::Branch::{Mismatch, MismatchConfirmed},
    mutation::Omission,
    operations::WriteStep,
    properties::{ACKNOWLEDGED_STAYS, ONE_ORDER},
    protocol::Protocol,
    scenario::{BOTH, NONE, OLDER, PLAIN, PUT, Scenario},
    state::{Budget, DELETED, Doing, Revision, Stores, Writing},
};

impl Protocol {
    /// A `put_if` looks at the content before it makes its first put.
    pub(crate) fn compared(&self, step: WriteStep, doing: &mut Doing, writing: &mut Writing) -> WriteStep {
        let OperationStep::Call(write, WriteCall::Put { condition: Condition::Unchanged { base, .. }, .. }) =
            step
        else {
            return step;
        };
        let found = based(doing, base);
        if writing.expected.is_none_or(|expected| expected == found) {
            return step;
        }
        writing.base = Some(found);
        self.coverage.note(Mismatch);
        doing.source.take_if(|_| base != Some(Source));
        doing.target.take_if(|_| base != Some(Target));
        let confirmed = !self.has(Omission::MismatchNotConfirmed);
        write.keep(base.filter(|_| confirmed))
    }

    pub(crate) fn may_put_if(&self, revision: Revision) -> bool {
        self.has(Omission::PutIfBesideTargetOnly)
            || compares_alone(revision.rung, revision.no_fallback, revision.local_guard)
    }
}

/// A content that no record has.
pub(crate) const NEVER: u8 = u8::MAX;

/// The content that a mutation starts from.
pub(crate) fn based(doing: &Doing, base: Option<StoreRole>) -> u8 {
    let base = match base {
        Some(Source) => doing.source,
        Some(Target) => doing.target,
        None => None,
    };
    base.map_or(DELETED, |record| record.content)
}

const TWO: Budget = Budget { put_ifs: 2, reads: 1, passes: 1, ..NONE };
const KEEPS: Budget = Budget { keeps: 1, puts: 2, reads: 1, passes: 1, failures: 1, lost: 1, ..NONE };
const FAULTS: Budget = Budget { failures: 1, lost: 1, ..TWO };
/// At level acknowledged reads may be behind a write that nobody has acknowledged; writes and mismatches have one order.
const WRITES: Scenario = Scenario { ordered: true, stores: BOTH, ..PLAIN };
const LINEAR: Scenario = Scenario { level: Linearizable, stores: BOTH, expected: &[Mismatch], ..PLAIN };
/// Nobody goes to target-only before everybody has heard that the local guard is off.
const GUARDED: Scenario =
    Scenario { rung: TargetFirst, local_guard: true, expected: &[Mismatch, MismatchConfirmed], ..WRITES };
const AROUND: &[Rung] = &[TargetFirst, TargetOnly, TargetFirst, Mirrored];

#[test]
fn one_order_explains_them_below_target_first() {
    let up = Scenario { steps: &[Dual, Mirrored], budget: FAULTS, expected: &[Mismatch], ..WRITES };
    holds_deep(up, Budget { late: 1, ..FAULTS });
}

#[test]
fn and_up_to_target_first_and_back_while_the_local_guard_is_on() {
    let stores = Stores { source: PUT, target: OLDER };
    let expected = &[Mismatch, MismatchConfirmed];
    let up = Scenario { rung: Mirrored, local_guard: true, stores, expected, budget: FAULTS, ..WRITES };
    let deep = Budget { put_ifs: 3, ..TWO };
    holds_deep(Scenario { steps: &[TargetFirst], ..up }, deep);
    holds_deep(Scenario { steps: &[TargetFirst, Mirrored], ..up }, FAULTS);
    let down = Scenario { steps: &[Mirrored, Dual, SourceOnly], budget: FAULTS, ..GUARDED };
    holds_deep(down, Budget { late: 1, ..FAULTS });
}

#[test]
fn and_to_target_only_once_the_local_guard_is_off() {
    let up = Scenario { steps: &[TargetFirst, TargetOnly], budget: FAULTS, ..GUARDED };
    holds_deep(up, Budget { put_ifs: 3, ..FAULTS });
}

#[test]
fn and_of_processes_that_die_while_a_put_of_theirs_is_on_its_way() {
    let budget = Budget { crashes: 1, late: 1, ..TWO };
    let stores = Stores { source: PUT, target: OLDER };
    let expected = &[Mismatch, MismatchConfirmed];
    let up = Scenario { rung: Mirrored, local_guard: true, stores, expected, budget, ..WRITES };
    holds_deep(Scenario { steps: &[TargetFirst], ..up }, Budget { failures: 1, ..budget });
}

#[test]
fn a_mutation_that_keeps_the_record_is_in_that_order_too() {
    let expected = &[Mismatch, MismatchConfirmed];
    let up = Scenario { rung: TargetFirst, steps: &[TargetOnly], budget: KEEPS, expected, ..LINEAR };
    holds(up);
    // Without fallback, too, it confirms what only the source has.
    let back = Scenario { rung: TargetOnly, steps: &[TargetFirst], ..up };
    missed_by(ACKNOWLEDGED_STAYS, Omission::MismatchNotConfirmed, back);
}

#[test]
fn and_of_processes_that_start_from_a_file() {
    let budget = Budget { crashes: 1, reads: 0, ..TWO };
    let steps = &[TargetFirst, TargetOnly];
    holds_deep(
        Scenario { saved: true, steps, budget, expected: &[Mismatch], ..GUARDED },
        Budget { lost: 1, ..budget },
    );
}

#[test]
fn and_around_target_only_where_target_first_refuses_them() {
    let around = Scenario { rung: Mirrored, steps: AROUND, ..LINEAR };
    let budget = Budget { passes: 3, ..TWO };
    holds_deep(Scenario { budget, ..around }, Budget { failures: 1, ..budget });
    let back = Scenario { rung: TargetOnly, steps: &[TargetFirst, Mirrored], ..LINEAR };
    holds_deep(Scenario { budget: FAULTS, ..back }, Budget { late: 1, ..FAULTS });
}

#[test]
fn one_at_target_only_may_replace_a_put_at_target_first_that_it_has_not_seen() {
    let budget = Budget { put_ifs: 1, puts: 1, ..TWO };
    is_excepted(Scenario { rung: TargetFirst, steps: &[TargetOnly], budget, ..LINEAR });
}

#[test]
fn one_of_unknown_outcome_may_land_after_a_stay_at_target_only() {
    let budget = Budget { put_ifs: 1, puts: 1, late: 1, passes: 3, ..TWO };
    is_excepted(Scenario { rung: Mirrored, steps: AROUND, budget, ..LINEAR });
}

#[test]
fn written_although_another_was_faster() {
    let budget = Budget { put_ifs: 2, ..NONE };
    missed_by(ONE_ORDER, Omission::PutIfNewer, Scenario { rung: Mirrored, budget, ..LINEAR });
    missed_by(ONE_ORDER, Omission::PutIfNewer, Scenario { budget, expected: &[Mismatch], ..WRITES });
}

#[test]
fn not_refused_at_target_first_beside_target_only() {
    let up = Scenario { rung: TargetFirst, steps: &[TargetOnly], budget: TWO, expected: &[], ..LINEAR };
    missed_by(ONE_ORDER, Omission::PutIfBesideTargetOnly, up);
    missed_by(
        ONE_ORDER,
        Omission::PutIfBesideTargetOnly,
        Scenario { level: PLAIN.level, ordered: true, ..up },
    );
}

#[test]
fn a_mismatch_not_confirmed() {
    let budget = Budget { put_ifs: 1, puts: 1, reads: 1, ..NONE };
    let at_mirrored =
        Scenario { rung: Mirrored, steps: &[TargetFirst], budget: Budget { passes: 1, ..budget }, ..LINEAR };
    missed_by(ACKNOWLEDGED_STAYS, Omission::MismatchNotConfirmed, at_mirrored);
    // At level acknowledged its caller may have tried to write what it finds.
    missed_by(
        ACKNOWLEDGED_STAYS,
        Omission::MismatchNotConfirmed,
        Scenario { level: PLAIN.level, ordered: true, ..at_mirrored },
    );
    let at_target_first = Scenario { rung: TargetFirst, local_guard: true, budget, ..WRITES };
    missed_by(ACKNOWLEDGED_STAYS, Omission::MismatchNotConfirmed, at_target_first);
}
