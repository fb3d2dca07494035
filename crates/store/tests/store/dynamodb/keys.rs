//! Tables whose keys are numbers and bytes.

use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use cutover_store::{Cursor, Estimate, Page, Pressure, PutAll, mapping::KeyType};

use super::*;

/// A store of such a table that accepts ids of any text; a scan returns those of short ones.
struct Keyed<S> {
    store: S,
    tenant: KeyType,
    key: KeyType,
}

/// The text of a value that stands for this one.
fn to(kind: KeyType, text: &str) -> String {
    // Three digits for a byte are more than a number has.
    if text.len() > 12 {
        let mut hash = DefaultHasher::new();
        text.hash(&mut hash);
        return to(kind, &format!("{:08x}", hash.finish() as u32));
    }
    match kind {
        KeyType::S => text.to_owned(),
        KeyType::N => text.bytes().fold("-1".to_owned(), |digits, byte| format!("{digits}{byte:03}")) + ".5",
        KeyType::B => STANDARD.encode(text),
    }
}

fn back(kind: KeyType, text: String) -> String {
    let bytes = match kind {
        KeyType::S => return text,
        KeyType::N => {
            let digits = text.strip_prefix("-1").and_then(|text| text.strip_suffix(".5")).expect("ours");
            let bytes = digits.as_bytes().chunks(3).map(|digits| str::from_utf8(digits).expect("digits"));
            bytes.map(|digits| digits.parse().expect("a byte")).collect()
        }
        KeyType::B => STANDARD.decode(text).expect("base64"),
    };
    String::from_utf8(bytes).expect("a text")
}

impl<S> Keyed<S> {
    fn to(&self, id: &Id) -> Id {
        Id::new(&to(self.tenant, &id.tenant), &to(self.key, &id.key)).expect("short")
    }

    fn back(&self, id: Id) -> Id {
        Id { tenant: back(self.tenant, id.tenant), key: back(self.key, id.key) }
    }
}

#[async_trait]
impl<S: Store> Store for Keyed<S> {
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

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let records = records.iter().map(|(id, record)| (self.to(id), record.clone()));
        self.store.put_many_if_newer(&records.collect::<Vec<_>>()).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let records = records.iter().map(|(id, record)| (self.to(id), record.clone()));
        self.store.put_all_if_newer(&records.collect::<Vec<_>>()).await
    }

    fn check_all(&self, ids: &[Id]) -> Result<(), StoreError> {
        self.store.check_all(ids)
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
            Scope::Tenant(tenant) => Scope::Tenant(to(self.tenant, tenant)),
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

fn typed(tenant_type: KeyType, key_type: KeyType) -> DynamoDbOptions {
    DynamoDbOptions { fields: Fields { tenant_type, key_type, ..Fields::default() }, ..patient() }
}

/// `turned`: the tenant is the sort key.
async fn passes_the_suite_with(tenant: KeyType, key: KeyType, turned: bool) {
    let Some(url) = server() else { return };
    let mut stores = Vec::new();
    for _ in 0..suite::STORES {
        let (name, options) = (table(), typed(tenant, key));
        if turned {
            let fields = Fields {
                tenant: "key".to_owned(),
                key: "tenant".to_owned(),
                tenant_type: key,
                key_type: tenant,
                ..Fields::default()
            };
            let other_way = DynamoDbOptions { fields, ..patient() };
            DynamoDbStore::create(&url, &name, other_way).await.expect("created");
        }
        let store = DynamoDbStore::create(&url, &name, options).await.expect("created");
        stores.push(Documents(Keyed { store, tenant, key }));
    }
    suite::run(|| stores.pop().expect("one for each story")).await;
}

#[tokio::test]
async fn a_number_and_bytes_pass_the_suite() {
    passes_the_suite_with(KeyType::N, KeyType::B, false).await;
}

#[tokio::test]
async fn bytes_and_a_number_that_are_turned_pass_the_suite() {
    passes_the_suite_with(KeyType::B, KeyType::N, true).await;
}

#[tokio::test]
async fn a_number_may_be_a_tenant_of_its_own() {
    let Some(url) = server() else { return };
    let name = table();
    let own = |kind| {
        let fields =
            Fields { tenant_type: kind, key_type: kind, ..fields("id", "id", super::VERSION).fields };
        DynamoDbOptions { fields, ..patient() }
    };
    let store = DynamoDbStore::create(&url, &name, own(KeyType::N)).await.expect("created");
    let one = Id::new("1200", "1200").expect("valid");
    assert_eq!(store.put_if_newer(&one, &record(1)).await, Ok(Put::Applied));
    store.pressure().await.expect("told");

    // Others write the same number in other ways.
    let credentials = Credentials::new("test", "test", None, None, "test");
    let client = Client::new(&config(&url, Some(credentials)));
    let number = AttributeValue::N("1.20e3".to_owned());
    let got = client.get_item().table_name(&name).key("id", number).send().await.expect("read");
    assert_eq!(got.item.expect("there")["id"], AttributeValue::N("1200".to_owned()));

    let none = Id::new("1.2e3", "1.2e3").expect("valid");
    for error in [
        store.get(&none).await.expect_err("another text"),
        store.put_if_newer(&none, &record(2)).await.expect_err("another text"),
        store.scan(&Scope::Tenant("abc".to_owned()), Segment::ALL, None, 1).await.expect_err("no number"),
    ] {
        assert!(error.to_string().starts_with("id: its table has a number (N)"), "{error}");
        assert!(matches!(error, StoreError::Permanent { .. }), "{error}");
    }
    let error = DynamoDbStore::open(&url, &name, own(KeyType::B)).await.expect_err("no bytes").to_string();
    assert!(
        error.contains("is of the type N, and binary (B) was expected: give it as tenant_type"),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_longer_than_an_id_is_gone_past() {
    let Some(url) = server() else { return };
    let name = table();
    let store = DynamoDbStore::create(&url, &name, typed(KeyType::S, KeyType::B)).await.expect("created");
    let good = Id::new("t", "AAEC").expect("valid");
    assert_eq!(store.put_if_newer(&good, &record(1)).await, Ok(Put::Applied));
    let credentials = Credentials::new("test", "test", None, None, "test");
    let client = Client::new(&config(&url, Some(credentials)));
    let long = vec![7; 900];
    let put = client.put_item().table_name(&name).item("tenant", AttributeValue::S("t".to_owned()));
    put.item("key", AttributeValue::B(Blob::new(long.clone()))).send().await.expect("written");
    let long = STANDARD.encode(long);
    is_gone_past(&store, &[(good, record(1))], &[("t", &long, "key: key has 1200 bytes")]).await;
}
