//! Takes the next step of every migration as soon as it may be taken. Its only state is in the migrations, so
//! it continues after a restart.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cutover_clock::Instant;

use super::{
    Instances, Operate, Registry,
    looked::{Basis, Looked},
    operate::Mutation,
};
use crate::domain::{Change, Key, change};

/// Minimum interval between looks; many acknowledgements arrive at once.
const PAUSE: Duration = Duration::from_millis(10);
/// Maximum interval between looks: leases end without any event.
const TICK: Duration = Duration::from_secs(1);

/// Takes steps until the process ends.
pub async fn go_on(registry: Arc<Registry>, instances: Arc<Instances>, operate: Arc<Operate>) {
    let mut revisions = registry.subscribe();
    let mut acknowledged = instances.acknowledged();
    let mut blocked: HashMap<Key, Looked<String>> = HashMap::new();
    loop {
        revisions.mark_unchanged();
        acknowledged.mark_unchanged();
        for Ready { key, basis, failed } in ready(&registry, &instances, &mut blocked) {
            let by = Mutation { actor: "controller".to_owned(), ..Mutation::default() };
            if let Err(error) = operate.change(&key, &Change::Step, &by).await {
                let why = error.to_string();
                if why != failed {
                    tracing::warn!(migration.key = %key, %error, "cannot take the next step yet; retrying");
                }
                blocked.insert(key, Looked { basis, until: Some(Instant::now() + TICK), seen: why });
            }
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            _ = acknowledged.changed() => {}
            _ = revisions.changed() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// A migration that can take a step.
struct Ready {
    key: Key,
    basis: Basis,
    /// Why the step last failed, so that the same reason is logged once. Empty: it did not.
    failed: String,
}

/// Migrations that can take a step. Copies nothing of those that could not and have not changed since.
fn ready(
    registry: &Registry,
    instances: &Instances,
    blocked: &mut HashMap<Key, Looked<String>>,
) -> Vec<Ready> {
    let (state, now, steady_ms) = (registry.state(), Instant::now(), registry.steady_ms());
    let mut ready = Vec::new();
    blocked.retain(|key, _| state.entry(key).is_some());
    for entry in state.entries().filter(|entry| entry.migration.has_more_to_do()) {
        let (migration, basis) = (&entry.migration, Basis::of(entry, instances));
        let key = migration.key();
        if blocked.get(key).is_some_and(|looked| looked.holds(&basis, now)) {
            continue;
        }
        let last = blocked.remove(key);
        if change::has_step(migration, &instances.fleet(Some(entry)), steady_ms) {
            let failed = last.map_or_else(String::new, |looked| looked.seen);
            ready.push(Ready { key: key.clone(), basis, failed });
        } else {
            let soaked_ms = change::soaked_at_ms(migration, steady_ms);
            let until = soaked_ms.map(|at_ms| now + Duration::from_millis(at_ms - steady_ms));
            blocked.insert(key.clone(), Looked { basis, until, seen: String::new() });
        }
    }
    ready
}
