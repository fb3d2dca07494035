//! Reads of several items as they are at one moment.

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata as _,
    types::{Get, TransactGetItem},
};
use futures::future::BoxFuture;

use super::{
    item::{Item, Key, key_attributes},
    request::{Fault, Table, fault},
};
use crate::store::Error;

/// What DynamoDB reads at once.
const ITEMS: usize = 100;

impl Table {
    /// Items after all transactions that a read of a lane has shown. Other reads may see one of them in the lane, and not yet
    /// in these items.
    pub(super) async fn together(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(ITEMS) {
            let read: BoxFuture<'_, _> = Box::pin(self.retried(|| self.together_once(keys)));
            found.extend(read.await?);
        }
        Ok(found)
    }

    async fn together_once(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Fault> {
        let part = |key: &Key| {
            let get = Get::builder().table_name(&self.name).set_key(Some(key_attributes(key)));
            TransactGetItem::builder().get(get.build().expect("all that it needs is given")).build()
        };
        let request = self.client.transact_get_items();
        let request = request.set_transact_items(Some(keys.iter().map(part).collect()));
        match request.send().await {
            Ok(answer) => {
                let items = answer.responses.unwrap_or_default().into_iter();
                Ok(items.map(|found| found.item.map(|item| Item::of(item).1)).collect())
            }
            Err(error) if error.code() == Some("TransactionCanceledException") => {
                Err(Fault::Busy("a transaction is being applied".to_owned()))
            }
            Err(error) => Err(fault(&error)),
        }
    }
}
