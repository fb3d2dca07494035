//! What the HTTP address answers.

use std::sync::Arc;

use axum::Router;
use tower_http::compression::{
    CompressionLayer, Predicate as _,
    predicate::{DefaultPredicate, NotForContentType},
};

use super::{access::Access, bounds::Bounds, gate::Gate, tasks::Down, tls::Certificates};
use crate::{
    api::{self, Hosts},
    config::Config,
    http,
    listen::{Limits, Routes},
    store::Store,
};

/// What every request passes.
pub(super) struct Checks<'a> {
    pub(super) gate: &'a Gate,
    pub(super) access: &'a Access,
    pub(super) bounds: &'a Arc<Bounds>,
    /// `None`: without TLS.
    pub(super) certificates: Option<&'a Arc<Certificates>>,
}

/// `api`, the console and `decisions`, kept from other sites' pages, beside `health`, which a full server answers, too. Both need
/// tokens, and what is no probe needs a client certificate if one is required. Decisions are not compressed.
pub(super) fn routes(
    config: &Config,
    api: Router,
    decisions: Router,
    health: Router,
    checks: &Checks<'_>,
    limits: &Limits,
) -> Routes {
    let Checks { gate, access, bounds, certificates } = checks;
    let hosts = Hosts::new(config.http.ip(), config.http_hosts.clone());
    // A stream is written message by message, which compression would hold back.
    let is_whole = DefaultPredicate::new().and(NotForContentType::const_new("application/connect+"));
    let compression = CompressionLayer::new().compress_when(is_whole);
    let pages = api.merge(http::console::router()).layer(compression.clone()).merge(decisions);
    // Other sites' requests are refused first: tokens say nothing about them, and remember nothing of them.
    let counted = |router| bounds.before(access.before(router, api::failed), api::failed);
    let pages = api::protect(counted(pages), hosts);
    let pages = pages.merge(counted(health.clone().layer(compression)));
    let full = counted(http::full(health, limits));
    let [open, full] = [pages, full].map(|router| {
        let router = match certificates {
            None => router,
            Some(certificates) => certificates.before(router, api::failed),
        };
        gate.before(router, api::failed)
    });
    Routes { open, full }
}

/// Whether the controller can serve: no task has taken it down, and its store answers.
pub(super) fn ready(store: Arc<dyn Store>, down: Down) -> http::Ready {
    Arc::new(move || {
        let (store, down) = (store.clone(), down.get().cloned());
        Box::pin(async move {
            down.map_or(Ok(()), Err)?;
            let answers = store.ping().await.inspect_err(|error| tracing::warn!(%error, "not ready"));
            answers.map_err(|_| "the store does not answer".to_owned()) // The caller may have no token.
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::{Call, Fault, MemoryStore};

    #[tokio::test]
    async fn a_task_that_took_the_controller_down_or_a_silent_store_is_what_probes_get() {
        let (store, down) = (MemoryStore::default(), Down::default());
        let is_ready = ready(Arc::new(store.clone()), down.clone());
        assert_eq!(is_ready().await, Ok(()));
        store.fail_next(Call::Ping, Fault::Before);
        assert_eq!(is_ready().await, Err("the store does not answer".to_owned()));
        assert_eq!(is_ready().await, Ok(()));
        down.set("task plans: it panicked".to_owned()).expect("the first");
        assert_eq!(is_ready().await, Err("task plans: it panicked".to_owned()));
    }
}
