//! What the migrator adds to a store call. A measurement: `cargo test --release --test
//! migrator_overhead -- --ignored --nocapture`.

#[path = "migrator/world.rs"]
mod world;

use std::time::{Duration, Instant};

use cutover_client::{routing::Rung, store::Store};
use world::{KEY, TENANT, World, id};

const CALLS: usize = 200_000;

fn p99(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

#[tokio::test]
#[ignore = "a measurement, of a release build on a quiet machine"]
async fn a_hit_in_the_target_costs_at_most_5_us_more() {
    let world = World::at(Rung::TargetFirst);
    world.put("value").await;
    let (mut raw, mut routed) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
    for _ in 0..CALLS {
        let began = Instant::now();
        let found = world.target.inner().get(&id()).await;
        raw.push(began.elapsed());
        assert!(matches!(found, Ok(Some(_))));

        let began = Instant::now();
        let found = world.migrator.get(TENANT, KEY).await;
        routed.push(began.elapsed());
        assert!(matches!(found, Ok(Some(_))));
        world.target.take_calls(); // or its log would grow
    }
    let (raw, routed) = (p99(raw), p99(routed));
    eprintln!("p99: raw {raw:?}, routed {routed:?}");
    assert!(routed <= raw + Duration::from_micros(5), "raw {raw:?}, routed {routed:?} at p99");
}
