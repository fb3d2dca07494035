//! Viewers of the overview: the server's CPU for each, and how soon they see a change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, routing_service_client::RoutingServiceClient,
    telemetry_service_client::TelemetryServiceClient, watch_response::Kind,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, header};
use tokio::{sync::watch, task::JoinSet};
use tonic::transport::{Channel, Endpoint};

use super::{Web, connect, controller, directory, host, usage};
use crate::bench::{
    child::Process,
    figures::{median, percentile},
};

const OVERVIEW: &str = "/api/v1/WatchOverview";
/// The overview has as many, and 64 event streams may be open.
const STATUS_VIEWERS_MAX: u32 = 4;
/// Streams on one connection.
const STREAMS: u32 = 100;
/// Number of changes whose way to a viewer is measured.
const CHANGES: usize = 15;
const REPORT: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(3);
const ARRIVE: Duration = Duration::from_secs(20);

pub(super) struct Seen {
    /// Of the first message, with its JSON.
    pub(super) bytes: usize,
    /// Of a core, without any viewer. The others are differences, and can be below 0 by chance.
    pub(super) nobody_percent: f64,
    pub(super) first_percent: f64,
    pub(super) each_percent: f64,
    pub(super) update_p50_ms: f64,
    pub(super) update_max_ms: f64,
    pub(super) status: SeenStatus,
}

/// Viewers of one migration's page.
pub(super) struct SeenStatus {
    pub(super) bytes: usize,
    pub(super) first_percent: f64,
    pub(super) each_percent: f64,
}

/// The newest message of a viewer.
#[derive(Clone, Copy, Debug)]
struct Message {
    revision: u64,
    bytes: usize,
    at: Instant,
}

pub(super) async fn measure(web: &Web) -> anyhow::Result<Seen> {
    let dir = directory()?;
    let mut server = controller(&dir).await?;
    let mut admin = AdminServiceClient::connect(server.url.clone()).await?;
    for at in 0..web.migrations {
        create(&mut admin, at).await?;
    }
    let mut instances = JoinSet::new();
    for first in (0..web.instances).step_by(STREAMS as usize) {
        let channel = Endpoint::from_shared(server.url.clone())?.connect().await?;
        for at in first..web.instances.min(first + STREAMS) {
            let stream = open(&channel, at).await?;
            instances.spawn(instance(channel.clone(), at, stream));
        }
    }
    tokio::time::sleep(SETTLE).await;
    let nobody = percent(&mut server, web.seconds).await?;
    let mut viewers = JoinSet::new();
    let newest = viewer(&server.http, OVERVIEW, &mut viewers).await?;
    let one = percent(&mut server, web.seconds).await?;
    for _ in 1..web.viewers {
        viewer(&server.http, OVERVIEW, &mut viewers).await?;
    }
    let all = percent(&mut server, web.seconds).await?;
    let bytes = newest.borrow().bytes;
    let status = statuses(&mut server, web, all).await?;
    let mut took = Vec::new();
    for at in 0..CHANGES {
        took.push(update(&mut admin, newest.clone(), at).await?);
    }
    anyhow::ensure!(instances.try_join_next().is_none(), "an instance lost its stream: ask for fewer");
    drop((viewers, instances));
    server.stop().await?;
    Ok(Seen {
        bytes,
        nobody_percent: nobody,
        first_percent: one - nobody,
        each_percent: (all - nobody) / f64::from(web.viewers),
        update_p50_ms: median(&took),
        update_max_ms: percentile(&took, 100),
        status,
    })
}

/// Viewers of one migration's page, beside those of the overview. `before`: the server's CPU without them.
async fn statuses(server: &mut Process, web: &Web, before: f64) -> anyhow::Result<SeenStatus> {
    let (path, mut viewers) = (format!("/api/v1/WatchStatus?key={}", key(0)), JoinSet::new());
    let newest = viewer(&server.http, &path, &mut viewers).await?;
    let one = percent(server, web.seconds).await?;
    for _ in 1..web.viewers.min(STATUS_VIEWERS_MAX) {
        viewer(&server.http, &path, &mut viewers).await?;
    }
    let all = percent(server, web.seconds).await?;
    let (bytes, count) = (newest.borrow().bytes, viewers.len() as f64);
    let (first_percent, each_percent) = (one - before, (all - before) / count);
    Ok(SeenStatus { bytes, first_percent, each_percent })
}

fn key(at: u32) -> String {
    format!("orders-{at}")
}

/// Everybody is halfway to dual; each tenth migration is asked for a step that waits for a pass.
async fn create(admin: &mut AdminServiceClient<Channel>, at: u32) -> anyhow::Result<()> {
    let (source, target) = ("orders in DynamoDB".to_owned(), "orders in MariaDB".to_owned());
    let request = v1::CreateMigrationRequest { key: key(at), source, target, ..Default::default() };
    admin.create_migration(request).await?;
    let rollout = v1::SetRolloutRequest { key: key(at), dual_ppm: Some(500_000), ..Default::default() };
    admin.set_rollout(rollout).await?;
    if at.is_multiple_of(10) {
        let shares = Some(250_000);
        let rollout = v1::SetRolloutRequest {
            key: key(at),
            mirrored_ppm: shares,
            target_first_ppm: shares,
            wait: true,
            ..Default::default()
        };
        admin.set_rollout(rollout).await?;
    }
    Ok(())
}

