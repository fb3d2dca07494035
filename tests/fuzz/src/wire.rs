//! The stream of an SDK: states arrive, are applied, and answer `decide`.

use std::{collections::HashMap, sync::Arc};

use cutover_core::{
    routing::{Error, Route, Snapshot, Table, bucket, check_tenant},
    wire::{self, Assembly, Misfit, UpdateKind},
};
use cutover_proto::v1::{self, watch_response::Kind};
use prost::Message;

use crate::{
    Target,
    draw::{self, Draw},
};

pub(crate) const TARGET: Target = Target { name: "wire", check, seeds, words: &["acme", "orders", "salt"] };

/// What a stream brings, one after the other.
#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(message, repeated, tag = "1")]
    messages: Vec<v1::WatchResponse>,
}

fn check(bytes: &[u8]) {
    let Ok(Stream { messages }) = Stream::decode(bytes) else { return };
    let (mut held, mut assembly) = (Snapshot::default(), Assembly::default());
    for message in messages {
        let encoded = message.encode_to_vec();
        assert_eq!(
            v1::WatchResponse::decode(encoded.as_slice()).as_ref(),
            Ok(&message),
            "a message is the same"
        );
        let (kind, update) = match message.kind {
            Some(Kind::Snapshot(update)) => (UpdateKind::Snapshot, update),
            Some(Kind::Delta(update)) => (UpdateKind::Delta, update),
            _ => continue,
        };
        // As an SDK: it begins anew with whatever comes next.
        let Ok(state) = assembly.add(kind, update) else { continue };
        let Some(state) = state else { continue };
        let tenants = tenants(&state.tables);
        let Ok(next) = wire::apply(&held, &state) else {
            assert_eq!(kind, UpdateKind::Delta, "a snapshot always fits");
            continue;
        };
        assert_eq!(next.revision(), state.revision);
        match wire::apply(&next, &state) {
            Ok(again) => assert_same(&next, &again),
            Err(Misfit::Baseless { migration, .. }) => assert!(
                next.table(&migration).is_err() || state.removed.contains(&migration),
                "{migration:?} is readable, and a delta to it would not fit again"
            ),
            Err(other) => panic!("a state that was applied does not fit: {other}"),
        }
        answer(&next, &tenants);
        assert_same(&next, &sent(&next));
        held = next;
    }
}

/// Every tenant that is named, and some others.
fn tenants(parts: &[v1::TablePart]) -> Vec<String> {
    let named = parts.iter().flat_map(|part| {
        part.overrides.iter().map(|set| &set.tenant).chain(&part.cleared).chain([&part.migration]).cloned()
    });
    named.chain(["", "acme", "\n", "ü"].map(str::to_owned)).chain(["x".repeat(257)]).collect()
}

fn answer(snapshot: &Snapshot, tenants: &[String]) {
    for (key, table) in snapshot.tables() {
        let overrides = overrides(table);
        for tenant in tenants {
            let decision = match snapshot.decide(key, tenant) {
                Ok(decision) => decision,
                Err(Error::Tenant(why)) => {
                    assert_eq!(check_tenant(tenant), Err(why));
                    assert!(!overrides.contains_key(tenant.as_str()), "{tenant:?} can't be asked for");
                    continue;
                }
                Err(other) => panic!("{key:?} is readable: {other}"),
            };
            let bucket = bucket(table.salt(), tenant);
            assert_eq!(table.bucket(tenant), bucket);
            let route =
                overrides.get(tenant.as_str()).copied().unwrap_or_else(|| table.route_of_bucket(bucket));
            let decided =
                Route { rung: decision.rung, reason: decision.reason, no_fallback: decision.no_fallback };
            assert_eq!((decided, decision.revision), (route, table.revision()), "{tenant:?}");
        }
    }
}

fn overrides(table: &Table) -> HashMap<&str, Route> {
    let all: Vec<_> = table.overrides().collect();
    let unique: HashMap<_, _> = all.iter().copied().collect();
    assert_eq!(unique.len(), all.len(), "an override is there once");
    unique
}

/// As the controller would send it to the next SDK, and as that one would read it.
fn sent(snapshot: &Snapshot) -> Snapshot {
    let parts = snapshot.tables().flat_map(|(key, table)| wire::parts(key, table, table.overrides(), []));
    let mut assembly = Assembly::default();
    for update in wire::updates(snapshot.revision(), parts.collect::<Vec<_>>(), Vec::new()) {
        let bytes = update.encode_to_vec();
        assert!(bytes.len() <= wire::MESSAGE_MAX_BYTES);
        let update = v1::Update::decode(bytes.as_slice()).expect("it was encoded");
        if let Some(state) = assembly.add(UpdateKind::Snapshot, update).expect("the parts of one state") {
            return wire::apply(&Snapshot::default(), &state).expect("a snapshot always fits");
        }
    }
    panic!("no update was the last")
}

pub(crate) fn assert_same(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.revision(), other.revision());
    assert_eq!(one.tables().count(), other.tables().count());
    for (key, table) in one.tables() {
        let other: &Arc<Table> = other.table(key).unwrap_or_else(|error| panic!("{key:?}: {error}"));
        let head = |table: &Table| {
            (table.revision(), table.salt().to_owned(), table.bands().to_vec(), table.policy())
        };
        assert_eq!(head(table), head(other), "{key:?}");
        assert_eq!(overrides(table), overrides(other), "{key:?}");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::noise(60, 256).iter().map(|noise| stream(&mut Draw::new(noise)).encode_to_vec()).collect()
}

fn stream(draw: &mut Draw<'_>) -> Stream {
    let mut revision = 0;
    let messages = draw.some(4, |draw| {
        revision += 1;
        let update = update(draw, revision);
        let is_whole = revision == 1 || draw.one_in(4);
        v1::WatchResponse { kind: Some(if is_whole { Kind::Snapshot(update) } else { Kind::Delta(update) }) }
    });
    Stream { messages }
}

fn update(draw: &mut Draw<'_>, revision: u64) -> v1::Update {
    let tables = draw.some(3, |draw| part(draw, revision));
    let removed = if draw.one_in(4) { vec![draw.pick(&["orders", "users"]).to_owned()] } else { Vec::new() };
    v1::Update { revision, tables, removed, last: !draw.one_in(6), seal: String::new() }
}

/// A migration's part, as a controller sends it.
pub(crate) fn part(draw: &mut Draw<'_>, revision: u64) -> v1::TablePart {
    let mut upto_ppm = 0;
    let bands = draw.some(3, |draw| {
        upto_ppm += 1 + draw.below(400_000);
        v1::TableBand { upto_ppm, rung: rung(draw), reason: 1, no_fallback: draw.one_in(5) }
    });
    let set = |draw: &mut Draw<'_>| {
        let tenant = draw.pick(draw::NAMES).to_owned();
        v1::Override { tenant, rung: rung(draw), reason: 2, no_fallback: draw.one_in(5) }
    };
    let policy = v1::TablePolicy { level: 1, shadow_ppm: draw.below(1_000_000), ..Default::default() };
    v1::TablePart {
        migration: draw.pick(&["orders", "users", "carts"]).to_owned(),
        salt: draw.pick(&["salt", "salt", "other", ""]).to_owned(),
        bands,
        policy: Some(policy),
        revision,
        overrides: draw.some(5, set),
        cleared: draw.some(2, |draw| draw.pick(draw::NAMES).to_owned()),
    }
}

fn rung(draw: &mut Draw<'_>) -> i32 {
    1 + draw.below(6) as i32
}
