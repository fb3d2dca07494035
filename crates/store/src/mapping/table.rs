//! A SQL table: its name, and where in it the parts of a record are.

#[cfg(feature = "mysql")]
use super::Narrow;
use super::{Cell, ColumnType, Dialect, Fields, Mapping, Misfit, NameError, fields::check_name};
use crate::{
    Id, Record, StoreError, Version,
    document::{Document, DocumentError},
    foreign,
    scan::unreadable,
};
use cutover_core::outcome::ErrorClass;

/// Where a table's versions and tombstones are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// In columns of the table, which keeps deleted rows without content.
    #[default]
    Columns,
    /// In a table beside it, [`SqlTable::ledger`]: docs/adr/0041-a-ledger-beside-the-table.md. Deleted rows are gone.
    Ledger,
    /// Nowhere. The table is only read, to draft a spec: each row has version 0 and is not deleted.
    Absent,
}

/// A table and the shape of its rows: tenant, key and version, then the *content*. The content is either one
/// column with the whole record, or a deletion mark and the columns of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlTable {
    /// Its name.
    pub name: String,
    /// The names of the record's parts that are not in a mapping.
    pub fields: Fields,
    /// `None`: the whole record, in `fields.value`.
    pub mapping: Option<Mapping>,
    /// Where versions and tombstones are.
    pub versions: Versions,
}

/// A table of whole records, with the fields' default names.
impl From<&str> for SqlTable {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: Fields::default(),
            mapping: None,
            versions: Versions::default(),
        }
    }
}

/// A table of whole records, with the fields' default names.
impl From<&String> for SqlTable {
    fn from(name: &String) -> Self {
        Self::from(name.as_str())
    }
}

impl SqlTable {
    /// Checks that all names are valid and different, and that the mapping is of this dialect.
    pub fn check(&self, dialect: Dialect) -> Result<(), StoreError> {
        let wrong = |field: &str, what| permanent(ErrorClass::Other, field, what);
        check_name(&self.name).map_err(|error| wrong("table", error.to_string()))?;
        let names = self.mapping.iter().flat_map(Mapping::names);
        let fine: Result<(), NameError> = self.fields.check_table(self.mapping.is_some(), names);
        fine.map_err(|error| wrong("table", error.to_string()))?;
        if let Some((_, mistake)) = self.child_mistakes().into_iter().next() {
            return Err(wrong("table", mistake.to_string()));
        }
        match &self.mapping {
            Some(mapping) if mapping.dialect() != dialect => {
                let what = format!("{} is mapped for another database", self.name);
                Err(wrong("mapping", what))
            }
            _ => Ok(()),
        }
    }

    /// The table that has the versions, if it is another one.
    pub fn ledger(&self) -> Option<String> {
        self.has_ledger().then(|| self.ledger_name())
    }

    /// Its name and that of its ledger, if it has one.
    #[cfg(feature = "mysql")]
    pub(crate) fn names(&self) -> Vec<String> {
        std::iter::once(self.name.clone()).chain(self.ledger()).collect()
    }

    /// Whether versions and tombstones are in a ledger.
    pub const fn has_ledger(&self) -> bool {
        matches!(self.versions, Versions::Ledger)
    }

    /// Whether there are no versions and tombstones, so that it can only be read.
    pub(crate) const fn is_bare(&self) -> bool {
        matches!(self.versions, Versions::Absent)
    }

    /// The name that a ledger of this table has: different for every table, so that tables never share one, and short
    /// enough for every server.
    pub(crate) fn ledger_name(&self) -> String {
        let name = &self.name;
        if name.len() <= 40 {
            return format!("cutover_ledger_{name}");
        }
        format!("cutover_ledger_{name:.30}_{:08x}", crc32fast::hash(name.as_bytes()))
    }

