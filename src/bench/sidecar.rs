//! Reads through a sidecar beside reads in process, and decisions beside a bare echo over a socket of the same kind.

mod echo;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use cutover_client::{Access, Client, Options, migrator::Migrator};
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, sidecar_service_client::SidecarServiceClient,
};
use cutover_store::spec::{Missing, Spec};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::UnixStream, task::JoinSet, time::sleep};
use tonic::transport::{Channel, Endpoint};

pub(super) use echo::bare;

use super::{
    KEY,
    child::{Ask, Asks, Process, Role, Usage},
    figures::{Figures, Row, median, percentile, ratio, round},
};
use crate::sidecar::Sidecar as Instance;

/// Number of rounds; the medians count.
const ROUNDS: u32 = 7;
const CONNECTIONS: usize = 4;
/// Calls in flight on each connection.
const CONCURRENCY: usize = 16;
const TENANT: &str = "acme";
const RECORD: &str = "order-1";
const RECORD_BYTES: &[u8] = br#"{"items":{"N":"3"},"note":{"S":"at the back door"}}"#;
/// Longest time until a child takes calls.
const START: Duration = Duration::from_secs(20);

/// Flags of `cutover bench sidecar`.
#[derive(Clone, Debug, clap::Args)]
pub struct Sidecar {
    /// How long each of the two parts is measured
    #[arg(long, value_name = "S", default_value_t = 7.0, value_parser = super::figures::seconds)]
    seconds: f64,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    get_in_process_us: f64,
    get_grpc_us: f64,
    get_json_us: f64,
    bare_get_us: f64,
    grpc_adds_us: f64,
    json_adds_us: f64,
    gets: usize,
    decide_cpu_us: f64,
    bare_cpu_us: f64,
    decisions_per_s: f64,
    bare_per_s: f64,
    ratio: f64,
    decisions: u64,
}

type Grpc = SidecarServiceClient<Channel>;

impl Sidecar {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        let controller = Process::start(&Role::Controller { dir: dir.path().to_owned() }).await?;
        let spec = prepare(dir.path(), &controller.url).await?;
        let role = Role::Sidecar { dir: dir.path().to_owned(), server: controller.url.clone() };
        let mut sidecar = Process::start(&role).await?;
        let mut bare = Process::start(&Role::BareSidecar { dir: dir.path().to_owned() }).await?;
        ready(&socket(dir.path(), SIDECAR)).await?;

        let gets = gets(&spec, dir.path(), &controller.url, self.seconds).await?;
        let (mut ours, mut theirs, mut ratios, mut decisions) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let seconds = self.seconds / f64::from(2 * ROUNDS);
        for at in 0..ROUNDS {
            let (sidecars, bares) = (socket(dir.path(), SIDECAR), socket(dir.path(), BARE));
            // They take turns in going first.
            let ((cpu_us, made), (bare_us, _)) = if at % 2 == 0 {
                let first = decide(&mut sidecar, &sidecars, seconds).await?;
                (first, decide(&mut bare, &bares, seconds).await?)
            } else {
                let first = decide(&mut bare, &bares, seconds).await?;
                (decide(&mut sidecar, &sidecars, seconds).await?, first)
            };
            ours.push(cpu_us);
            theirs.push(bare_us);
            ratios.push(ratio(bare_us, cpu_us));
            decisions += made;
        }
        for process in [sidecar, bare, controller] {
            process.stop().await?;
        }
        let [in_process, grpc, json, bare_get] =
            [&gets.in_process, &gets.grpc, &gets.json, &gets.bare].map(|of| percentile(of, 50));
        let (cpu_us, bare_us, ratio) = (median(&ours), median(&theirs), median(&ratios));
        let per_s = |cpu_us: f64| super::figures::ratio(1e6, cpu_us);
        let numbers = Numbers {
            bench: "sidecar",
            get_in_process_us: round(in_process, 1),
            get_grpc_us: round(grpc, 1),
            get_json_us: round(json, 1),
            bare_get_us: round(bare_get, 1),
            grpc_adds_us: round(grpc - in_process, 1),
            json_adds_us: round(json - in_process, 1),
            gets: gets.in_process.len(),
            decide_cpu_us: round(cpu_us, 2),
            bare_cpu_us: round(bare_us, 2),
            decisions_per_s: per_s(cpu_us).round(),
            bare_per_s: per_s(bare_us).round(),
            ratio: round(ratio, 3),
            decisions,
        };
        let mut rate = Row::rate("decisions on one core, by gRPC", "/s", per_s(cpu_us), Some(per_s(bare_us)));
        rate.ratio = Some(ratio);
        let rows = vec![
            Row::cost("a get in process, p50", "us", in_process, None),
            Row::cost("a get by gRPC adds", "us", grpc - in_process, Some(bare_get)),
            Row::cost("a get as JSON adds", "us", json - in_process, Some(bare_get)),
            rate,
        ];
        let title =
            "sidecar: over a unix socket, one caller for gets; bare is a tonic echo of the same messages";
        Ok(Figures::new(title.to_owned(), rows, &numbers)?)
    }
}

const SIDECAR: &str = "sidecar.sock";
const BARE: &str = "bare.sock";
const SPEC: &str = "orders.toml";

fn socket(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}

