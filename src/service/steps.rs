//! Goes on with what was asked: takes the next step of every migration as soon as it may be taken.
//! Its only state is the migrations', so it goes on after a restart.

use std::{sync::Arc, time::Duration};

use super::{Instances, Operate, Registry, operate::Mutation};
use crate::domain::Change;

/// Looks are at least so far apart; many acknowledgements come at once.
const PAUSE: Duration = Duration::from_millis(10);
/// Looks are at most so far apart: leases and soaks end without anybody saying so.
const TICK: Duration = Duration::from_millis(250);

/// Takes steps until the process ends.
pub async fn go_on(registry: Arc<Registry>, instances: Arc<Instances>, operate: Arc<Operate>) {
    let mut revisions = registry.subscribe();
    loop {
        let ramping: Vec<_> = {
            let state = registry.state();
            let on_the_way = state.entries().filter(|entry| entry.migration.has_more_to_do());
            on_the_way.map(|entry| entry.migration.key().clone()).collect()
        };
        for key in ramping {
            let by = Mutation { actor: "controller".to_owned(), ..Mutation::default() };
            if let Err(error) = operate.change(&key, &Change::Step, &by).await {
                tracing::warn!(migration.key = %key, %error, "the next step can't be taken now; trying on");
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
