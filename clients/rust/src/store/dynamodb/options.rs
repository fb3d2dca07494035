//! Where a table is and how it is used.

use std::{num::NonZeroUsize, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig};

use super::error::permanent;
use crate::{report::ErrorClass, store::StoreError};

/// How a table is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoDbOptions {
    /// The attribute that holds the tenant, a string. It may be the same as `key_attribute` in a
    /// table that has a partition key only: each record is then a tenant of its own.
    pub tenant_attribute: String,
    /// The attribute that holds the key, a string.
    pub key_attribute: String,
    /// The attribute that holds the version, a number. An item without it has version 0.
    pub version_attribute: String,
    /// The attribute that holds the value, binary.
    pub value_attribute: String,
    /// The attribute that makes an item a tombstone when it is true.
    pub deleted_attribute: String,
    /// Longest wait for the answer to one request. Keep it below half the migrator's call timeout,
    /// so that a request that got lost can be sent again in time.
    pub attempt_timeout: Duration,
    /// No retry of a request begins after this, counted from its first attempt.
    pub retry_timeout: Duration,
    /// Requests of one batch that are under way at a time.
    pub concurrency: NonZeroUsize,
}

impl Default for DynamoDbOptions {
    fn default() -> Self {
        Self {
            tenant_attribute: "tenant".to_owned(),
            key_attribute: "key".to_owned(),
            version_attribute: "version".to_owned(),
            value_attribute: "value".to_owned(),
            deleted_attribute: "deleted".to_owned(),
            attempt_timeout: Duration::from_secs(2),
            retry_timeout: Duration::from_secs(4),
            concurrency: NonZeroUsize::new(32).expect("not 0"),
        }
    }
}

impl DynamoDbOptions {
    /// No two attributes may have the same name, but for the one pair that says something.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let names = [
            ("version_attribute", &self.version_attribute),
            ("value_attribute", &self.value_attribute),
            ("deleted_attribute", &self.deleted_attribute),
            ("key_attribute", &self.key_attribute),
            ("tenant_attribute", &self.tenant_attribute),
        ];
        for (n, (field, name)) in names.iter().enumerate() {
            if name.is_empty() || name.len() > 255 {
                return Err(permanent(ErrorClass::Other, field, "give it 1 to 255 bytes"));
            }
            let one_key = *field == "tenant_attribute" && **name == self.key_attribute;
            if let Some((other, _)) = names[..n].iter().find(|(_, other)| other == name)
                && !one_key
            {
                let what = format!("{name:?} is {other} already: name another one");
                return Err(permanent(ErrorClass::Other, field, what));
            }
        }
        Ok(())
    }
}

/// Reads `dynamodb://?region=R&endpoint=E`; what is left out comes from the environment, like the
/// credentials.
pub(super) async fn load(url: &str) -> Result<SdkConfig, StoreError> {
    let wrong = |what: String| permanent(ErrorClass::Other, "url", what);
    const FORM: &str = "write dynamodb://?region=eu-west-1, and &endpoint=http://... for another server";
    let parsed = url::Url::parse(url).map_err(|error| wrong(format!("{error}: {FORM}")))?;
    if parsed.scheme() != "dynamodb" || parsed.has_host() || !matches!(parsed.path(), "" | "/") {
        return Err(wrong(FORM.to_owned()));
    }
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    for (name, value) in parsed.query_pairs() {
        loader = match &*name {
            "region" if !value.is_empty() => loader.region(Region::new(value.into_owned())),
            "endpoint" => {
                let http = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
                if !url::Url::parse(&value).is_ok_and(|url| http(&url)) {
                    return Err(wrong(format!("the endpoint {value:?} is no http:// or https:// address")));
                }
                loader.endpoint_url(value)
            }
            _ => return Err(wrong(format!("{name}={value} is not understood: {FORM}"))),
        };
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(wrong(format!("no region, and none in AWS_REGION: {FORM}")));
    }
    Ok(config)
}