    /// The ledger as a table of its own: one that maps nothing.
    pub(crate) fn entries(&self, dialect: Dialect) -> Option<Self> {
        let name = |name: &str| name.to_owned();
        let fields = Fields {
            tenant: name("tenant"),
            key: name("key"),
            version: name("version"),
            deleted: name("deleted"),
            ..Fields::default()
        };
        let ledger = self.ledger()?;
        let mapping = Some(Mapping::of_nothing(dialect));
        Some(Self { name: ledger, fields, mapping, versions: Versions::Columns })
    }

    /// The columns of [`Self::content`] that the table itself has: with a ledger, no deletion mark.
    pub fn own_content(&self) -> Vec<(&str, ColumnType)> {
        let marked = self.mapping.is_some() && self.has_ledger();
        self.content().split_off(usize::from(marked))
    }

    /// The columns that identify a record: tenant and key, or the one that is both.
    pub fn ids(&self) -> Vec<&str> {
        let Fields { tenant, key, .. } = &self.fields;
        if self.fields.is_own_tenant() { vec![tenant] } else { vec![tenant, key] }
    }

    /// The columns after id and version, in the order of a row's cells.
    pub fn content(&self) -> Vec<(&str, ColumnType)> {
        match &self.mapping {
            None => vec![(&self.fields.value, ColumnType::Blob)],
            Some(mapping) => {
                let deleted = (self.fields.deleted.as_str(), ColumnType::Boolean);
                std::iter::once(deleted).chain(mapping.names().zip(mapping.types())).collect()
            }
        }
    }

    /// The labels of an `enum` column.
    pub(crate) fn labels(&self, column: &str) -> &[String] {
        self.mapping.as_ref().map_or(&[], |mapping| mapping.labels(column))
    }

