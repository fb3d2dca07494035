//! Takes the next step of every migration as soon as it may be taken. Its only state is in the migrations, so
//! it continues after a restart.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Instances, Operate, Registry, operate::Mutation};
use crate::domain::{Change, Key, change};

/// Minimum interval between looks; many acknowledgements arrive at once.
const PAUSE: Duration = Duration::from_millis(10);
/// Maximum interval between looks: leases and soaks end without any event.
const TICK: Duration = Duration::from_secs(1);

/// Takes steps until the process ends.
pub async fn go_on(registry: Arc<Registry>, instances: Arc<Instances>, operate: Arc<Operate>) {
    let mut revisions = registry.subscribe();
    // Why a step last failed, so that the same reason is logged once.
    let mut failed: HashMap<Key, String> = HashMap::new();
    loop {
        // A look copies nothing. A change does, so it is requested only if it would do something.
        let ready: Vec<Key> = {
            let state = registry.state();
            let on_the_way = state.entries().filter(|entry| entry.migration.has_more_to_do());
            let ready = on_the_way.filter(|entry| {
                change::has_step(&entry.migration, &instances.fleet(Some(entry)), registry.steady_ms())
            });
            ready.map(|entry| entry.migration.key().clone()).collect()
        };
        failed.retain(|key, _| ready.contains(key));
        for key in ready {
            let by = Mutation { actor: "controller".to_owned(), ..Mutation::default() };
            match operate.change(&key, &Change::Step, &by).await {
                Ok(_) => drop(failed.remove(&key)),
                Err(error) => {
                    let why = error.to_string();
                    if failed.get(&key) != Some(&why) {
                        tracing::warn!(migration.key = %key, %error, "cannot take the next step yet; retrying");
                        failed.insert(key, why);
                    }
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = instances.acknowledged() => {}
            _ = revisions.changed() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}
