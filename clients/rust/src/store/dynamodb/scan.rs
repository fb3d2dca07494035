//! Pages of a scan.
//!
//! DynamoDB takes a number of items as the limit of a page, and a cursor that need not be the last
//! item's. So we ask for as many as are likely to have the bytes that were wanted, and cut.

use std::sync::atomic::Ordering::Relaxed;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Access, Cursor, DynamoDbStore, Id, Item, Page, Scope, Segment, StoreError, id_of, key_of, of_request,
    record_of,
};

/// Items and the key after which there are more.
type Items = (Vec<Item>, Option<Item>);

impl DynamoDbStore {
    pub(super) async fn page(
        &self,
        scope: &Scope,
        segment: Segment,
        after: Option<&Id>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let start = after.map(|id| key_of(&self.options, id)).transpose()?;
        let limit = self.limit(limit_bytes);
        let queried = match scope {
            Scope::Tenant(tenant) if self.partition == self.options.tenant_attribute => Some(tenant),
            _ => None,
        };
        let (items, more) = self
            .retries()
            .run(async || match queried {
                Some(tenant) => self.query(tenant, start.clone(), limit).await,
                None => self.scan_segment(scope, segment, start.clone(), limit).await,
            })
            .await?;

        let mut page = Page { records: Vec::with_capacity(items.len()), next: None };
        let mut bytes = 0;
        let mut last = None;
        for item in items {
            let id = id_of(&self.options, &item)?;
            if bytes >= limit_bytes && !page.records.is_empty() {
                page.next = last.as_ref().map(Cursor::after);
                break;
            }
            last = Some(id.clone());
            if queried.is_some() && !segment.contains(&id) {
                continue;
            }
            let record = record_of(&self.options, item)?;
            bytes += id.bytes() + record.bytes();
            page.records.push((id, record));
        }
        if let Some(usual) = bytes.checked_div(page.records.len()) {
            self.usual_bytes.store(usual.max(1), Relaxed);
        }
        if page.next.is_none() {
            page.next = more.map(|key| id_of(&self.options, &key)).transpose()?.as_ref().map(Cursor::after);
        }
        Ok(page)
    }

    /// How many items are likely to have so many bytes. The first page has to guess.
    fn limit(&self, limit_bytes: usize) -> i32 {
        const GUESS: usize = 128;
        let usual = match self.usual_bytes.load(Relaxed) {
            0 => GUESS,
            usual => usual,
        };
        i32::try_from(limit_bytes.div_ceil(usual).max(1)).unwrap_or(i32::MAX)
    }

    async fn query(&self, tenant: &str, start: Option<Item>, limit: i32) -> Result<Items, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#t = :t")
            .expression_attribute_names("#t", &self.options.tenant_attribute)
            .expression_attribute_values(":t", AttributeValue::S(tenant.to_owned()))
            .set_exclusive_start_key(start)
            .limit(limit);
        let answer = request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))?;
        Ok((answer.items.unwrap_or_default(), more(answer.last_evaluated_key)))
    }

    async fn scan_segment(
        &self,
        scope: &Scope,
        segment: Segment,
        start: Option<Item>,
        limit: i32,
    ) -> Result<Items, StoreError> {
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let mut request = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .segment(number(segment.index))
            .total_segments(number(segment.of))
            .set_exclusive_start_key(start)
            .limit(limit);
        if let Scope::Tenant(tenant) = scope {
            request = request
                .filter_expression("#t = :t")
                .expression_attribute_names("#t", &self.options.tenant_attribute)
                .expression_attribute_values(":t", AttributeValue::S(tenant.clone()));
        }
        let answer = request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))?;
        Ok((answer.items.unwrap_or_default(), more(answer.last_evaluated_key)))
    }
}

fn more(key: Option<Item>) -> Option<Item> {
    key.filter(|key| !key.is_empty())
}
