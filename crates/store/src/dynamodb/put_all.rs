//! Several items in one transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    },
};

use super::{
    DynamoDbStore, OLDER, Version,
    error::{Access, of_request, permanent, throttled},
    item::{item_of, number_of, version_of},
};
use crate::{
    Id, PutAll, Record, Store, StoreError,
    put_all::{of_one_of, was_applied},
};
use cutover_core::outcome::ErrorClass;

/// Reasons that pass by themselves.
const RETRIED: [&str; 4] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];

/// The reason of a record whose condition failed.
const FAILED: &str = "ConditionalCheckFailed";

impl DynamoDbStore {
    /// One `TransactWriteItems`.
    pub(super) async fn put_all(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let puts: Result<Vec<_>, _> = records.iter().map(|(id, record)| self.newer(id, record)).collect();
        let puts = puts?;
        let attempt = async || {
            let request = self.client.transact_write_items().set_transact_items(Some(puts.clone()));
            match request.send().await {
                Ok(_) => Ok(PutAll::Applied),
                Err(error) => match error.as_service_error() {
                    Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                        self.canceled(canceled.cancellation_reasons(), records).await
                    }
                    _ => Err(self.named(records, of_request(Access::Write, &self.table, error))),
                },
            }
        };
        match self.retries().write(attempt).await? {
            (PutAll::Refused(refused), Some(doubt)) => {
                let refused: HashMap<usize, Version> = refused.into_iter().collect();
                let places = records.iter().enumerate();
                let found = places.map(|(at, (_, record))| (record.version, refused.get(&at).copied()));
                if was_applied(found) { Ok(PutAll::Applied) } else { Err(doubt) }
            }
            (put, _) => Ok(put),
        }
    }

    fn newer(&self, id: &Id, record: &Record) -> Result<TransactWriteItem, StoreError> {
        let fields = &self.options.fields;
        let item = item_of(fields, id, record).map_err(|error| error.of_record(&id.tenant, &id.key))?;
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(OLDER)
            .expression_attribute_names("#v", &fields.version)
            .expression_attribute_names("#d", &fields.deleted)
            .expression_attribute_values(":v", number_of(record.version))
            .expression_attribute_values(":zero", number_of(Version::ZERO))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = put.build().expect("it has a table and an item");
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Names the record at fault, if it is too large.
    fn named(&self, records: &[(Id, Record)], error: StoreError) -> StoreError {
        let too_large = records.iter().find_map(|(id, record)| {
            let error = self.options.fields.fit_item(id, record).err()?;
            Some(error.of_record(&id.tenant, &id.key))
        });
        match (&error, too_large) {
            (StoreError::Permanent { class: ErrorClass::Constraint, .. }, Some(too_large)) => too_large,
            _ => of_one_of(&records.iter().map(|(id, _)| id).collect::<Vec<_>>(), error),
        }
    }

    /// The versions of records whose condition failed, by their places. Not every server returns the items.
    async fn there(
        &self,
        reasons: &[CancellationReason],
        records: &[(Id, Record)],
    ) -> Result<HashMap<usize, Result<Version, StoreError>>, StoreError> {
        let (mut there, mut unseen, mut ids) = (HashMap::new(), Vec::new(), Vec::new());
        for (place, (reason, (id, _))) in reasons.iter().zip(records).enumerate() {
            match reason.item().filter(|item| !item.is_empty()) {
                _ if reason.code() != Some(FAILED) => {}
                Some(item) => _ = there.insert(place, version_of(&self.options.fields, item)),
                None => {
                    unseen.push(place);
                    ids.push(id.clone());
                }
            }
        }
        if !ids.is_empty() {
            let found = self.get_versions(&ids).await;
            let found = found.map_err(|error| of_one_of(&ids.iter().collect::<Vec<_>>(), error))?;
            there
                .extend(unseen.into_iter().zip(found).filter_map(|(place, found)| Some((place, Ok(found?)))));
        }
        Ok(there)
    }

    /// Why DynamoDB did not write any of them, by the reasons in their order.
    async fn canceled(
        &self,
        reasons: &[CancellationReason],
        records: &[(Id, Record)],
    ) -> Result<PutAll, StoreError> {
        let mut there = self.there(reasons, records).await?;
        let mut refused = Vec::new();
        let mut busy = None;
        for (place, (reason, (id, record))) in reasons.iter().zip(records).enumerate() {
            let said = reason.message().unwrap_or("no reason given");
            let unfit = |field| permanent(ErrorClass::Constraint, field, said);
            let error = match reason.code().unwrap_or_default() {
                "" | "None" => continue,
                FAILED => match there.remove(&place) {
                    Some(Ok(current)) if current >= record.version => {
                        refused.push((place, current));
                        continue;
                    }
                    Some(Err(error)) => error,
                    // It has gone since.
                    _ => throttled(format!("DynamoDB: {said}")),
                },
                "ItemCollectionSizeLimitExceeded" => unfit("tenant"),
                "ValidationError" => {
                    self.options.fields.fit_item(id, record).err().unwrap_or_else(|| unfit("record"))
                }
                // Another request for the same item is in flight, or there are too many.
                code if RETRIED.contains(&code) => {
                    throttled(format!("DynamoDB canceled the transaction: {code}: {said}"))
                }
                code => permanent(
                    ErrorClass::Other,
                    "request",
                    format!("DynamoDB canceled the transaction: {code}: {said}"),
                ),
            };
            match error {
                StoreError::Permanent { .. } => return Err(error.of_record(&id.tenant, &id.key)),
                error => busy = busy.or(Some(error)),
            }
        }
        match busy {
            _ if !refused.is_empty() => Ok(PutAll::Refused(refused)),
            Some(error) => Err(error),
            None => Err(throttled("DynamoDB canceled the transaction without a reason".to_owned())),
        }
    }
}
