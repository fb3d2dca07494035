//! The service as it was before the SDK: it writes the source without versions, and deletes outright.

use cutover_client::store::{Id, Record, Version};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::traffic::{self, Records};
use crate::{
    data::DataStore,
    invariants,
    oracle::{self, Answer},
    play,
    remote::ask,
    world::{self, MS, Pid, Time},
};

/// What it does.
pub struct Legacy {
    /// Its place.
    pub pid: Pid,
    /// Which records it uses.
    pub records: Records,
    /// The source.
    pub source: DataStore,
    /// It ends then.
    pub until: Time,
    /// Of its randomness.
    pub seed: u64,
}

impl Legacy {
    /// Serves until services with the SDK take its place.
    pub async fn run(self) {
        let mut random = SmallRng::seed_from_u64(self.seed);
        loop {
            traffic::think(&mut random, 200).await;
            if world::now() >= self.until {
                break;
            }
            let (tenant, key) = self.records.draw(&mut random);
            let Ok(id) = Id::new(&tenant, &key) else { continue };
            let record = traffic::name(&tenant, &key);
            let value = (random.random_range(0..3) > 0).then(oracle::fresh_value);
            let number = oracle::write_begins(&record, value, "legacy");
            let (source, written) = (self.source.clone(), id.clone());
            let write = move || {
                match value {
                    Some(value) => {
                        let value = Some(traffic::bytes(value));
                        source.insert(written, Record { version: Version::ZERO, value });
                    }
                    None => source.remove(&written),
                }
                // It is the only writer, so this one is certain to be acknowledged.
                invariants::acknowledged_unversioned(&id, value);
            };
            ask(MS, MS, write).await;
            oracle::write_ended(&record, number, Answer::Acknowledged, "");
        }
        play::ended(self.pid);
    }
}
