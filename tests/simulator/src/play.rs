//! One run, from its seed to its verdict.

mod chaos;
mod people;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use cutover::domain::{Migration, Tenant};
use cutover_client::{
    host::{Bytes, Dial, Simulated},
    routing::{Rung, coexist},
    store::{Id, MemoryStore, Record, Version},
};
use cutover_proto::v1;
use futures::FutureExt as _;
use rand::{Rng as _, RngExt as _};
use tokio::sync::Notify;

pub use people::{confirmation, is_gone, legacy_has_ended, note_status, want_pass};

use crate::{
    cast::{
        self, KEY,
        caller::Caller,
        legacy::Legacy,
        operator::{EMPTY_TENANT, Operator},
        service::Service,
        traffic,
    },
    control::ControlStore,
    data::DataStore,
    net,
    oracle::{self, Counts},
    plan::Plan,
    process::{Clocks, Process},
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
}

/// Everything that is played with.
struct Stage {
    plan: Plan,
    control: ControlStore,
    stores: [DataStore; 2],
    controller: Pid,
    services: Vec<Actor>,
    callers: Vec<Pid>,
    workers: Vec<Pid>,
    /// Of those that run.
    clocks: BTreeMap<Pid, Clocks>,
    /// So many backups were taken.
    backups: u32,
    /// One was restored, and is not confirmed.
    unconfirmed: bool,
    /// Where everybody stood when it was: the operators know.
    truth: Option<Migration>,
    /// Instances that will never be heard again.
    gone: BTreeSet<String>,
    status: Option<(world::Time, v1::Status)>,
}

/// A service, whether it runs or not.
struct Actor {
    service: Service,
    incarnations: u32,
    /// It is not started again.
    retired: bool,
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
    world::run_until(plan.calm_from);
    chaos::end();
    // Late writes have landed by then, and whoever was out has been heard.
    world::run_until(plan.quiet_from + 13 * S);
    while world::now() < plan.end && !people::all_have_arrived() {
        world::run_until(world::now() + S);
    }
    let end = world::now();
    people::check_that_all_arrived();
    read_everything();
    let last = (1..=20).map(|seconds| end + seconds * S);
    last.take_while(|_| !people::all_is_read()).for_each(world::run_until);
    people::check_that_all_was_read();
    let stage = STAGE.take();
    let (faults, counts) = oracle::verdict();
    let lasted = world::now();
    let story = world::end();
    drop(stage);
    Ok(Outcome { faults, counts, story, lasted })
}

/// From now on the SDK on this thread connects through the simulated network.
fn connect_through_the_network() {
    let dial: Arc<Dial> = Arc::new(|address| {
        let name = address.host().unwrap_or_default().to_owned();
        Box::pin(async move { Ok(Box::new(net::dial(name).await?) as Box<dyn Bytes>) })
    });
    Simulated { dial }.install();
}

