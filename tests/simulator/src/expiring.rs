//! Records that expire, and who removes them: each store by itself, without a tombstone.

use std::cell::RefCell;

use cutover_client::{
    migrator::Migrator,
    store::{
        Record, Ttl,
        document::{Attribute, Document},
    },
};
use rand::{RngExt as _, rngs::SmallRng};

use crate::{
    data::{self, DataStore},
    invariants,
    process::WALL_BASE_NS,
    world::{self, MS, S, Time},
};

/// The attribute that says when.
const ATTRIBUTE: &str = "expires_at";
/// The one with the value.
const VALUE: &str = "value";
/// Clocks, and how long a read takes.
const EARLY_MS: u64 = 3_000;
const LATE_MS: u64 = 15_000;

thread_local! {
    static TTL: RefCell<Option<Ttl>> = const { RefCell::new(None) };
}

/// Whether records expire in this run. Then both stores remove what has expired.
pub fn begin(expires: bool, stores: &[DataStore; 2]) {
    TTL.set(expires.then(|| Ttl::new(ATTRIBUTE, data::residual())));
    if expires {
        // Soon, or long after.
        let pause_most = [4 * S, 60 * S][world::between(0, 1) as usize];
        stores.clone().into_iter().for_each(|store| remove_later(store, pause_most));
    }
}

/// When records expire. `None`: they don't.
pub fn ttl() -> Option<Ttl> {
    TTL.with_borrow(Clone::clone)
}

/// A migrator that knows.
pub fn with_ttl(migrator: Migrator) -> Migrator {
    match ttl() {
        Some(ttl) => migrator.with_ttl(ttl),
        None => migrator,
    }
}

/// When a record that is written now expires, in milliseconds of the world. Some are to live too short. `None`: it does not.
pub fn draw(random: &mut SmallRng) -> Option<u64> {
    let least_s = ttl()?.least().as_secs();
    let now_s = world::now() / S;
    match random.random_range(0..4) {
        0 => None,
        1 => Some(1_000 * (now_s + random.random_range(2..20))),
        _ => Some(1_000 * (now_s + least_s + random.random_range(2..20))),
    }
}

/// What is stored for a value that expires.
pub fn bytes(value: u64, expires_ms: u64) -> Vec<u8> {
    let at_s = base_ms() / 1_000 + expires_ms / 1_000;
    format!(r#"{{"{ATTRIBUTE}":{{"N":"{at_s}"}},"{VALUE}":{{"N":"{value}"}}}}"#).into_bytes()
}

/// Which value that is.
pub fn value(bytes: &[u8]) -> Option<u64> {
    number(bytes, VALUE)
}

/// Whether a read that ended then may have found nothing, because the record had expired.
pub const fn may_be_over(expires_ms: Option<u64>, at_ms: u64) -> bool {
    matches!(expires_ms, Some(expires_ms) if at_ms + EARLY_MS >= expires_ms)
}

/// Whether it must have found nothing.
pub const fn is_over(expires_ms: Option<u64>, at_ms: u64) -> bool {
    matches!(expires_ms, Some(expires_ms) if at_ms >= expires_ms + LATE_MS)
}

/// Whether a record was deleted, or may have expired.
pub fn is_gone(record: &Record) -> bool {
    let expires_s = record.value.as_deref().map(|bytes| number(bytes, ATTRIBUTE));
    let now_ms = base_ms() + world::now() / MS + EARLY_MS;
    expires_s.is_none_or(|at_s| at_s.is_some_and(|at_s| 1_000 * at_s <= now_ms))
}

/// Whether a record is there that may have expired.
pub fn has_expired(record: &Record) -> bool {
    !record.is_tombstone() && is_gone(record)
}

fn number(bytes: &[u8], name: &str) -> Option<u64> {
    match Document::decode(bytes).ok()?.0.get(name)? {
        Attribute::N(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn base_ms() -> u64 {
    u64::try_from(WALL_BASE_NS / i128::from(MS)).unwrap_or_default()
}

/// Removes what has expired, now and again.
fn remove_later(store: DataStore, pause_most: Time) {
    let pause = world::between(S, pause_most);
    world::after(pause, move || {
        let now_ms = base_ms() + world::now() / MS;
        for (id, record) in store.dump() {
            let expires_s = record.value.as_deref().and_then(|bytes| number(bytes, ATTRIBUTE));
            if expires_s.is_some_and(|expires_s| 1_000 * expires_s <= now_ms) {
                world::tell(|| format!("a store removes {id:?}, which has expired"));
                store.remove(&id);
                invariants::removed(store.index(), &id, record.version);
            }
        }
        remove_later(store, pause_most);
    });
}
