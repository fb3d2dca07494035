//! Reads and writes of records, each told to the oracle.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cutover_client::{
    migrator::{Edit, Migrator, PutIf, ReadError, WriteError, Writes},
    store::{Id, KeyRange, Store, Version},
    watch::Current,
};
use rand::{RngExt as _, rngs::SmallRng};

use crate::{
    expiring,
    invariants::{self, Watched},
    oracle::{self, Answer},
    play, whole, world,
};

/// Which records there are.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// Tenants.
    pub tenants: u32,
    /// Keys of each.
    pub keys: u32,
    /// A key that nobody has written before appears after so long. 0: there are none.
    pub fresh: world::Time,
    /// How many of 150 operations use it.
    pub fresh_share: u32,
}

/// A key of each tenant that is hardly ever used. It is there at the beginning.
pub const COLD: &str = "cold";

/// A key of each tenant that is used often.
const OFTEN: &str = "k0";

thread_local! {
    /// What everybody uses, and until when.
    static USED: RefCell<Option<(Id, world::Time)>> = const { RefCell::new(None) };
}

/// From now on everybody uses this record, for so long.
pub fn use_only(id: Id, span: world::Time) {
    USED.set(Some((id, world::now() + span)));
}

impl Records {
    /// Those that are there from the beginning, by tenant and key.
    pub fn all(self) -> impl Iterator<Item = (String, String)> {
        let keys = move || (0..self.keys).map(|k| format!("k{k}")).chain([COLD.to_owned()]);
        (0..self.tenants).flat_map(move |t| keys().map(move |key| (format!("t{t}"), key)))
    }

    /// One of them.
    pub fn draw(self, random: &mut SmallRng) -> (String, String) {
        let key = match random.random_range(0..150) {
            0 => COLD.to_owned(),
            at if self.fresh > 0 && at <= self.fresh_share => format!("n{}", world::now() / self.fresh),
            _ => format!("k{}", random.random_range(0..self.keys)),
        };
        let drawn = (format!("t{}", random.random_range(0..self.tenants)), key);
        let used = USED.with_borrow(|used| used.clone().filter(|(_, until)| world::now() < *until));
        used.map_or(drawn, |(id, _)| (id.tenant.to_string(), id.key.to_string()))
    }
}

/// How the oracle names a record.
pub fn name(tenant: &str, key: &str) -> String {
    format!("{tenant}/{key}")
}

/// What is stored for a value.
pub fn bytes(value: u64) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Which value that is.
pub fn value(bytes: &[u8]) -> u64 {
    let plain = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    plain.or_else(|| expiring::value(bytes)).unwrap_or(u64::MAX)
}

/// Who operates.
pub struct Party<'a> {
    /// Its name in the story.
    pub by: &'a str,
    /// Its stores.
    pub migrator: &'a Migrator,
    /// Its routing.
    pub current: &'a Current,
    /// Whether it may still vouch for what it did.
    pub vouches: &'a (dyn Fn() -> bool + Sync),
    /// Whether steps down are taken without it: then its reads may be stale until it hears of them.
    pub left_behind: &'a (dyn Fn() -> bool + Sync),
}