fn set_up(plan: Plan) -> anyhow::Result<()> {
    let [source, target] = [0, 1].map(|index| DataStore::new(index, Arc::new(MemoryStore::new())));
    let mut seeded = Vec::new();
    for (at, (tenant, key)) in plan.records.all().enumerate() {
        // Half of the records are there at the beginning, and have no version yet.
        if at % 2 == 0 {
            let record = Record { version: Version::ZERO, value: Some(traffic::bytes(0)) };
            source.insert(Id::new(&tenant, &key)?, record);
            seeded.push(traffic::name(&tenant, &key));
        }
    }
    oracle::begin(&seeded, plan.policy.level() == v1::Level::Linearizable);
    let tenants = (0..plan.records.tenants).filter_map(|t| Tenant::parse(&format!("t{t}")).ok());
    let tenants: Vec<_> = tenants.chain(Tenant::parse(EMPTY_TENANT).ok()).collect();
    let control = ControlStore::new(move |before, after| check_commit(&tenants, before, after));
    let controller = world::place();
    let stage = Stage {
        plan: plan.clone(),
        control,
        stores: [source, target],
        controller,
        services: Vec::new(),
        callers: Vec::new(),
        workers: vec![world::place(), world::place()],
        clocks: BTreeMap::new(),
        backups: 0,
        unconfirmed: false,
        truth: None,
        gone: BTreeSet::new(),
        status: None,
    };
    STAGE.set(Some(stage));
    start_controller();
    let operator = Operator {
        policy: plan.policy.clone(),
        think_ms: plan.operator_ms,
        back_pct: plan.back_pct,
        records: plan.records,
        // The last of its writes has landed, and services have taken its place.
        ramp_from: if plan.legacy_until > 0 { plan.legacy_until + S } else { 0 },
        lazy: plan.lazy,
        plans: plan.plans,
        overrides: plan.overrides,
        policies: plan.policies,
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

fn make_service(index: usize) -> Service {
    let pid = world::place();
    let seed = world::draw(|random| random.next_u64());
    with(|stage| Service {
        pid,
        name: format!("s{index}"),
        service: format!("api-{}", index % 3),
        instance_id: String::new(),
        persist: stage.plan.persist.then(|| format!("s{index}").into()),
        lanes: stage.plan.lanes,
        think_ms: stage.plan.think_ms,
        records: stage.plan.records,
        stores: stage.stores.clone(),
        stop: Arc::new(Notify::new()),
        quiet_from: stage.plan.quiet_from,
        seed,
    })
}

/// Starts a process in its place, with the clocks that its machine has.
fn start(pid: Pid, main: impl Future<Output = ()> + Send + 'static) {
    let gain_most = with(|stage| stage.plan.gain_most_ppm);
    let gain_ppm = world::draw(|random| random.random_range(-gain_most..=gain_most));
    let drawn = Clocks { gain_ppm, ..Clocks::default() };
    let clocks = with(|stage| *stage.clocks.entry(pid).or_insert(drawn));
    let main = async move {
        if AssertUnwindSafe(main).catch_unwind().await.is_err() {
            world::tell(|| format!("process {pid} panicked"));
            ended(pid);
        }
    };
    world::put(pid, Process::start(clocks, main));
}

fn start_controller() {
    let (pid, control) = with(|stage| (stage.controller, stage.control.clone()));
    world::tell(|| "the controller starts".to_owned());
    start(pid, cast::controller::run(control, pid));
}

fn start_service(index: usize) {
    let service = with(|stage| {
        let same_ids = stage.plan.same_ids;
        let actor = &mut stage.services[index];
        let before = actor.service.instance_id.clone();
        actor.incarnations += 1;
        let number = if same_ids { 1 } else { actor.incarnations };
        actor.service.instance_id = format!("api-{index}-{number}");
        actor.service.stop = Arc::new(Notify::new());
        actor.service.seed = crate::system::mix(actor.service.seed);
        if before != actor.service.instance_id && !before.is_empty() {
            stage.gone.insert(before);
        }
        actor.service.clone()
    });
    world::tell(|| format!("{} starts as {}", service.name, service.instance_id));
    start(service.pid, service.run());
}

fn start_caller(index: usize) {
    let seed = world::draw(rand::Rng::next_u64);
    let (pid, caller) = with(|stage| {
        let caller = Caller {
            name: format!("c{index}"),
            // Of slots that the controller gives last.
            slot: 4_000 + index as u16,
            policy: stage.plan.routing_policy(),
            think_ms: stage.plan.think_ms,
            records: stage.plan.records,
            stores: stage.stores.clone(),
            quiet_from: stage.plan.quiet_from,
            seed,
        };
        (stage.callers[index], caller)
    });
    start(pid, caller.run());
}

/// A process is no more.
fn kill(pid: Pid, silently: bool) {
    net::bury(pid, silently);
    drop(world::take(pid));
    net::empty_door(pid);
}

/// A process ended by itself.
pub fn ended(pid: Pid) {
    world::after(0, move || {
        kill(pid, false);
        people::ended(pid);
    });
}

/// What holds at every commit.
fn check_commit(tenants: &[Tenant], before: Option<&Migration>, after: &Migration) {
    // What a restored store says before it is confirmed is nobody's routing.
    let is_confirmed = before.is_some_and(|before| before.document.restored.is_some());
    if after.document.restored.is_some() {
        return;
    }
    let truth = with(|stage| stage.truth.take_if(|_| is_confirmed));
    with(|stage| stage.unconfirmed &= !is_confirmed);
    let before = if is_confirmed { truth.as_ref() } else { before };
    let rollout = after.document.rollout();
    let shares =
        [rollout.dual_ppm(), rollout.mirrored_ppm(), rollout.target_first_ppm(), rollout.target_only_ppm()];
    if !shares.is_sorted_by(|more, less| more >= less) {
        oracle::fault("shares", format!("revision {}: {shares:?} do not nest", after.revision));
    }
    for tenant in tenants {
        let now = after.placement(tenant);
        world::tell(|| format!("revision {}: {tenant} at {:?}", after.revision, now.rung));
        if now.rung < now.floor && now.rung != Rung::Hold {
            oracle::fault("floor", format!("revision {}: {tenant} below {:?}", after.revision, now.floor));
        }
        let Some(before) = before.map(|before| before.placement(tenant)) else { continue };
        if !coexist(before.rung, now.rung) {
            let what =
                format!("revision {}: {tenant} from {:?} to {:?}", after.revision, before.rung, now.rung);
            oracle::fault("jump", what);
        }
    }
}

/// A new service reads every record.
fn read_everything() {
    let mut service = make_service(99);
    service.name = "reader".to_owned();
    service.instance_id = "reader".to_owned();
    service.persist = None;
    start(service.pid, async move {
        let client = loop {
            let options = cutover_client::Options {
                instance_id: Some(service.instance_id.clone()),
                ..Default::default()
            };
            if let Ok(client) = cutover_client::Client::connect(cast::CONTROLLER, "reader", options).await {
                break client;
            }
        };
        let [source, target] = service.stores.clone().map(|store| Arc::new(store) as _);
        let migrator = client.migrator(KEY, source, target);
        for (tenant, key) in service.records.all() {
            loop {
                let began = oracle::now();
                match migrator.get(&tenant, &key).await {
                    Ok(found) => {
                        let found = found.as_deref().map(traffic::value);
                        oracle::read(&traffic::name(&tenant, &key), found, began, "the last read", true);
                        break;
                    }
                    Err(error) => world::tell(|| format!("the last read of {tenant}/{key}: {error}")),
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
        people::has_read_everything();
    });
}
