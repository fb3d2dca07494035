//! Lists of a document in tables of their own, with a row for each element: docs/adr/0092-a-list-in-a-child-table.md.

use std::collections::BTreeSet;

use super::{
    Cell, Column, ColumnPath, ColumnType, Dialect, Mapping, MappingError, Misfit, Reason, SqlTable, Step,
    fields::check_name,
};
use crate::document::{Attribute, Document};

/// A list of a document in a table of its own. Each row has the record's tenant and key, the element's place in the list, and
/// the element's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its table.
    pub table: String,
    /// The list.
    pub path: ColumnPath,
    /// The column with the record's tenant.
    pub tenant: String,
    /// The column with the record's key. The same as `tenant` exactly if the record's table has one column for both.
    pub key: String,
    /// The column with the element's place, from 0.
    pub position: String,
    /// The columns of an element.
    pub elements: Mapping,
    /// Whether each element is the value of the only column, instead of a map with attributes.
    pub of_values: bool,
}

impl Child {
    /// The attribute that a [`Self::of_values`] column has to take.
    pub const VALUE: &str = "value";

    /// The columns that identify the record.
    pub fn ids(&self) -> Vec<&str> {
        if self.tenant == self.key { vec![&self.tenant] } else { vec![&self.tenant, &self.key] }
    }

    /// The columns that identify a row.
    pub fn primary(&self) -> Vec<&str> {
        let mut primary = self.ids();
        primary.push(&self.position);
        primary
    }

    /// All columns that are read and written, in the order in which a row has them.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.primary().into_iter().chain(self.elements.names())
    }

    /// Whether it is one of [`Self::columns`], ignoring case as SQL does.
    pub fn has(&self, column: &str) -> bool {
        self.columns().any(|name| name.eq_ignore_ascii_case(column))
    }

    /// Of names and types of the table's columns, those that are neither read nor written.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn unmapped(&self, columns: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        let others = columns.into_iter().filter(|(name, _)| !self.has(name));
        others.map(|(name, kind)| format!("{}.{name} ({kind})", self.table)).collect()
    }

    /// A list's rows: a place and the cells of its element each. Fails for what rows would not hold exactly, such as an empty
    /// list.
    pub(super) fn cell(&self, attribute: &Attribute) -> Result<Cell, Misfit> {
        let Attribute::L(elements) = attribute else {
            return Err(self.misfit(Reason::NoList(attribute.kind())));
        };
        if elements.is_empty() {
            return Err(self.misfit(Reason::EmptyList));
        }
        let row = |(at, element): (usize, &Attribute)| {
            let document = match element {
                value if self.of_values => Document([(Self::VALUE.to_owned(), value.clone())].into()),
                Attribute::M(inner) => Document(inner.clone()),
                other => return Err(self.of_element(at, self.misfit(Reason::NoMap(other.kind())))),
            };
            let cells = self.elements.to_row(&document).map_err(|error| self.of_element(at, error))?;
            let place = i64::try_from(at).expect("no list is as long");
            Ok(std::iter::once(Cell::Int(place)).chain(cells).collect())
        };
        elements.iter().enumerate().map(row).collect::<Result<_, _>>().map(Cell::Rows)
    }

    /// The list of its rows, in any order; `None`: there are none.
    pub(super) fn list(&self, cell: &Cell) -> Result<Option<Attribute>, Misfit> {
        let rows = match cell {
            Cell::Null => return Ok(None),
            Cell::Rows(rows) => rows,
            other => return Err(self.misfit(Reason::NoRows(other.kind()))),
        };
        let mut placed = Vec::with_capacity(rows.len());
        for row in rows {
            match row.split_first() {
                Some((Cell::Int(place), cells)) => placed.push((*place, cells)),
                _ => return Err(self.misfit(Reason::Places)),
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        let mut elements = Vec::with_capacity(placed.len());
        for (at, (place, cells)) in placed.into_iter().enumerate() {
            if usize::try_from(place) != Ok(at) {
                return Err(self.misfit(Reason::Places));
            }
            let Document(mut element) =
                self.elements.from_row(cells).map_err(|error| self.of_element(at, error))?;
            let element = match self.of_values {
                true => element.remove(Self::VALUE),
                false => Some(Attribute::M(element)),
            };
            elements.push(element.ok_or_else(|| self.of_element(at, self.misfit(Reason::Missing)))?);
        }
        Ok((!elements.is_empty()).then_some(Attribute::L(elements)))
    }

    pub(super) fn misfit(&self, reason: Reason) -> Misfit {
        Misfit { path: self.path.to_string(), column: Some(self.table.clone()), reason }
    }

    /// What is wrong with an element, as the record says where that is.
    fn of_element(&self, at: usize, error: Misfit) -> Misfit {
        let list = self.path.to_string();
        let path = match error.path {
            path if self.of_values || path.is_empty() || path == list => format!("{list}[{at}]"),
            path => format!("{list}[{at}].{path}"),
        };
        let of_column =
            |column| if column == self.table { column } else { format!("{}.{column}", self.table) };
        Misfit { path, column: error.column.map(of_column), reason: error.reason }
    }

    fn is_value(&self, path: &ColumnPath) -> bool {
        matches!(path.steps(), [Step::Name(name)] if name == Self::VALUE)
    }

    /// What is wrong with it beside the columns and the other child tables.
    fn mistake(&self, dialect: Dialect, columns: &[Column], others: &[Self]) -> Option<MappingError> {
        let wrong = |what: String| Some(MappingError::Child(self.table.clone(), what));
        if self.elements.dialect() != dialect {
            return wrong("its columns are mapped for another database".to_owned());
        }
        let is_float = |column: &&Column| matches!(column.kind, ColumnType::Real | ColumnType::Double);
        if let Some(Column { name, kind, .. }) =
            self.elements.columns().iter().find(is_float).filter(|_| dialect == Dialect::Sqlite)
        {
            return wrong(format!(
                "column {name} is {kind}, and SQLite can't give floats of rows back exactly: use decimal or json"
            ));
        }
        if !self.elements.children().is_empty() {
            return wrong("it has child tables of its own, which is not possible: use json".to_owned());
        }
        let takes_value = || match self.elements.columns() {
            [column] => column.required && self.elements.overflow().is_none() && self.is_value(&column.path),
            _ => false,
        };
        if self.of_values && !takes_value() {
            return wrong("elements that are no maps have one column, which is required".to_owned());
        }
        if self.path.steps().iter().any(|step| matches!(step, Step::At(_))) {
            return wrong(format!(
                "{} is in a list: only a list in the document, or in maps, can have one",
                self.path
            ));
        }
        let mut seen = BTreeSet::new();
        for name in [self.table.as_str()].into_iter().chain(self.columns()) {
            if let Err(error) = check_name(name) {
                return Some(error.into());
            }
        }
        if let Some(twice) = self.columns().find(|name| !seen.insert(name.to_ascii_lowercase())) {
            return wrong(format!("{twice:?} names two of its columns: rename one"));
        }
        if let Some(other) =
            columns.iter().find(|column| column.paths().iter().any(|it| it.overlaps(&self.path)))
        {
            return wrong(format!(
                "column {} takes the same attribute or a part of it: remove one",
                other.name
            ));
        }
        if let Some(other) = others.iter().find(|other| other.path.overlaps(&self.path)) {
            return wrong(format!("{} takes the same list or a part of it: remove one", other.table));
        }
        let same = others.iter().find(|other| other.table.eq_ignore_ascii_case(&self.table));
        same.and_then(|_| wrong("another list has the same table: give each one of its own".to_owned()))
    }
}

impl Mapping {
    /// The same with lists in tables of their own.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn with_children(self, children: Vec<Child>) -> Result<Self, MappingError> {
        self.with_checked_children(children).map_err(|mut mistakes| mistakes.swap_remove(0).1)
    }

    /// The same with all mistakes, each with the index of its child table.
    pub(crate) fn with_checked_children(
        self,
        children: Vec<Child>,
    ) -> Result<Self, Vec<(usize, MappingError)>> {
        let each = children.iter().enumerate();
        let mistakes: Vec<_> = each
            .filter_map(|(at, child)| {
                Some((at, child.mistake(self.dialect, &self.columns, &children[..at])?))
            })
            .collect();
        if mistakes.is_empty() { Ok(Self { children, ..self }) } else { Err(mistakes) }
    }

    /// The lists that have tables of their own.
    pub fn children(&self) -> &[Child] {
        &self.children
    }
}

