//! One run, from its seed to its verdict.

pub mod calm;
mod chaos;
mod commits;
mod ends;
pub mod foreign;
pub mod hazard;
mod latches;
mod people;
mod reached;
mod reader;
pub mod replicas;
mod restore;
mod stand_in;
mod starts;
mod suspends;
mod workers;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cutover::domain::{Migration, Tenant};
use cutover_client::{
    host::{Bytes, Dial, Pause, Simulated},
    store::{Id, MemoryStore, Record, Version},
};
use cutover_proto::v1;

pub use ends::has_said_goodbye;
pub use latches::note_override;
pub use people::{
    confirmation, is_gone, is_service, is_worker, legacy_has_ended, may_be_left_behind, note_status,
    target_fails, want_pass, want_repair,
};
pub use reached::Reached;
pub use replicas::{address, are_several};
pub use restore::is_unnoticed;
pub use starts::ended;
use starts::{kill, make_service, start, start_caller, start_service};

use crate::{
    cast::{
        legacy::Legacy,
        operator::{EMPTY_TENANT, Operator},
        service::Service,
        traffic,
    },
    control::ControlStore,
    data::{self, DataStore},
    expiring, invariants, net,
    oracle::{self, Counts},
    plan::Plan,
    process::Clocks,
    story::{Log, Story},
    world::{self, Pid, S},
};

/// What became of a run.
pub struct Outcome {
    /// What can't be explained.
    pub faults: Vec<oracle::Fault>,
    /// How much was checked.
    pub counts: Counts,
    /// What happened.
    pub story: Story,
    /// How long it lasted.
    pub lasted: world::Time,
    /// How far it came.
    pub reached: Reached,
}

/// Everything that is played with.
struct Stage {
    plan: Plan,
    tenants: Vec<Tenant>,
    control: ControlStore,
    stores: [DataStore; 2],
    /// One, or several that share the store.
    controllers: Vec<Pid>,
    /// Where that store is.
    database: Option<Pid>,
    services: Vec<Actor>,
    callers: Vec<Pid>,
    /// How often a caller was started.
    caller_starts: u32,
    workers: Vec<Pid>,
    /// Of those that run.
    clocks: BTreeMap<Pid, Clocks>,
    /// So many backups were taken.
    backups: u32,
    /// One was restored, and is not confirmed.
    unconfirmed: bool,
    /// It is a file that was copied by hand, and the controller does not know.
    unnoticed: bool,
    /// A file was copied by hand.
    was_copied: bool,
    /// Where everybody stood when it was: the operators know.
    truth: Option<Migration>,
    /// Instances that will never be heard again, and since when.
    gone: BTreeMap<String, world::Time>,
    status: Option<(world::Time, v1::Status)>,
    reached: Reached,
    /// When processes were out of the controller's reach.
    trouble: BTreeMap<Pid, Vec<(world::Time, world::Time)>>,
    /// A repair of the target has begun, and has not ended.
    repairs: bool,
    /// Processes that have said goodbye, by their ids.
    farewells: BTreeSet<String>,
    /// The empty tenant may pass a gate by an override.
    overridden: bool,
    /// Services that are to be started again out of its reach: after how long, and for how long.
    alone: BTreeMap<usize, (world::Time, world::Time)>,
}

/// A service, whether it runs or not.
struct Actor {
    service: Service,
    incarnations: u32,
    /// It is not started again.
    retired: bool,
}

impl Stage {
    fn live_services(&self) -> impl Iterator<Item = &Actor> {
        self.services.iter().filter(|actor| world::look(actor.service.pid, |_| ()).is_some())
    }
}

thread_local! {
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

fn with<T>(f: impl FnOnce(&mut Stage) -> T) -> T {
    STAGE.with_borrow_mut(|stage| f(stage.as_mut().expect("a run was begun on this thread")))
}

/// Plays one seed.
pub fn play(seed: u64, plan: Plan) -> anyhow::Result<Outcome> {
    // Its name is drawn before the thread's randomness is the seed's, and no story shows it.
    let dir = tempfile::tempdir()?;
    std::env::set_current_dir(dir.path())?;
    world::begin(seed, Story::default());
    net::begin(net::Weather::default());
    connect_through_the_network();
    let _log = Log::install();
    world::tell(|| format!("seed {seed}: {plan:?}"));
    set_up(plan.clone())?;
    chaos::begin();
    hazard::strike(|when| when == hazard::When::Beginning);
    world::run_until(plan.calm_from);
    chaos::end();
    replicas::expect_a_leader();
    // Late writes have landed by then, and whoever was out has been heard.
    world::run_until(plan.quiet_from + 13 * S);
    while world::now() < calm::until() && !calm::all_have_arrived() {
        world::run_until(world::now() + S);
    }
    let end = world::now();
    calm::check_that_all_arrived();
    calm::check_telemetry();
    restore::check_that_it_was_noticed();
    reader::read_everything();
    // Free writer slots rest for a minute after a restore.
    let last = (1..=90).map(|seconds| end + seconds * S);
    last.take_while(|_| !people::all_is_read()).for_each(world::run_until);
    people::check_that_all_was_read();
    let stage = STAGE.take();
    let reached = stage.as_ref().map_or_else(Reached::default, |stage| stage.reached);
    let (faults, counts) = oracle::verdict();
    let lasted = world::now();
    let story = world::end();
    drop(stage);
    Ok(Outcome { faults, counts, story, lasted, reached })
}

/// From now on the SDK on this thread connects through the simulated network.
fn connect_through_the_network() {
    let dial: Arc<Dial> = Arc::new(|address| {
        let name = address.host().unwrap_or_default().to_owned();
        Box::pin(async move { Ok(Box::new(net::dial(name).await?) as Box<dyn Bytes>) })
    });
    let pause: Arc<Pause> = Arc::new(|| {
        let slow = with(|stage| stage.plan.disk_most);
        let pause = Duration::from_nanos(world::between(0, slow));
        Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        })
    });
    Simulated { dial, pause }.install();
}

