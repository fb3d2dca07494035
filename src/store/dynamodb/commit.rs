//! One commit: a transaction that claims the next revision and appends the event.

use super::{
    DynamoDb, PATIENT, Unwritten, WRITE, counter_key,
    events::{by_key, event_key, request_key},
    identity_key,
    item::{Before, Item, Key, key, sorted},
    lane::Held,
    value::{Upload, Value},
    writes::Writes,
};
use crate::{
    domain::{Event, Hash},
    store::{
        Commit,
        entry::{Encoded, unreadable},
    },
};

/// The partition of all migrations.
pub(super) const MIGRATIONS: &str = "migrations";
/// Names deleted migrations whose windows are still there.
pub(super) const DELETED: &str = "deleted";

pub(super) fn migration_key(migration: &str) -> Key {
    key(MIGRATIONS, migration)
}

impl DynamoDb {
    pub(super) async fn write_commit(&self, commit: &Commit) -> Result<(), Unwritten> {
        let json = Encoded::of(&commit.event)?;
        let texts = [
            ("summary", Some(&json.summary)),
            ("document", json.document.as_ref()),
            ("rows", Some(&json.rows)),
        ];
        let named = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let (names, texts): (Vec<_>, Vec<_>) = named.unzip();
        let (values, uploads) = self.uploaded(&texts).await?;
        let texts: Vec<_> = names.into_iter().zip(values).collect();
        let written = self.writing(WRITE, || self.prepared(commit, &json, &texts)).await;
        self.uploads_end(uploads, &written);
        written
    }

    /// Uploads texts before the lane is held, so nobody waits for that. It may take as long as it takes in this term.
    pub(super) async fn uploaded(
        &self,
        texts: &[&String],
    ) -> Result<(Vec<Value>, Vec<Upload<'_>>), Unwritten> {
        let upload = async {
            let (mut values, mut uploads) = (Vec::with_capacity(texts.len()), Vec::new());
            for text in texts {
                values.push(self.table.stored(text, &mut uploads).await?);
            }
            Ok((values, uploads))
        };
        if self.lease.term().is_none() {
            return Err(Unwritten::Deposed);
        }
        self.within(PATIENT, upload).await
    }

    /// Deletes what was uploaded for a write that was not made.
    pub(super) fn uploads_end(&self, uploads: Vec<Upload<'_>>, written: &Result<(), Unwritten>) {
        if !matches!(written, Ok(()) | Err(Unwritten::Unknown(_))) {
            self.delete_unused(uploads.iter().map(|upload| upload.parts.clone()).collect());
        }
    }

    /// Checks what the commit was made from, and makes the transaction.
    async fn prepared(
        &self,
        commit: &Commit,
        json: &Encoded,
        texts: &[(&str, Value)],
    ) -> Result<(Held<'_>, Writes), Unwritten> {
        let event = &commit.event;
        let Some(before) = event.revision.checked_sub(1) else { return Err(Unwritten::Conflict) };
        let held = self.hold(&self.commits).await?;
        let (of_migration, of_request) = (migration_key(event.key.as_str()), request_key(&event.request_id));
        let (of_counter, of_identity) = (counter_key(), identity_key());
        let made_before =
            async { if event.request_id.is_empty() { Ok(None) } else { self.table.get(&of_request).await } };
        let (counter, identity, migration, made_before, dropped) = tokio::try_join!(
            self.table.always(&of_counter),
            self.table.always(&of_identity),
            self.table.get(&of_migration),
            made_before,
            self.what_was_dropped(),
        )?;
        // One that was dropped may still be there. One above the counter is of half a backup.
        let made_at = made_before.as_ref().map(|it| it.number("revision")).transpose()?;
        let is_made_before = made_at.is_some_and(|made| (dropped.0.through + 1..=before).contains(&made));
        let actual = migration.as_ref().map(|it| it.number("revision")).transpose()?;
        let is_nothing = commit.expected.is_none() && json.document.is_none();
        if counter.number("revision")? != before || actual != commit.expected || is_made_before || is_nothing
        {
            held.release();
            return Err(Unwritten::Conflict);
        }

        let history_id = identity.text("history_id")?;
        let last = counter.text("hash")?.parse::<Hash>();
        let last = last.map_err(|()| unreadable("the counter", "its hash is malformed"))?;
        let hash = json.entry(event, history_id).hash(&last).to_string();
        let mut writes = Writes::default();
        writes.before.insert(of_identity, Before::Has(vec![("history_id", history_id.into())]));
        let next = Item::default().with("revision", event.revision).with("hash", &*hash);
        writes.replace(of_counter, Some(&counter), next);
        append(&mut writes, event, json, texts, &hash, history_id);
        if !event.request_id.is_empty() {
            let made = Item::default().with("revision", event.revision);
            writes.replace(of_request, made_before.as_ref(), made);
        }
        writes.before.insert(of_migration.clone(), Before::read(migration.as_ref()));
        let bytes = bytes_of(json);
        match migration {
            None => {
                let created = Item::default().with("created", event.revision).with("log_bytes", bytes);
                let created = created.with("revision", event.revision).with("log_from", event.revision);
                writes.put(of_migration, created);
            }
            Some(migration) if json.document.is_some() => {
                let from = migration.find_number("log_from").unwrap_or(event.revision);
                let bytes = migration.find_number("log_bytes").unwrap_or(0) + bytes;
                let next = migration.with("revision", event.revision).with("log_from", from);
                writes.put(of_migration, next.with("log_bytes", bytes));
            }
            Some(migration) => {
                writes.free(Value::of(&migration, "checkpoint")?);
                let created = migration.number("created")?;
                let deleted = Item::default().with("migration", event.key.as_str());
                writes.put(key(DELETED, sorted(created)), deleted);
                writes.delete(of_migration);
            }
        }
        Ok((held, writes))
    }
}

/// What the event adds to what has to be read.
fn bytes_of(json: &Encoded) -> u64 {
    (json.rows.len() + json.document.as_ref().map_or(0, String::len)) as u64
}

/// Adds the event, and where it is found.
fn append(
    writes: &mut Writes,
    event: &Event,
    json: &Encoded,
    texts: &[(&str, Value)],
    hash: &str,
    history_id: &str,
) {
    let mut item = Item::default()
        .with("key", event.key.as_str())
        .with("at_ms", event.at_ms)
        .with("actor", &*event.actor)
        .with("reason", &*event.reason)
        .with("request_id", &*event.request_id)
        .with("change", &*event.change)
        .with("hash", hash)
        .with("history_id", history_id)
        .with("bytes", bytes_of(json));
    for (name, value) in texts {
        writes.set_text(&mut item, name, value);
    }
    writes.replace(event_key(event.revision), None, item);
    writes.put(by_key(event.key.as_str(), event.revision), Item::default());
}
