//! Which of a mapping's columns real records fill, and what an empty one was probably meant to take.

use std::collections::BTreeSet;

use super::nearest::nearest;
use crate::{
    document::{Attribute, Document},
    mapping::Mapping,
};

/// Attributes that are remembered for suggestions; a record may have as many as it likes.
const PATHS_MAX: usize = 2_000;
/// Maps within maps that suggestions lead into.
const LEVELS_MAX: usize = 4;

/// What a sample of records had.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    documents: u64,
    /// For each column, how many records have its attribute.
    found: Vec<u64>,
    paths: BTreeSet<String>,
}

/// A column that no record of a sample fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfilled {
    /// Its name.
    pub column: String,
    /// The attribute that it takes.
    pub path: String,
    /// An attribute with a similar name that records have.
    pub nearest: Option<String>,
}

impl Coverage {
    /// Counts a record. A value that is no document has no attributes.
    pub fn take(&mut self, mapping: &Mapping, value: &[u8]) {
        let Ok(document) = Document::decode(value) else { return };
        self.documents += 1;
        self.found.resize(mapping.columns().len(), 0);
        for (found, column) in self.found.iter_mut().zip(mapping.columns()) {
            let paths = column.paths();
            *found += u64::from(paths.iter().all(|path| has(&document, path.names())));
        }
        for (name, attribute) in &document.0 {
            self.remember(name.clone(), attribute, LEVELS_MAX);
        }
    }

    /// Records that were counted.
    pub const fn documents(&self) -> u64 {
        self.documents
    }

    /// The columns that stayed empty.
    pub fn unfilled(&self, mapping: &Mapping) -> Vec<Unfilled> {
        let empty = mapping.columns().iter().zip(&self.found).filter(|(_, found)| **found == 0);
        let unfilled = |column: &crate::mapping::Column| {
            let path = column.path.to_string();
            let nearest = nearest(&path, self.paths.iter().map(String::as_str)).map(str::to_owned);
            Unfilled { column: column.name.clone(), path, nearest }
        };
        empty.map(|(column, _)| unfilled(column)).collect()
    }

    fn remember(&mut self, path: String, attribute: &Attribute, levels: usize) {
        if let (Attribute::M(inner), 1..) = (attribute, levels) {
            for (name, attribute) in inner {
                self.remember(format!("{path}.{name}"), attribute, levels - 1);
            }
        }
        if self.paths.len() < PATHS_MAX {
            self.paths.insert(path);
        }
    }
}

fn has(document: &Document, path: &[String]) -> bool {
    let mut names = path.iter();
    let mut at = names.next().and_then(|name| document.0.get(name));
    for name in names {
        at = match at {
            Some(Attribute::M(inner)) => inner.get(name),
            _ => None,
        };
    }
    at.is_some()
}
