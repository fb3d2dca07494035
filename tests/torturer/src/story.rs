//! The events of a run, drawn from the seed, so that a run can be repeated (except for the machine's
//! scheduling).

mod directed;
mod ending;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cutover_client::store::{Copied, Id, Record, Version};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::process::Child;
use tonic::transport::{Channel, Endpoint};

use crate::{
    KEY, KEYS, Run, TENANTS,
    cast::{Life, Places},
    check::SEEDED,
    log::now_ns,
    proxy::{Faults, Proxy},
    scenario, stores,
    unreliable::Mood,
    worker,
};

/// Services under torture.
const WORKERS: u64 = 4;
/// Services without an SDK, each with a sidecar; none in a directed run, whose scenes are about single services.
const CALLERS: u64 = 2;
/// Longest time that the proxies delay a request, and so how late a put can land.
const DELAY_MOST_MS: u64 = 800;
const RESIDUAL_MS: u64 = 2_000;
/// Requests of [`Story::ramp`], from source-only to target-only.
const LADDER_TOP: u32 = 7;

/// What happened.
#[derive(Debug, Default)]
pub struct Told {
    pub kills: u64,
    pub pauses: u64,
    pub cuts: u64,
    pub ramps: u64,
    pub passes: u64,
    /// Rungs on which some tenant was seen.
    pub stages: BTreeSet<String>,
    /// When the final reads began.
    pub end_ns: u64,
}

/// Half of the records exist at the beginning.
pub fn is_seeded(record: &str) -> bool {
    record.bytes().map(u32::from).sum::<u32>().is_multiple_of(2)
}

struct Story {
    rng: StdRng,
    places: Places,
    /// Proxies to the controller, the source and the target.
    links: [Arc<Faults>; 3],
    /// The first service's proxy to the controller, in a directed run.
    held: Arc<Faults>,
    controller: Option<Child>,
    workers: Vec<Life>,
    pass: Option<Child>,
    admin: AdminServiceClient<Channel>,
    told: Told,
    /// Gates that are passed without evidence.
    overrides: Vec<String>,
    verbose: bool,
    /// The place on the ladder that everybody was last asked to go to.
    at: u32,
    /// No request before this.
    next_ramp: Instant,
}

/// A port at which the controller can be started again and again: the kernel gives none of these to others.
fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(20_000..32_000)).find(is_free).unwrap_or_default()
}

/// Runs one run and ends everything cleanly.
pub async fn play(dir: &Path, run: &Run, seed: u64) -> anyhow::Result<Told> {
    let links: [Arc<Faults>; 3] = Default::default();
    let [to_controller, to_source, to_target] = &links;
    let port = free_port();
    let server = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)), to_controller.clone()).await?;
    let [source, target] =
        [&run.source, &run.target].map(|url| url.replace("{dir}", &dir.display().to_string()));
    seed_source(&source).await?;
    stores::open(&target).await?;
    let (source, _source) = stores::through_proxy(&source, to_source).await?;
    let (target, _target) = stores::through_proxy(&target, to_target).await?;
    let server = (format!("http://{}", server.address), server);
    let held = Arc::<Faults>::default();
    let first = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)), held.clone()).await?;
    let bug = run.bug.and_then(|bug| clap::ValueEnum::to_possible_value(&bug));
    let bug = bug.map_or(Vec::new(), |bug| vec!["--bug".to_owned(), bug.get_name().to_owned()]);
    let places = Places {
        dir: dir.to_owned(),
        port,
        server: server.0,
        source,
        target,
        bug,
        pass_mood: Mood::default(),
    };
    let mut liars = tokio::task::JoinSet::new();
    if let Some(bug) = run.bug {
        liars.spawn(bug.lie(places.direct()));
    }
    std::fs::write(dir.join("torture.toml"), stores::spec(&places.source, &places.target, RESIDUAL_MS))?;
    let admin = Endpoint::from_shared(places.direct())?.connect_lazy();
    let directed = run.directed.or(run.bug);
    let callers = if directed.is_some() { 0 } else { CALLERS };
    // Callers end before their sidecars.
    let workers = (1..=WORKERS).map(Life::new).chain((1..=callers).map(Life::caller));
    let workers = workers.chain((1..=callers).map(Life::sidecar)).collect();
    let mut story = Story {
        rng: StdRng::seed_from_u64(seed),
        controller: Some(places.controller()?),
        workers,
        pass: None,
        admin: AdminServiceClient::new(admin),
        told: Told::default(),
        overrides: run.bug.map_or(Vec::new(), crate::bug::Bug::overrides),
        verbose: run.verbose,
        at: 0,
        next_ramp: Instant::now(),
        places,
        links,
        held,
    };
    if directed.is_some() {
        story.workers[0].server = Some(format!("http://{}", first.address));
    }
    story.create(directed.map_or(seed.is_multiple_of(2), scenario::wants_linearizable)).await?;
    for worker in &mut story.workers {
        worker.start(&story.places)?;
    }
    let end = Instant::now() + Duration::from_secs(run.seconds);
    if let Some(bug) = directed
        && story.directed(bug, end, dir).await?
    {
        story.told.end_ns = now_ns();
        return Ok(story.told);
    }
    while Instant::now() < end && directed.is_none() {
        story.happen().await?;
        story.look().await?;
        let pause_ms = story.rng.random_range(100..900);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    story.end(&run.source, &run.target, dir).await?;
    Ok(story.told)
}

