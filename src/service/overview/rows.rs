//! All migrations for the overview, again and again: what can't have changed is not looked at again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cutover_clock::Instant;

use super::{Entry, MigrationGlance, Overview, Standing};
use crate::{
    domain::Key,
    service::looked::{Basis, Looked},
    telemetry::{StoreRate, now_ms},
};

/// A migration that waits is looked at again after this long: time passes, and evidence grows.
const AGAIN: Duration = Duration::from_secs(1);

/// One migration for the overview.
#[derive(Debug)]
pub struct MigrationRow {
    /// What [`Overview::glances`] has.
    pub glance: MigrationGlance,
    /// Call rates of both stores.
    pub rates: Vec<StoreRate>,
    /// Number of instances, lost ones included.
    pub instances: u32,
}

/// What the last looks saw.
#[derive(Debug, Default)]
pub struct Looks(HashMap<Key, Looked<Standing>>);

impl Overview {
    /// All migrations by key, and the newest revision. A fleet is copied only for those that may have changed.
    pub fn rows(&self, looks: &mut Looks) -> (u64, Vec<MigrationRow>) {
        let before = std::mem::take(&mut looks.0);
        self.of_each(|entry| {
            let (key, now) = (entry.migration.key(), Instant::now());
            let basis = Basis::of(entry, &self.instances);
            let looked = match before.get(key) {
                Some(looked) if looked.holds(&basis, now) => looked.clone(),
                _ => {
                    let seen = self.standing(entry);
                    let is_moving = seen.plan.is_some() || !seen.waiting.is_empty();
                    Looked { basis, until: is_moving.then(|| now + AGAIN), seen }
                }
            };
            let standing = looked.seen.clone();
            looks.0.insert(key.clone(), looked);
            self.row(entry, standing)
        })
    }

    fn row(&self, entry: &Arc<Entry>, standing: Standing) -> MigrationRow {
        MigrationRow {
            rates: self.ingest.rates(entry.migration.key().as_str(), now_ms()),
            instances: standing.instances,
            glance: self.glance(entry, standing),
        }
    }
}
