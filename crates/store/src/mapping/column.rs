//! A column, and where its value is in a document.

use std::fmt;

use super::{Cell, ColumnType, Dialect, Spelling};
use crate::document::{Attribute, DEPTH_MAX};

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in SQL.
    pub name: String,
    /// The attribute that it holds.
    pub path: ColumnPath,
    /// What it can hold.
    pub kind: ColumnType,
    /// A record without the attribute does not fit. The column itself must still allow NULL: a tombstone has
    /// no content.
    pub required: bool,
    /// How the document writes dates and times. Of no meaning for other types.
    pub spelling: Spelling,
    /// The labels of an `enum` column. Of no meaning for other types.
    pub labels: Vec<String>,
    /// What it holds for documents without a value of their own.
    pub fill: Option<Fill>,
    /// What every value of the attribute begins with. The column has what follows: `42` of `ORG#42`.
    pub prefix: Option<String>,
}

/// A value that a column has without an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Stands for a missing attribute. One that is there and equal is kept in the overflow, too.
    Default(Attribute),
    /// Always: the column holds no attribute.
    Constant(Attribute),
}

impl Column {
    /// Whether it can be a column of this server; else what is wrong.
    pub(super) fn check(&self, dialect: Dialect) -> Result<(), String> {
        let labels = &self.labels;
        if matches!(self.kind, ColumnType::Array(_)) && dialect != Dialect::Postgres {
            return Err(format!("only PostgreSQL has {}: use jsonb", self.kind));
        }
        if self.kind != ColumnType::Enum {
            let what = || format!("a {} column has no labels: remove them", self.kind);
            return if labels.is_empty() { self.check_values(dialect) } else { Err(what()) };
        }
        if labels.is_empty() {
            return Err("an enum column needs its labels: labels = [\"one\", \"other\"]".to_owned());
        }
        for (at, label) in labels.iter().enumerate() {
            if label.ends_with(' ') || label.contains('\0') || label.chars().count() > 255 {
                return Err(format!(
                    "label {label:?} is too long, has a NUL, or ends with a blank, which servers remove: use varchar"
                ));
            }
            if labels[..at].contains(label) {
                return Err(format!("label {label:?} is there twice: remove one"));
            }
        }
        self.check_values(dialect)
    }

    fn check_values(&self, dialect: Dialect) -> Result<(), String> {
        let is_text_or_whole = matches!(
            self.kind,
            ColumnType::Text
                | ColumnType::Varchar(_)
                | ColumnType::Char(_)
                | ColumnType::Bigint
                | ColumnType::Integer { .. }
                | ColumnType::Uuid
                | ColumnType::UuidBytes
        );
        match &self.prefix {
            Some(prefix) if prefix.is_empty() => return Err("its prefix is empty: remove it".to_owned()),
            Some(_) if !is_text_or_whole => {
                return Err(format!(
                    "a {} column has no prefix: only texts, integers and UUIDs have",
                    self.kind
                ));
            }
            _ => {}
        }
        let (name, value) = match &self.fill {
            None => return Ok(()),
            Some(_) if self.required => {
                return Err("it is required, so it needs no default and no constant: remove one".to_owned());
            }
            Some(Fill::Default(value)) => ("default", value),
            Some(Fill::Constant(value)) => ("constant", value),
        };
        match self.cell(value, dialect) {
            Ok((_, true)) => Ok(()),
            Ok((_, false)) => {
                Err(format!("its {name} is written in another way than {} holds it", self.kind))
            }
            Err(reason) => Err(format!("its {name} does not fit: {reason}")),
        }
    }

    /// The constant that it holds instead of an attribute.
    pub(super) const fn constant(&self) -> Option<&Attribute> {
        match &self.fill {
            Some(Fill::Constant(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether a cell, which is the attribute's own, stands for a missing one.
    pub(super) fn stands_for_missing(&self, cell: &Cell) -> bool {
        self.fill.is_some() && self.attribute(cell).is_ok_and(|attribute| self.is_default(&attribute))
    }

    /// Whether this value stands for a missing attribute.
    pub(super) fn is_default(&self, attribute: &Attribute) -> bool {
        matches!(&self.fill, Some(Fill::Default(value)) if value == attribute)
    }
}

/// A name, followed by further names that lead into maps. At least one, at most [`DEPTH_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnPath(Vec<String>);

impl ColumnPath {
    /// `None`: no name, too many names, or an empty one.
    pub fn new(names: Vec<String>) -> Option<Self> {
        let fine = (1..=DEPTH_MAX).contains(&names.len()) && names.iter().all(|name| !name.is_empty());
        fine.then_some(Self(names))
    }

    /// `address.city`: names separated by dots.
    pub fn dotted(text: &str) -> Option<Self> {
        Self::new(text.split('.').map(str::to_owned).collect())
    }

    /// Its names, from the outside in.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether one path is the other's, or leads into it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
