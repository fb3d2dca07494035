//! Rows of the quarantine, read back.

use std::time::Duration;

use cutover_store::{
    Cursor, Id, Record, Scope, Segment, Store, Version,
    document::{Attribute, Document},
};

use super::{failed, patiently};
use crate::jobs::{Error, place, side::Side};

/// Bytes of a page of rows.
const PAGE_BYTES: usize = 1 << 20;

/// A record that a pass could not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its tenant, with escapes if it is not a valid one.
    pub tenant: String,
    /// Its key, likewise.
    pub key: String,
    /// The store that it should go to.
    pub toward: Side,
    /// Its version. `None`: it can't be read.
    pub version: Option<u64>,
    /// Where and why.
    pub reason: String,
    /// The last pass that met it.
    pub pass: String,
    /// When, in Unix milliseconds.
    pub quarantined_at_ms: u64,
    id: Id,
    pub(super) row_version: Version,
}

/// A migration's rows, page by page.
pub struct Rows<'a> {
    quarantine: &'a dyn Store,
    scope: Scope,
    patience: Duration,
    after: Option<Cursor>,
    is_over: bool,
}

impl<'a> Rows<'a> {
    /// From the first one. `patience`: how long the quarantine may fail.
    pub fn of(quarantine: &'a dyn Store, migration: &str, patience: Duration) -> Self {
        let scope = Scope::Tenant(migration.to_owned());
        Self { quarantine, scope, patience, after: None, is_over: false }
    }

    /// The next page, which may be empty. `None`: there is none.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let scan = || async {
            let page = self.quarantine.scan(&self.scope, Segment::ALL, self.after.as_ref(), PAGE_BYTES).await;
            page.map_err(failed)
        };
        // The connection may have been idle for as long as a pass took, and may be lost without notice.
        let page = patiently(self.patience, |_, _| {}, scan).await?;
        (self.is_over, self.after) = (page.next.is_none(), page.next);
        Ok(Some(page.records.into_iter().filter_map(|(id, record)| Row::read(id, &record)).collect()))
    }
}

impl Row {
    /// `None`: a released row, or not one of ours.
    pub(super) fn read(id: Id, record: &Record) -> Option<Self> {
        let mut document = Document::decode(record.value.as_deref()?).ok()?;
        let mut text = |name: &str| match document.0.remove(name) {
            Some(Attribute::S(text)) => Some(text),
            Some(Attribute::N(number)) => Some(number.to_string()),
            _ => None,
        };
        let toward = match text("toward")?.as_str() {
            "source" => Side::Source,
            "target" => Side::Target,
            _ => return None,
        };
        Some(Self {
            tenant: text("tenant")?,
            key: text("key")?,
            toward,
            version: text("version").and_then(|version| version.parse().ok()),
            reason: text("reason").unwrap_or_default(),
            pass: text("pass").unwrap_or_default(),
            quarantined_at_ms: text("quarantined_at_ms").and_then(|at| at.parse().ok()).unwrap_or(0),
            id,
            row_version: record.version,
        })
    }

    /// For people.
    pub fn place(&self) -> String {
        place(&self.tenant, &self.key)
    }

    /// Takes the record out, unless a pass has met it again meanwhile.
    pub(in crate::jobs) async fn release(
        &self,
        quarantine: &dyn Store,
        patience: Duration,
    ) -> Result<(), Error> {
        let gone = Record { version: self.row_version.next(0).unwrap_or(Version::MAX), value: None };
        let put = || async {
            quarantine.put_if_unchanged(&self.id, &gone, Some(self.row_version)).await.map_err(failed)
        };
        patiently(patience, |_, _| {}, put).await.map(drop)
    }
}
