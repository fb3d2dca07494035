//! Where in a document a value is.

use std::fmt;

use crate::document::DEPTH_MAX;

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
