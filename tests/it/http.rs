//! Probes and scrapes, over a real socket.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cutover::http::router;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

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
