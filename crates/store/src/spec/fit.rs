//! Checks, from the spec alone, whether a store would hold a record and return it unchanged.

use super::StoreSpec;
use crate::{Id, Record, StoreError, mapping::SqlTable};

impl StoreSpec {
    /// Its table, if it is a SQL database's.
    pub fn sql_table(&self) -> Option<SqlTable> {
        self.url.dialect()?;
        let (name, fields, mapping) = (self.table.clone(), self.fields.clone(), self.mapping.clone());
        Some(SqlTable { name, fields, mapping, versions: self.versions })
    }

    /// Takes the record through the mapping and back. Reports where and why it does not fit, always as
    /// [`StoreError::Permanent`]; names no value.
    pub fn fit(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        match self.sql_table() {
            Some(table) => table.fit(id, record),
            None => self.fields.fit_item(id, record),
        }
    }
}
