//! Reads many items at once.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoDbStore,
    error::{Access, of_request, throttled},
    item::{Item, id_of, key_of},
};
use crate::{Id, StoreError, mapping::KeyType};

/// Maximum items of one `BatchGetItem`.
const BATCH: usize = 100;

/// From this many ids of a tenant on, a `Query` of everything between the first and the last is better. It
/// counts the bytes that it reads, whereas a `BatchGetItem` counts 4 KB for every item.
const RUN: usize = 8;

impl DynamoDbStore {
    /// Many items, or only their keys and versions, in the order of `ids`.
    pub(super) async fn get_items(
        &self,
        ids: &[Id],
        versions_only: bool,
    ) -> Result<Vec<Option<Item>>, StoreError> {
        let fields = &self.options.fields;
        let at_once = self.options.concurrency.get();
        let mut sorted: Vec<&Id> = ids.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        // Numbers and binary have another order than their texts.
        let in_order = fields.key_type == KeyType::S;
        let has_runs = in_order && self.partition == fields.tenant && !fields.is_own_tenant();
        let (mut runs, mut left) = (Vec::new(), Vec::new());
        for of_tenant in sorted.chunk_by(|one, other| one.tenant == other.tenant) {
            for part in of_tenant.chunks(BATCH) {
                if part.len() >= RUN && has_runs {
                    runs.push(self.get_run(part, versions_only));
                } else {
                    left.extend_from_slice(part);
                }
            }
        }
        let mut found: HashMap<Id, Item> = HashMap::with_capacity(ids.len());
        let mut runs = stream::iter(runs).buffered(at_once);
        while let Some((items, beyond)) = runs.try_next().await? {
            found.extend(items);
            left.extend(beyond);
        }
        let mut batches = Vec::new();
        for ids in left.chunks(BATCH) {
            batches.push(self.get_batch(ids, versions_only));
        }
        let mut batches = stream::iter(batches).buffered(at_once);
        while let Some(items) = batches.try_next().await? {
            found.extend(items);
        }
        Ok(ids.iter().map(|id| found.remove(id)).collect())
    }

    /// Items of one tenant, in order. Others may lie between them; with too many, in number or bytes, it
    /// stops early and returns the remaining ids.
    async fn get_run<'a>(
        &self,
        ids: &'a [&'a Id],
        versions_only: bool,
    ) -> Result<(Vec<(Id, Item)>, &'a [&'a Id]), StoreError> {
        let fields = &self.options.fields;
        let ([first, ..], [.., last]) = (ids, ids) else { return Ok((Vec::new(), ids)) };
        let asked: HashSet<&Id> = ids.iter().copied().collect();
        let (first, last) = (key_of(fields, first)?, key_of(fields, last)?);
        let mut names = self.names();
        if !versions_only {
            names.remove("#v");
            names.remove("#d");
        }
        let limit = i32::try_from(ids.len() + ids.len() / 4).unwrap_or(i32::MAX);
        let answer = self
            .retries()
            .run(async || {
                let request = self
                    .pages
                    .query()
                    .table_name(&self.table)
                    .consistent_read(true)
                    .key_condition_expression("#t = :t AND #k BETWEEN :first AND :last")
                    .set_expression_attribute_names(Some(names.clone()))
                    .expression_attribute_values(":t", first[&fields.tenant].clone())
                    .expression_attribute_values(":first", first[&fields.key].clone())
                    .expression_attribute_values(":last", last[&fields.key].clone())
                    .set_projection_expression(versions_only.then(|| "#t, #k, #v, #d".to_owned()))
                    .limit(limit);
                request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))
            })
            .await?;
        let beyond = match answer.last_evaluated_key.filter(|key| !key.is_empty()) {
            None => ids.len(),
            Some(key) => {
                let last = id_of(fields, &key)?;
                ids.partition_point(|id| **id <= last)
            }
        };
        let mut found = Vec::with_capacity(ids.len());
        for item in answer.items.unwrap_or_default() {
            let id = id_of(fields, &item)?;
            if asked.contains(&id) {
                found.push((id, item));
            }
        }
        Ok((found, &ids[beyond..]))
    }

    /// At most [`BATCH`] items. What DynamoDB omits from an answer is requested again.
    async fn get_batch(&self, ids: &[&Id], versions_only: bool) -> Result<HashMap<Id, Item>, StoreError> {
        let mut asked = KeysAndAttributes::builder().consistent_read(true);
        if versions_only {
            // The same attribute must not be requested twice.
            let one_key = self.options.fields.is_own_tenant();
            asked = asked
                .projection_expression(if one_key { "#t, #v, #d" } else { "#t, #k, #v, #d" })
                .set_expression_attribute_names(Some(self.names()));
        }
        for id in ids {
            asked = asked.keys(key_of(&self.options.fields, id)?);
        }
        let mut left = Some(asked.build().expect("ids has at least one"));
        let mut found: HashMap<Id, Item> = HashMap::with_capacity(ids.len());
        let mut pause = self.retries();
        while let Some(asked) = left {
            let answer = self
                .retries()
                .run(async || {
                    let request = self.pages.batch_get_item().request_items(&self.table, asked.clone());
                    request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))
                })
                .await?;
            let before = found.len();
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                found.insert(id_of(&self.options.fields, &item)?, item);
            }
            left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
            if found.len() > before {
                // An answer has at most 16 MB: there is more, but no overload.
                pause = self.retries();
            } else if left.is_some() && !pause.wait().await {
                return Err(throttled("DynamoDB leaves keys unread again and again".to_owned()));
            }
        }
        Ok(found)
    }

    /// The attributes that every item has.
    fn names(&self) -> HashMap<String, String> {
        let fields = &self.options.fields;
        let mut names =
            HashMap::from([("#t", &fields.tenant), ("#v", &fields.version), ("#d", &fields.deleted)]);
        if !fields.is_own_tenant() {
            names.insert("#k", &fields.key);
        }
        names.into_iter().map(|(name, attribute)| (name.to_owned(), attribute.clone())).collect()
    }
}
