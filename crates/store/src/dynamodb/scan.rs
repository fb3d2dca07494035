//! Pages of a scan.
//!
//! DynamoDB limits a page by a number of items, and its cursor need not be the last item's. So we ask for as
//! many items as probably have the wanted bytes, and cut.

use std::sync::atomic::Ordering::Relaxed;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Access, Cursor, DynamoDbStore, Item, Page, Scope, Segment, StoreError,
    attribute::to_value,
    error::permanent,
    item::{found, place_in, place_of},
    of_request,
};
use crate::scan::Gathered;
use cutover_core::outcome::ErrorClass;

/// Estimated bytes of an item before one was read.
const GUESS_BYTES: usize = 128;
/// Maximum bytes of an item.
const ITEM_MAX_BYTES: usize = 400 << 10;

/// Items, and the key after which there are more.
type Items = (Vec<Item>, Option<Item>);

impl DynamoDbStore {
    pub(super) async fn page(
        &self,
        scope: &Scope,
        segment: Segment,
        after: Option<(&str, &str)>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let fields = &self.options.fields;
        let start = after.map(|(tenant, key)| place_of(fields, tenant, key)).transpose()?;
        let tenant = match scope {
            Scope::Tenant(tenant) => Some(to_value(fields.tenant_attribute(tenant)?)),
            Scope::All => None,
            Scope::UpTo(_) => {
                let what = "DynamoDB scans in no order that another store has".to_owned();
                return Err(permanent(ErrorClass::Other, "scope", what));
            }
        };
        let queried = tenant.clone().filter(|_| self.partition == fields.tenant);
        let (items, more) = self
            .retries()
            .run(async || {
                let limit = self.limit(limit_bytes);
                let answer = match queried.clone() {
                    Some(tenant) => self.query(tenant, start.clone(), limit).await,
                    None => self.scan_segment(tenant.clone(), segment, start.clone(), limit).await,
                };
                if answer.as_ref().is_err_and(|error| error.class() == ErrorClass::Timeout) {
                    self.expect_larger_items();
                }
                answer
            })
            .await?;

        let mut gathered = Gathered::default();
        let mut seen = 0;
        let mut full = false;
        for item in items {
            full = gathered.is_full(limit_bytes);
            if full {
                break;
            }
            let found = found(fields, item)?;
            if queried.is_some() && !segment.has(&found.tenant, &found.key) {
                gathered.pass(found);
            } else {
                gathered.take(found);
            }
            seen += 1;
        }
        if let Some(usual) = gathered.seen_bytes.checked_div(seen) {
            self.usual_bytes.store(usual.max(1), Relaxed);
        }
        let page = gathered.end(full)?;
        if full {
            return Ok(page);
        }
        let next = more.map(|key| {
            let (tenant, key) = place_in(fields, &key)?;
            Ok(Cursor::after(tenant.as_bytes(), key.as_bytes()))
        });
        Ok(Page { next: next.transpose()?, ..page })
    }

    /// How many items probably have this many bytes. The first page has to guess.
    fn limit(&self, limit_bytes: usize) -> i32 {
        let usual = match self.usual_bytes.load(Relaxed) {
            0 => GUESS_BYTES,
            usual => usual,
        };
        i32::try_from(limit_bytes.div_ceil(usual).max(1)).unwrap_or(i32::MAX)
    }

    /// The page did not arrive in time: the next one asks for fewer items, whatever their size was.
    fn expect_larger_items(&self) {
        let usual = self.usual_bytes.load(Relaxed).max(GUESS_BYTES);
        self.usual_bytes.store((usual * 4).min(ITEM_MAX_BYTES), Relaxed);
    }

    async fn query(
        &self,
        tenant: AttributeValue,
        start: Option<Item>,
        limit: i32,
    ) -> Result<Items, StoreError> {
        let request = self
            .pages
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#t = :t")
            .expression_attribute_names("#t", &self.options.fields.tenant)
            .expression_attribute_values(":t", tenant)
            .set_exclusive_start_key(start)
            .limit(limit);
        let answer = request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))?;
        Ok((answer.items.unwrap_or_default(), more(answer.last_evaluated_key)))
    }

    async fn scan_segment(
        &self,
        tenant: Option<AttributeValue>,
        segment: Segment,
        start: Option<Item>,
        limit: i32,
    ) -> Result<Items, StoreError> {
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let mut request = self
            .pages
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .segment(number(segment.index))
            .total_segments(number(segment.of))
            .set_exclusive_start_key(start)
            .limit(limit);
        if let Some(tenant) = tenant {
            request = request
                .filter_expression("#t = :t")
                .expression_attribute_names("#t", &self.options.fields.tenant)
                .expression_attribute_values(":t", tenant);
        }
        let answer = request.send().await.map_err(|error| of_request(Access::Read, &self.table, error))?;
        Ok((answer.items.unwrap_or_default(), more(answer.last_evaluated_key)))
    }
}

fn more(key: Option<Item>) -> Option<Item> {
    key.filter(|key| !key.is_empty())
}
