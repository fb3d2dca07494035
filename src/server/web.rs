//! What the HTTP address answers.

use axum::Router;
use tower_http::compression::{
    CompressionLayer, Predicate as _,
    predicate::{DefaultPredicate, NotForContentType},
};

use super::{access::Access, gate::Gate};
use crate::{
    api::{self, Hosts},
    config::Config,
    http,
    listen::{Limits, Routes},
};

/// `api`, the console and `decisions`, kept from other sites' pages, beside `health`, which a full server answers, too. Both need
/// tokens. Decisions are not compressed.
pub(super) fn routes(
    config: &Config,
    api: Router,
    decisions: Router,
    health: Router,
    gate: &Gate,
    access: &Access,
    limits: &Limits,
) -> Routes {
    let hosts = Hosts::new(config.http.ip(), config.http_hosts.clone());
    // A stream is written message by message, which compression would hold back.
    let is_whole = DefaultPredicate::new().and(NotForContentType::const_new("application/connect+"));
    let compression = CompressionLayer::new().compress_when(is_whole);
    let pages = api.merge(http::console::router()).layer(compression.clone()).merge(decisions);
    // Other sites' requests are refused first: tokens say nothing about them, and remember nothing of them.
    let pages = api::protect(access.before(pages, api::failed), hosts);
    let pages = pages.merge(access.before(health.clone().layer(compression), api::failed));
    Routes {
        open: gate.before(pages, api::failed),
        full: gate.before(access.before(http::full(health, limits), api::failed), api::failed),
    }
}
