//! Serves HTTP/1.1 on a listener, and bounds what a client can hold: connections, the time for a request, and the time
//! without taking what is sent to it.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// More than the event streams that services may have open (docs/openfeature.md).
const CONNECTIONS_MAX: u64 = 20_000;
/// A controller that may open fewer files than this says how many connections it takes.
const FILES_FEW: u64 = 4_096;
/// Connections at the same time that are told that there is no room. Further ones are closed without a word.
const REFUSED_MAX: usize = 64;
/// Longest time for a request that is refused.
const REFUSED_HEAD: Duration = Duration::from_secs(2);
/// Maximum bytes in the kernel that a client has yet to take. It keeps a stalled client from going unnoticed.
const UNSENT_MAX_BYTES: usize = 128 << 10;
/// After a failure to accept connections, such as too many open files.
const RETRY: Duration = Duration::from_secs(1);

/// What one client, or all of them, can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum connections at the same time.
    pub connections: usize,
    /// Longest time for the head of a request, and between two requests on one connection.
    pub head: Duration,
    /// Longest time between two parts of a request's body.
    pub body: Duration,
    /// Longest time that a client may leave what is sent to it.
    pub unsent: Duration,
}

impl Limits {
    /// For a process that may open so many files. Half of them are left for gRPC, the store and the rest.
    pub fn for_files(files: u64) -> Self {
        let connections = CONNECTIONS_MAX.min(files / 2);
        if files < FILES_FEW {
            tracing::warn!(
                files,
                connections,
                "this process may open few files, so it takes few HTTP connections. Raise the limit: ulimit -n \
                 {}",
                2 * CONNECTIONS_MAX
            );
        }
        Self {
            connections: connections as usize,
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            unsent: Duration::from_secs(20),
        }
    }
}

/// Serves until `stop` completes and the requests in flight have been answered.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let app = app.layer(RequestBodyTimeoutLayer::new(limits.body));
    let full = full(limits.connections);
    let (room, refused) = (Semaphore::new(limits.connections), Semaphore::new(REFUSED_MAX));
    let (room, refused) = (Arc::new(room), Arc::new(refused));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            () = &mut stop => break,
        };
        let (app, head, permit) = match room.clone().try_acquire_owned() {
            Ok(permit) => (app.clone(), limits.head, permit),
            Err(_) => match refused.clone().try_acquire_owned() {
                Ok(permit) => (full.clone(), limits.head.min(REFUSED_HEAD), permit),
                Err(_) => continue,
            },
        };
        if let Err(error) = bound(&stream, limits.unsent) {
            tracing::debug!(%error, "a connection ended before it was served");
            continue;
        }
        let mut io = TimeoutStream::new(stream);
        io.set_write_timeout(Some(limits.unsent));
        http.header_read_timeout(head);
        let service = TowerToHyperService::new(app);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(io)), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection failed");
            }
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client's fault.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {
            }
            Err(error) => {
                tracing::error!(%error, "could not accept an HTTP connection; retrying");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// A client that has gone without a word is noticed by the kernel, one that does not read by the write that stalls.
fn bound(stream: &TcpStream, unsent: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(UNSENT_MAX_BYTES)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(unsent))?;
    Ok(())
}

