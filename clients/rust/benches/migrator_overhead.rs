//! What the migrator adds to a hit in the target, over in-memory stores: prints the p99 of the plain store
//! call and of the routed one, from the same run. `cargo bench -p cutover-client`.

#[path = "../tests/migrator/world.rs"]
mod world;

use std::time::{Duration, Instant};

use cutover_client::{routing::Rung, store::Store};
use world::{KEY, TENANT, World, id};

const CALLS: usize = 200_000;

fn p99(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let world = World::at(Rung::TargetFirst);
    world.put("value").await;
    let (mut raw, mut routed) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
    for _ in 0..CALLS {
        let began = Instant::now();
        let found = world.target.inner().get(&id()).await;
        raw.push(began.elapsed());
        assert!(matches!(found, Ok(Some(_))));

        let began = Instant::now();
        let found = world.migrator.get_bytes(TENANT, KEY).await;
        routed.push(began.elapsed());
        assert!(matches!(found, Ok(Some(_))));
        world.target.take_calls(); // otherwise its log would grow
    }
    let (raw, routed) = (p99(raw), p99(routed));
    eprintln!(
        "p99: raw {raw:?}, routed {routed:?}, added {:?} (at most 5 us is wanted)",
        routed.saturating_sub(raw)
    );
}