/// A migration over two SQLite files with one record.
async fn prepare(dir: &Path, url: &str) -> anyhow::Result<Spec> {
    let at = dir.display();
    let text = format!(
        "migration = \"{KEY}\"\n[source]\nurl = \"sqlite:{at}/old.db\"\ntable = \"orders\"\n\
         [target]\nurl = \"sqlite:{at}/new.db\"\ntable = \"orders\"\n"
    );
    std::fs::write(dir.join(SPEC), &text)?;
    let spec: Spec = text.parse()?;
    let mut admin = AdminServiceClient::connect(url.to_owned()).await?;
    admin.create_migration(v1::CreateMigrationRequest { key: KEY.to_owned(), ..Default::default() }).await?;
    let (client, records) = in_process(&spec, url).await?;
    records.put_bytes(TENANT, RECORD, RECORD_BYTES.to_vec()).await?;
    client.close().await;
    Ok(spec)
}

async fn in_process(spec: &Spec, url: &str) -> anyhow::Result<(Client, Migrator)> {
    let source = spec.source.open(Missing::Create, |_| None).await?;
    let target = spec.target.open(Missing::Create, |_| None).await?;
    let client = Client::connect(url, "bench", Options::default()).await?;
    let records = client.migrator(KEY, source, target);
    Ok((client, records))
}

/// Runs the sidecar as a child, until the bench is over.
pub(super) async fn serve(dir: PathBuf, server: &str) -> anyhow::Result<()> {
    let path = dir.join(SPEC);
    let spec = std::fs::read_to_string(&path)?.parse()?;
    let asks = Asks::ready("");
    Ok(Instance::at(dir.join(SIDECAR), "bench", vec![path])
        .run(vec![spec], server, Access::default(), asks.only_usage())
        .await?)
}

async fn ready(socket: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = match connect(socket).await {
            Ok(mut grpc) => grpc.get_sidecar(v1::GetSidecarRequest {}).await.ok(),
            Err(_) => None,
        };
        if answer.is_some_and(|answer| answer.into_inner().ready) {
            return Ok(());
        }
        ensure!(begun.elapsed() < START, "the bench's sidecar is not ready after {} s", START.as_secs());
        sleep(Duration::from_millis(20)).await;
    }
}

async fn connect(socket: &Path) -> anyhow::Result<Grpc> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
    Ok(SidecarServiceClient::new(endpoint.connect().await?))
}

/// How long each get took, in microseconds.
#[derive(Default)]
struct Gets {
    in_process: Vec<f64>,
    grpc: Vec<f64>,
    json: Vec<f64>,
    bare: Vec<f64>,
}

/// The four in turn, one at a time, so that all meet the same machine.
async fn gets(spec: &Spec, dir: &Path, url: &str, seconds: f64) -> anyhow::Result<Gets> {
    let (client, records) = in_process(spec, url).await?;
    let path = socket(dir, SIDECAR);
    let mut grpc = connect(&path).await?;
    let mut bare = connect(&socket(dir, BARE)).await?;
    let (mut json, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(UnixStream::connect(&path).await?)).await?;
    tokio::spawn(connection);
    let request =
        v1::GetRequest { tenant: TENANT.to_owned(), key: RECORD.to_owned(), raw: true, ..Default::default() };
    let mut gets = Gets::default();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while gets.in_process.is_empty() || Instant::now() < end {
        let began = Instant::now();
        let found = records.get_bytes(TENANT, RECORD).await?;
        gets.in_process.push(micros(began));
        ensure!(found.is_some(), "the record is missing in process");

        let asked = request.clone();
        let began = Instant::now();
        let found = grpc.get(asked).await?.into_inner().found;
        gets.grpc.push(micros(began));
        ensure!(found, "the record is missing by gRPC");

        let asked = request.clone();
        let began = Instant::now();
        let found = bare.get(asked).await?.into_inner().found;
        gets.bare.push(micros(began));
        ensure!(found, "the echo has no record");

        let began = Instant::now();
        let body = get_json(&mut json).await?;
        gets.json.push(micros(began));
        ensure!(body.starts_with(b"{\"found\":true"), "the record is missing as JSON: {body:?}");
    }
    client.close().await;
    Ok(gets)
}

async fn get_json(json: &mut SendRequest<Full<Bytes>>) -> anyhow::Result<Bytes> {
    let body = format!(r#"{{"tenant":"{TENANT}","key":"{RECORD}"}}"#);
    let request = Request::post("/api/v1/Get").header("host", "sidecar").body(Full::from(body))?;
    json.ready().await?;
    Ok(json.send_request(request).await?.into_body().collect().await?.to_bytes())
}

fn micros(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}

/// The server's CPU for a decision in microseconds, and the number of decisions.
async fn decide(server: &mut Process, socket: &Path, seconds: f64) -> anyhow::Result<(f64, u64)> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(socket).await?);
    }
    let before: Usage = server.ask(&Ask::Usage).await?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut callers = JoinSet::new();
    for at in 0..CONNECTIONS * CONCURRENCY {
        let mut grpc = connections[at % CONNECTIONS].clone();
        callers.spawn(async move {
            let mut made = 0;
            while made == 0 || Instant::now() < end {
                let tenant = format!("org-{:032x}", at as u64 * 13 + made);
                grpc.decide(v1::SidecarDecideRequest { migration: KEY.to_owned(), tenant }).await?;
                made += 1;
            }
            anyhow::Ok(made)
        });
    }
    let mut made = 0;
    while let Some(done) = callers.join_next().await {
        made += done??;
    }
    let after: Usage = server.ask(&Ask::Usage).await?;
    Ok((ratio(after.cpu_us - before.cpu_us, made as f64), made))
}
