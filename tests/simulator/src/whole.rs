//! Whether a transaction shows as a whole in the store that it is written to first.
//!
//! That store is the one in which a value of it appears first: copies come later. The same call must then have written all of
//! it, with one version. A transaction that only deletes is not noticed.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use cutover_client::store::{Id, MemoryStore, Store as _};

use crate::{cast::traffic, data::at_once, linear::Value, oracle};

/// What a transaction writes.
struct Transaction {
    records: BTreeMap<Id, Value>,
    by: String,
}

thread_local! {
    /// Those of which no store has had anything, by each of their values.
    static UNSEEN: RefCell<BTreeMap<u64, Rc<Transaction>>> = RefCell::default();
}

/// Forgets everything.
pub fn begin() {
    UNSEEN.take();
}

/// A transaction begins.
pub fn begins(records: BTreeMap<Id, Value>, by: &str) {
    let transaction = Rc::new(Transaction { records, by: by.to_owned() });
    UNSEEN.with_borrow_mut(|unseen| {
        let values = transaction.records.values().flatten();
        unseen.extend(values.map(|value| (*value, transaction.clone())));
    });
}

/// A call may have changed these records of a store.
pub fn check(index: usize, store: &MemoryStore, written: &[Id]) {
    let has = |id: &Id| {
        let record = at_once(store.get(id)).ok().flatten()?;
        Some((record.version, record.value.as_deref().map(traffic::value)))
    };
    for id in written {
        let Some((version, Some(value))) = has(id) else { continue };
        let transaction = UNSEEN.with_borrow_mut(|unseen| {
            let transaction = unseen.get(&value)?.clone();
            transaction.records.values().flatten().for_each(|value| _ = unseen.remove(value));
            Some(transaction)
        });
        let Some(transaction) = transaction else { continue };
        for (other, value) in &transaction.records {
            let found = has(other);
            if !written.contains(other) || found != Some((version, *value)) {
                let store = ["source", "target"][index];
                let shown = format!("{}/{}", other.tenant, other.key);
                let what = format!(
                    "{}: the {store} has {id:?} of a transaction, and {found:?} here",
                    transaction.by
                );
                oracle::fault_of("torn", shown, what);
            }
        }
    }
}
