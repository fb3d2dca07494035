//! The two stores under torture, by URL.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use cutover_client::{
    spec::{Missing, Spec},
    store::Store,
};

use crate::proxy::{Faults, Proxy};

/// The table of the run, which has its own databases.
const TABLE: &str = "torture";
/// A spec names two stores; only one of them is opened from it.
const OTHER: &str = "[target]\nurl = \"sqlite:unused\"\ntable = \"unused\"\n";

/// Before a SQL store's URL: versions and tombstones are in a ledger. Then the table has another name, so that a database
/// can have both.
const LEDGER: &str = "ledger+";

/// Opens a store, creating its table if necessary.
pub async fn open(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let text = format!("migration = \"torture\"\n{}{OTHER}", section("source", url));
    let spec: Spec = text.parse().with_context(|| format!("{url:?} is no store"))?;
    let opened = spec.source.open(Missing::Create, |_| None).await;
    opened.with_context(|| format!("{url:?} can't be opened"))
}

/// The text of a spec of both stores.
pub fn spec(source: &str, target: &str, residual_ms: u64) -> String {
    let head = format!("migration = \"{}\"\nresidual_ms = {residual_ms}\n", crate::KEY);
    head + &section("source", source) + &section("target", target)
}

fn section(name: &str, url: &str) -> String {
    // DynamoDB's table is part of its URL.
    if let Some(rest) = url.strip_prefix("dynamodb://?") {
        return format!("[{name}]\nurl = \"dynamodb://{TABLE}?{rest}\"\n");
    }
    match url.strip_prefix(LEDGER) {
        Some(url) => {
            format!("[{name}]\nurl = {url:?}\ntable = \"{TABLE}_with_ledger\"\nversions = \"ledger\"\n")
        }
        None => format!("[{name}]\nurl = {url:?}\ntable = \"{TABLE}\"\n"),
    }
}

/// The same store through a proxy with faults; a file has none.
pub async fn through_proxy(url: &str, faults: &Arc<Faults>) -> anyhow::Result<(String, Option<Proxy>)> {
    let Some(address) = address(url) else { return Ok((url.to_owned(), None)) };
    let to: SocketAddr = address.parse().with_context(|| format!("{address:?} in {url:?} is no address"))?;
    let proxy = Proxy::start(to, faults.clone()).await?;
    Ok((url.replace(address, &proxy.address.to_string()), Some(proxy)))
}

/// Host and port in a URL: of its endpoint if it has one, else its own.
fn address(url: &str) -> Option<&str> {
    let (_, rest) = match url.split_once("endpoint=http://") {
        Some(endpoint) => endpoint,
        None => url.split_once("://")?,
    };
    let authority = rest.split(['/', '?', '&']).next()?;
    Some(authority.rsplit('@').next().unwrap_or(authority))
}
