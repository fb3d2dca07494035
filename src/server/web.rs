//! What the HTTP address answers.

use axum::Router;
use tower_http::compression::{
    CompressionLayer, Predicate as _,
    predicate::{DefaultPredicate, NotForContentType},
};

use super::gate::Gate;
use crate::{
    api::{self, Hosts},
    config::Config,
    http,
    listen::{Limits, Routes},
};

/// `api` and the console, kept from other sites' pages, beside `health`, which a full server answers, too.
pub(super) fn routes(config: &Config, api: Router, health: Router, gate: &Gate, limits: &Limits) -> Routes {
    let hosts = Hosts::new(config.http.ip(), config.http_hosts.clone());
    // A stream is written message by message, which compression would hold back.
    let is_whole = DefaultPredicate::new().and(NotForContentType::const_new("application/connect+"));
    let compression = CompressionLayer::new().compress_when(is_whole);
    let pages = api::protect(api.merge(http::console::router()), hosts).merge(health.clone());
    Routes {
        open: gate.before(pages, api::failed).layer(compression),
        full: gate.before(http::full(health, limits), api::failed),
    }
}
