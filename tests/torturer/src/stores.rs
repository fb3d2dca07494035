//! The two stores under torture, by URL.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use cutover_client::store::{SqliteOptions, SqliteStore, Store};

use crate::proxy::{Faults, Proxy};

/// Opens a store, making its table if need be: `sqlite:PATH`.
pub async fn open(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let (scheme, rest) = url.split_once(':').with_context(|| format!("{url:?} is no URL of a store"))?;
    match scheme {
        "sqlite" => {
            let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
            Ok(Arc::new(SqliteStore::create(Path::new(rest), "records", options).await?))
        }
        _ => anyhow::bail!("{scheme:?} is no store of this torture"),
    }
}

/// The same store by a way with faults; a file has none.
pub async fn through_proxy(url: &str, faults: &Arc<Faults>) -> anyhow::Result<(String, Option<Proxy>)> {
    let Some(address) = address(url) else { return Ok((url.to_owned(), None)) };
    let to: SocketAddr = address.parse().with_context(|| format!("{address:?} in {url:?} is no address"))?;
    let proxy = Proxy::start(to, faults.clone()).await?;
    Ok((url.replace(address, &proxy.address.to_string()), Some(proxy)))
}

/// The part of a URL that says host and port: of an endpoint if it has one, else its own.
fn address(url: &str) -> Option<&str> {
    let (_, rest) = match url.split_once("endpoint=http://") {
        Some(endpoint) => endpoint,
        None => url.split_once("://")?,
    };
    let authority = rest.split(['/', '?', '&']).next()?;
    Some(authority.rsplit('@').next().unwrap_or(authority))
}
