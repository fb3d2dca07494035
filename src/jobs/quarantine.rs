//! Keeps records that can't be moved, with the reason, in a table for any number of migrations.
//!
//! A row there is an ordinary record: its tenant is the migration, and its key is the place of the record
//! that can't be moved. It names the last pass that met the record. When a pass over everything has ended,
//! rows that it did not write belong to records that fit by now or are gone; they become tombstones.

mod row;

use std::sync::Arc;

use cutover_client::{
    Client,
    watch::{BeginError, Operation},
};
use cutover_clock::now_ms;
use cutover_core::{outcome::ErrorClass, routing::Mutation};
use cutover_proto::v1::PassKind;
use cutover_store::{
    EPOCH_UNIX_MS, Id, KEY_MAX_BYTES, Put, Record, StoreError, Version,
    document::{Attribute, Document},
};
use sha2::{Digest as _, Sha256};

use super::{
    Error, Plan, Stores,
    in_a_row::InARow,
    patience::{BACKOFF_FIRST, patiently},
    place,
    side::Side,
    source_versions::SourceVersions,
};

pub use row::{Row, Rows};

/// Identifies a pass in its rows.
#[derive(Clone)]
pub(super) struct JoinedPass {
    /// The job's id.
    pub(super) id: String,
    /// When this worker joined it, Unix time.
    pub(super) since_ms: u64,
    /// The controller's revision when it began.
    pub(super) began_revision: u64,
    /// What this worker is to the controller: an instance.
    pub(super) client: Arc<Client>,
    /// Versions that this worker's scans of the source have met.
    pub(super) source_versions: Arc<SourceVersions>,
    /// What triggers refused since the last write. Without a limit unless the worker sets one.
    pub(super) in_a_row: Arc<InARow>,
}

/// A record that can't be moved.
pub(super) struct RefusedRecord<'a> {
    /// Its tenant.
    pub(super) tenant: &'a str,
    /// Its key.
    pub(super) key: &'a str,
    /// `None`: it can't be read, so it stays where it is.
    pub(super) record: Option<&'a Record>,
    /// The store that it should go to.
    pub(super) toward: Side,
    /// The error of reading or writing it.
    pub(super) error: &'a StoreError,
}

impl JoinedPass {
    /// A pass joined now.
    pub(super) fn joined(id: &str, began_revision: u64, client: &Arc<Client>) -> Self {
        let source_versions = Arc::new(SourceVersions::disabled());
        let (id, client, in_a_row) = (id.to_owned(), client.clone(), Arc::new(InARow::unlimited()));
        Self { id, since_ms: now_ms(), began_revision, client, source_versions, in_a_row }
    }

    /// An operation, so that no barrier settles before it ends. `waits` is called with each reason why it can't
    /// begin yet.
    pub(super) async fn begin(
        &self,
        migration: &str,
        tenant: &str,
        waits: impl Fn(&BeginError),
    ) -> Result<Operation, Error> {
        loop {
            match self.client.begin(migration, tenant) {
                Ok(operation) => return Ok(operation),
                Err(BeginError::Routing(error)) => {
                    return Err(tonic::Status::not_found(error.to_string()).into());
                }
                // The controller will be back.
                Err(error) => {
                    waits(&error);
                    tokio::time::sleep(BACKOFF_FIRST).await;
                }
            }
        }
    }

    /// Works on as long as the operation may act. A worker that stood still for so long that nobody waits for it any
    /// more must not write what it read before.
    pub(super) async fn in_time<F: Future>(
        &self,
        operation: &Operation,
        work: F,
    ) -> Result<F::Output, Error> {
        if Mutation::WorkersInTime.is_left_out() {
            return Ok(work.await);
        }
        operation.while_it_may_act(self.client.current(), work).await.ok_or(Error::Overtaken)
    }
}

