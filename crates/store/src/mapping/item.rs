//! A record as a DynamoDB item: fields and content are attributes of the same item.

use std::collections::BTreeSet;

use super::{
    Fields, KeyType, Misfit, NameError, Reason,
    table::{document, misfit},
};
use crate::{
    Id, Record, StoreError, Version,
    document::{Attribute, Document},
    foreign,
};
use cutover_core::outcome::ErrorClass;

/// Maximum bytes of an item.
const ITEM_MAX_BYTES: usize = 400 << 10;

impl Fields {
    /// The fields' attributes in a DynamoDB item, in order; `key` only if it has its own.
    pub fn of_item(&self) -> Vec<&str> {
        let mut names = vec![self.tenant.as_str()];
        if !self.is_own_tenant() {
            names.push(&self.key);
        }
        names.extend([self.version.as_str(), self.deleted.as_str()]);
        names
    }

    /// Checks that these names are valid in DynamoDB and different from each other.
    pub fn check_item(&self) -> Result<(), NameError> {
        self.item_mistakes().into_iter().next().map_or(Ok(()), Err)
    }

    /// What [`Self::check_item`] finds, all of it.
    pub(crate) fn item_mistakes(&self) -> Vec<NameError> {
        let (mut seen, mut mistakes) = (BTreeSet::new(), Vec::new());
        for name in self.of_item() {
            if name.is_empty() || name.len() > 255 {
                mistakes.push(NameError::Item(name.to_owned()));
            } else if !seen.insert(name) {
                mistakes.push(NameError::Clash(name.to_owned()));
            }
        }
        if self.is_own_tenant() && self.tenant_type != self.key_type {
            mistakes.push(NameError::KeyTypes(self.key.clone()));
        }
        mistakes
    }

    /// The key attributes of a record; tenant and key need not form a valid id. Fails if no item can have
    /// this key, whatever its content.
    pub fn place(&self, tenant: &str, key: &str) -> Result<Document, StoreError> {
        if self.is_own_tenant() && tenant != key {
            let what = "its table has one key attribute, so tenant and key must be equal".to_owned();
            return Err(refused("tenant", what));
        }
        let (tenant, key) = (self.tenant_attribute(tenant)?, attribute(&self.key, self.key_type, key)?);
        Ok(Document([(self.tenant.clone(), tenant), (self.key.clone(), key)].into()))
    }

    /// The value of the `tenant` attribute in a tenant's items.
    pub fn tenant_attribute(&self, tenant: &str) -> Result<Attribute, StoreError> {
        attribute(&self.tenant, self.tenant_type, tenant)
    }

    /// All attributes of a record. A value without attributes is still a value; only `deleted` makes a
    /// tombstone. Fails for a record that an item would not hold exactly.
    pub fn item(&self, id: &Id, record: &Record) -> Result<Document, StoreError> {
        let mut item = self.place(&id.tenant, &id.key)?;
        let version = record.version.to_string().parse().expect("digits are a number");
        item.0.insert(self.version.clone(), Attribute::N(version));
        match &record.value {
            None => {
                foreign::check_tombstone(&self.version, record.version, false)?;
                item.0.insert(self.deleted.clone(), Attribute::Bool(true));
            }
            Some(value) => {
                let content = document(value)?;
                if let Some(name) = self.of_item().into_iter().find(|name| content.0.contains_key(*name)) {
                    let clash = Misfit { path: name.to_owned(), column: None, reason: Reason::Field };
                    return Err(misfit(clash, ErrorClass::Constraint));
                }
                item.0.extend(content.0);
            }
        }
        Ok(item)
    }

    /// Checks, without asking DynamoDB, whether it would store the record, whatever its version will be.
    pub fn fit_item(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.fit_stamped(id, &Record { version: Version::MAX, ..record.clone() })
    }

    /// The same with the version that it has.
    pub(crate) fn fit_stamped(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        match self.item(id, record)?.item_bytes() {
            0..=ITEM_MAX_BYTES => Ok(()),
            bytes => {
                let what = format!(
                    "an item of {bytes} bytes with the names of its attributes and a version: {ITEM_MAX_BYTES} \
                     (400 KB) is the most, make it smaller"
                );
                Err(refused("value", what))
            }
        }
    }
}

fn attribute(name: &str, kind: KeyType, text: &str) -> Result<Attribute, StoreError> {
    kind.attribute(text)
        .map_err(|needed| refused(name, format!("its table has {needed} there, no other text")))
}

fn refused(field: &str, what: String) -> StoreError {
    StoreError::Permanent { class: ErrorClass::Constraint, field: field.to_owned(), what }
}
