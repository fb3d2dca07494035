//! A DynamoDB table: records are its items, and their values are the attributes, as canonical typed JSON.
//!
//! The tenant is the partition key and the key is the sort key, or the other way round; or both are the
//! partition key of a table without a sort key. Every write is a `PutItem` with a condition, because
//! `BatchWriteItem` does not support conditions. A failed condition returns the current item, so it costs no
//! second request.

mod attribute;
mod error;
mod item;
mod many;
mod options;
mod put_all;
mod retry;
mod rights;
mod scan;
mod table;

use std::{collections::HashMap, sync::atomic::AtomicUsize, time::Instant};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Copied, Cursor, Estimate, Id, Identity, KeyRange, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope,
    Segment, Store, StoreError, Version, mapping::KeyType, put_all::no_transactions,
};
use error::{Access, of_request};
use item::{Item, item_of, key_of, number_of, place_of, record_of, version_of};
pub use options::DynamoDbOptions;
use retry::Retries;

/// One DynamoDB table.
#[derive(Debug)]
pub struct DynamoDbStore {
    client: Client,
    /// For answers of many items, which take as long as they arrive.
    pages: Client,
    table: String,
    options: DynamoDbOptions,
    /// The attribute that is the partition key.
    partition: String,
    /// Whether DynamoDB takes transactions of it.
    has_transactions: bool,
    /// Average bytes of a record on the last page, 0 before the first one: determines how many to ask for.
    usual_bytes: AtomicUsize,
}

/// An item older than `:v`. An item whose fields the application uses is not replaced: the put finds it and
/// reports what is wrong.
const OLDER: &str = "(attribute_not_exists(#v) OR (#v >= :zero AND #v < :v)) \
                     AND (attribute_not_exists(#d) OR (#d = :true AND #v > :zero))";
/// An item without a version.
const UNVERSIONED: &str = "attribute_exists(#p) AND (attribute_not_exists(#v) OR #v = :zero) \
                           AND attribute_not_exists(#d)";
/// An item of the version `:v`.
const THIS_VERSION: &str = "#v = :v AND (attribute_not_exists(#d) OR #d = :true)";

/// The version that a put found when its condition failed.
type Found = Option<Version>;

impl DynamoDbStore {
    /// Opens an existing table and checks its key. `url` is `dynamodb://?region=R&endpoint=E`. Omitted parts,
    /// and the credentials, come from the environment as in every AWS program.
    pub async fn open(url: &str, table: &str, options: DynamoDbOptions) -> Result<Self, StoreError> {
        Self::open_with(&options::load(url).await?, table, options).await
    }

    /// Like [`Self::open`], but creates the table, billed per request, if it does not exist. An existing
    /// table is not changed.
    pub async fn create(url: &str, table: &str, options: DynamoDbOptions) -> Result<Self, StoreError> {
        Self::create_with(&options::load(url).await?, table, options).await
    }

    /// The attributes of an existing table's key with their types, the partition key first. Nothing else of the table is
    /// checked.
    pub async fn keys(url: &str, table: &str) -> Result<Vec<(String, KeyType)>, StoreError> {
        let options = DynamoDbOptions::default();
        let (client, _) = clients(&options::load(url).await?, &options);
        let described =
            Retries::within(options.retry_timeout).run(|| table::describe(&client, table)).await?;
        Ok(table::keys(&described))
    }

    /// The attribute by which an existing table removes items (TTL); `None`: it removes none, or the user may not ask.
    pub async fn table_removes_by(url: &str, table: &str) -> Result<Option<String>, StoreError> {
        let (client, _) = clients(&options::load(url).await?, &DynamoDbOptions::default());
        Ok(table::removes_by(&client, table).await)
    }

    /// Like [`Self::open`], with a configuration that the service already has.
    pub async fn open_with(
        config: &SdkConfig,
        table: &str,
        options: DynamoDbOptions,
    ) -> Result<Self, StoreError> {
        options.check()?;
        Self::described(clients(config, &options), table, options).await
    }

    /// Like [`Self::create`], with a configuration that the service already has.
    pub async fn create_with(
        config: &SdkConfig,
        table: &str,
        options: DynamoDbOptions,
    ) -> Result<Self, StoreError> {
        options.check()?;
        let clients = clients(config, &options);
        table::create(&clients.0, table, &options).await?;
        Self::described(clients, table, options).await
    }