    /// All columns of the table itself that are read and written.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let version = (!self.has_ledger()).then_some(self.fields.version.as_str());
        let content = self.own_content().into_iter().map(|(name, _)| name);
        self.ids().into_iter().chain(version).chain(content)
    }

    /// Whether it is one of [`Self::columns`], ignoring case as SQL does.
    pub fn has(&self, column: &str) -> bool {
        self.columns().any(|name| name.eq_ignore_ascii_case(column))
    }

    /// Of names and types of the table's columns, those that are neither read nor written.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn unmapped(&self, columns: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        let others = columns.into_iter().filter(|(name, _)| !self.has(name));
        others.map(|(name, kind)| format!("{name} ({kind})")).collect()
    }

    /// Whether a column of [`Self::content`] may be NULL, and must allow it: all except the deletion mark,
    /// because tombstones have no content.
    pub fn is_nullable(&self, column: &str) -> bool {
        self.mapping.is_none() || column != self.fields.deleted
    }

    /// The same, as a demand on the table. With a ledger it has no tombstones: `None`, either will do, except for a
    /// whole record, which is never NULL.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn needs_null(&self, column: &str) -> Option<bool> {
        match self.versions {
            Versions::Columns => Some(self.is_nullable(column)),
            Versions::Ledger | Versions::Absent => self.mapping.is_none().then_some(false),
        }
    }

    /// Learns which columns are narrower than their types, by their names.
    #[cfg(feature = "mysql")]
    pub(crate) fn set_narrow(&mut self, narrow: impl Fn(&str, ColumnType) -> Option<Narrow>) {
        let Some(mapping) = &mut self.mapping else { return };
        let columns: Vec<_> = mapping.columns().iter().map(|it| (it.name.clone(), it.kind)).collect();
        for (name, kind) in columns {
            if let Some(narrow) = narrow(&name, kind) {
                mapping.set_narrow(&name, narrow);
            }
        }
    }

    /// A cell for each of [`Self::content`], and the rows of each of [`Self::children`]. Fails for a record that they would not hold exactly.
    pub fn cells(&self, id: &Id, record: &Record) -> Result<Vec<Cell>, StoreError> {
        if self.is_bare() {
            let what = "the table was opened without versions, to be read only".to_owned();
            return Err(permanent(ErrorClass::Other, "table", what));
        }
        if self.fields.is_own_tenant() && id.tenant != id.key {
            let what = "the table has one column for tenant and key, so they must be equal".to_owned();
            return Err(permanent(ErrorClass::Constraint, &self.fields.key, what));
        }
        if record.is_tombstone() {
            foreign::check_tombstone(&self.fields.version, record.version, false)?;
        }
        let Some(mapping) = &self.mapping else {
            return Ok(vec![record.value.as_ref().map_or(Cell::Null, |value| Cell::Bytes(value.clone()))]);
        };
        let mut cells = vec![Cell::Bool(record.is_tombstone())];
        match &record.value {
            None => cells.resize(1 + mapping.names().count() + mapping.children().len(), Cell::Null),
            Some(value) => {
                let document = document(value)?;
                cells.extend(
                    mapping.to_row(&document).map_err(|error| misfit(error, ErrorClass::Constraint))?,
                );
            }
        }
        Ok(cells)
    }

    /// The value from a row's version and cells; `None`: a tombstone. Fails if they do not form a document,
    /// and for a deleted row that the SDK did not write.
    pub fn value(&self, version: Version, mut cells: Vec<Cell>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mapping) = &self.mapping else {
            return match cells.pop() {
                None | Some(Cell::Null) => {
                    foreign::check_tombstone(&self.fields.value, version, false).map(|()| None)
                }
                Some(Cell::Bytes(value)) => Ok(Some(value)),
                Some(Cell::Text(text)) => Ok(Some(text.into_bytes())),
                Some(other) => Err(foreign_cell(&self.fields.value, other.kind())),
            };
        };
        match cells.first() {
            Some(Cell::Bool(true) | Cell::Int(1)) => {
                let has_content = cells[1..].iter().any(|cell| *cell != Cell::Null);
                return foreign::check_tombstone(&self.fields.deleted, version, has_content).map(|()| None);
            }
            Some(Cell::Bool(false) | Cell::Int(0)) => {}
            other => {
                return Err(foreign_cell(&self.fields.deleted, other.map_or("nothing", Cell::kind)));
            }
        }
        let document = mapping.from_row(&cells[1..]);
        let document = document.map_err(|error| misfit(error, ErrorClass::Serialization))?;
        let bytes = document.encode();
        Ok(Some(bytes.map_err(|error| permanent(ErrorClass::Serialization, "record", error.to_string()))?))
    }

    /// Checks, without a database, whether a record would be stored and come back unchanged.
    pub fn fit(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        if self.value(record.version, self.cells(id, record)?)? == record.value {
            return Ok(());
        }
        let what = "the way back changed it: report this defect".to_owned();
        Err(permanent(ErrorClass::Constraint, "record", what))
    }
}

/// Why a store has no ledger.
pub(crate) const NO_LEDGER: &str =
    "a DynamoDB table has no ledger, because an item keeps its version in an attribute of its own: remove it";

/// The error for a cell whose type has no meaning in its column.
pub(crate) fn foreign_cell(column: &str, found: &str) -> StoreError {
    unreadable(column, format!("the row has {found} there: somebody else wrote it, correct it"))
}

/// The document that a store with columns keeps of a value.
pub(crate) fn document(value: &[u8]) -> Result<Document, StoreError> {
    let wrong = |error: DocumentError| permanent(ErrorClass::Constraint, "value", error.to_string());
    Document::decode_canonical(value).map_err(wrong)
}

/// The error for a misfit; names the column, or else the attribute.
pub(crate) fn misfit(error: Misfit, class: ErrorClass) -> StoreError {
    let Misfit { path, column, reason } = error;
    match column {
        Some(column) if path == column || path.is_empty() => permanent(class, &column, reason.to_string()),
        Some(column) => permanent(class, &column, format!("attribute {path}: {reason}")),
        None if path.is_empty() => permanent(class, "record", reason.to_string()),
        None => permanent(class, &path, reason.to_string()),
    }
}

fn permanent(class: ErrorClass, field: &str, what: String) -> StoreError {
    StoreError::Permanent { class, field: field.to_owned(), what }
}
