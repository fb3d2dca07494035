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
use crate::{Id, PutAll, Record, StoreError, put_all::was_applied};
use cutover_core::outcome::ErrorClass;

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
                        self.canceled(canceled.cancellation_reasons(), records)
                    }
                    _ => Err(of_request(Access::Write, &self.table, error)),
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

    /// Why DynamoDB did not write any of them, by the reasons in their order.
    fn canceled(
        &self,
        reasons: &[CancellationReason],
        records: &[(Id, Record)],
    ) -> Result<PutAll, StoreError> {
        let mut refused = Vec::new();
        let mut busy = None;
        for (place, (reason, (id, record))) in reasons.iter().zip(records).enumerate() {
            let said = reason.message().unwrap_or("no reason given");
            let unfit = |field| permanent(ErrorClass::Constraint, field, said);
            let error = match reason.code().unwrap_or_default() {
                "" | "None" => continue,
                "ConditionalCheckFailed" => {
                    match reason.item().map(|item| version_of(&self.options.fields, item)) {
                        Some(Ok(current)) if current >= record.version => {
                            refused.push((place, current));
                            continue;
                        }
                        Some(Err(error)) => error,
                        _ => throttled(format!("DynamoDB: {said}")),
                    }
                }
                "ItemCollectionSizeLimitExceeded" => unfit("tenant"),
                "ValidationError" => unfit("record"),
                // Another request for the same item is in flight, or there are too many.
                code => throttled(format!("DynamoDB canceled the transaction: {code}: {said}")),
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
