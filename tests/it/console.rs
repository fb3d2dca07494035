//! The files of the web console, over a real socket. tests/browser tests what they do.

use std::net::SocketAddr;

use cutover::http::console::router;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The whole answer, head included.
async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn files_are_served_once_and_then_only_if_they_have_changed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, router()).await });

    let root = get(address, "/", "").await;
    assert!(root.starts_with("HTTP/1.1 307") && root.contains("location: /console/\r\n"), "{root}");
    let page = get(address, "/console/", "").await;
    assert!(page.contains("content-type: text/html") && page.contains("<!doctype html>"), "{page}");

    let script = get(address, "/console/js/main.js", "").await;
    assert!(
        script.starts_with("HTTP/1.1 200") && script.contains("content-type: text/javascript"),
        "{script}"
    );
    let etag = script.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has an ETag");
    let again = get(address, "/console/js/main.js", &format!("if-none-match: \"other\", {etag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304") && again.ends_with("\r\n\r\n"), "{again}");

    for path in [
        "/console/js/none.js",
        "/console/vendor/fetch",
        "/console/../Cargo.toml",
        "/console/%2e%2e/Cargo.toml",
    ] {
        assert!(get(address, path, "").await.starts_with("HTTP/1.1 404"), "{path}");
    }
    serving.abort();
}
