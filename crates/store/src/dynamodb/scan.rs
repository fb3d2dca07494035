//! Pages of a scan.
//!
//! DynamoDB limits a page by a number of items, and its cursor need not be the last item's. So we ask for as
//! many items as probably have the wanted bytes, and cut.

use std::sync::atomic::Ordering::Relaxed;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Access, Cursor, DynamoDbStore, Item, KeyRange, Page, ScanOrder, Scope, Segment, Store, StoreError,
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
        let mut start = after.map(|(tenant, key)| place_of(fields, tenant, key)).transpose()?;
        let mut keys = None;
        let tenant = match scope {
            Scope::Keys { tenant, range, most } => {
                if let ScanOrder::Own(order) = self.key_order() {
                    let what = format!(
                        "keys of this table can't be listed in the order of their bytes: they have {order}"
                    );
                    return Err(permanent(ErrorClass::Other, "scope", what));
                }
                let range = after.map_or_else(|| range.clone(), |(_, key)| range.clone().after(key));
                (start, keys) = (None, Some((range, *most)));
                Some(to_value(fields.tenant_attribute(tenant)?))
            }
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
                let limit = match &keys {
                    // The first item may be the one that the range begins after, and a page has to get past it.
                    Some((_, most)) => self.limit(limit_bytes).clamp(2, most.saturating_add(1).max(2)),
                    None => self.limit(limit_bytes),
                };
                let limit = i32::try_from(limit).unwrap_or(i32::MAX);
                let answer = match queried.clone() {
                    Some(tenant) => {
                        self.query(tenant, keys.as_ref().map(|(range, _)| range), start.clone(), limit).await
                    }
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
            let is_wanted = |(range, _): &(KeyRange, usize)| {
                str::from_utf8(&found.key).is_ok_and(|key| range.contains(key))
            };
            let is_beside = keys.as_ref().is_some_and(|keys| !is_wanted(keys));
            if is_beside || queried.is_some() && !segment.has(&found.tenant, &found.key) {
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
    fn limit(&self, limit_bytes: usize) -> usize {
        let usual = match self.usual_bytes.load(Relaxed) {
            0 => GUESS_BYTES,
            usual => usual,
        };
        limit_bytes.div_ceil(usual).max(1)
    }

    /// The page did not arrive in time: the next one asks for fewer items, whatever their size was.
    fn expect_larger_items(&self) {
        let usual = self.usual_bytes.load(Relaxed).max(GUESS_BYTES);
        self.usual_bytes.store((usual * 4).min(ITEM_MAX_BYTES), Relaxed);
    }

    async fn query(
        &self,
        tenant: AttributeValue,
        keys: Option<&KeyRange>,
        start: Option<Item>,
        limit: i32,
    ) -> Result<Items, StoreError> {
        let condition = keys.and_then(condition).map(|condition| format!(" AND {condition}"));
        let mut request = self
            .pages
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression(format!("#t = :t{}", condition.as_deref().unwrap_or_default()))
            .expression_attribute_names("#t", &self.options.fields.tenant)
            .expression_attribute_values(":t", tenant)
            .set_exclusive_start_key(start)
            .limit(limit);
        if let (Some(range), true) = (keys, condition.is_some()) {
            request = request.expression_attribute_names("#k", &self.options.fields.key);
            let ends = [(":from", Some(range.start().0)), (":end", range.end())];
            for (name, end) in ends.into_iter().filter_map(|(name, end)| Some((name, end?))) {
                if !end.is_empty() {
                    request = request.expression_attribute_values(name, AttributeValue::S(end.to_owned()));
                }
            }
        }
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

/// What a `Query` asks of the key; `None`: nothing. There can be one comparison only, so with two ends both are included.
fn condition(range: &KeyRange) -> Option<&'static str> {
    match (range.start(), range.end()) {
        (("", _), None) => None,
        (("", _), Some(_)) => Some("#k < :end"),
        ((_, true), None) => Some("#k >= :from"),
        ((_, false), None) => Some("#k > :from"),
        (_, Some(_)) => Some("#k BETWEEN :from AND :end"),
    }
}

fn more(key: Option<Item>) -> Option<Item> {
    key.filter(|key| !key.is_empty())
}
