//! HTTP over TLS: the console, probes, and who comes without TLS or without a certificate.

use std::{net::SocketAddr, path::Path};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Encrypted, Pair, handshake};

/// The whole answer, head included.
pub async fn get(at: SocketAddr, ca: &Path, client: Option<&Pair>, path: &str) -> String {
    let mut stream = handshake(at.port(), ca, client, "http/1.1").await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_console_its_api_and_probes_are_there_over_tls() {
    let encrypted = Encrypted::start().await;
    let (at, ca) = (encrypted.controller.http, &encrypted.ca.file);
    let page = get(at, ca, None, "/console/").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page}");
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1"] {
        let answer = get(at, ca, None, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let metrics = get(at, ca, None, "/metrics").await;
    assert!(metrics.contains("cutover_tls_certificate_stale 0\n"), "{metrics}");
    // rcgen's certificates end in the year 4096.
    assert!(metrics.contains("cutover_tls_certificate_expires_timestamp_seconds 6"), "{metrics}");
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn a_request_without_tls_is_told_to_use_https() {
    let encrypted = Encrypted::start().await;
    let answer = crate::http::get(encrypted.controller.http, "/console/").await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.ends_with("use https:// instead of http://\n"),
        "{answer}"
    );
    let metrics = get(encrypted.controller.http, &encrypted.ca.file, None, "/metrics").await;
    assert!(
        metrics.contains("cutover_refused_connections_total{port=\"http\",reason=\"plain\"} 1\n"),
        "{metrics}"
    );
    encrypted.controller.stop().await;
}

/// A kubelet shows no certificate, so probes go without; nothing else does.
#[tokio::test]
async fn only_probes_get_through_without_a_client_certificate() {
    let encrypted = Encrypted::start_with(true).await;
    let (at, ca) = (encrypted.controller.http, &encrypted.ca.file);
    for path in ["/healthz", "/readyz"] {
        assert!(get(at, ca, None, path).await.starts_with("HTTP/1.1 200"), "{path}");
    }
    let paths =
        ["/", "/console/", "/metrics", "/api/v1", "/ofrep/v1/configuration", "/readyz/x", "/healthz/"];
    for path in paths {
        let refused = get(at, ca, None, path).await;
        assert!(
            refused.starts_with("HTTP/1.1 401") && refused.contains("requires a client certificate"),
            "{refused}"
        );
    }
    let client = encrypted.certificates.signed(&encrypted.ca, "client", &["prometheus"]);
    let metrics = get(at, ca, Some(&client), "/metrics").await;
    let count = format!(
        "cutover_refused_connections_total{{port=\"http\",reason=\"certificate\"}} {}\n",
        paths.len()
    );
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains(&count), "{metrics}");
    assert!(get(at, ca, Some(&client), "/console/").await.starts_with("HTTP/1.1 200"));
    // A certificate of somebody else does not even get to the probes.
    let wrong = encrypted.certificates.signed(&encrypted.certificates.ca("other"), "wrong", &["prometheus"]);
    let refused = match handshake(at.port(), ca, Some(&wrong), "http/1.1").await {
        Err(error) => error,
        Ok(mut stream) => stream.read(&mut [0; 64]).await.unwrap_err(),
    };
    assert!(refused.to_string().contains("UnknownCA"), "{refused}");
    encrypted.controller.stop().await;
}
