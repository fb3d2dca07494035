//! A table for tests of how a server reads it.

use crate::{Id, Record, Version, mapping::Versions};

/// The table's name, in lower case.
pub(crate) fn table(versions: Versions) -> String {
    format!("test_plans_{versions:?}_{}", std::process::id()).to_lowercase()
}

/// 5,000 records of nine tenants; every other one is deleted.
pub(crate) fn records() -> Vec<(Id, Record)> {
    let id = |n: usize| Id::new(&format!("t{}", n % 9), &format!("key-{n:05}")).expect("valid");
    let record = |n: usize| Record { version: Version(1), value: n.is_multiple_of(2).then(|| vec![1; 99]) };
    (0..5_000).map(|n| (id(n), record(n))).collect()
}