/// What a client gets for which there is no room.
fn full(connections: usize) -> Router {
    let message = format!("{connections} connections are open: close some, or try again later");
    let body = serde_json::json!({ "code": "UNAVAILABLE", "message": message }).to_string() + "\n";
    let answer = move || {
        let headers = [
            (header::CONNECTION, "close"),
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::RETRY_AFTER, "1"),
        ];
        std::future::ready((StatusCode::SERVICE_UNAVAILABLE, headers, body))
    };
    Router::new().fallback(answer)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{body::Body, response::IntoResponse as _, routing::get};
    use futures::{StreamExt as _, stream};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        task::JoinHandle,
    };

    use super::*;

    const SOON: Duration = Duration::from_millis(300);
    const LIMITS: Limits = Limits { connections: 2, head: SOON, body: SOON, unsent: SOON };
    /// Much longer than any of them, on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(20);

    struct Server {
        at: SocketAddr,
        /// One permit is held by each body of `/events`.
        streams: Arc<Semaphore>,
        stop: oneshot::Sender<()>,
        served: JoinHandle<()>,
    }

    async fn server(limits: Limits) -> Server {
        let streams = Arc::new(Semaphore::new(1));
        let held = streams.clone();
        let events = move || {
            let permit = held.clone().try_acquire_owned();
            std::future::ready(match permit {
                Err(_) => StatusCode::TOO_MANY_REQUESTS.into_response(),
                Ok(permit) => {
                    // As a status of many instances: large, and again and again.
                    let parts = stream::repeat(vec![b'x'; 64 << 10]).map(move |part| {
                        let _ = &permit;
                        Ok::<_, io::Error>(part)
                    });
                    Body::from_stream(parts).into_response()
                }
            })
        };
        let echo = async |body: axum::body::Bytes| body;
        let app = Router::new().route("/events", get(events)).route("/echo", get("hello").post(echo));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, app, limits, async { _ = stopped.await }));
        Server { at, streams, stop, served }
    }

    async fn connect(at: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(at).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("a request is taken");
        stream
    }

    /// Everything until the server closes the connection.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut text)).await;
        // A reset closes it as well.
        let _ = read.expect("the server closes it");
        String::from_utf8_lossy(&text).into_owned()
    }

    const HELLO: &str = "GET /echo HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn a_client_that_does_not_read_its_events_loses_the_stream() {
        let server = server(LIMITS).await;
        let stalled = connect(server.at, "GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let freed = tokio::time::timeout(DEADLINE, async {
            while server.streams.available_permits() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.streams.acquire().await.map(drop).expect("it is open");
        });
        freed.await.expect("the permit is free again, although the client is still connected");
        drop(stalled);
    }

    #[tokio::test]
    async fn a_request_that_does_not_arrive_is_given_up() {
        let server = server(LIMITS).await;
        for part in ["", "GET /ec", "GET /echo HTTP/1.1\r\nhost: x\r\n", HELLO] {
            let text = rest(connect(server.at, part).await).await;
            assert_eq!(text.contains("hello"), part == HELLO, "{part:?}: {text}");
        }
        let half = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
        let text = rest(connect(server.at, half).await).await;
        assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    }

    #[tokio::test]
    async fn a_connection_too_many_is_told_so_and_a_closed_one_makes_room() {
        let server = server(Limits { head: DEADLINE, ..LIMITS }).await;
        let held = [connect(server.at, HELLO).await, connect(server.at, HELLO).await];
        let text = rest(connect(server.at, HELLO).await).await;
        assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1"), "{text}");
        assert!(
            text.contains(r#"{"code":"UNAVAILABLE","message":"2 connections are open: close some"#),
            "{text}"
        );
        drop(held);
        let again = async {
            loop {
                let close = HELLO.replace("host: x", "host: x\r\nconnection: close");
                let text = rest(connect(server.at, &close).await).await;
                if text.starts_with("HTTP/1.1 200") {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, again).await.expect("there is room again");
    }

    #[tokio::test]
    async fn it_stops_when_what_is_in_flight_has_been_answered() {
        let server = server(Limits { body: DEADLINE, head: DEADLINE, ..LIMITS }).await;
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
        let mut stream = connect(server.at, head).await;
        let idle = connect(server.at, HELLO).await;
        tokio::time::sleep(SOON).await;
        server.stop.send(()).expect("it runs");
        stream.write_all(b" whole").await.expect("it is still read");
        assert!(rest(stream).await.ends_with("half whole"));
        assert!(rest(idle).await.ends_with("hello"));
        tokio::time::timeout(DEADLINE, server.served).await.expect("it ends").expect("without a panic");
    }

    #[test]
    fn half_of_the_files_are_for_connections() {
        let connections = |files| Limits::for_files(files).connections;
        assert_eq!([connections(1_024), connections(u64::MAX)], [512, 20_000]);
    }
}
