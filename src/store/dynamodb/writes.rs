//! What one write does.

use std::collections::BTreeMap;

use super::{
    item::{Before, Item, Key},
    value::{Parts, Value},
};

/// Items that are written or deleted, all or none. The last word about an item counts.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) items: BTreeMap<Key, Option<Item>>,
    /// What items must be before, also such as are not written. A lane alone is not enough: a transaction that is still
    /// being applied may be visible in the lane and not yet in another item. If there is too much for one transaction,
    /// this counts only for what is not written.
    pub(super) before: BTreeMap<Key, Before>,
    /// Parts that are referred to from then on.
    pub(super) uses: Vec<Parts>,
    /// Parts that nothing refers to any more.
    pub(super) frees: Vec<Parts>,
}

impl Writes {
    pub(super) fn put(&mut self, key: Key, item: Item) {
        self.items.insert(key, Some(item));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.items.insert(key, None);
    }

    /// Writes an item that was read, or was not there.
    pub(super) fn replace(&mut self, key: Key, read: Option<&Item>, item: Item) {
        self.before.insert(key.clone(), Before::read(read));
        self.put(key, item);
    }

    /// Nothing refers to the parts of this text any more.
    pub(super) fn free(&mut self, old: Option<Value>) {
        self.frees.extend(old.as_ref().and_then(Value::parts).cloned());
    }

    /// Sets an attribute of an item that will be written.
    pub(super) fn set_text(&mut self, item: &mut Item, name: &str, value: &Value) {
        self.uses.extend(value.parts().cloned());
        value.set(item, name);
    }
}
