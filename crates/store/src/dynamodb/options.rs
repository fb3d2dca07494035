//! Where a table is, and how it is used.

use std::{num::NonZeroUsize, time::Duration};

use aws_config::SdkConfig;
use cutover_dynamodb::Address;

use super::error::permanent;
use crate::{
    StoreError,
    mapping::{Fields, NameError},
};
use cutover_core::outcome::ErrorClass;

/// How a table is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoDbOptions {
    /// The attributes of an item that are not content. Tenant and key are the table's key, of the given
    /// types; one name for both if each record is its own tenant. The version is a number; an item without it
    /// has version 0. An item whose `deleted` is true is a tombstone. `value` is unused.
    pub fields: Fields,
    /// Longest wait for the answer to one request, or for the next part of an answer with many items; such an
    /// answer may take ten times as long in all. Keep it below half the migrator's call timeout, so that a lost
    /// request can be repeated in time.
    pub attempt_timeout: Duration,
    /// No retry of a request begins later than this after its first attempt.
    pub retry_timeout: Duration,
    /// Concurrent requests of one batch.
    pub concurrency: NonZeroUsize,
}

impl Default for DynamoDbOptions {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            attempt_timeout: Duration::from_secs(2),
            retry_timeout: Duration::from_secs(4),
            concurrency: NonZeroUsize::new(32).expect("not 0"),
        }
    }
}

impl DynamoDbOptions {
    /// No two attributes may have the same name, except tenant and key.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let wrong = |error: NameError| permanent(ErrorClass::Other, "fields", error.to_string());
        self.fields.check_item().map_err(wrong)
    }
}

/// Reads `dynamodb://?region=R&endpoint=E`. Omitted parts come from the environment, and so do the
/// credentials.
pub(super) async fn load(url: &str) -> Result<SdkConfig, StoreError> {
    let wrong = |what: String| permanent(ErrorClass::Other, "url", what);
    const FORM: &str = "write dynamodb://?region=eu-west-1, and &endpoint=http://... for another server";
    let address = Address::parse(url).map_err(|error| wrong(format!("{error}: {FORM}")))?;
    if address.table.is_some() {
        return Err(wrong(FORM.to_owned()));
    }
    if let Some((name, value)) = address.others.first() {
        return Err(wrong(format!("{name}={value} is not understood: {FORM}")));
    }
    let config = address.configuration().await;
    config.ok_or_else(|| wrong("it names no region: add ?region=eu-west-1, or set AWS_REGION".to_owned()))
}
