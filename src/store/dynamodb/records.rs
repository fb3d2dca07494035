//! Instances, passes, cursors, and what else has to survive a restart without being a change of a migration.

use std::collections::BTreeMap;

use super::{
    DynamoDb, Unwritten, WRITE, identity_key,
    item::{Before, Item, Key, key},
    lane::Held,
    value::Value,
    writes::Writes,
};
use crate::store::{
    Upkeep,
    entry::{encoded, new_id},
};

/// Partitions of records.
pub(super) const INSTANCES: &str = "instances";
pub(super) const PASSES: &str = "passes";
pub(super) const CURSORS: &str = "cursors";
/// The last reports that are in the windows. Belongs to their lane.
pub(super) const HEARD: &str = "heard";

/// The reading of the controller's steady clock.
pub(super) fn steady_key() -> Key {
    key("state", "steady")
}

impl DynamoDb {
    pub(super) async fn write_records(&self, upkeep: &Upkeep) -> Result<(), Unwritten> {
        let mut put = Vec::new();
        for record in &upkeep.put_instances {
            put.push((key(INSTANCES, record.label()), encoded(record)?));
        }
        for record in &upkeep.put_passes {
            put.push((key(PASSES, &record.id), encoded(record)?));
        }
        for record in &upkeep.put_cursors {
            put.push((key(CURSORS, &record.endpoint), encoded(record)?));
        }
        // The last one with an id counts.
        let (keys, texts): (Vec<_>, Vec<_>) = put.into_iter().collect::<BTreeMap<_, _>>().into_iter().unzip();
        let (values, uploads) = self.uploaded(&texts.iter().collect::<Vec<_>>()).await?;
        let put: Vec<_> = keys.into_iter().zip(values).collect();
        let written = self.writing(WRITE, || self.prepared_records(upkeep, &put)).await;
        self.uploads_end(uploads, &written);
        written
    }

    async fn prepared_records(
        &self,
        upkeep: &Upkeep,
        put: &[(Key, Value)],
    ) -> Result<(Held<'_>, Writes), Unwritten> {
        let held = self.hold(&self.records).await?;
        let mut writes = Writes::default();
        let removed = [
            (INSTANCES, &upkeep.remove_instances),
            (PASSES, &upkeep.remove_passes),
            (CURSORS, &upkeep.remove_cursors),
        ];
        for (partition, ids) in removed {
            ids.iter().for_each(|id| writes.delete(key(partition, id)));
        }
        for (key, value) in put {
            let mut item = Item::default();
            writes.set_text(&mut item, "record", value);
            writes.put(key.clone(), item);
        }
        // Only passes are large enough to have parts.
        let passes: Vec<_> =
            writes.items.keys().filter(|(partition, _)| partition == PASSES).cloned().collect();
        for pass in passes {
            if let Some(old) = self.table.get(&pass).await? {
                writes.free(Value::of(&old, "record")?);
                writes.before.insert(pass, Before::Is(old));
            }
        }
        if let Some(ms) = upkeep.steady_ms {
            let before = self.table.get(&steady_key()).await?;
            let last = before.as_ref().map_or(Ok(0), |before| before.number("ms"))?;
            writes.replace(steady_key(), before.as_ref(), Item::default().with("ms", ms.max(last)));
        }
        if upkeep.begin_history.is_some() || upkeep.forget_restored {
            let before = self.table.always(&identity_key()).await?;
            let mut identity = before.clone();
            if let Some(why) = &upkeep.begin_history {
                identity = another_history(identity, why);
            }
            if upkeep.forget_restored {
                identity.remove("restored");
                identity.set("put_back", 0);
            }
            writes.replace(identity_key(), Some(&before), identity);
        }
        Ok((held, writes))
    }
}

/// Gives the store another identity: what this one's revisions mean is not known elsewhere.
pub(super) fn another_history(identity: Item, why: &str) -> Item {
    identity.with("history_id", new_id()).with("restored", why).with("put_back", 1)
}
