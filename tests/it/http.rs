//! Probes and scrapes, over a real socket.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cutover::{config::Serve, http::router};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::server::Controller;

/// The whole answer, head included.
pub async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn probes_and_scrapes_are_answered() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = well.clone();
    let ready = move || -> futures::future::BoxFuture<'static, Result<(), String>> {
        let well = asked.load(Ordering::SeqCst);
        Box::pin(async move { if well { Ok(()) } else { Err("the store\nis away".to_owned()) } })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(|| "# EOF\n".to_owned(), Arc::new(ready));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let scrape = get(address, "/metrics").await;
    assert!(
        scrape.contains("application/openmetrics-text") && scrape.ends_with("\r\n\r\n# EOF\n"),
        "{scrape}"
    );
    assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));

    well.store(false, Ordering::SeqCst);
    let unready = get(address, "/readyz").await;
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.ends_with("\r\n\r\nthe store is away\n"),
        "{unready}"
    );
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    serving.abort();
}

#[tokio::test]
async fn a_client_with_all_its_connections_is_refused_and_probes_are_answered() {
    let dir = TempDir::new().unwrap();
    let flags = Serve { http_connections_per_address: Some(2), ..Serve::default() };
    let controller = Controller::start_with(dir.path(), 0, flags).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(controller.http).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
        held.push(stream);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(get(controller.http, path).await.starts_with("HTTP/1.1 200"), "{path}");
    }
    let refused = get(controller.http, "/api/v1").await;
    let says = "2 of them from one address (--http-connections-per-address)";
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains(says), "{refused}");
    assert!(
        refused.contains("retry-after: 1\r\n") && refused.contains(r#""code":"UNAVAILABLE""#),
        "{refused}"
    );
    drop(held);
    while get(controller.http, "/api/v1").await.starts_with("HTTP/1.1 503") {
        tokio::task::yield_now().await;
    }
    controller.stop().await;
}

/// A full controller that is not ready says so: the same answer as with room.
#[tokio::test]
async fn a_full_server_says_that_it_is_not_ready() {
    let limits = cutover::http::limits(1_024, Some(1));
    let away = || -> futures::future::BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("the store is away".to_owned()) })
    };
    let app = cutover::http::full(router(|| "# EOF\n".to_owned(), Arc::new(away)), &limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let unready = get(address, "/readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503") && unready.ends_with("the store is away\n"), "{unready}");
    assert!(get(address, "/anything").await.starts_with("HTTP/1.1 503"));
    serving.abort();
}
