//! Which table a store is, whoever connects to it and by whatever address.

use std::fmt;

/// Tells a table from every other one. A replica that takes over with the same data is the same table where
/// the database says so; docs/adr/0028 has what each one is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Two stores are the same table exactly if these are equal. Opaque.
    pub id: String,
    /// For people: where it is, and some of what the id is made of.
    pub place: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}
