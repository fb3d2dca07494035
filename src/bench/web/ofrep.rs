//! A remote decision by OFREP, beside a bare axum echo of the same sizes.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, HeaderValue, header},
    routing::post,
};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, client::conn::http1::SendRequest};
use tokio::{net::TcpListener, task::JoinSet};

use super::{connect, controller, directory, host, usage};
use crate::bench::{
    KEY,
    child::{Asks, Process, Role},
    figures::{median, ratio},
};

/// Number of rounds, each with both servers; the medians count.
const ROUNDS: u32 = 7;
const CONNECTIONS: u64 = 32;
const TENANTS: u64 = 1024;
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
];

pub(super) struct Asked {
    pub(super) cpu_us: f64,
    pub(super) bare_cpu_us: f64,
    /// Ours divided by the bare one's.
    pub(super) cost: f64,
    pub(super) calls: u64,
    pub(super) response_bytes: usize,
}

/// Serves the echo until the bench is over: it reads each request, and answers with the same bytes.
pub(in crate::bench) async fn bare(answer: String) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let asks = Asks::ready(&format!("http://{}", listener.local_addr()?));
    let echo = async |State(answer): State<Bytes>, _: Bytes| (HEADERS, answer);
    let router =
        Router::new().route("/ofrep/v1/evaluate/flags/{key}", post(echo)).with_state(Bytes::from(answer));
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        () = asks.only_usage() => Ok(()),
    }
}

pub(super) async fn measure(seconds: f64) -> anyhow::Result<Asked> {
    let dir = directory()?;
    let mut server = controller(&dir).await?;
    let mut admin = AdminServiceClient::connect(server.url.clone()).await?;
    admin.create_migration(v1::CreateMigrationRequest { key: KEY.to_owned(), ..Default::default() }).await?;
    let half = v1::SetRolloutRequest { key: KEY.to_owned(), dual_ppm: Some(500_000), ..Default::default() };
    admin.set_rollout(half).await?;
    let answer = ask(&mut connect(&server.http).await?, &server.http, 0).await?;
    let mut bare = Process::start(&Role::BareHttp { answer: String::from_utf8(answer.to_vec())? }).await?;

    let seconds = seconds / f64::from(2 * ROUNDS);
    let (mut ours, mut theirs, mut costs, mut calls) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for at in 0..ROUNDS {
        // They take turns in going first.
        let pair = if at % 2 == 0 {
            let first = round(&mut server, seconds).await?;
            (first, round(&mut bare, seconds).await?)
        } else {
            let first = round(&mut bare, seconds).await?;
            (round(&mut server, seconds).await?, first)
        };
        let ((cpu_us, made), (bare_cpu_us, _)) = pair;
        calls += made;
        costs.push(ratio(cpu_us, bare_cpu_us));
        ours.push(cpu_us);
        theirs.push(bare_cpu_us);
    }
    server.stop().await?;
    bare.stop().await?;
    let (cpu_us, bare_cpu_us, cost) = (median(&ours), median(&theirs), median(&costs));
    Ok(Asked { cpu_us, bare_cpu_us, cost, calls, response_bytes: answer.len() })
}

/// The server's CPU for a call in microseconds, and the number of calls.
async fn round(server: &mut Process, seconds: f64) -> anyhow::Result<(f64, u64)> {
    let url = server.http.clone();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(&url).await?);
    }
    let before = usage(server).await?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut callers = JoinSet::new();
    for (first, mut connection) in (0..CONNECTIONS).zip(connections) {
        let url = url.clone();
        callers.spawn(async move {
            let mut calls = 0;
            while calls == 0 || Instant::now() < end {
                ask(&mut connection, &url, first * 97 + calls).await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
    }
    let mut calls = 0;
    while let Some(made) = callers.join_next().await {
        calls += made??;
    }
    let after = usage(server).await?;
    Ok((ratio(after.cpu_us - before.cpu_us, calls as f64), calls))
}

async fn ask(connection: &mut SendRequest<Full<Bytes>>, url: &str, at: u64) -> anyhow::Result<Bytes> {
    let body = format!(r#"{{"context":{{"targetingKey":"org-{:032x}"}}}}"#, at % TENANTS);
    let request = Request::post(format!("/ofrep/v1/evaluate/flags/{KEY}"))
        .header(header::HOST, host(url))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    anyhow::ensure!(status == StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