impl Party<'_> {
    /// One operation of any kind.
    pub async fn operate(&self, random: &mut SmallRng, (tenant, key): (String, String)) {
        let (migrator, record) = (self.migrator, name(&tenant, &key));
        let left_behind = (self.left_behind)();
        let kind = random.random_range(0..100);
        if (85..90).contains(&kind) {
            return self.put_if(&tenant, &key).await;
        }
        if kind < 3 {
            return self.list(random, &tenant, &key).await;
        }
        if (45..49).contains(&kind) {
            return self.transact(random, &tenant, &key).await;
        }
        let watched = Watched::new(&tenant, self.by, self.current);
        if kind < 45 {
            let began = oracle::now();
            let mut keys = vec![key.as_str()];
            let read = match kind {
                0..15 => {
                    // Another one that is written often.
                    keys.push(OFTEN);
                    migrator.get_many_bytes(&tenant, &keys).await
                }
                15..18 if play::has_queries() => self.query(&tenant, &key).await.map(|found| vec![found]),
                _ => migrator.get_bytes(&tenant, &key).await.map(|found| vec![found]),
            };
            let Ok(found) = read else { return };
            let left_behind = left_behind || (self.left_behind)();
            if (self.vouches)() && !(left_behind && watched.may_be_stale()) {
                watched.counts(true, left_behind);
                for (key, found) in keys.into_iter().zip(found) {
                    oracle::read(&name(&tenant, key), found.as_deref().map(value), began, self.by, false);
                }
            }
            return;
        }
        let new = (!(90..95).contains(&kind)).then(oracle::fresh_value);
        let number = oracle::write_begins(&record, new, self.by);
        let expires_ms = (49..85).contains(&kind).then(|| expiring::draw(random)).flatten();
        let written = match (kind, new) {
            (49..85, Some(new)) => {
                let bytes = expires_ms.map_or_else(|| bytes(new), |at| expiring::bytes(new, at));
                oracle::write_expires(&record, number, expires_ms);
                migrator.put_bytes(&tenant, &key, bytes).await.map(Some)
            }
            (_, None) => migrator.delete(&tenant, &key).await.map(Some),
            (_, Some(new)) => {
                let of = record.clone();
                let change = move |found: Option<&[u8]>| {
                    oracle::write_finds(&of, number, found.map(value));
                    Edit::Put(bytes(new))
                };
                migrator.mutate_bytes(&tenant, &key, change).await
            }
        };
        // Mutations at target-first and at target-only are ordered like puts, also those of unknown outcome: see
        // Migrator::mutate. What they find is a read.
        let may_be_stale = (left_behind || (self.left_behind)()) && watched.may_be_stale();
        if may_be_stale || watched.is_at_target_only() {
            oracle::write_found_nothing(&record, number);
        }
        if let (Ok(Some(version)), Ok(id)) = (&written, Id::new(&tenant, &key)) {
            invariants::expires(&id, *version, expires_ms);
        }
        self.wrote(&tenant, &key, watched, number, left_behind, written);
    }

    /// One put of a record that stays.
    pub async fn put(&self, tenant: &str, key: &str) {
        let (watched, left_behind) = (Watched::new(tenant, self.by, self.current), (self.left_behind)());
        let value = oracle::fresh_value();
        let number = oracle::write_begins(&name(tenant, key), Some(value), self.by);
        let written = self.migrator.put_bytes(tenant, key, bytes(value)).await.map(Some);
        self.wrote(tenant, key, watched, number, left_behind, written);
    }

    fn wrote(
        &self,
        tenant: &str,
        key: &str,
        watched: Watched<'_>,
        number: usize,
        left_behind: bool,
        written: Result<Option<Version>, WriteError>,
    ) {
        if let (Ok(Some(version)), true, Ok(id)) = (&written, (self.vouches)(), Id::new(tenant, key)) {
            watched.counts(false, left_behind || (self.left_behind)());
            invariants::acknowledged(&id, *version);
        }
        ended(&name(tenant, key), number, written, (self.vouches)());
    }

    /// A query of the application's own, for one record.
    async fn query(&self, tenant: &str, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let id = Id::new(tenant, key)?;
        let get = |_, store: Arc<dyn Store>| {
            let id = id.clone();
            async move { store.get(&id).await }
        };
        // A tombstone is no record.
        Ok(self.migrator.query(tenant, get).await?.and_then(|record| record.value))
    }

    /// Lists a tenant's records, page by page. Each key that anybody has used is a read, also if the page lacks it.
    async fn list(&self, random: &mut SmallRng, tenant: &str, key: &str) {
        let mut range = match random.random_range(0..3) {
            0 => KeyRange::all(),
            1 => KeyRange::prefix("k"),
            _ => KeyRange::all().at_least(key),
        };
        let limit = random.random_range(1..8);
        loop {
            let left_behind = (self.left_behind)();
            let watched = Watched::new(tenant, self.by, self.current);
            let began = oracle::now();
            let Ok(page) = self.migrator.list_bytes(tenant, &range, limit).await else { return };
            let left_behind = left_behind || (self.left_behind)();
            if !(self.vouches)() || left_behind && watched.may_be_stale() {
                return;
            }
            watched.counts(true, left_behind);
            let found: BTreeMap<_, _> =
                page.records.iter().map(|(key, bytes)| (name(tenant, key), value(bytes))).collect();
            let known = oracle::records().into_iter().filter(|record| {
                let of_tenant = record.split_once('/').filter(|(of, _)| *of == tenant);
                let is_past = |key: &str| page.next.as_deref().is_some_and(|next| key > next);
                of_tenant.is_some_and(|(_, key)| range.contains(key) && !is_past(key))
            });
            for record in known.chain(found.keys().cloned()).collect::<BTreeSet<_>>() {
                oracle::read(&record, found.get(&record).copied(), began, self.by, false);
            }
            let Some(next) = page.next else { return };
            range = range.after(&next);
        }
    }

    /// Writes a record and others that are written often, all at once. One of the others may be deleted.
    async fn transact(&self, random: &mut SmallRng, tenant: &str, key: &str) {
        let left_behind = (self.left_behind)();
        let watched = Watched::new(tenant, self.by, self.current);
        let mut keys = vec![key];
        keys.extend([OFTEN, "k1", "k2"].into_iter().filter(|other| *other != key));
        keys.truncate(random.random_range(2..=4));
        let (mut writes, mut begun, mut records) = (Writes::new(), Vec::new(), BTreeMap::new());
        for (place, key) in keys.into_iter().enumerate() {
            let is_delete = place == 1 && random.random_range(0..4) == 0;
            let new = (!is_delete).then(oracle::fresh_value);
            writes = match new {
                Some(new) => writes.put_bytes(key, bytes(new)),
                None => writes.delete(key),
            };
            let Ok(id) = Id::new(tenant, key) else { return };
            records.insert(id.clone(), new);
            let record = name(tenant, key);
            let number = oracle::write_begins(&record, new, self.by);
            begun.push((id, record, number));
        }
        whole::begins(records, self.by);
        let written = self.migrator.transact(tenant, writes).await;
        let vouched = (self.vouches)();
        if let (Ok(version), true) = (&written, vouched) {
            watched.counts(false, left_behind || (self.left_behind)());
            begun.iter().for_each(|(id, ..)| invariants::acknowledged(id, *version));
        }
        let (answer, why) = answered(&written, vouched);
        begun.iter().for_each(|(_, record, number)| oracle::write_ended(record, *number, answer, &why));
    }

    /// Reads a record, and replaces it if it is still what was read.
    async fn put_if(&self, tenant: &str, key: &str) {
        let (migrator, record) = (self.migrator, name(tenant, key));
        let Ok(read) = migrator.get_bytes(tenant, key).await else { return };
        let (expected, new) = (read.as_deref().map(value), oracle::fresh_value());
        let left_behind = (self.left_behind)();
        let watched = Watched::new(tenant, self.by, self.current);
        let began = oracle::now();
        let number = oracle::write_begins(&record, Some(new), self.by);
        let answer = migrator.put_if_bytes(tenant, key, read.as_deref(), bytes(new)).await;
        let (vouched, left_behind) = ((self.vouches)(), left_behind || (self.left_behind)());
        let written = match answer {
            Ok(PutIf::Applied(version)) => {
                oracle::write_expected(&record, number, expected);
                if !(watched.is_at_target_only() || left_behind && watched.may_be_stale()) {
                    oracle::write_finds(&record, number, expected);
                }
                Ok(Some(version))
            }
            Ok(PutIf::Mismatch(found)) => {
                oracle::write_ended(&record, number, Answer::NotApplied, "something else is there");
                if vouched && !(left_behind && watched.may_be_stale()) {
                    oracle::read(&record, found.as_deref().map(value), began, self.by, false);
                }
                return;
            }
            Err(error) => Err(error),
        };
        if let (Ok(Some(version)), true, Ok(id)) = (&written, vouched, Id::new(tenant, key)) {
            watched.counts(false, left_behind);
            invariants::acknowledged(&id, *version);
        }
        ended(&record, number, written, vouched);
    }
}

/// How a write's answer is told to the oracle.
fn ended(record: &str, number: usize, written: Result<Option<Version>, WriteError>, vouched: bool) {
    let (answer, why) = answered(&written, vouched);
    oracle::write_ended(record, number, answer, &why);
}

/// What an answer says, and why.
fn answered<T>(written: &Result<T, WriteError>, vouched: bool) -> (Answer, String) {
    match written {
        Ok(_) if !vouched => (Answer::Indeterminate, "the answer that it went by has expired".to_owned()),
        Ok(_) => (Answer::Acknowledged, String::new()),
        Err(WriteError::Indeterminate(why)) => (Answer::Indeterminate, why.to_string()),
        Err(error) => (Answer::NotApplied, error.to_string()),
    }
}

/// Waits between two operations.
pub async fn think(random: &mut SmallRng, mean_ms: u64) {
    let ms = random.random_range(0..=2 * mean_ms);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