    async fn described(
        (client, pages): (Client, Client),
        table: &str,
        options: DynamoDbOptions,
    ) -> Result<Self, StoreError> {
        let described =
            Retries::within(options.retry_timeout).run(|| table::describe(&client, table)).await?;
        let partition = table::partition_of(&described, table, &options)?;
        let has_transactions = table::has_transactions(&described);
        let usual_bytes = AtomicUsize::new(0);
        Ok(Self { client, pages, table: table.to_owned(), options, partition, has_transactions, usual_bytes })
    }

    fn retries(&self) -> Retries {
        Retries::within(self.options.retry_timeout)
    }
}

/// An answer of many items may take so many times as long as one of a single item, while it arrives.
const PAGE_TIMES: u32 = 10;

/// One for single items, one for pages. With our own timeouts, and without the SDK's retries: see [`retry`].
/// An attempt ends when nothing comes for `attempt_timeout`, or after its whole time.
fn clients(config: &SdkConfig, options: &DynamoDbOptions) -> (Client, Client) {
    let within = |whole| cutover_dynamodb::client(config, options.attempt_timeout, whole);
    (within(options.attempt_timeout), within(options.attempt_timeout * PAGE_TIMES))
}

#[async_trait]
impl Store for DynamoDbStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let key = key_of(&self.options.fields, id)?;
        let item = self.retries().run(|| self.get_item(key.clone())).await?;
        item.map(|item| record_of(&self.options.fields, item)).transpose()
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        Ok(self.put_newer(id, record).await?.into())
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let (condition, version) = match expected {
            None => ("attribute_not_exists(#p)", None),
            Some(Version::ZERO) => (UNVERSIONED, None),
            Some(expected) => (THIS_VERSION, Some(expected)),
        };
        Ok(match self.put(id, record, condition, version).await? {
            Ok(()) => Put::Applied,
            Err(Some(current)) => Put::unless_this(record.version, current),
            Err(None) => Put::Stale(Version::ZERO),
        })
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let items = self.get_items(ids, false).await?;
        items
            .into_iter()
            .map(|item| item.map(|item| record_of(&self.options.fields, item)).transpose())
            .collect()
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        let items = self.get_items(ids, true).await?;
        items
            .into_iter()
            .map(|item| item.map(|item| version_of(&self.options.fields, &item)).transpose())
            .collect()
    }

    /// Reads the existing versions first, a hundred per request. Records that are already there, as in a
    /// second run, then cost no write.
    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let ids: Vec<Id> = records.iter().map(|(id, _)| id.clone()).collect();
        let items = self.get_items(&ids, true).await?;
        // Not a closure: its future would be too general for the compiler to see that it is Send.
        let mut puts = Vec::with_capacity(records.len());
        for ((id, record), item) in records.iter().zip(items) {
            puts.push(self.put_after(item, id, record));
        }
        stream::iter(puts).buffered(self.options.concurrency.get()).try_collect().await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        self.put_all(records).await
    }

    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        if !self.has_transactions {
            let why = format!(
                "{} is a global table with multi-Region strong consistency, which has no transactions",
                self.table
            );
            return Err(no_transactions(&why));
        }
        Ok(())
    }

    /// Segments are split by the partition key, so in a table with few tenants most segments are empty. A
    /// tenant is read by a `Query` if it is the partition key; otherwise its segments read the whole table. A
    /// page has at most 1 MB of items, whatever `limit_bytes` says.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let after = cursor.map(Cursor::texts).transpose()?;
        self.page(scope, segment, after, limit_bytes).await
    }

    /// Of a `Query`, which sorts texts by their bytes.
    fn key_order(&self) -> ScanOrder {
        let fields = &self.options.fields;
        let why = if fields.is_own_tenant() {
            format!("no order: each record is its own tenant in {}, so get it", fields.key)
        } else if self.partition != fields.tenant {
            format!(
                "no order: {} is the partition key, so a tenant's items are in many partitions",
                fields.key
            )
        } else if fields.key_type == KeyType::S {
            return ScanOrder::Bytes;
        } else {
            format!("that of {} in {}", fields.key_type.words(), fields.key)
        };
        ScanOrder::Own(why)
    }

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.options.fields.fit_stamped(id, record)
    }

    /// By its ARN, which contains region and account, and by the id that each table gets at creation.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let described = self.retries().run(|| table::describe(&self.client, &self.table)).await?;
        let region = self.client.config().region().map(ToString::to_string);
        Ok(Some(table::identity(&described, &region.unwrap_or_default())))
    }

    /// By a put that writes nothing.
    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        self.missing_rights().await
    }

    /// The attribute of its TTL, while that is on.
    async fn removes_by(&self) -> Result<Option<String>, StoreError> {
        Ok(table::removes_by(&self.client, &self.table).await)
    }

    /// DynamoDB's own count, updated about every six hours; it knows nothing about a new table.
    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let described = self.retries().run(|| table::describe(&self.client, &self.table)).await?;
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        Ok(Estimate { records: count(described.item_count), bytes: count(described.table_size_bytes) })
    }

    /// Times a read of one item that hardly exists.
    async fn pressure(&self) -> Result<Pressure, StoreError> {
        // Also valid base64, but not a number.
        let text = |kind| if kind == KeyType::N { "0" } else { "AAAA" };
        let fields = &self.options.fields;
        let key = place_of(fields, text(fields.tenant_type), text(fields.key_type))?;
        let began = Instant::now();
        self.get_item(key).await?;
        Ok(Pressure { latency: began.elapsed(), replica_lag: None })
    }
}

