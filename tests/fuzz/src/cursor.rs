//! Places where a scan goes on, as checkpoints and other stores give them.

use cutover_store::{
    Cursor, Id, MemoryStore, Page, Record, Scope, Segment, Store as _, Version,
    document::Attribute,
    mapping::{Fields, KeyType},
};
use futures::executor::block_on;

use crate::{
    Target,
    draw::{self, Draw},
};

pub(crate) const TARGET: Target =
    Target { name: "cursor", check, seeds, words: &["\u{0}\u{0}\u{0}\u{1}a", "acme", "\u{7f}", "ü"] };

/// The bytes are the cursor, and what ids are drawn from.
fn check(bytes: &[u8]) {
    let cursor = Cursor(bytes.to_vec());
    let mut draw = Draw::new(bytes);
    let mut ids: Vec<Id> = draw.some(6, |draw| id(draw)).into_iter().flatten().collect();
    ids.sort();
    ids.dedup();

    for (at, id) in ids.iter().enumerate() {
        let here = Cursor::after_record(id);
        // A place is past all records up to its own, in the order of tenants and keys.
        for (other_at, other) in ids.iter().enumerate() {
            assert_eq!(here.is_past(other), Ok(other_at <= at), "{id:?} and {other:?}");
        }
        assert_eq!(here.shared(), Ok(here.clone()), "a record's place is a text");
        check_fields(id);
    }

    match cursor.shared() {
        Ok(shared) => {
            assert_eq!(shared.shared(), Ok(shared.clone()), "once is enough");
            for id in &ids {
                // It may go back, never ahead: records would be left out.
                if shared.is_past(id) == Ok(true) {
                    assert_eq!(cursor.is_past(id), Ok(true), "{id:?} would be left out");
                }
            }
        }
        Err(error) => {
            assert!(error.to_string().contains("start it anew"), "{error}");
            assert!(cursor.is_past(&Id { tenant: "a".to_owned(), key: "b".to_owned() }).is_err());
        }
    }
    scan(&cursor, &ids);
}

/// A store continues after the place, or refuses it.
fn scan(cursor: &Cursor, ids: &[Id]) {
    let store = MemoryStore::default();
    for id in ids {
        let record = Record { version: Version(1), value: Some(b"{}".to_vec()) };
        store.insert(id.clone(), record);
    }
    match block_on(store.scan(&Scope::All, Segment::ALL, Some(cursor), 1 << 20)) {
        Ok(Page { records, next: None, .. }) => {
            let ahead = ids.iter().filter(|id| cursor.is_past(id) == Ok(false));
            assert!(records.iter().map(|(id, _)| id).eq(ahead), "a scan has all that is past its cursor");
        }
        Ok(Page { next, .. }) => panic!("a small store has one page, not {next:?}"),
        Err(error) => assert!(error.to_string().contains("start it anew"), "{error}"),
    }
}

/// In a DynamoDB table each key has one attribute, and that one has one text.
fn check_fields(id: &Id) {
    use KeyType::{B, N, S};
    for (tenant_type, key_type) in [(S, N), (N, B), (B, S)] {
        let fields = Fields { tenant_type, key_type, ..Fields::default() };
        let Ok(place) = fields.place(&id.tenant, &id.key) else { continue };
        for (name, text) in [(&fields.tenant, &id.tenant), (&fields.key, &id.key)] {
            match &place.0[name] {
                Attribute::S(it) => assert_eq!(it, text),
                Attribute::N(it) => assert_eq!(it.as_str(), text),
                // Base64 needs no escapes.
                bytes => assert_eq!(bytes.encode(), Ok(format!("{{\"B\":\"{text}\"}}").into_bytes())),
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = crate::seeds::noise(30, 64);
    for (tenant, key) in [("acme", "order-1"), ("ü", "\u{10ffff}"), ("12", "-0.5"), ("AAE=", "x")] {
        seeds.push(Cursor::after_record(&Id { tenant: tenant.to_owned(), key: key.to_owned() }).0);
    }
    seeds
}

fn id(draw: &mut Draw<'_>) -> Option<Id> {
    let text = |draw: &mut Draw<'_>| match draw.below(3) {
        0 => draw.pick(draw::NAMES).to_owned(),
        1 => draw.number().to_string(),
        _ => draw.any(),
    };
    Id::new(&text(draw), &text(draw)).ok()
}
