//! Many streams in one process, which also makes the changes: one clock for both ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use cutover_core::{
    routing::{Reason, Snapshot},
    wire::{Assembly, UpdateKind, apply},
};
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, routing_service_client::RoutingServiceClient,
    watch_response::Kind,
};
use cutover_store::Version;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet};
use tonic::transport::{Channel, Endpoint};

use super::KEY;

/// Longest time that a change may take to reach everybody.
const ARRIVE: Duration = Duration::from_secs(20);
/// Number of streams opened at a time.
const OPENING: usize = 64;

/// Which streams to open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Streams {
    pub(super) url: String,
    /// 0: none, only changes are made.
    pub(super) streams: u32,
    pub(super) connections: u32,
    /// The server is the bare one, which has its own way to make a change.
    pub(super) bare: bool,
}

/// The times of one change.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Fanned {
    /// From before the call until it was answered.
    pub(super) commit_ms: f64,
    /// From before the call until the last stream had applied it.
    pub(super) last_ms: f64,
}

/// A stream has applied a state.
struct Applied {
    stream: usize,
    at: Instant,
    /// The tenant of the newest change is pinned in it.
    pinned: bool,
}

/// Streams, and what they have applied.
pub(super) struct Watcher {
    asked: Streams,
    channel: Channel,
    number: Arc<AtomicU32>,
    applied: mpsc::UnboundedReceiver<Applied>,
    _tasks: JoinSet<()>,
}

impl Watcher {
    /// Opens streams, and waits until each has its first snapshot.
    pub(super) async fn open(asked: Streams) -> anyhow::Result<Self> {
        let connect = async || Endpoint::from_shared(asked.url.clone())?.connect().await;
        let channel = connect().await?;
        let mut channels = Vec::new();
        for _ in 0..asked.connections {
            channels.push(connect().await?);
        }
        let number = Arc::new(AtomicU32::new(0));
        let (tell, mut applied) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let streams = asked.streams as usize;
        for first in (0..streams).step_by(OPENING) {
            let some = first..streams.min(first + OPENING);
            for stream in some.clone() {
                let client = RoutingServiceClient::new(channels[stream % channels.len()].clone());
                let (number, tell) = (number.clone(), tell.clone());
                tasks.spawn(async move {
                    // A stream that ends is missed at the next change.
                    if let Err(error) = watch(client, stream, &number, &tell).await {
                        tracing::error!("stream {stream} ended: {error:#}");
                    }
                });
            }
            let opened = async {
                for _ in some {
                    applied.recv().await;
                }
            };
            tokio::time::timeout(ARRIVE, opened).await.context("not every stream got a snapshot")?;
        }
        Ok(Self { asked, channel, number, applied, _tasks: tasks })
    }

    /// Pins another tenant, and waits until everybody has applied it. Numbers begin at 1.
    pub(super) async fn change(&mut self, number: u32) -> anyhow::Result<Fanned> {
        self.number.store(number, Ordering::Relaxed);
        let begun = Instant::now();
        let committing = pin(self.channel.clone(), tenant(number), self.asked.bare);
        let mut missing = vec![true; self.asked.streams as usize];
        let arriving = async {
            let (mut left, mut last) = (missing.len(), begun);
            while left > 0 {
                let Some(applied) = self.applied.recv().await else { bail!("every stream has ended") };
                if applied.pinned && std::mem::take(&mut missing[applied.stream]) {
                    left -= 1;
                    last = last.max(applied.at);
                }
            }
            Ok(last)
        };
        let both = async { tokio::try_join!(committing, arriving) };
        let (answered, last) = tokio::time::timeout(ARRIVE, both)
            .await
            .context("a change did not reach every stream in 20 s")??;
        let ms = |at: Instant| (at - begun).as_secs_f64() * 1e3;
        Ok(Fanned { commit_ms: ms(answered), last_ms: ms(last) })
    }
}

fn tenant(number: u32) -> String {
    format!("org-{number:032x}")
}

/// Makes the change; returns when it was answered.
async fn pin(channel: Channel, tenant: String, bare: bool) -> anyhow::Result<Instant> {
    if bare {
        let request = v1::DecideBatchRequest { migration: KEY.to_owned(), tenants: vec![tenant] };
        RoutingServiceClient::new(channel).decide_batch(request).await?;
    } else {
        // Where it already stands: such a pin waits for nobody, but changes the table.
        let rung = v1::Rung::SourceOnly.into();
        let request = v1::SetPinRequest { key: KEY.to_owned(), tenant, rung, ..Default::default() };
        AdminServiceClient::new(channel).set_pin(request).await?;
    }
    Ok(Instant::now())
}

/// One stream, read as an SDK reads it.
async fn watch(
    mut client: RoutingServiceClient<Channel>,
    stream: usize,
    number: &AtomicU32,
    tell: &mpsc::UnboundedSender<Applied>,
) -> anyhow::Result<()> {
    let request = v1::WatchRequest {
        instance_id: format!("bench-{stream}"),
        service: "bench".to_owned(),
        incarnation: stream as u64 + 1,
        version_layout: Version::LAYOUT,
        ..Default::default()
    };
    let mut messages = client.watch(request).await?.into_inner();
    let (mut held, mut assembly) = (Snapshot::default(), Assembly::default());
    while let Some(message) = messages.message().await? {
        let (kind, update) = match message.kind {
            Some(Kind::Snapshot(update)) => (UpdateKind::Snapshot, update),
            Some(Kind::Delta(update)) => (UpdateKind::Delta, update),
            Some(Kind::Registered(_) | Kind::Heartbeat(_)) | None => continue,
        };
        if let Some(state) = assembly.add(kind, update)? {
            held = apply(&held, &state)?;
            let decision = held.decide(KEY, &tenant(number.load(Ordering::Relaxed)));
            let pinned = decision.is_ok_and(|decision| decision.reason == Reason::Pin);
            // If nobody listens, the bench is over.
            let _ = tell.send(Applied { stream, at: Instant::now(), pinned });
        }
    }
    Ok(())
}
