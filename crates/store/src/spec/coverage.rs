//! Which of a mapping's columns real records fill, and what an empty one was probably meant to take.

use std::collections::BTreeSet;

use super::nearest::nearest;
use crate::{
    document::{Attribute, Document},
    mapping::{Child, Column, Mapping},
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
        let found = columns(mapping).map(|column| u64::from(column.is_in(&document)));
        let found: Vec<u64> = found.collect();
        self.found.resize(found.len(), 0);
        self.found.iter_mut().zip(found).for_each(|(all, found)| *all += found);
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
        let empty = columns(mapping).zip(&self.found).filter(|(_, found)| **found == 0);
        let unfilled = |column: Covered<'_>| {
            let (column, path) = column.shown();
            let nearest = nearest(&path, self.paths.iter().map(String::as_str)).map(str::to_owned);
            Unfilled { column, path, nearest }
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

/// A column, and the child table that it is in.
struct Covered<'a> {
    column: &'a Column,
    child: Option<&'a Child>,
}

/// The columns of a table and of its child tables.
fn columns(mapping: &Mapping) -> impl Iterator<Item = Covered<'_>> {
    let own = mapping.columns().iter().map(|column| Covered { column, child: None });
    let of_children = mapping.children().iter().flat_map(|child| {
        child.elements.columns().iter().map(move |column| Covered { column, child: Some(child) })
    });
    own.chain(of_children)
}

impl Covered<'_> {
    fn is_in(&self, document: &Document) -> bool {
        let has = |attributes| self.column.paths().iter().all(|path| path.find(attributes).is_some());
        let Some(child) = self.child else { return has(&document.0) };
        let Some(Attribute::L(elements)) = child.path.find(&document.0) else { return false };
        elements.iter().any(|element| match element {
            Attribute::M(inner) => has(inner),
            _ => child.of_values,
        })
    }

    /// Its name, and the path of what it takes.
    fn shown(&self) -> (String, String) {
        let (name, paths) = (&self.column.name, self.column.shown_paths());
        match self.child {
            None => (name.clone(), paths),
            Some(child) if child.of_values => {
                (format!("{}.{name}", child.table), format!("{}[]", child.path))
            }
            Some(child) => (format!("{}.{name}", child.table), format!("{}[].{paths}", child.path)),
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
    #[test]
    fn columns_of_child_tables_are_found_in_any_element() {
        let text = "migration = \"m\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"a\"\n[target]\n\
                    url = \"sqlite:b.db\"\ntable = \"b\"\noverflow = \"rest\"\n\
                    [[target.children]]\nfrom = \"lines\"\ntable = \"b_lines\"\n\
                    columns = [{ name = \"sku\", type = \"text\" }, { name = \"prize\", type = \"text\" }]\n\
                    [[target.children]]\nfrom = \"tags\"\ntable = \"b_tags\"\n\
                    value = { name = \"tag\", type = \"text\" }\n";
        let spec: Spec = text.parse().expect("a spec");
        let (mapping, mut coverage) = (spec.target.mapping.expect("columns"), Coverage::default());
        coverage.take(&mapping, br#"{"lines":{"L":[{"M":{}},{"M":{"sku":{"S":"a"}}}]}}"#);
        let shown = |coverage: &Coverage| -> Vec<(String, String)> {
            coverage.unfilled(&mapping).into_iter().map(|it| (it.column, it.path)).collect()
        };
        let empty = |column: &str, path: &str| (column.to_owned(), path.to_owned());
        assert_eq!(
            shown(&coverage),
            [empty("b_lines.prize", "lines[].prize"), empty("b_tags.tag", "tags[]")]
        );
        coverage.take(&mapping, br#"{"tags":{"L":[{"S":"a"}]}}"#);
        assert_eq!(shown(&coverage), [empty("b_lines.prize", "lines[].prize")]);
    }
}