type Watch = tonic::Streaming<v1::WatchResponse>;

async fn open(channel: &Channel, at: u32) -> anyhow::Result<Watch> {
    let request = v1::WatchRequest {
        instance_id: format!("bench-{at}"),
        service: "bench".to_owned(),
        incarnation: u64::from(at) + 1,
        ..Default::default()
    };
    Ok(RoutingServiceClient::new(channel.clone()).watch(request).await?.into_inner())
}

/// Acknowledges each state at once, and reports once a second, as an SDK without traffic does.
async fn instance(channel: Channel, at: u32, mut stream: Watch) -> anyhow::Result<()> {
    let mut telemetry = TelemetryServiceClient::new(channel);
    let (revision, admission) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (held, admitted) = (revision.clone(), admission.clone());
    let reporting = async {
        // Not all at the same moment.
        tokio::time::sleep(REPORT.mul_f64(f64::from(at % 100) / 100.0)).await;
        let mut ticks = tokio::time::interval(REPORT);
        for sequence in 1.. {
            ticks.tick().await;
            let held = held.load(Ordering::Relaxed);
            let report = v1::ReportRequest {
                instance_id: format!("bench-{at}"),
                incarnation: u64::from(at) + 1,
                sequence,
                applied_revision: held,
                received_revision: held,
                admission: admitted.load(Ordering::Relaxed),
                ..Default::default()
            };
            telemetry.report(report).await?;
        }
        anyhow::Ok(())
    };
    let reading = async {
        while let Some(message) = stream.message().await? {
            match message.kind {
                Some(Kind::Registered(registered)) => {
                    admission.store(registered.admission, Ordering::Relaxed);
                }
                Some(Kind::Snapshot(update) | Kind::Delta(update)) if update.last => {
                    revision.store(update.revision, Ordering::Relaxed);
                }
                _ => {}
            }
        }
        anyhow::bail!("the stream ended")
    };
    tokio::try_join!(reporting, reading).map(|_: ((), ())| ())
}

/// Opens a viewer, and waits for its first message.
async fn viewer(
    url: &str,
    path: &str,
    viewers: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<watch::Receiver<Message>> {
    let mut sender = connect(url).await?;
    let request = Request::get(path)
        .header(header::HOST, host(url))
        .header(header::ACCEPT, "text/event-stream")
        .body(Full::default())?;
    let mut body = sender.send_request(request).await?.into_body();
    let (tell, mut newest) = watch::channel(Message { revision: 0, bytes: 0, at: Instant::now() });
    viewers.spawn(async move {
        let _sender = sender;
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            text.extend(data);
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                let event = String::from_utf8(event)?;
                if let Some(revision) = revision(&event) {
                    tell.send_replace(Message { revision, bytes: event.len(), at: Instant::now() });
                }
            }
        }
        Ok(())
    });
    let first = tokio::time::timeout(ARRIVE, newest.wait_for(|newest| newest.revision > 0)).await;
    first.context("a viewer got no overview in 20 s")??;
    Ok(newest)
}

/// The overview's own field comes after all rows; a status has several, any of which tells that it is one.
fn revision(event: &str) -> Option<u64> {
    let (_, after) = event.rsplit_once("\"revision\":")?;
    let digits: String = after.trim_start_matches('"').chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Milliseconds from before a change until a viewer has it.
async fn update(
    admin: &mut AdminServiceClient<Channel>,
    mut newest: watch::Receiver<Message>,
    at: usize,
) -> anyhow::Result<f64> {
    // At another moment of the second each time.
    tokio::time::sleep(Duration::from_millis(700 + 137 * at as u64)).await;
    let begun = Instant::now();
    let change = v1::UpdateMigrationRequest {
        key: key(0),
        description: Some(format!("change {at}")),
        ..Default::default()
    };
    let answer = admin.update_migration(change).await?.into_inner();
    let revision = answer.migration.context("the answer has no migration")?.revision;
    let seen = tokio::time::timeout(ARRIVE, newest.wait_for(|newest| newest.revision >= revision)).await;
    let seen = *seen.context("a viewer did not see a change in 20 s")??;
    Ok((seen.at - begun).as_secs_f64() * 1e3)
}

/// The server's CPU in percent of one core.
async fn percent(server: &mut Process, seconds: f64) -> anyhow::Result<f64> {
    let (begun, before) = (Instant::now(), usage(server).await?);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let after = usage(server).await?;
    Ok((after.cpu_us - before.cpu_us) / begun.elapsed().as_secs_f64() / 1e4)
}
