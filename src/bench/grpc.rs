//! The server's CPU for a Decide call, beside a bare echo of the same messages.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, routing_service_client::RoutingServiceClient,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use super::{
    KEY,
    child::{Ask, Process, Role, Usage},
    figures::{Figures, Row, median, ratio, round},
    load::Load,
};

/// Number of rounds, each with both servers; the medians count.
const ROUNDS: u32 = 7;
/// Number of tenants in the questions.
const TENANTS: usize = 1024;

/// Flags of `cutover bench grpc`.
#[derive(Clone, Debug, clap::Args)]
pub struct Grpc {
    /// How long to make calls, both servers together
    #[arg(long, value_name = "S", default_value_t = 14.0, value_parser = super::figures::seconds)]
    seconds: f64,
    /// Number of HTTP/2 connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// Calls in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    concurrency: u32,
}

/// Its result.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    calls: u64,
    seconds: f64,
    request_bytes: usize,
    response_bytes: usize,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    ratio: f64,
    cpu_us_per_call: f64,
    bare_cpu_us_per_call: f64,
    calls_per_s: f64,
    bare_calls_per_s: f64,
    calls: u64,
    bare_calls: u64,
    connections: u32,
    concurrency: u32,
    request_bytes: usize,
    response_bytes: usize,
    bare_response_bytes: usize,
}

/// Rounds with one server.
#[derive(Debug, Default)]
struct Side {
    cpu_us: Vec<f64>,
    calls_per_s: Vec<f64>,
    calls: u64,
    last: Done,
}

impl Grpc {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        let mut controller = Process::start(&Role::Controller { dir: dir.path().to_owned() }).await?;
        let mut bare = Process::start(&Role::Bare).await?;
        let mut caller = Process::start(&Role::Caller).await?;
        half_dual(&controller.url).await?;

        let (mut ours, mut theirs) = (Side::default(), Side::default());
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            // They take turns in going first, into a warm cache.
            let mut both = [(&mut controller, &mut ours), (&mut bare, &mut theirs)];
            if round % 2 == 1 {
                both.reverse();
            }
            for (server, side) in both {
                self.round(server, &mut caller, side).await?;
            }
            let last = |side: &Side| side.cpu_us.last().copied().unwrap_or_default();
            ratios.push(ratio(last(&theirs), last(&ours)));
        }
        for process in [caller, controller, bare] {
            process.stop().await?;
        }

        let (cpu, bare_cpu) = (median(&ours.cpu_us), median(&theirs.cpu_us));
        let (rate, bare_rate) = (median(&ours.calls_per_s), median(&theirs.calls_per_s));
        let numbers = Numbers {
            bench: "grpc",
            ratio: self::round(median(&ratios), 3),
            cpu_us_per_call: self::round(cpu, 2),
            bare_cpu_us_per_call: self::round(bare_cpu, 2),
            calls_per_s: rate.round(),
            bare_calls_per_s: bare_rate.round(),
            calls: ours.calls,
            bare_calls: theirs.calls,
            connections: self.connections,
            concurrency: self.concurrency,
            request_bytes: ours.last.request_bytes,
            response_bytes: ours.last.response_bytes,
            bare_response_bytes: theirs.last.response_bytes,
        };
        let mut server = Row::cost("the server's CPU for a call", "us", cpu, Some(bare_cpu));
        server.ratio = Some(median(&ratios));
        let rows = vec![server, Row::rate("calls by one client", "/s", rate, Some(bare_rate))];
        let title = format!(
            "grpc: Decide over {} connections, {} calls at a time on each; bare is a tonic echo of the same messages",
            self.connections, self.concurrency
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }

    async fn round(&self, server: &mut Process, caller: &mut Process, side: &mut Side) -> anyhow::Result<()> {
        let load = Load {
            url: server.url.clone(),
            seconds: self.seconds / f64::from(2 * ROUNDS),
            connections: self.connections,
            concurrency: self.concurrency,
        };
        let before: Usage = server.ask(&Ask::Usage).await?;
        let done: Done = caller.ask(&Ask::Call(load)).await?;
        let after: Usage = server.ask(&Ask::Usage).await?;
        side.cpu_us.push(ratio(after.cpu_us - before.cpu_us, done.calls as f64));
        side.calls_per_s.push(ratio(done.calls as f64, done.seconds));
        side.calls += done.calls;
        side.last = done;
        Ok(())
    }
}

/// A migration with half of its tenants at dual.
async fn half_dual(url: &str) -> anyhow::Result<()> {
    let mut admin = AdminServiceClient::connect(url.to_owned()).await?;
    admin.create_migration(v1::CreateMigrationRequest { key: KEY.to_owned(), ..Default::default() }).await?;
    let half = v1::SetRolloutRequest { key: KEY.to_owned(), dual_ppm: Some(500_000), ..Default::default() };
    admin.set_rollout(half).await?;
    Ok(())
}

/// Makes calls for some time, as the caller.
pub(super) async fn call(load: Load) -> anyhow::Result<Done> {
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        let endpoint = Endpoint::from_shared(load.url.clone())?;
        clients.push(RoutingServiceClient::new(endpoint.connect().await?));
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(load.seconds);
    let mut callers = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        for at in 0..load.concurrency as usize {
            let (mut client, first) = (client.clone(), number * 97 + at * 13);
            callers.spawn(async move {
                let mut done = Done::default();
                while done.calls == 0 || Instant::now() < end {
                    let request = question(first + done.calls as usize);
                    if done.calls == 0 {
                        done.request_bytes = request.encoded_len();
                    }
                    let response = client.decide(request).await?.into_inner();
                    done.response_bytes = response.encoded_len();
                    done.calls += 1;
                }
                anyhow::Ok(done)
            });
        }
    }
    let mut all = Done::default();
    while let Some(done) = callers.join_next().await {
        let done = done??;
        all = Done { calls: all.calls + done.calls, ..done };
    }
    all.seconds = begun.elapsed().as_secs_f64();
    Ok(all)
}

fn question(at: usize) -> v1::DecideRequest {
    v1::DecideRequest {
        migration: KEY.to_owned(),
        tenant: format!("org-{:032x}", at % TENANTS),
        ..Default::default()
    }
}
