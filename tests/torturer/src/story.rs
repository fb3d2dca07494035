//! The events of a run, drawn from the seed, so that a run can be repeated (except for the machine's
//! scheduling).

mod directed;
mod ending;
mod operator;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cutover_client::{
    AuthorizedChannel,
    store::{Copied, Id, Record, Version},
};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::process::Child;

use crate::{
    KEYS, Run, TENANTS,
    cast::{Life, Places},
    check::SEEDED,
    controllers::{Controllers, free_port},
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

/// What happened.
#[derive(Debug, Default)]
pub struct Told {
    pub kills: u64,
    pub pauses: u64,
    pub cuts: u64,
    pub ramps: u64,
    pub passes: u64,
    /// How often another controller led than before.
    pub leader_changes: u64,
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
    /// Connections to each controller, to the source and to the target.
    links: Vec<Arc<Faults>>,
    /// Connections of each controller to a shared store.
    stores: Vec<Arc<Faults>>,
    /// The first service's proxy to the controller, in a directed run.
    held: Arc<Faults>,
    controllers: Controllers,
    workers: Vec<Life>,
    pass: Option<Child>,
    admin: AdminServiceClient<AuthorizedChannel>,
    told: Told,
    /// Gates that are passed without evidence.
    overrides: Vec<String>,
    verbose: bool,
    /// The place on the ladder that everybody was last asked to go to.
    at: u32,
    /// No request before this.
    next_ramp: Instant,
    /// Nothing happens to the leader of several before this.
    next_disturbance: Instant,
}

/// Runs one run and ends everything cleanly.
pub async fn play(dir: &Path, run: &Run, seed: u64) -> anyhow::Result<Told> {
    let [to_source, to_target] = <[Arc<Faults>; 2]>::default();
    let (mut links, mut of_stores) = (Vec::new(), Vec::new());
    let [source, target] =
        [&run.source, &run.target].map(|url| url.replace("{dir}", &dir.display().to_string()));
    seed_source(&source).await?;
    stores::open(&target).await?;
    let (source, _source) = stores::through_proxy(&source, &to_source).await?;
    let (target, _target) = stores::through_proxy(&target, &to_target).await?;
    let mut proxies = Vec::new();
    let mut controllers = Controllers::default();
    for _ in 0..run.controllers {
        let (port, clients, own) = (free_port(), Arc::<Faults>::default(), Arc::<Faults>::default());
        proxies.push(Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)), clients.clone()).await?);
        let store = run.store.replace("{dir}", &dir.display().to_string());
        let (store, proxy) = stores::through_proxy(&store, &own).await?;
        links.push(clients);
        if let Some(proxy) = proxy {
            controllers.keep(proxy);
            of_stores.push(own);
        }
        controllers.start(dir, port, store)?;
    }
    links.extend([to_source, to_target]);
    let servers: Vec<String> = proxies.iter().map(|proxy| format!("http://{}", proxy.address)).collect();
    let held = Arc::<Faults>::default();
    let first =
        Proxy::start(SocketAddr::from(([127, 0, 0, 1], controllers.first_port())), held.clone()).await?;
    let bug = run.bug.and_then(|bug| clap::ValueEnum::to_possible_value(&bug));
    let bug = bug.map_or(Vec::new(), |bug| vec!["--bug".to_owned(), bug.get_name().to_owned()]);
    let places = Places {
        dir: dir.to_owned(),
        direct: controllers.servers(),
        server: servers.join(","),
        source,
        target,
        bug,
        pass_mood: Mood::default(),
    };
    let mut liars = tokio::task::JoinSet::new();
    if let Some(bug) = run.bug {
        liars.spawn(bug.lie(places.direct.clone()));
    }
    std::fs::write(dir.join("torture.toml"), stores::spec(&places.source, &places.target, RESIDUAL_MS))?;
    let directed = run.directed.or(run.bug);
    let callers = if directed.is_some() { 0 } else { CALLERS };
    // Callers end before their sidecars.
    let workers = (1..=WORKERS).map(Life::new).chain((1..=callers).map(Life::caller));
    let workers = workers.chain((1..=callers).map(Life::sidecar)).collect();
    let mut story = Story {
        rng: StdRng::seed_from_u64(seed),
        controllers,
        workers,
        pass: None,
        admin: operator::connect(&places.direct)?,
        told: Told::default(),
        overrides: run.bug.map_or(Vec::new(), crate::bug::Bug::overrides),
        verbose: run.verbose,
        at: 0,
        next_ramp: Instant::now(),
        next_disturbance: Instant::now(),
        places,
        links,
        stores: of_stores,
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
    let half = Instant::now() + Duration::from_secs(run.seconds / 2);
    if let Some(bug) = directed
        && story.directed(bug, end, dir).await?
    {
        story.told.end_ns = now_ns();
        return Ok(story.told);
    }
    while Instant::now() < end && directed.is_none() {
        story.happen().await?;
        // Chance may have spared the leader.
        if run.controllers > 1 && Instant::now() >= half && story.controllers.leader_changes() == 0 {
            story.pause_leader();
        }
        story.look().await?;
        let pause_ms = story.rng.random_range(100..900);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    story.end(&run.source, &run.target, dir).await?;
    Ok(story.told)
}

impl Story {
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
                let link = self.rng.random_range(0..self.links.len());
                self.spoil(&self.links[link].clone());
            }
            80..85 if !self.controllers.are_several() => {
                self.told.kills += u64::from(self.controllers.kill(0).await?);
            }
            80..85 | 92..96 if self.controllers.are_several() && Instant::now() >= self.next_disturbance => {
                self.disturb_lead().await?;
                // Long enough, now and then, for a leader to find out who is dead.
                let pause_ms = self.rng.random_range(500..25_000);
                self.next_disturbance = Instant::now() + Duration::from_millis(pause_ms);
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

    /// Makes a connection better or worse.
    fn spoil(&mut self, link: &Faults) {
        let (cut_ppm, delay_ms) = match self.rng.random_range(0..5) {
            0 | 1 => (0, 0),
            2 | 3 => (self.rng.random_range(0..20_000), self.rng.random_range(0..DELAY_MOST_MS)),
            // Down: every answer is lost.
            _ => (1_000_000, 0),
        };
        link.cut_ppm.store(cut_ppm, Ordering::Relaxed);
        link.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Kills or stops the leader, also in the middle of a step, or spoils its connection to the store.
    async fn disturb_lead(&mut self) -> anyhow::Result<()> {
        self.stores.iter().for_each(|link| link.heal());
        let leads = self.rng.random_bool(0.8);
        let at = self.controllers.pick(leads, &mut self.rng);
        match self.rng.random_range(0..4) {
            0 => self.told.kills += u64::from(self.controllers.kill(at).await?),
            1 => self.pause_leader(),
            // While it commits the request, or takes a step of it.
            2 => {
                let after = Duration::from_millis(self.rng.random_range(0..300));
                self.told.kills += u64::from(self.controllers.kill_after(at, after));
                self.ramp().await;
            }
            _ => {
                if let Some(link) = self.stores.get(at).cloned() {
                    self.spoil(&link);
                }
            }
        }
        Ok(())
    }

    /// For longer than its lease.
    fn pause_leader(&mut self) {
        let at = self.controllers.pick(true, &mut self.rng);
        self.told.pauses += u64::from(self.controllers.pause(at, &mut self.rng));
    }

    /// Restarts dead processes, runs passes that a step waits for, and evicts instances that are surely dead.
    async fn look(&mut self) -> anyhow::Result<()> {
        self.controllers.restart(&mut self.rng)?;
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

    fn note_stages(&mut self, status: &v1::Status) {
        for share in status.shares.iter().filter(|share| share.ppm > 0) {
            let rung = cutover_client::wire::rung_from_wire(share.rung);
            self.told.stages.extend(rung.map(|rung| rung.name().into()));
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
