//! What clients can hold of the gRPC port: over real sockets, beyond each limit.

use std::time::Duration;

use cutover::config::Serve;
use cutover_proto::v1::{
    EvictInstanceRequest, GetControllerRequest, ReportRequest, RollbackRequest,
    admin_service_client::AdminServiceClient, telemetry_service_client::TelemetryServiceClient,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};

use crate::{http::get, support::server::Controller};

/// Much longer than any limit, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

type Admin = AdminServiceClient<Channel>;

/// A client with a connection of its own, from an address of this machine.
async fn client(controller: &Controller, from: [u8; 4]) -> Admin {
    AdminServiceClient::new(endpoint(controller, from).connect().await.unwrap())
}

fn endpoint(controller: &Controller, from: [u8; 4]) -> Endpoint {
    Endpoint::from_shared(controller.url.clone()).unwrap().local_address(Some(from.into()))
}

async fn call(client: &mut Admin) -> Result<(), Status> {
    client.get_controller(GetControllerRequest {}).await.map(drop)
}

async fn socket(controller: &Controller, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(([127, 0, 0, 1], controller.port()).into()).await.unwrap()
}

/// Whether the controller closes it, or resets it, soon.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut unread = [0; 1_024];
    let read = async { while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {} };
    timeout(PATIENCE, read).await.is_ok()
}

