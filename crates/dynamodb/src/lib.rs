//! How DynamoDB is reached, by the data stores that are migrated and by the controller's own store: URLs, clients
//! without retries, and what is known of a request that failed.

mod credentials;

use std::{error::Error, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{Client, config::StalledStreamProtectionConfig};

pub use credentials::renewed;

/// Where DynamoDB is: `dynamodb://TABLE?region=R&endpoint=E`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The table. `None`: the URL names none.
    pub table: Option<String>,
    /// `None`: from the environment.
    pub region: Option<String>,
    /// An `http://` or `https://` address. `None`: Amazon's.
    pub endpoint: Option<String>,
    /// Other parameters, in order.
    pub others: Vec<(String, String)>,
}

impl Address {
    /// Reads a URL. The error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let parsed = url::Url::parse(url).map_err(|error| error.to_string())?;
        if parsed.scheme() != "dynamodb" || !matches!(parsed.path(), "" | "/") {
            return Err("it is not dynamodb://".to_owned());
        }
        if parsed.port().is_some() || !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("it has a user or a port".to_owned());
        }
        let table = parsed.host_str().filter(|table| !table.is_empty()).map(str::to_owned);
        let mut address = Self { table, ..Self::default() };
        for (name, value) in parsed.query_pairs() {
            let value = value.into_owned();
            match &*name {
                "region" if !value.is_empty() => address.region = Some(value),
                "endpoint" => {
                    let is_http = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
                    let parsed = url::Url::parse(&value);
                    if parsed.as_ref().is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
                    {
                        return Err("the endpoint has a user or a password".to_owned());
                    }
                    if !parsed.is_ok_and(|url| is_http(&url)) {
                        return Err(format!("the endpoint {value:?} is no http:// or https:// address"));
                    }
                    address.endpoint = Some(value);
                }
                _ => address.others.push((name.into_owned(), value)),
            }
        }
        Ok(address)
    }

    /// The configuration. What the URL does not name, and the credentials, come from the environment. `None`: nothing
    /// names a region.
    pub async fn configuration(&self) -> Option<SdkConfig> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        config.region().is_some().then_some(config)
    }
}

/// A client without the SDK's retries, which hide that an earlier attempt may have written. A request fails when nothing
/// comes for `silent`, or after its `whole` time.
pub fn client(config: &SdkConfig, silent: Duration, whole: Duration) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(silent)
        .read_timeout(silent)
        .operation_attempt_timeout(whole)
        .build();
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(silent).build();
    let config = aws_sdk_dynamodb::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(stalled)
        .build();
    Client::from_conf(config)
}

/// Whether a request failed before there was a connection, so before anything could be sent.
pub fn never_connected(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>())
        .any(hyper_util::client::legacy::Error::is_connect)
}

/// The most informative cause: the last one.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_table_region_and_endpoint() {
        let address =
            Address::parse("dynamodb://Cut.over-1?region=eu-west-1&endpoint=http://h:1&create=true");
        let expected = Address {
            table: Some("Cut.over-1".to_owned()),
            region: Some("eu-west-1".to_owned()),
            endpoint: Some("http://h:1".to_owned()),
            others: vec![("create".to_owned(), "true".to_owned())],
        };
        assert_eq!(address, Ok(expected));
        assert_eq!(Address::parse("dynamodb://?region=r").map(|address| address.table), Ok(None));
        for malformed in [
            "dynamodb://t?endpoint=http://u:p@h",
            "dynamodb://t/x",
            "mysql://t",
            "dynamodb://a:b@t",
            "dynamodb://t:1",
            "dynamodb://t?endpoint=t",
        ] {
            assert!(Address::parse(malformed).is_err(), "{malformed}");
        }
    }
}