impl Story {
    async fn create(&mut self, linearizable: bool) -> anyhow::Result<()> {
        let level = if linearizable { v1::Level::Linearizable } else { v1::Level::Acknowledged };
        let request = v1::CreateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            source: "source".to_owned(),
            target: "target".to_owned(),
            policy: Some(v1::Policy {
                level: level.into(),
                fence_after_ms: if linearizable { 9_000 } else { 0 },
                ..Default::default()
            }),
            ..Default::default()
        };
        for _ in 0..100 {
            if let Ok(created) = self.admin.create_migration(request.clone()).await {
                return self.observe(created.into_inner().migration.unwrap_or_default().guards).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!(
            "the controller did not start: see {}",
            self.places.dir.join("controller.err").display()
        )
    }

    /// Guards only observe: half of the fleet is dead now and then, and a latch would end the ramps.
    async fn observe(&mut self, guards: Vec<v1::GuardRule>) -> anyhow::Result<()> {
        let mode = v1::GuardMode::Observe.into();
        let told = |rule: v1::GuardRule| v1::GuardRule { guard: rule.guard, mode, ..Default::default() };
        let request = v1::UpdateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            guards: guards.into_iter().map(told).collect(),
            ..Default::default()
        };
        self.admin.update_migration(request).await?;
        Ok(())
    }

