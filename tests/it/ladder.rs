//! The algebra of the ladder: whatever is asked and acknowledged, in whatever order, nobody is ever moved to
//! a rung that may not coexist with the last one, and raising a share moves nobody back.

mod abandon;
mod advice;
mod clocks;
mod joins;
mod latches;
mod new_tables;
mod overrides;
mod passes;
mod repair;
mod restored;

use cutover::domain::{
    Applied, Ask, Change, Confirmation, Context, Cover, Differences, Document, Fleet, Gate, Identity, Key,
    Ledgers, Member, Migration, NewPass, NewTables, PassCounts, PassKind, PassTables, Refusal, Shares,
    TableIdentity, Tenant, apply,
};
use cutover_core::routing::{PPM, Rung, coexist};
use proptest::prelude::*;

use crate::support::{create, key, tenant};

const TENANTS: u32 = 40;
/// From here the wall clock goes backwards, while the steady clock is the revision.
const WALL_MS: u64 = 1_800_000_000_000;

/// What may happen to a migration.
#[derive(Clone, Debug)]
enum Happening {
    Ramp([Option<u32>; 4]),
    Pin(u32, Rung),
    Unpin(u32),
    Rollback(Option<u32>),
    Acknowledge,
    /// An instance has received, and then quiesced for, everything so far.
    Receive(usize),
    Quiesce(usize),
    Lose(usize),
    Pass(PassKind),
    Step,
}

fn happening() -> impl Strategy<Value = Happening> {
    let share = || prop::option::of(prop::sample::select(vec![0, 1, PPM / 10, PPM / 2, PPM]));
    let rung = prop::sample::select(vec![
        Rung::SourceOnly,
        Rung::Dual,
        Rung::Mirrored,
        Rung::TargetFirst,
        Rung::TargetOnly,
    ]);
    prop_oneof![
        3 => (share(), share(), share(), share()).prop_map(|(a, b, c, d)| Happening::Ramp([a, b, c, d])),
        2 => (0..TENANTS, rung).prop_map(|(tenant, rung)| Happening::Pin(tenant, rung)),
        1 => (0..TENANTS).prop_map(Happening::Unpin),
        1 => prop::option::of(0..TENANTS).prop_map(Happening::Rollback),
        1 => Just(Happening::Acknowledge),
        4 => (0..3_usize).prop_map(Happening::Receive),
        4 => (0..3_usize).prop_map(Happening::Quiesce),
        1 => (0..3_usize).prop_map(Happening::Lose),
        2 => Just(Happening::Pass(PassKind::Full)),
        1 => Just(Happening::Pass(PassKind::Sweep)),
        1 => Just(Happening::Pass(PassKind::Reverse)),
        4 => Just(Happening::Step),
    ]
}

/// A controller in miniature: one migration, three instances, no I/O.
#[derive(Clone)]
struct World {
    key: Key,
    migration: Migration,
    revision: u64,
    members: Vec<Member>,
    /// The lines of all events.
    history: Vec<String>,
}

/// One commit of a happening.
type Commit = Box<dyn FnOnce(&mut World)>;

impl World {
    fn new() -> Self {
        let key = key("orders");
        let member = |at: usize| Member {
            name: format!("i-{at}"),
            service: "orders-api".to_owned(),
            received: 1,
            applied: 1,
            lost: false,
            refused: false,
            worker: false,
            waited_for: None,
        };
        let fleet = Fleet::default();
        let context = Context {
            revision: 1,
            now_ms: 1,
            steady_ms: 1,
            actor: "operator:ada",
            identity: &Identity::Unproven,
            reason: "why",
            fleet: &fleet,
        };
        let document = apply(None, &key, &create(), &context).unwrap().document.unwrap();
        let migration = Migration::new(1, document, imbl::OrdMap::new());
        Self { key, migration, revision: 1, members: (0..3).map(member).collect(), history: Vec::new() }
    }

    /// What a change would do. Changes nothing.
    fn applied(&self, change: &Change) -> Result<Applied, Refusal> {
        let fleet = Fleet::new(self.members.clone());
        let revision = self.revision + 1;
        let context = Context {
            revision,
            now_ms: WALL_MS.saturating_sub(1_000 * revision),
            steady_ms: revision,
            actor: "operator:ada",
            identity: &Identity::Unproven,
            reason: "why",
            fleet: &fleet,
        };
        apply(Some(&self.migration), &self.key, change, &context)
    }

    fn change(&mut self, change: &Change) -> bool {
        let Ok(Applied { document: Some(document), rows, summary, .. }) = self.applied(change) else {
            return false;
        };
        if !summary.is_empty() {
            let revision = self.revision + 1;
            self.migration.replay(revision, document, &rows);
            self.revision = revision;
            self.history.extend(summary);
        }
        true
    }