async fn refused_by(controller: &Controller, limit: &str) -> u64 {
    let metrics = controller.scrape().await;
    let name = format!("cutover_limited_total{{limit=\"{limit}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

async fn probes_are_answered(controller: &Controller) {
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = timeout(Duration::from_secs(5), get(controller.http, path)).await.expect("at once");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

const HERE: [u8; 4] = [127, 0, 0, 1];
const THERE: [u8; 4] = [127, 0, 0, 2];

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_end_and_delay_nobody() {
    let dir = TempDir::new().unwrap();
    let flags = Serve { grpc_connections_per_address: Some(100), ..Serve::default() };
    let controller = Controller::start_with(dir.path(), 0, flags).await;
    let mut at_work = client(&controller, HERE).await;
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = socket(&controller, THERE).await;
        if number % 2 == 0 {
            stream.write_all(&PREFACE[..20]).await.unwrap();
        }
        silent.push(stream);
    }
    call(&mut at_work).await.unwrap();
    call(&mut client(&controller, HERE).await).await.unwrap();
    probes_are_answered(&controller).await;
    for stream in silent {
        assert!(is_closed(stream).await);
    }
    assert!(refused_by(&controller, "connections").await >= 150, "it held 100, and a few more for a moment");
    call(&mut at_work).await.expect("it has said something");
    call(&mut client(&controller, THERE).await).await.expect("there is room again");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_all_its_connections_is_refused_and_others_are_served() {
    let dir = TempDir::new().unwrap();
    let flags = Serve { grpc_connections_per_address: Some(2), ..Serve::default() };
    let controller = Controller::start_with(dir.path(), 0, flags).await;
    let mut held = [client(&controller, HERE).await, client(&controller, HERE).await];
    for client in &mut held {
        call(client).await.unwrap();
    }
    let refused = call(&mut client(&controller, HERE).await).await.unwrap_err();
    let says = "and 2 from one address (serve --grpc-connections-per-address)";
    assert!(refused.code() == Code::Unavailable && refused.message().contains(says), "{refused}");
    call(&mut client(&controller, THERE).await).await.expect("another address");
    probes_are_answered(&controller).await;
    assert!(refused_by(&controller, "connections").await > 0);
    let metrics = controller.scrape().await;
    assert!(metrics.contains("\ncutover_grpc_connections "), "{metrics}");
    drop(held);
    let again = async { while call(&mut client(&controller, HERE).await).await.is_err() {} };
    timeout(PATIENCE, again).await.expect("there is room again");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_calls_too_often_is_refused_and_others_are_served() {
    let dir = TempDir::new().unwrap();
    let flags = Serve { calls_per_address: Some(20), ..Serve::default() };
    let controller = Controller::start_with(dir.path(), 0, flags).await;
    let mut often = client(&controller, THERE).await;
    let mut refused = Vec::new();
    while refused.len() < 10 {
        refused.extend(call(&mut often).await.err());
    }
    let says = "more than 20 calls a second come from 127.0.0.2 (serve --calls-per-address)";
    for refused in &refused {
        assert!(
            refused.code() == Code::ResourceExhausted
                && refused.message() == format!("{says}. Call less often"),
            "{refused}"
        );
    }
    let mut other = client(&controller, HERE).await;
    call(&mut other).await.expect("another address");
    probes_are_answered(&controller).await;
    assert!(refused_by(&controller, "calls").await >= 10);

    // Reports and rollbacks pass, however much else the address calls.
    let mut process = TelemetryServiceClient::new(endpoint(&controller, THERE).connect().await.unwrap());
    let report =
        || ReportRequest { instance_id: "a".to_owned(), incarnation: 1, sequence: 1, ..Default::default() };
    let is_limited = |refused: Status| refused.code() == Code::ResourceExhausted;
    for _ in 0..100 {
        assert!(!process.report(report()).await.is_err_and(is_limited));
        assert!(!often.rollback(RollbackRequest::default()).await.is_err_and(is_limited));
    }
    while !call(&mut often).await.is_err_and(is_limited) {}
    // No process was refused, so the lost ones are lost.
    let lost = EvictInstanceRequest { reason: "a test".to_owned(), lost: true, ..Default::default() };
    other.evict_instance(lost).await.expect("nobody was refused that may route");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_call_has_an_end() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut client = client(&controller, HERE).await;
    for (bytes, is_taken) in [(8 << 10, true), (20 << 10, false)] {
        let mut request = Request::new(GetControllerRequest {});
        request.metadata_mut().insert("x-long", "x".repeat(bytes).parse().unwrap());
        assert_eq!(client.get_controller(request).await.is_ok(), is_taken, "{bytes}");
    }
    call(&mut client).await.expect("the connection goes on");
    controller.stop().await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// ENHANCE_YOUR_CALM
const CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head by HPACK: POST, http, and a path as it is.
fn head() -> Vec<u8> {
    let path = b"/cutover.v1.AdminService/GetController";
    [&[0x83, 0x86, 0x04, path.len() as u8], &path[..]].concat()
}

/// Sends frames until the controller ends the connection. Returns the code of its GOAWAY.
async fn flood(controller: &Controller, mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let (mut from, mut to) = socket(controller, THERE).await.into_split();
    to.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let sending = async {
        for number in 0..100_000 {
            if to.write_all(&next(number)).await.is_err() {
                break;
            }
        }
    };
    let goaway = async {
        loop {
            let mut head = [0; 9];
            from.read_exact(&mut head).await.expect("it says why it ends the connection");
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            from.read_exact(&mut payload).await.unwrap();
            if head[3] == GOAWAY {
                return u32::from_be_bytes(payload[4..8].try_into().unwrap());
            }
        }
    };
    let both = async {
        tokio::select! {
            biased;
            code = goaway => code,
            () = async { sending.await; std::future::pending().await } => unreachable!("it waits"),
        }
    };
    timeout(PATIENCE, both).await.expect("the controller ends it")
}

/// h2 does this by itself.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_end_the_connection() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    // The head of one call that has no end.
    let code = flood(&controller, |number| match number {
        0 => frame(HEADERS, 0, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y"),
    });
    assert_eq!(code.await, CALM);
    // Calls that are canceled at once: "rapid reset".
    let code = flood(&controller, |number| {
        let stream = 2 * number + 1;
        [frame(HEADERS, END_HEADERS, stream, &head()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
    assert_eq!(code.await, CALM);
    call(&mut client(&controller, THERE).await).await.unwrap();
    probes_are_answered(&controller).await;
    controller.stop().await;
}
