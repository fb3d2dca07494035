//! What the HTTP address answers.

use std::sync::Arc;

use axum::Router;
use tower_http::compression::{
    CompressionLayer, Predicate as _,
    predicate::{DefaultPredicate, NotForContentType},
};

use super::{access::Access, gate::Gate, tls::Certificates};
use crate::{
    api::{self, Hosts},
    config::Config,
    http,
    listen::{Limits, Routes},
};

/// What every request passes.
pub(super) struct Checks<'a> {
    pub(super) gate: &'a Gate,
    pub(super) access: &'a Access,
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
    let Checks { gate, access, certificates } = checks;
    let hosts = Hosts::new(config.http.ip(), config.http_hosts.clone());
    // A stream is written message by message, which compression would hold back.
    let is_whole = DefaultPredicate::new().and(NotForContentType::const_new("application/connect+"));
    let compression = CompressionLayer::new().compress_when(is_whole);
    let pages = api.merge(http::console::router()).layer(compression.clone()).merge(decisions);
    // Other sites' requests are refused first: tokens say nothing about them, and remember nothing of them.
    let pages = api::protect(access.before(pages, api::failed), hosts);
    let pages = pages.merge(access.before(health.clone().layer(compression), api::failed));
    let full = access.before(http::full(health, limits), api::failed);
    let [open, full] = [pages, full].map(|router| {
        let router = match certificates {
            None => router,
            Some(certificates) => certificates.before(router, api::failed),
        };
        gate.before(router, api::failed)
    });
    Routes { open, full }
}
