//! Reads and writes of records, each told to the oracle.

use std::time::Duration;

use cutover_client::migrator::{Change, Migrator, WriteError};
use rand::{RngExt as _, rngs::SmallRng};

use crate::oracle::{self, Answer};

/// Which records there are.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// Tenants.
    pub tenants: u32,
    /// Keys of each.
    pub keys: u32,
}

impl Records {
    /// All of them, by tenant and key.
    pub fn all(self) -> impl Iterator<Item = (String, String)> {
        (0..self.tenants).flat_map(move |t| (0..self.keys).map(move |k| (format!("t{t}"), format!("k{k}"))))
    }

    /// One of them.
    pub fn draw(self, random: &mut SmallRng) -> (String, String) {
        (
            format!("t{}", random.random_range(0..self.tenants)),
            format!("k{}", random.random_range(0..self.keys)),
        )
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
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// One operation of any kind. `vouched` is asked when it has ended: may its caller still vouch for it?
pub async fn operate(
    migrator: &Migrator,
    random: &mut SmallRng,
    (tenant, key): (String, String),
    by: &str,
    vouched: &(dyn Fn() -> bool + Sync),
) {
    let record = name(&tenant, &key);
    match random.random_range(0..100) {
        0..45 => {
            let began = oracle::now();
            if let Ok(found) = migrator.get(&tenant, &key).await
                && vouched()
            {
                oracle::read(&record, found.as_deref().map(value), began, by, false);
            }
        }
        45..85 => {
            let new = oracle::fresh_value();
            let number = oracle::write_begins(&record, Some(new), by);
            let written = migrator.put(&tenant, &key, bytes(new)).await;
            ended(&record, number, written.map(|_| ()), vouched());
        }
        85..95 => {
            let number = oracle::write_begins(&record, None, by);
            let written = migrator.delete(&tenant, &key).await;
            ended(&record, number, written.map(|_| ()), vouched());
        }
        _ => {
            let new = oracle::fresh_value();
            let number = oracle::write_begins(&record, Some(new), by);
            let of = record.clone();
            let change = move |found: Option<&[u8]>| {
                oracle::write_finds(&of, number, found.map(value));
                Change::Put(bytes(new))
            };
            let written = migrator.mutate(&tenant, &key, change).await;
            ended(&record, number, written.map(|_| ()), vouched());
        }
    }
}

/// How a write's answer is told to the oracle.
fn ended(record: &str, number: usize, written: Result<(), WriteError>, vouched: bool) {
    let (answer, why) = match &written {
        Ok(()) if !vouched => (Answer::Indeterminate, "the answer that it went by has expired".to_owned()),
        Ok(()) => (Answer::Acknowledged, String::new()),
        Err(WriteError::Indeterminate(why)) => (Answer::Indeterminate, why.to_string()),
        Err(error) => (Answer::NotApplied, error.to_string()),
    };
    oracle::write_ended(record, number, answer, &why);
}

/// Waits between two operations.
pub async fn think(random: &mut SmallRng, mean_ms: u64) {
    let ms = random.random_range(0..=2 * mean_ms);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
