//! Connections over real sockets, beyond each limit.

use std::net::SocketAddr;

use axum::{body::Body, http::StatusCode, response::IntoResponse as _, routing::get};
use futures::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::*;

const SOON: Duration = Duration::from_millis(300);
const LIMITS: Limits =
    Limits { connections: 2, per_address: None, head: SOON, body: SOON, unsent: SOON, http2_requests: None };
/// Much longer than any of them, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
const PATIENT: Limits = Limits { head: DEADLINE, body: DEADLINE, ..LIMITS };

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
    let open = Router::new().route("/events", get(events)).route("/echo", get("hello").post(echo));
    let refused = async || (StatusCode::SERVICE_UNAVAILABLE, "full");
    let full = Router::new().route("/urgent", get("hello")).fallback(refused);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let served = serve(listener, None, Routes { open, full }, limits, async { _ = stopped.await });
    Server { at, streams, stop, served: tokio::spawn(served) }
}

async fn connect(at: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("a request is taken");
    stream
}

/// Everything until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut text)).await;
    // A reset closes it as well.
    let _ = read.expect("the server closes it");
    String::from_utf8_lossy(&text).into_owned()
}

/// As many as there are places, each of which has been served once.
async fn fill(server: &Server) -> [TcpStream; 2] {
    let mut held = [connect(server.at, HELLO).await, connect(server.at, HELLO).await];
    for stream in &mut held {
        let mut text = [0; 12];
        timeout(DEADLINE, stream.read_exact(&mut text)).await.expect("in time").expect("an answer");
        assert_eq!(&text, b"HTTP/1.1 200");
    }
    held
}

const HELLO: &str = "GET /echo HTTP/1.1\r\nhost: x\r\n\r\n";
const URGENT: &str = "GET /urgent HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_client_that_does_not_read_its_events_loses_the_stream() {
    let server = server(LIMITS).await;
    let stalled = connect(server.at, "GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let freed = timeout(DEADLINE, async {
        while server.streams.available_permits() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        server.streams.acquire().await.map(drop).expect("it is open");
    });
    freed.await.expect("the permit is free again, although the client is still connected");
    drop(stalled);
}

#[tokio::test]
async fn a_request_that_does_not_arrive_is_given_up() {
    for http2_requests in [None, Some(8)] {
        let server = server(Limits { http2_requests, ..LIMITS }).await;
        for part in ["", "P", "GET /ec", "GET /echo HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n", HELLO] {
            let text = rest(connect(server.at, part).await).await;
            assert_eq!(text.contains("hello"), part == HELLO, "{part:?}: {text}");
        }
        let half = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
        let text = rest(connect(server.at, half).await).await;
        assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    }
}

#[tokio::test]
async fn a_body_that_arrives_byte_by_byte_has_an_end() {
    let server = server(LIMITS).await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    let stream = connect(server.at, head).await;
    let (mut answer, mut body) = stream.into_split();
    let drips = tokio::spawn(async move {
        while body.write_all(b"x").await.is_ok() {
            sleep(SOON / 30).await
        }
    });
    let mut text = [0; 10];
    let read = timeout(DEADLINE, answer.read_exact(&mut text)).await;
    read.expect("the server gives up, although each byte is in time").expect("an answer");
    assert_eq!(&text, b"HTTP/1.1 4");
    drips.abort();
}

#[tokio::test]
async fn a_full_server_answers_what_is_urgent_and_a_closed_connection_makes_room() {
    let server = server(PATIENT).await;
    let held = fill(&server).await;
    let text = rest(connect(server.at, HELLO).await).await;
    assert!(text.starts_with("HTTP/1.1 503") && text.ends_with("full"), "{text}");
    let text = rest(connect(server.at, URGENT).await).await;
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("hello"), "{text}");
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
    timeout(DEADLINE, again).await.expect("there is room again");
}

#[tokio::test]
async fn what_is_urgent_gets_through_however_many_connections_are_refused() {
    let server = server(PATIENT).await;
    let held = fill(&server).await;
    let mut idle = Vec::new();
    for _ in 0..2 * SPARE {
        idle.push(connect(server.at, "").await);
    }
    let text = rest(connect(server.at, URGENT).await).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop((held, idle));
}

#[tokio::test]
async fn one_address_leaves_room_for_others() {
    let server = server(Limits { connections: 3, per_address: Some(2), ..PATIENT }).await;
    let held = fill(&server).await;
    // Those that are refused as well.
    let mut idle = Vec::new();
    for _ in 0..2 * SPARE {
        idle.push(connect(server.at, "").await);
    }
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
    let mut other = socket.connect(server.at).await.expect("a connection");
    other
        .write_all(HELLO.replace("host: x", "host: x\r\nconnection: close").as_bytes())
        .await
        .expect("taken");
    let began = Instant::now();
    let text = rest(other).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(began.elapsed() < SPARE_FOR, "it did not wait for others: {:?}", began.elapsed());
    drop((held, idle));
}

#[tokio::test]
async fn it_stops_when_what_is_in_flight_has_been_answered() {
    let server = server(PATIENT).await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    let mut stream = connect(server.at, head).await;
    let idle = connect(server.at, HELLO).await;
    sleep(SOON).await;
    server.stop.send(()).expect("it runs");
    stream.write_all(b" whole").await.expect("it is still read");
    assert!(rest(stream).await.ends_with("half whole"));
    assert!(rest(idle).await.ends_with("hello"));
    timeout(DEADLINE, server.served).await.expect("it ends").expect("without a panic");
}

#[tokio::test]
async fn addresses_that_have_their_part_do_not_keep_others_waiting() {
    let server = server(Limits { connections: 100, per_address: Some(1), ..PATIENT }).await;
    let from = async |address: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{address}:0").parse().expect("an address")).expect("an address of loopback");
        socket.connect(server.at).await.expect("a connection")
    };
    // Each has its place, its spare ones, and one more.
    let mut held = Vec::new();
    for address in ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"] {
        for _ in 0..=SPARE_PER_ADDRESS + 1 {
            held.push(from(address).await);
        }
    }
    let begun = Instant::now();
    let mut other = from("127.0.1.5").await;
    other.write_all(HELLO.as_bytes()).await.expect("a request is taken");
    let mut text = [0; 12];
    timeout(DEADLINE, other.read_exact(&mut text)).await.expect("in time").expect("an answer");
    assert_eq!(&text, b"HTTP/1.1 200");
    assert!(begun.elapsed() < SPARE_FOR, "no spare place had to become free: {:?}", begun.elapsed());
    drop(held);
}
