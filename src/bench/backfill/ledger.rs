//! Reads of a table with its versions in columns and of one with a ledger, taken in turns.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use cutover_store::Store;

use super::{super::figures::median, records};

/// Reads of each table.
const GETS: u64 = 4_000;

/// Microseconds of one read in each table, median.
pub(super) async fn gets(stores: [&Arc<dyn Store>; 2], records: u64) -> anyhow::Result<[f64; 2]> {
    let mut took_us = [Vec::new(), Vec::new()];
    for at in 0..GETS {
        // Far apart.
        let id = records::id(at * 7_919 % records)?;
        for (store, took_us) in stores.iter().zip(&mut took_us) {
            let begun = Instant::now();
            store.get(&id).await?.context("the backfill left out a record")?;
            took_us.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(took_us.map(|took_us| median(&took_us)))
}
