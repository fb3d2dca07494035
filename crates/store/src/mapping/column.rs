//! A column, and what it takes of a document.

use super::{Cell, ColumnPath, ColumnType, Dialect, Spelling, Template};
use crate::document::Attribute;

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
    /// Composes it of several attributes. `path` has no meaning then.
    pub computed: Option<Template>,
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
        if self.computed.is_some() {
            if !matches!(self.kind, ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Char(_)) {
                return Err(format!(
                    "it is computed, so it can't be {}: use text, varchar or char",
                    self.kind
                ));
            }
            if self.prefix.is_some() || self.fill.is_some() {
                let what =
                    "a computed column has no prefix, default or constant: write a prefix into the template";
                return Err(what.to_owned());
            }
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

    /// The attributes that it takes.
    pub(crate) fn paths(&self) -> Vec<&ColumnPath> {
        match &self.computed {
            _ if self.constant().is_some() => Vec::new(),
            Some(template) => template.paths().collect(),
            None => vec![&self.path],
        }
    }

    /// The same in a message.
    pub(crate) fn shown_paths(&self) -> String {
        let paths: Vec<String> = self.paths().into_iter().map(ToString::to_string).collect();
        paths.join(", ")
    }

    /// Whether both take an attribute, or one takes a part of what the other does.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let others = other.paths();
        self.paths().into_iter().any(|path| others.iter().any(|other| path.overlaps(other)))
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
