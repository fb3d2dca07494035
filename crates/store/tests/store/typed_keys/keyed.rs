//! A store with typed keys that accepts ids of any text.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use cutover_store::{
    Copied, Cursor, Estimate, Id, Page, Pressure, Put, PutAll, Record, Scope, Segment, Store, StoreError,
    Version,
};
use uuid::{Builder, Uuid};

/// What stands for a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// The text itself.
    Text,
    /// A number of so many bits, of any length and sign.
    Number(u8),
    Uuid,
}

pub(super) struct Keyed {
    store: Arc<dyn Store>,
    kinds: [Kind; 2],
    /// What ids have in front of the values.
    prefixes: [&'static str; 2],
    /// What each value stands for.
    texts: Mutex<HashMap<String, String>>,
}

impl Keyed {
    pub(super) fn new(store: impl Into<Arc<dyn Store>>, kinds: [Kind; 2]) -> Self {
        Self::prefixed(store, kinds, [""; 2])
    }

    pub(super) fn prefixed(
        store: impl Into<Arc<dyn Store>>,
        kinds: [Kind; 2],
        prefixes: [&'static str; 2],
    ) -> Self {
        Self { store: store.into(), kinds, prefixes, texts: Mutex::default() }
    }

    fn tenant(&self, tenant: &str) -> String {
        self.prefixes[0].to_owned() + &self.value(0, tenant)
    }

    /// `at`: 0 for a tenant, 1 for a key.
    fn value(&self, at: usize, text: &str) -> String {
        // With the prefix the longest ids would be too long.
        let most = [256, 1024][at] - self.prefixes[at].len();
        let mut hash = DefaultHasher::new();
        text.hash(&mut hash);
        let hash = hash.finish();
        let value = match self.kinds[at] {
            Kind::Text if text.len() <= most => return text.to_owned(),
            Kind::Text => text[..text.floor_char_boundary(most)].to_owned(),
            Kind::Number(64) => (hash.cast_signed() >> (hash % 24)).to_string(),
            Kind::Number(_) => ((hash as u32).cast_signed()).to_string(),
            // Of version 4: MariaDB's own type takes no others of a version above 5 without the variant of RFC 9562.
            Kind::Uuid => {
                let bytes = Uuid::from_u64_pair(hash, hash.rotate_left(7)).into_bytes();
                Builder::from_random_bytes(bytes).into_uuid().to_string()
            }
        };
        let known = self.texts.lock().expect("no panic").insert(value.clone(), text.to_owned());
        assert!(known.is_none_or(|known| known == text), "two texts have one value");
        value
    }

    fn to(&self, id: &Id) -> Id {
        let key = self.prefixes[1].to_owned() + &self.value(1, &id.key);
        Id::new(&self.tenant(&id.tenant), &key).expect("valid")
    }

    fn back(&self, id: Id) -> Id {
        let texts = self.texts.lock().expect("no panic");
        let back = |at: usize, text: &str| {
            let text = text.strip_prefix(self.prefixes[at]).expect("each begins with it");
            match self.kinds[at] {
                Kind::Text => texts.get(text).map_or(text, String::as_str).to_owned(),
                _ => texts.get(text).expect("one that was given").clone(),
            }
        };
        Id { tenant: back(0, &id.tenant), key: back(1, &id.key) }
    }
}

#[async_trait]
impl Store for Keyed {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        self.store.get(&self.to(id)).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.store.put_if_newer(&self.to(id), record).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.store.put_if_unchanged(&self.to(id), record, expected).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        self.store.get_many(&ids.iter().map(|id| self.to(id)).collect::<Vec<_>>()).await
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        self.store.get_versions(&ids.iter().map(|id| self.to(id)).collect::<Vec<_>>()).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let records = records.iter().map(|(id, record)| (self.to(id), record.clone()));
        self.store.put_many_if_newer(&records.collect::<Vec<_>>()).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let records = records.iter().map(|(id, record)| (self.to(id), record.clone()));
        self.store.put_all_if_newer(&records.collect::<Vec<_>>()).await
    }

    fn check_all(&self, ids: &[Id]) -> Result<(), StoreError> {
        self.store.check_all(&ids.iter().map(|id| self.to(id)).collect::<Vec<_>>())
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let scope = match scope {
            Scope::All | Scope::UpTo(_) => scope.clone(),
            Scope::Tenant(tenant) => Scope::Tenant(self.tenant(tenant)),
            Scope::Keys { .. } => unreachable!("these keys can't be listed"),
        };
        let page = self.store.scan(&scope, segment, cursor, limit_bytes).await?;
        let records = page.records.into_iter().map(|(id, record)| (self.back(id), record)).collect();
        Ok(Page { records, ..page })
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.store.estimate().await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.store.pressure().await
    }
}
