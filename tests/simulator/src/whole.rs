//! Whether a transaction shows as a whole in the store that it is written to first.
//!
//! That store is the one in which a value of it appears first: copies come later. When that happens, the store must have
//! all of it.

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

/// A store may have changed a record.
pub fn check(index: usize, store: &MemoryStore, id: &Id) {
    let has = |id: &Id| {
        let record = at_once(store.get(id)).ok().flatten();
        record.and_then(|record| record.value.as_deref().map(traffic::value))
    };
    let Some(value) = has(id) else { return };
    let transaction = UNSEEN.with_borrow_mut(|unseen| {
        let transaction = unseen.get(&value)?.clone();
        transaction.records.values().flatten().for_each(|value| _ = unseen.remove(value));
        Some(transaction)
    });
    let Some(transaction) = transaction else { return };
    for (other, value) in &transaction.records {
        let found = has(other);
        if found != *value {
            let store = ["source", "target"][index];
            let shown = format!("{}/{}", other.tenant, other.key);
            let what =
                format!("{}: the {store} has {id:?} of a transaction, and {found:?} here", transaction.by);
            oracle::fault_of("torn", shown, what);
        }
    }
}
