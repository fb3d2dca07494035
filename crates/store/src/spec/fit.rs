//! Checks, from the spec alone, whether a store would hold a record and return it unchanged.

use super::StoreSpec;
use crate::{Id, Record, StoreError, by_prefix::no_type, mapping::SqlTable};

impl StoreSpec {
    /// Its table, if it is a SQL database's. `None` with record types, which have one each.
    pub fn sql_table(&self) -> Option<SqlTable> {
        self.url.dialect().filter(|_| self.types.is_empty())?;
        let (name, fields, mapping) = (self.table.clone(), self.fields.clone(), self.mapping.clone());
        Some(SqlTable { name, fields, mapping, versions: self.versions })
    }

    /// Takes the record through the mapping and back. Reports where and why it does not fit, always as
    /// [`StoreError::Permanent`]; names no value.
    pub fn fit(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        if !self.types.is_empty() {
            let of_key = self.types.iter().find(|it| id.key.starts_with(&it.key_prefix));
            let of_key = of_key.ok_or_else(|| no_type(self.types.iter().map(|it| it.key_prefix.as_str())))?;
            return of_key.store.fit(id, record);
        }
        let id = &self.strip_prefixes.row_id(id)?;
        match self.sql_table() {
            Some(table) => table.fit(id, record),
            None => self.fields.fit_item(id, record),
        }
    }
}