fn set_up(plan: Plan) -> anyhow::Result<()> {
    let [source, target] = [0, 1].map(|index| DataStore::new(index, Arc::new(MemoryStore::new())));
    let mut seeded = Vec::new();
    for (at, (tenant, key)) in plan.records.all().enumerate() {
        // Half of the records are there at the beginning, and have no version yet.
        if at % 2 == 0 || key == traffic::COLD {
            let record = Record { version: Version::ZERO, value: Some(traffic::bytes(0)) };
            source.insert(Id::new(&tenant, &key)?, record);
            seeded.push(Id::new(&tenant, &key)?);
        }
    }
    let names: Vec<_> = seeded.iter().map(|id| traffic::name(&id.tenant, &id.key)).collect();
    data::set_residual(plan.residual);
    expiring::begin(plan.expires, &[source.clone(), target.clone()]);
    invariants::begin([source.clone(), target.clone()]);
    seeded.iter().for_each(|id| invariants::acknowledged_unversioned(id, Some(0)));
    oracle::begin(&names, plan.policy.level() == v1::Level::Linearizable);
    let tenants = (0..plan.records.tenants).filter_map(|t| Tenant::parse(&format!("t{t}")).ok());
    let tenants: Vec<_> = tenants.chain(Tenant::parse(EMPTY_TENANT).ok()).collect();
    let watched = tenants.clone();
    let control =
        ControlStore::new(move |event, before, after| commits::check(&watched, event, before, after));
    calm::begin();
    let controllers = (0..plan.controllers).map(|_| world::place()).collect();
    let stage = Stage {
        plan: plan.clone(),
        tenants,
        control,
        stores: [source, target],
        controllers,
        database: (plan.controllers > 1).then(world::place),
        services: Vec::new(),
        callers: Vec::new(),
        caller_starts: 0,
        workers: vec![world::place(), world::place()],
        clocks: BTreeMap::new(),
        backups: 0,
        unconfirmed: false,
        unnoticed: false,
        was_copied: false,
        truth: None,
        gone: BTreeMap::new(),
        status: None,
        reached: Reached::default(),
        trouble: BTreeMap::new(),
        repairs: false,
        farewells: BTreeSet::new(),
        overridden: false,
        alone: BTreeMap::new(),
    };
    STAGE.set(Some(stage));
    (0..plan.controllers).for_each(replicas::start);
    let operator = Operator {
        policy: plan.policy.clone(),
        think_ms: plan.operator_ms,
        patience: plan.patience,
        whims_pct: plan.whims_pct,
        records: plan.records,
        // The last of its writes has landed, and services have taken its place.
        ramp_from: if plan.legacy_until > 0 { plan.legacy_until + S } else { 0 },
        lazy: plan.lazy,
        plans: plan.plans,
        overrides: plan.overrides,
        policies: plan.policies,
        repeats: plan.repeats,
        script: plan.script,
        quiet_from: plan.calm_from,
        seed: world::draw(rand::Rng::next_u64),
    };
    start(world::place(), operator.run());
    for index in 0..plan.services {
        let service = make_service(index);
        with(|stage| stage.services.push(Actor { service, incarnations: 0, retired: false }));
    }
    for _ in 0..plan.callers {
        let pid = world::place();
        with(|stage| stage.callers.push(pid));
    }
    let start_new = move || {
        (0..plan.services).for_each(start_service);
        (0..plan.callers).for_each(start_caller);
    };
    if plan.legacy_until == 0 {
        start_new();
    } else {
        let legacy = Legacy {
            pid: world::place(),
            records: plan.records,
            source: with(|stage| stage.stores[0].clone()),
            until: plan.legacy_until,
            seed: world::draw(rand::Rng::next_u64),
        };
        start(legacy.pid, legacy.run());
        world::after(plan.legacy_until + S / 2, start_new);
    }
    Ok(())
}

/// Whether services make queries of their own.
pub fn has_queries() -> bool {
    with(|stage| stage.plan.has_queries())
}