    fn begin(&mut self, kind: PassKind) -> String {
        let id = format!("orders/{}", self.revision);
        self.change(&Change::BeginJob(NewPass {
            removes_extra: false,
            source_wins: false,
            tables: PassTables::default(),
            new_tables: Default::default(),
            id: id.clone(),
            kind,
            cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
            fingerprint: String::new(),
            segments: 1,
            residual_ms: 0,
            expected: 0,
        }));
        id
    }

    fn end(&mut self, id: String) {
        let (counts, findings) = Default::default();
        self.change(&Change::FinishJob { id, counts, findings, complete: true, ledgers: Ledgers::default() });
    }

    fn happen(&mut self, happening: &Happening) {
        let newest = self.revision;
        let ask = Ask { wait: true, overrides: Vec::new() };
        match happening {
            Happening::Ramp([dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm]) => {
                let shares = Shares {
                    dual_ppm: *dual_ppm,
                    mirrored_ppm: *mirrored_ppm,
                    target_first_ppm: *target_first_ppm,
                    target_only_ppm: *target_only_ppm,
                };
                self.change(&Change::SetRollout { shares, ask });
            }
            Happening::Pin(at, rung) => {
                self.change(&Change::SetPins { pins: vec![(name(*at), *rung)], ask });
            }
            Happening::Unpin(at) => {
                self.change(&Change::ClearPin { tenant: name(*at), ask });
            }
            Happening::Rollback(at) => {
                self.change(&Change::Rollback { tenant: at.map(name) });
            }
            Happening::Acknowledge => {
                self.change(&Change::Acknowledge);
            }
            Happening::Receive(at) => self.members[*at].received = newest,
            Happening::Quiesce(at) => {
                let member = &mut self.members[*at];
                (member.received, member.applied, member.lost) = (newest, newest, false);
            }
            Happening::Lose(at) => self.members[*at].lost = true,
            Happening::Pass(kind) => {
                self.parts(&Happening::Pass(*kind)).into_iter().for_each(|part| part(self))
            }
            Happening::Step => {
                self.change(&Change::Step);
            }
        }
    }

    /// A happening, commit by commit.
    fn parts(&self, happening: &Happening) -> Vec<Commit> {
        let id = format!("orders/{}", self.revision);
        let of = id.clone();
        match happening.clone() {
            Happening::Pass(kind) => vec![
                Box::new(move |world| _ = world.begin(kind)),
                Box::new(move |world| _ = world.change(&Change::DrainJob { id })),
                Box::new(move |world| world.end(of)),
            ],
            other => vec![Box::new(move |world| world.happen(&other))],
        }
    }

    fn rungs(&self) -> Vec<Rung> {
        (0..TENANTS).map(|at| self.migration.placement(&name(at)).rung).collect()
    }
}

