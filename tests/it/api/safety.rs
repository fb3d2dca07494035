//! What a page of a stranger can't do (docs/api.md).

use cutover::config::Serve;
use hyper::StatusCode;
use tempfile::TempDir;

use super::client::{Headers, json, send};
use crate::support::server::Controller;

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_page_of_another_site_neither_reads_nor_changes_anything() {
    let dir = TempDir::new().unwrap();
    let flags = Serve { http_host: vec!["cutover.corp".to_owned()], ..Serve::default() };
    let controller = Controller::start_with(dir.path(), 0, flags).await;
    let at = controller.http;
    let own = format!("http://{at}");
    let cases: &[(&str, Headers<'_>, u16)] = &[
        // DNS rebinding: the browser asks this address by the stranger's name.
        ("GET", &[("host", "evil.example")], 421),
        ("GET", &[("host", "localhost.evil.example:7071")], 421),
        ("GET", &[("host", "localhost:7071")], 200),
        ("GET", &[("host", "cutover.corp")], 200),
        // Another site's script.
        ("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")], 403),
        ("GET", &[("origin", "https://evil.example")], 403),
        ("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 403),
        ("POST", &[JSON, ("origin", "https://evil.example")], 403),
        ("POST", &[JSON, ("origin", "null")], 403),
        ("POST", &[JSON, ("origin", "http://localhost:3000")], 403),
        ("POST", &[JSON, ("sec-fetch-site", "same-site")], 403),
        ("POST", &[JSON, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 403),
        // What a form can send without asking first.
        ("POST", &[("content-type", "text/plain")], 415),
        ("POST", &[("content-type", "application/x-www-form-urlencoded")], 415),
        ("POST", &[], 415),
        // Its own pages, and scripts.
        ("POST", &[JSON, ("origin", &own), ("sec-fetch-site", "same-origin")], 200),
        ("POST", &[JSON, ("origin", "https://cutover.corp"), ("host", "127.0.0.1")], 200),
        ("POST", &[JSON], 200),
    ];
    for (verb, headers, expected) in cases {
        let answer = send(at, verb, "/api/v1/ListMigrations", headers, "").await;
        let (status, body) = json(answer).await;
        assert_eq!(status, *expected, "{verb} {headers:?}: {body}");
    }
    let answer = send(at, "GET", "/api/v1/ListMigrations", &[("host", "evil.example")], "").await;
    let (_, refused) = json(answer).await;
    assert!(refused["message"].as_str().unwrap().contains("--http-host evil.example"), "{refused}");
    controller.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_and_none_a_cookie() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    for (path, host, cached) in [
        ("/api/v1", "localhost", "no-store"),
        ("/api/v1/Nothing", "localhost", "no-store"),
        ("/api/v1", "evil.example", "no-store"),
        ("/console/", "localhost", "no-cache"),
        ("/console/", "evil.example", "no-store"),
    ] {
        let answer = send(controller.http, "GET", path, &[("host", host)], "").await;
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), cached);
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(!answer.headers().contains_key("set-cookie"));
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
    controller.stop().await;
}

#[tokio::test]
async fn a_body_is_bounded() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let huge = format!(r#"{{"key":"{}"}}"#, "a".repeat(5 << 20));
    let answer = send(controller.http, "POST", "/api/v1/Pause", &[JSON], huge).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    controller.stop().await;
}

/// A scraper or a load balancer asks by whatever name it knows.
#[tokio::test]
async fn probes_and_metrics_answer_any_host() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = send(controller.http, "GET", path, &[("host", "evil.example")], "").await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    controller.stop().await;
}

#[test]
fn a_name_of_a_host_is_checked() {
    let load = |name: &str| {
        cutover::config::Config::load(Serve { http_host: vec![name.to_owned()], ..Serve::default() })
    };
    assert_eq!(load("cutover.corp").unwrap().http_hosts, ["cutover.corp"]);
    for wrong in ["https://cutover.corp", "cutover.corp:7071", "*", ""] {
        let error = load(wrong).unwrap_err().to_string();
        assert!(error.contains("--http-host") && error.contains(&format!("{wrong:?}")), "{error}");
    }
}
