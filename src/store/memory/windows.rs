//! Windows in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Call, Kept, MemoryStore};
use crate::{
    domain::{Counts, Scale},
    store::{Counted, Error, WindowQuery, WindowStore},
};

#[async_trait]
impl WindowStore for MemoryStore {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let count = || {
            self.kept().count(counted);
            Ok(())
        };
        self.faults.around(Call::Count, count).await
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let windows = || {
            let kept = self.kept();
            let at = |at| (query.key.clone(), index(query.scale), at);
            if query.from >= query.before {
                return Ok(Vec::new());
            }
            let found = kept.windows.range(at(query.from)..at(query.before));
            Ok(found.map(|((_, _, at), counts)| (*at, counts.clone())).collect())
        };
        self.faults.around(Call::Windows, windows).await
    }
}

const fn index(scale: Scale) -> usize {
    match scale {
        Scale::Revision => 0,
        Scale::Second => 1,
        Scale::Minute => 2,
        Scale::HalfHour => 3,
    }
}

impl Kept {
    fn count(&mut self, counted: &Counted) {
        // Windows of migrations that do not exist are left out.
        for (id, counts) in counted.windows.iter().filter(|(id, _)| self.migrations.contains_key(&id.key)) {
            self.windows.entry((id.key.clone(), index(id.scale), id.at)).or_default().merge(counts);
        }
        counted.forgotten.iter().for_each(|id| _ = self.heard.remove(id));
        let heard = counted.heard.iter().map(|record| (record.instance_id.clone(), record.clone()));
        self.heard.extend(heard);
        for scale in Scale::OF_TIME {
            let before = scale.expired_before(counted.now_s);
            self.windows.retain(|(_, of, at), _| *of != index(scale) || *at >= before);
        }
        let of_revisions = counted.windows.iter().filter(|(id, _)| id.scale == Scale::Revision);
        let keys: BTreeSet<_> = of_revisions.map(|(id, _)| &id.key).collect();
        for key in keys {
            let all = self.windows.range((key.clone(), 0, 0)..(key.clone(), 1, 0));
            let newest: Vec<_> = all.rev().map(|(id, _)| id.clone()).collect();
            newest.iter().skip(Scale::REVISIONS_MAX).for_each(|id| _ = self.windows.remove(id));
        }
    }
}