impl SqlTable {
    /// The child tables.
    pub fn children(&self) -> &[Child] {
        self.mapping.as_ref().map_or(&[], Mapping::children)
    }

    /// The child tables in the order of their names, whatever their order in the spec.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn children_by_name(&self) -> Vec<&Child> {
        let mut children: Vec<_> = self.children().iter().collect();
        children.sort_by(|one, other| one.table.cmp(&other.table));
        children
    }

    /// A child table as a table of its own, for what all tables have in common.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn of_child(&self, child: &Child) -> Self {
        let fields =
            super::Fields { tenant: child.tenant.clone(), key: child.key.clone(), ..self.fields.clone() };
        Self {
            name: child.table.clone(),
            fields,
            mapping: Some(child.elements.clone()),
            versions: self.versions,
        }
    }

    /// What is wrong with child tables beside this table, by index.
    pub(crate) fn child_mistakes(&self) -> Vec<(usize, MappingError)> {
        let wrong = |child: &Child| {
            if child.ids().len() != self.ids().len() {
                return Some(match self.fields.is_own_tenant() {
                    true => "its record has one column for tenant and key: give it one as well",
                    false => "its record has columns for tenant and key: give it two as well",
                });
            }
            let is = |name: &str| name.eq_ignore_ascii_case(&child.table);
            (is(&self.name) || is(&self.ledger_name()))
                .then_some("it is the table of the records or its ledger: give the list one of its own")
        };
        let each = self.children().iter().enumerate();
        each.filter_map(|(at, child)| {
            Some((at, MappingError::Child(child.table.clone(), wrong(child)?.to_owned())))
        })
        .collect()
    }
}