fn name(at: u32) -> Tenant {
    tenant(&format!("tenant-{at}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No step leads to a rung that may not coexist with the last one. And whatever an instance that is not
    /// lost may still begin operations under always coexists with everything newer.
    #[test]
    fn whatever_happens_neighbours_only(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut world = World::new();
        let mut past: Vec<(u64, Vec<Rung>)> = vec![(1, world.rungs())];
        for happening in &happenings {
            world.happen(happening);
            let now = world.rungs();
            let (_, last) = past.last().unwrap();
            for (before, after) in last.iter().zip(&now) {
                prop_assert!(coexist(*before, *after), "{before} -> {after} by {happening:?}");
            }
            past.push((world.revision, now.clone()));
            // The state that each connected instance routes by: the last one at or before what it received.
            for member in world.members.iter().filter(|member| !member.lost) {
                let (_, held) = past.iter().rev().find(|(revision, _)| *revision <= member.received).unwrap();
                for (begun, newest) in held.iter().zip(&now) {
                    prop_assert!(coexist(*begun, *newest), "{} holds {begun} beside {newest}", member.name);
                }
            }
        }
    }

    /// For every tenant, the table that SDKs get says exactly what the document and its row say.
    #[test]
    fn the_folded_table_routes_like_the_rules_one_by_one(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
            let table = world.migration.table();
            for at in 0..TENANTS {
                let placement = world.migration.placement(&name(at));
                prop_assert_eq!(table.route(name(at).as_str()).rung, placement.rung);
            }
        }
        // With everybody connected and a pass whenever one is needed, everybody gets to their goal: the floor
        // over the ceilings over the pin over the share.
        for _ in 0..12 {
            (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
            world.happen(&Happening::Pass(PassKind::Full));
        }
        let table = world.migration.table();
        let document = &world.migration.document;
        for at in 0..TENANTS {
            let row = world.migration.tenants.get(&name(at));
            let share = document.goal.rung_of(world.migration.bucket(&name(at)));
            let asked = row.and_then(|row| row.pin).unwrap_or(share);
            let capped = row.and_then(|row| row.ceiling).into_iter().chain(document.ceiling).fold(asked, Rung::min);
            let floor = world.migration.placement(&name(at)).floor;
            prop_assert_eq!(table.route(name(at).as_str()).rung, capped.max(floor), "{}", name(at));
        }
    }

    /// Raising a share moves nobody back; and the goal's shares always nest.
    #[test]
    fn a_raise_moves_nobody_back(shares in prop::collection::vec((0..4_usize, 0..=PPM), 1..20)) {
        let mut rollout = cutover::domain::Rollout::default();
        for (at, ppm) in shares {
            let current = rollout.shares()[at].1;
            let mut named = [None; 4];
            named[at] = Some(current.max(ppm));
            let [dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm] = named;
            let raised = rollout.with(&Shares { dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm }).unwrap();
            let nested = raised.shares().map(|(_, ppm)| ppm);
            prop_assert!(nested.is_sorted_by(|lower, higher| lower >= higher));
            for bucket in (0..PPM).step_by(9_973) {
                prop_assert!(raised.rung_of(bucket) >= rollout.rung_of(bucket));
            }
            rollout = raised;
        }
    }
}

#[test]
fn every_unmet_condition_is_named_at_once() {
    let mut world = World::new();
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    world.members[1].lost = true;
    let fleet = Fleet::new(world.members.clone());
    let context = Context {
        revision: 3,
        now_ms: 3,
        steady_ms: 3,
        actor: "operator:ada",
        identity: &Identity::Unproven,
        reason: "",
        fleet: &fleet,
    };
    let shares = Shares { target_first_ppm: Some(PPM / 2), ..Shares::default() };
    let change = Change::SetRollout { shares, ask: Ask::default() };
    let refused = apply(Some(&world.migration), &world.key, &change, &context).unwrap_err();
    let cutover::domain::Refusal::Unmet(unmet) = refused else { panic!("{refused}") };
    let gates: Vec<Gate> = unmet.iter().map(|unmet| unmet.gate).collect();
    assert_eq!(gates, [Gate::Barrier, Gate::FullPass]);
    assert!(["i-0", "i-1", "i-2"].iter().all(|name| unmet[0].message.contains(name)), "{}", unmet[0].message);
    assert!(unmet[0].action.contains("evict"), "a lost instance may have to be evicted: {}", unmet[0].action);
}

#[test]
fn a_pass_counts_only_if_it_began_after_mirrored_had_settled() {
    let mut world = World::new();
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    world.happen(&Happening::Pass(PassKind::Full));
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Ramp([None, None, Some(PPM), None]));
    assert!(world.rungs().iter().all(|rung| *rung == Rung::Mirrored), "the pass began too early");
    world.happen(&Happening::Pass(PassKind::Full));
    assert!(world.rungs().iter().all(|rung| *rung == Rung::TargetFirst), "this one began in time");
}

#[test]
fn an_emergency_goes_back_at_once_and_on_when_everybody_has_heard() {
    let mut world = World::new();
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Pass(PassKind::Full));
    world.happen(&Happening::Ramp([None, None, Some(PPM), None]));
    // Nobody has even received target-first when it fails.
    world.happen(&Happening::Rollback(None));
    assert!(world.rungs().iter().all(|rung| *rung == Rung::Mirrored));
    world.happen(&Happening::Step);
    assert!(world.rungs().iter().all(|rung| *rung == Rung::Mirrored), "not before everybody has heard");
    // Received is enough: calls that hang on the dead target are not waited for.
    (0..2).for_each(|at| world.happen(&Happening::Receive(at)));
    world.happen(&Happening::Lose(2));
    world.happen(&Happening::Step);
    assert!(world.rungs().iter().all(|rung| *rung == Rung::Dual), "{:?}", world.rungs());
    world.happen(&Happening::Ramp([None, None, Some(PPM), None]));
    assert!(world.rungs().iter().all(|rung| *rung == Rung::Dual), "latched until acknowledged");
}

#[test]
fn a_sweep_with_its_second_barrier_stands_for_the_pass_before_target_first_only() {
    let mut world = World::new();
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    let ramp = Happening::Ramp([None, None, Some(PPM), None]);
    world.happen(&Happening::Pass(PassKind::Sweep));
    world.happen(&ramp);
    assert!(world.rungs().iter().all(|rung| *rung == Rung::Mirrored), "its second barrier had not settled");
    let id = world.begin(PassKind::Sweep);
    world.change(&Change::DrainJob { id: id.clone() });
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.change(&Change::DrainJob { id: id.clone() });
    world.end(id);
    world.happen(&ramp);
    assert!(world.rungs().iter().all(|rung| *rung == Rung::TargetFirst));
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Pass(PassKind::Sweep));
    world.happen(&Happening::Ramp([None, None, None, Some(PPM)]));
    assert!(world.rungs().iter().all(|rung| *rung == Rung::TargetFirst), "records may be left in the source");
}
