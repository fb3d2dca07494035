//! The suite's values as documents, so that a store of documents can run it.

use crate::{
    Copied, Cursor, Estimate, Id, KeyRange, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope, Segment,
    Store, StoreError, Version,
    document::{Attribute, Document},
};
use async_trait::async_trait;

/// Wraps a store that takes only documents, so that it accepts the suite's bytes: each value becomes a document
/// with the attributes `body` (B), `bytes` (N), `at` (M), `empty` (BOOL), `text` (S), `more` (L), and `parts` (L): a map for
/// each of the first bytes.
#[derive(Debug)]
pub struct Documents<S>(pub S);

/// `body` alone would be enough; the others show whether a row was written as a whole.
fn document(bytes: &[u8]) -> Document {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let length = i64::try_from(bytes.len()).expect("small");
    let half = format!("{}.{}", length / 2, if length % 2 == 0 { 0 } else { 5 });
    let at = [("half", Attribute::N(half.parse().expect("a number"))), ("here", Attribute::Bool(true))];
    let part = |(place, byte): (usize, &u8)| {
        let place = i64::try_from(place).expect("small");
        let entries = [
            ("n", Attribute::N(place.into())),
            ("byte", Attribute::B(vec![*byte])),
            ("even", Attribute::Bool(byte % 2 == 0)),
            ("of", Attribute::N(length.into())),
        ];
        Attribute::M(entries.map(|(name, it)| (name.to_owned(), it)).into())
    };
    let parts = bytes.iter().take(5).enumerate().map(part).collect();
    let entries = [
        ("body", Attribute::B(bytes.to_vec())),
        ("bytes", Attribute::N(length.into())),
        ("at", Attribute::M(at.map(|(name, it)| (name.to_owned(), it)).into())),
        ("empty", Attribute::Bool(bytes.is_empty())),
        // In its column if it is short, else in the overflow.
        ("text", Attribute::S(text.chars().take(60).collect())),
        ("more", Attribute::L(vec![Attribute::Null, Attribute::N(length.into())])),
        ("parts", Attribute::L(parts)),
    ];
    Document(entries.map(|(name, it)| (name.to_owned(), it)).into())
}

fn into(record: &Record) -> Record {
    let encode = |value: &Vec<u8>| document(value).encode().expect("a document");
    Record { version: record.version, value: record.value.as_ref().map(encode) }
}

fn back(record: Record) -> Record {
    let value = record.value.map(|value| {
        let Document(mut found) = Document::decode(&value).expect("a document");
        let Some(Attribute::B(body)) = found.remove("body") else { panic!("no body among {found:?}") };
        assert_eq!(document(&body).encode().as_ref(), Ok(&value), "all of it is of one write");
        body
    });
    Record { version: record.version, value }
}

#[async_trait]
impl<S: Store> Store for Documents<S> {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        Ok(self.0.get(id).await?.map(back))
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.0.put_if_newer(id, &into(record)).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.0.put_if_unchanged(id, &into(record), expected).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        Ok(self.0.get_many(ids).await?.into_iter().map(|found| found.map(back)).collect())
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let records: Vec<_> = records.iter().map(|(id, record)| (id.clone(), into(record))).collect();
        self.0.put_many_if_newer(&records).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let records: Vec<_> = records.iter().map(|(id, record)| (id.clone(), into(record))).collect();
        self.0.put_all_if_newer(&records).await
    }

    fn check_all(&self, ids: &[Id]) -> Result<(), StoreError> {
        self.0.check_all(ids)
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let page = self.0.scan(scope, segment, cursor, limit_bytes).await?;
        let records = page.records.into_iter().map(|(id, record)| (id, back(record))).collect();
        Ok(Page { records, ..page })
    }

    fn check_range(&self, range: &KeyRange) -> Result<(), StoreError> {
        self.0.check_range(range)
    }

    fn key_order(&self) -> ScanOrder {
        self.0.key_order()
    }

    fn scan_order(&self) -> ScanOrder {
        self.0.scan_order()
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        self.0.check_id(id)
    }

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.0.check(id, &into(record))
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.0.estimate().await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.0.pressure().await
    }
}
