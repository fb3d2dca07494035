//! A transaction of one record is a put: the same answers, records and counts, whatever the stores have and how they fail.

use cutover_client::{
    migrator::{Cause, WriteError, Writes},
    report::{Event, StoreRole},
    routing::Route,
    store::{Faulty, MemoryStore, Record, Verb, Version},
};
use proptest::prelude::*;

use super::{
    ROUTED, TENANT, World, answer_lost, down, version,
    world::{KEY, id},
};

/// What a store has of the record before, and how its calls fail, one after the other.
#[derive(Clone, Debug)]
struct Given {
    /// A version of long ago or of the future, and whether it is deleted.
    record: Option<(bool, bool)>,
    gets: Vec<Fails>,
    puts: Vec<Fails>,
}

#[derive(Clone, Copy, Debug)]
enum Fails {
    Down,
    AnswerLost,
}

fn given() -> impl Strategy<Value = Given> {
    let fails = || {
        let fails = prop_oneof![Just(Fails::Down), Just(Fails::AnswerLost)];
        prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(fails, 1..3)]
    };
    (proptest::option::of(any::<(bool, bool)>()), fails(), fails()).prop_map(|(record, gets, puts)| Given {
        record,
        gets,
        puts,
    })
}

impl Given {
    /// `versions`: of long ago, and of the future.
    fn apply(&self, store: &Faulty<MemoryStore>, versions: [Version; 2]) {
        if let Some((later, deleted)) = self.record {
            let value = (!deleted).then(|| b"seeded".to_vec());
            store.inner().insert(id(), Record { version: versions[usize::from(later)], value });
        }
        for (verb, all) in [(Verb::Get, &self.gets), (Verb::Put, &self.puts)] {
            for fails in all {
                store.next(
                    verb,
                    match fails {
                        Fails::Down => down(),
                        Fails::AnswerLost => answer_lost(),
                    },
                );
            }
        }
    }
}

/// The outcome without its version and its words.
fn outcome(answer: &Result<Version, WriteError>) -> (u8, Option<StoreRole>) {
    let of = |cause: &Cause| match cause {
        Cause::Store { store, .. } => Some(*store),
        _ => None,
    };
    match answer {
        Ok(_) => (0, None),
        Err(WriteError::NotApplied(cause)) => (1, of(cause)),
        Err(WriteError::Indeterminate(cause)) => (2, of(cause)),
        Err(other) => panic!("{other}"),
    }
}

/// What the stores have of the record: its content, and whether it is of one version in both.
fn left(world: &World) -> impl PartialEq + std::fmt::Debug + use<> {
    let record = |store: &Faulty<MemoryStore>| store.inner().dump().remove(&id());
    let (source, target) = (record(&world.source), record(&world.target));
    let version = |of: &Option<Record>| of.as_ref().map(|record| record.version);
    let order = version(&source).cmp(&version(&target));
    (source.map(|it| it.value), target.map(|it| it.value), order)
}

async fn both(rung: usize, no_fallback: bool, given: [Given; 2], is_delete: bool) {
    let mut seen = Vec::new();
    // Of one moment: the clock must not make a difference.
    let versions = [false, true].map(version);
    for transacts in [false, true] {
        let world = World::at(ROUTED[rung]);
        world.route(Route { rung: ROUTED[rung], no_fallback, ..Route::DEFAULT });
        given[0].apply(&world.source, versions);
        given[1].apply(&world.target, versions);
        let writes =
            if is_delete { Writes::new().delete(KEY) } else { Writes::new().put_bytes(KEY, b"new".to_vec()) };
        let answer = match (transacts, is_delete) {
            (true, _) => world.migrator.transact(TENANT, writes).await,
            (false, true) => world.migrator.delete(TENANT, KEY).await,
            (false, false) => world.migrator.put_bytes(TENANT, KEY, b"new".to_vec()).await,
        };
        let counts = [
            Event::BothOk,
            Event::OnlySourceFailed,
            Event::OnlyTargetFailed,
            Event::NotApplied,
            Event::Indeterminate,
        ]
        .map(|event| world.count(event));
        let told = answer.as_ref().err().map(ToString::to_string);
        seen.push((outcome(&answer), told, left(&world), counts));
    }
    assert_eq!(seen[0], seen[1], "a put, and a transaction of one record");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_transaction_of_one_record_is_a_put(
        rung in 0..ROUTED.len(),
        no_fallback in any::<bool>(),
        source in given(),
        target in given(),
        is_delete in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(both(rung, no_fallback, [source, target], is_delete));
    }
}
