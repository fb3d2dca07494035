//! Which of a mapping's columns real records fill, and what an empty one was probably meant to take.

use std::collections::BTreeSet;

use super::nearest::nearest;
use crate::{
    document::{Attribute, Document},
    mapping::Mapping,
};

/// Attributes that are remembered for suggestions; a record may have as many as it likes.
const PATHS_MAX: usize = 2_000;
/// Elements of a list that are remembered.
const PLACES_MAX: usize = 3;
/// Maps and lists within each other that suggestions lead into.
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
            *found += u64::from(paths.iter().all(|path| path.find(&document.0).is_some()));
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
            let path = column.shown_paths();
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
        if let (Attribute::L(inner), 1..) = (attribute, levels) {
            for (place, attribute) in inner.iter().take(PLACES_MAX).enumerate() {
                self.remember(format!("{path}[{place}]"), attribute, levels - 1);
            }
        }
        if self.paths.len() < PATHS_MAX {
            self.paths.insert(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    #[test]
    fn what_columns_take_is_found_in_lists_and_by_templates_and_a_constant_takes_nothing() {
        let column = |name: &str, more: &str| {
            format!("[[target.columns]]\nname = {name:?}\ntype = \"text\"\n{more}\n")
        };
        let text = [
            "migration = \"m\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"a\"\n".to_owned(),
            "[target]\nurl = \"sqlite:b.db\"\ntable = \"b\"\noverflow = \"rest\"\n".to_owned(),
            column("a", "from = \"items[1].sku\""),
            column("b", "from = \"items[0].sky\""),
            column("c", "computed = \"{org}#{id}\""),
            column("d", "computed = \"{org2}#{id2}\""),
            column("e", "constant = \"x\""),
        ];
        let spec: Spec = text.concat().parse().expect("a spec");
        let (mapping, mut coverage) = (spec.target.mapping.expect("columns"), Coverage::default());
        let item = r#"{"M":{"sku":{"S":"a"}}}"#;
        let record = format!(r#"{{"items":{{"L":[{item},{item}]}},"org":{{"S":"o"}},"id":{{"S":"1"}}}}"#);
        coverage.take(&mapping, record.as_bytes());
        let unfilled = coverage.unfilled(&mapping);
        let shown: Vec<_> =
            unfilled.iter().map(|it| (it.column.as_str(), it.path.as_str(), it.nearest.as_deref())).collect();
        assert_eq!(shown, [("b", "items[0].sky", Some("items[0].sku")), ("d", "org2, id2", None)]);
    }
}