    /// One random event. A refusal, or a controller that is away, is ignored.
    async fn happen(&mut self) -> anyhow::Result<()> {
        match self.rng.random_range(0..100) {
            0..45 if Instant::now() >= self.next_ramp => {
                self.ramp().await;
                let pause_ms = self.rng.random_range(200..2_500);
                self.next_ramp = Instant::now() + Duration::from_millis(pause_ms);
            }
            45..53 => {
                let at = self.rng.random_range(0..self.workers.len());
                self.told.kills += u64::from(self.workers[at].kill().await?);
            }
            53..61 => {
                let at = self.rng.random_range(0..self.workers.len());
                self.told.pauses += u64::from(self.workers[at].pause_or_go_on());
            }
            61..80 => {
                let link = self.rng.random_range(0..3);
                let (cut_ppm, delay_ms) = match self.rng.random_range(0..5) {
                    0 | 1 => (0, 0),
                    2 | 3 => (self.rng.random_range(0..20_000), self.rng.random_range(0..DELAY_MOST_MS)),
                    // Down: every answer is lost.
                    _ => (1_000_000, 0),
                };
                self.links[link].cut_ppm.store(cut_ppm, Ordering::Relaxed);
                self.links[link].delay_ms.store(delay_ms, Ordering::Relaxed);
            }
            80..85 => {
                if let Some(mut controller) = self.controller.take() {
                    controller.kill().await?;
                    self.told.kills += 1;
                }
            }
            85..88 => self.roll_back().await,
            88..92 => {
                if let Some(mut pass) = self.pass.take() {
                    pass.kill().await?;
                    self.told.kills += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Restarts dead processes, runs passes that a step waits for, and evicts instances that are surely dead.
    async fn look(&mut self) -> anyhow::Result<()> {
        if self.controller.is_none() && self.rng.random_bool(0.5) {
            self.controller = Some(self.places.controller()?);
        }
        for at in 0..self.workers.len() {
            if !self.workers[at].is_alive() && self.rng.random_bool(0.7) {
                self.workers[at].start(&self.places)?;
            }
            if self.workers[at].is_stopped() && self.rng.random_bool(0.2) {
                self.workers[at].pause_or_go_on();
            }
        }
        if let Some(pass) = &mut self.pass
            && let Some(ended) = pass.try_wait()?
        {
            self.told.passes += u64::from(ended.success());
            self.pass = None;
        }
        let Some(status) = self.status().await else { return Ok(()) };
        if self.verbose {
            let waiting: Vec<&str> = status.waiting.iter().map(|waiting| waiting.message.as_str()).collect();
            eprintln!("torture: asked for {}, pass {:?}, waits: {waiting:?}", self.at, self.pass.is_some());
        }
        self.note_stages(&status);
        let goal = status.migration.as_ref().and_then(|migration| migration.goal).unwrap_or_default();
        if self.pass.is_none() {
            let waits = |gate: &str| status.waiting.iter().any(|waiting| waiting.gate == gate);
            let wanted = waits("full-pass") && !waits("barrier");
            let down = self.told.stages.contains("target-only")
                && goal.target_first_ppm == 0
                && self.rng.random_bool(0.3);
            let kind = if wanted { Some("full") } else { down.then_some("reverse") };
            self.pass = kind.map(|kind| self.places.pass(kind, RESIDUAL_MS)).transpose()?;
        }
        // A worker of a pass that was killed never comes back under its name.
        if self.pass.is_none() {
            self.evict(&status, |instance| instance.instance_id.starts_with("cutover-")).await;
        }
        Ok(())
    }

    /// `None`: the controller is away.
    async fn status(&mut self) -> Option<v1::Status> {
        let request = v1::GetStatusRequest { key: KEY.to_owned() };
        self.admin.get_status(request).await.ok().map(tonic::Response::into_inner)
    }

    /// Evicts lost instances; `is_dead`: surely dead.
    async fn evict(&mut self, status: &v1::Status, is_dead: impl Fn(&v1::Instance) -> bool) {
        for instance in status.instances.iter().filter(|instance| instance.lost && is_dead(instance)) {
            let (actor, reason) = ("operator:torture".to_owned(), "killed".to_owned());
            let instance_id = instance.instance_id.clone();
            let request = v1::EvictInstanceRequest { actor, reason, instance_id, ..Default::default() };
            // It may have been the controller that died.
            let _ = self.admin.evict_instance(request).await;
        }
    }

    fn note_stages(&mut self, status: &v1::Status) {
        for share in status.shares.iter().filter(|share| share.ppm > 0) {
            let rung = cutover_client::wire::rung_from_wire(share.rung);
            self.told.stages.extend(rung.map(|rung| rung.name().into()));
        }
    }

    /// Mostly up the ladder, often back, sometimes anywhere.
    async fn ramp(&mut self) {
        let at = match self.rng.random_range(0..10) {
            0..7 => (self.at + 1).min(LADDER_TOP),
            7..9 => self.at.saturating_sub(self.rng.random_range(1..=3)),
            _ => self.rng.random_range(0..=LADDER_TOP),
        };
        let some_ppm = self.rng.random_range(1..1_000_000);
        self.ask(at, some_ppm).await;
    }

    /// Asks for a place of the ladder; every second one is between two rungs.
    async fn ask(&mut self, at: u32, some_ppm: u32) {
        let [all, none, some] = [Some(1_000_000), Some(0), Some(some_ppm)];
        let shares = match at {
            0 => [none, none, none, none],
            1 => [all, none, none, none],
            2 => [all, some, none, none],
            3 => [all, all, none, none],
            4 => [all, all, some, none],
            5 => [all, all, all, none],
            6 => [all, all, all, some],
            _ => [all, all, all, all],
        };
        let [dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm] = shares;
        let request = v1::SetRolloutRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            dual_ppm,
            mirrored_ppm,
            target_first_ppm,
            target_only_ppm,
            wait: true,
            override_gates: self.overrides.clone(),
        };
        if self.admin.set_rollout(request).await.is_ok() {
            self.at = at;
            self.told.ramps += 1;
        }
    }

    async fn roll_back(&mut self) {
        let (mutation, key) = (mutation(), KEY.to_owned());
        let rollback =
            v1::RollbackRequest { mutation: mutation.clone(), key: key.clone(), ..Default::default() };
        if self.admin.rollback(rollback).await.is_ok() {
            self.told.ramps += 1;
            let _ = self.admin.acknowledge(v1::AcknowledgeRequest { mutation, key }).await;
        }
    }
}

async fn seed_source(url: &str) -> anyhow::Result<()> {
    let source = stores::open(url).await?;
    let record = Record { version: Version::ZERO, value: Some(worker::value(SEEDED)) };
    let ids =
        (0..TENANTS).flat_map(|tenant| (0..KEYS).map(move |key| (worker::tenant(tenant), worker::key(key))));
    let ids = ids.filter(|(tenant, key)| is_seeded(&format!("{tenant}/{key}")));
    let records: Vec<(Id, Record)> = ids
        .map(|(tenant, key)| Id::new(&tenant, &key).map(|id| (id, record.clone())))
        .collect::<Result<_, _>>()?;
    let copied = source.put_many_if_newer(&records).await.context("the source can't be filled")?;
    anyhow::ensure!(copied.iter().all(|copied| *copied == Copied::Written), "the source is not empty: {url}");
    Ok(())
}

fn mutation() -> Option<v1::Mutation> {
    let (actor, reason) = ("operator:torture".to_owned(), "torture".to_owned());
    Some(v1::Mutation { actor, reason, ..Default::default() })
}