impl Stores {
    /// Keeps a record that can't be moved; without a quarantine the pass ends.
    pub(super) async fn quarantine(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        refused: RefusedRecord<'_>,
    ) -> Result<(), Error> {
        let place = refused.place();
        let Some(quarantine) = &self.quarantine else {
            let store = if refused.record.is_some() { refused.toward } else { refused.toward.other() };
            return Err(Error::NoQuarantine { store: store.name(), place, error: refused.error.clone() });
        };
        let id = row_id(&plan.migration, &place)?;
        let now_ms = now_ms();
        let mut row = Record { version: version(now_ms), value: Some(refused.row(pass, now_ms, true)?) };
        loop {
            match quarantine.put_if_newer(&id, &row).await {
                Ok(Put::Applied | Put::Present) => return Ok(()),
                // Written by a clock that is ahead of ours.
                Ok(Put::Stale(current)) => row.version = current.next(0).unwrap_or(Version::MAX),
                Err(error) if is_misfit(&error) && refused.record.is_some_and(|it| it.value.is_some()) => {
                    row.value = Some(refused.row(pass, now_ms, false)?);
                    let put = quarantine.put_if_newer(&id, &row).await;
                    return put.map(drop).map_err(failed);
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Whether a record is in quarantine on its way to that store.
    pub(super) async fn is_kept_apart(&self, plan: &Plan, id: &Id, toward: Side) -> Result<bool, Error> {
        let Some(quarantine) = &self.quarantine else { return Ok(false) };
        let row = row_id(&plan.migration, &place(&id.tenant, &id.key))?;
        let record = quarantine.get(&row).await.map_err(failed)?;
        let row = record.and_then(|record| Row::read(row, &record));
        Ok(row.is_some_and(|row| row.toward == toward))
    }

    /// Whether the record of a row is still missing in the target although the pass did not meet it: it did not try,
    /// because its tenant reads the target.
    async fn is_withheld(&self, plan: &Plan, row: &Row) -> Result<bool, Error> {
        let id = Id::new(&row.tenant, &row.key).ok();
        match id.filter(|_| plan.ttl.is_some() && row.toward == Side::Target) {
            Some(id) => self.is_lacking(plan, &id).await,
            None => Ok(false),
        }
    }

    /// After a pass over everything: releases the records that it did not meet again.
    pub(super) async fn release(&self, plan: &Plan, pass: &JoinedPass) -> Result<(), Error> {
        let toward = match plan.kind {
            PassKind::Full => Side::Target,
            PassKind::Verify if plan.repair => Side::Target,
            PassKind::Reverse => Side::Source,
            _ => return Ok(()),
        };
        let Some(quarantine) = &self.quarantine else { return Ok(()) };
        let patience = plan.limits.patience;
        let mut rows = Rows::of(&**quarantine, &plan.migration, patience);
        while let Some(page) = rows.next().await? {
            // A later pass may have begun before this worker learns that its own is over.
            let is_earlier = |row: &&Row| row.pass != pass.id && row.row_version < version(pass.since_ms);
            for row in page.iter().filter(|row| row.toward == toward).filter(is_earlier) {
                let withheld = || self.is_withheld(plan, row);
                if !patiently(patience, |_, _| {}, withheld).await? {
                    row.release(&**quarantine, patience).await?;
                }
            }
        }
        Ok(())
    }
}

impl RefusedRecord<'_> {
    /// For people, and unique: tenant and key can't be confused.
    pub(super) fn place(&self) -> String {
        place(self.tenant, self.key)
    }

    fn row(&self, pass: &JoinedPass, now_ms: u64, with_value: bool) -> Result<Vec<u8>, Error> {
        let text = |text: &str| Attribute::S(text.to_owned());
        let mut reason = self.error.to_string();
        if !with_value {
            reason.push_str("; its value does not fit here either");
        }
        let mut row = Document::default();
        let mut put = |name: &str, attribute| row.0.insert(name.to_owned(), attribute);
        put("tenant", text(self.tenant));
        put("key", text(self.key));
        put("toward", text(self.toward.name()));
        put("pass", text(&pass.id));
        put("reason", text(&reason));
        put("quarantined_at_ms", number(now_ms));
        if let Some(record) = self.record {
            put("version", number(record.version.0));
        }
        if let Some(value) = self.record.and_then(|record| record.value.as_deref()).filter(|_| with_value) {
            put("value", exactly(value));
        }
        row.encode().map_err(|error| {
            failed(StoreError::Permanent {
                class: ErrorClass::Serialization,
                field: "row".to_owned(),
                what: error.to_string(),
            })
        })
    }
}

/// The value as a document, if that restores its exact bytes.
fn exactly(value: &[u8]) -> Attribute {
    let map = Document::decode(value).ok().map(|document| Attribute::M(document.0));
    // As a map it is one level deeper.
    let same = |map: &Attribute| {
        map.encode().is_ok_and(|bytes| {
            bytes.strip_prefix(b"{\"M\":").and_then(|bytes| bytes.strip_suffix(b"}")) == Some(value)
        })
    };
    map.filter(same).unwrap_or_else(|| Attribute::B(value.to_vec()))
}

fn number(whole: u64) -> Attribute {
    Attribute::N(whole.to_string().parse().expect("20 digits are a number"))
}

fn row_id(migration: &str, place: &str) -> Result<Id, Error> {
    let mut key = place.to_owned();
    if key.len() > KEY_MAX_BYTES {
        let digest = Sha256::digest(place.as_bytes());
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        key.truncate(key.floor_char_boundary(KEY_MAX_BYTES - digest.len() - 1));
        key = format!("{key}#{digest}");
    }
    Id::new(migration, &key).map_err(|error| {
        failed(StoreError::Permanent {
            class: ErrorClass::Constraint,
            field: "migration".to_owned(),
            what: error.to_string(),
        })
    })
}

/// Whether it is the record's fault, not the store's.
pub(super) const fn is_misfit(error: &StoreError) -> bool {
    let StoreError::Permanent { class, .. } = error else { return false };
    matches!(class, ErrorClass::Constraint | ErrorClass::Serialization)
}

const fn failed(error: StoreError) -> Error {
    Error::Store { store: "quarantine", error }
}

/// Version of a row written at that time.
fn version(unix_ms: u64) -> Version {
    Version::new(unix_ms.saturating_sub(EPOCH_UNIX_MS), 0, 0).unwrap_or(Version::MAX)
}
