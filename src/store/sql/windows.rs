//! Windows: their names in the tables, and what becomes of stored ones.

use std::collections::HashMap;

use super::row::{Columns, int, json, number, text};
use crate::{
    domain::{Counts, WindowId},
    store::{Error, windows::name},
};

/// Windows in one statement.
pub(in crate::store) const BATCH: usize = 500;

/// A window in the tables: migration, scale and beginning.
pub(in crate::store) type StoredId = (String, String, i64);

pub(in crate::store) fn stored_id(id: &WindowId) -> StoredId {
    (id.key.to_string(), name(id.scale).to_owned(), int(id.at))
}

/// What the windows hold after `more` has been added to the stored ones among them.
pub(in crate::store) fn merged(
    stored: &[impl Columns],
    more: &[(WindowId, Counts)],
) -> Result<HashMap<StoredId, Counts>, Error> {
    let stored = stored.iter().map(|row| {
        let (key, scale) = (text(row, "migration")?, text(row, "scale")?);
        let counts: Counts = json(row, "counts", || format!("a window of {key}"))?;
        Ok(((key, scale, int(number(row, "at")?)), counts))
    });
    let mut merged: HashMap<_, Counts> = stored.collect::<Result<_, Error>>()?;
    for (id, counts) in more {
        merged.entry(stored_id(id)).or_default().merge(counts);
    }
    Ok(merged)
}
