//! Which histories the store descends from. A restored store begins one of its own, and has the events of those before.

use std::collections::BTreeMap;

use super::Operate;
use crate::store::{self, Store};

impl Operate {
    /// Whether the store has been at this revision of an earlier history. A process may hold any such state. A newer one
    /// is of another copy, where that history went on.
    pub(super) async fn has_been_at(&self, history_id: &str, revision: u64) -> Result<bool, store::Error> {
        let ancestors = self.ancestors.get_or_try_init(|| histories(&*self.store)).await?;
        Ok(ancestors.get(history_id).is_some_and(|last| revision <= *last))
    }
}

/// All histories of the events that are kept, with the last revision of each. Each has events one after the other, so few
/// are read.
async fn histories(store: &dyn Store) -> Result<BTreeMap<String, u64>, store::Error> {
    let first = store.dropped().await?.through + 1;
    let history_at = async |revision: u64| {
        let page = store.chain(revision - 1, 1).await?;
        Ok::<_, store::Error>(page.events.into_iter().next().map(|event| event.history_id))
    };
    let mut found = BTreeMap::new();
    let mut last = store.chain(first - 1, 1).await?.state.revision;
    while last >= first {
        let Some(history_id) = history_at(last).await? else { break };
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low) / 2;
            match history_at(middle).await?.as_ref() == Some(&history_id) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        found.insert(history_id, last);
        last = low - 1;
    }
    Ok(found)
}