impl DynamoDbStore {
    async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))?;
        Ok(answer.item)
    }

    /// [`Self::put_newer`], unless the item as read makes that unnecessary.
    async fn put_after(&self, item: Option<Item>, id: &Id, record: &Record) -> Result<Copied, StoreError> {
        if let Some(item) = item {
            let current = version_of(&self.options.fields, &item)?;
            if current >= record.version {
                return Ok(Copied::unless_newer(record.version, current));
            }
        }
        self.put_newer(id, record).await
    }

    async fn put_newer(&self, id: &Id, record: &Record) -> Result<Copied, StoreError> {
        // An item without a version counts as version 0, so it is not older than one.
        let (condition, version) = match record.version {
            Version::ZERO => ("attribute_not_exists(#p)", None),
            version => (OLDER, Some(version)),
        };
        Ok(match self.put(id, record, condition, version).await? {
            Ok(()) => Copied::Written,
            Err(current) => Copied::unless_newer(record.version, current.unwrap_or_default()),
        })
    }

    /// One conditional `PutItem`; the inner error is what the failed condition found. `version` is the
    /// condition's `:v`; without one the condition names only the partition key.
    async fn put(
        &self,
        id: &Id,
        record: &Record,
        condition: &str,
        version: Option<Version>,
    ) -> Result<Result<(), Found>, StoreError> {
        let item = item_of(&self.options.fields, id, record)?;
        // DynamoDB rejects a name that no expression uses.
        let used = |(name, _): &(&str, &String)| condition.contains(name);
        let fields = &self.options.fields;
        let names = [("#p", &self.partition), ("#v", &fields.version), ("#d", &fields.deleted)];
        let names: HashMap<_, _> = names
            .into_iter()
            .filter(used)
            .map(|(name, attribute)| (name.to_owned(), attribute.clone()))
            .collect();
        let given = [
            (":v", version.map(number_of)),
            (":zero", Some(number_of(Version::ZERO))),
            (":true", Some(AttributeValue::Bool(true))),
        ];
        let given = given.into_iter().filter(|(name, _)| condition.contains(name));
        let values: HashMap<_, _> =
            given.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let values = (!values.is_empty()).then_some(values);
        let (put, doubt) = self
            .retries()
            .write(async || {
                let request = self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item.clone()))
                    .condition_expression(condition)
                    .set_expression_attribute_names(Some(names.clone()))
                    .set_expression_attribute_values(values.clone())
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
                let error = match request.send().await {
                    Ok(_) => return Ok(Ok(())),
                    Err(error) => error,
                };
                if let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
                {
                    let found = failed.item().filter(|item| !item.is_empty());
                    return Ok(Err(found.map(|item| version_of(&self.options.fields, item)).transpose()?));
                }
                Err(of_request(Access::Write, &self.table, error))
            })
            .await?;
        match (put, doubt) {
            (Err(Some(found)), Some(_)) if found == record.version && found > Version::ZERO => Ok(Ok(())),
            (Err(found), Some(doubt)) if found != Some(record.version) => Err(doubt),
            (put, _) => Ok(put),
        }
    }
}
