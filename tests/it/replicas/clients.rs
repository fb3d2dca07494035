//! Clients that have the addresses of all controllers, some of which are dead or silent.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cutover_client::{
    Client, Options,
    store::{Id, MemoryStore, Record, SqliteOptions, SqliteStore, Store, Version},
};
use cutover_proto::v1;
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    PATIENCE, name_of,
    replica::{Replica, Writer, create, leader},
};
use crate::{
    cli::{run, run_with_env},
    store::schema::{Kind, Schema, on_dynamodb, on_each_server},
};

on_each_server!(doctor_tells_who_leads_a_shared_store);
on_dynamodb!(doctor_tells_who_leads_a_shared_store);

/// Every client is at the new leader so soon after it leads.
const FOLLOWS: Duration = Duration::from_secs(3);
const CLIENTS: usize = 20;

/// An address where nobody listens.
fn dead() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

/// An address that takes connections and says nothing, as long as the listener is kept.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

pub(super) fn url(replica: &Replica) -> String {
    format!("http://{}", replica.grpc)
}

/// A service that decides and writes all the time.
pub(super) struct Service {
    client: Arc<Client>,
    failed: Arc<std::sync::Mutex<Vec<String>>>,
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    running: JoinHandle<()>,
}

impl Service {
    pub(super) async fn start(server: &str, number: usize, stores: &[Arc<dyn Store>; 2]) -> Self {
        let client = Client::connect(server, "orders-api", Options::default()).await.unwrap();
        let client = Arc::new(client);
        let [source, target] = stores.clone();
        let orders = client.migrator("orders", source, target);
        let (failed, done, stop) = (Arc::default(), Arc::default(), Arc::<AtomicBool>::default());
        let (failures, count, stops) = (Arc::clone(&failed), Arc::clone(&done), stop.clone());
        let decides = client.clone();
        let running = tokio::spawn(async move {
            let failures: Arc<std::sync::Mutex<Vec<String>>> = failures;
            let count: Arc<AtomicUsize> = count;
            while !stops.load(SeqCst) {
                let tenant = format!("tenant-{number}");
                if let Err(error) = decides.decide("orders", &tenant) {
                    failures.lock().unwrap().push(format!("decide: {error}"));
                }
                if let Err(error) = orders.put_bytes(&tenant, "order", b"one".to_vec()).await {
                    failures.lock().unwrap().push(format!("put: {error}"));
                }
                count.fetch_add(1, SeqCst);
                sleep(Duration::from_millis(5)).await;
            }
        });
        Self { client, failed, done, stop, running }
    }

    /// Waits until it has a revision.
    async fn has(&self, revision: u64) {
        while self.client.status().revision < revision || !self.client.status().connected {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops, and returns how often it decided and wrote. Nothing has failed.
    pub(super) async fn stop(self) -> usize {
        self.stop.store(true, SeqCst);
        self.running.await.unwrap();
        let failed = self.failed.lock().unwrap().clone();
        assert!(failed.is_empty(), "{failed:?}");
        assert!(self.client.close().await, "the last reports reach the leader");
        self.done.load(SeqCst)
    }
}

/// The address of a leader that has just begun, once it says so.
async fn new_leader(replicas: &[Replica]) -> (usize, Instant) {
    let leads = leader(replicas).await;
    (leads, Instant::now())
}

/// Waits until every service has acknowledged a revision at this controller.
async fn all_acknowledged(leader: &Replica, revision: u64) {
    let mut admin = leader.admin();
    loop {
        let listed = admin.list_instances(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
        let is_there = |it: &&v1::Instance| it.service == "orders-api" && it.applied_revision >= revision;
        if listed.instances.iter().filter(is_there).count() == CLIENTS {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_follows_a_leader_that_is_killed_and_nothing_fails() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
    let mut replicas = vec![Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    let leads = leader(&replicas).await;
    create(&replicas[leads]).await;
    let (_silent, silent) = silent();
    let mut server = vec![dead(), silent];
    server.extend(replicas.iter().map(url));
    let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new())];
    let mut services = Vec::new();
    for number in 0..CLIENTS {
        // Each has another order.
        server.rotate_left(1);
        services.push(Service::start(&server.join(","), number, &stores).await);
    }
    let writer = Writer::start(&replicas).await;
    let mut followed = Vec::new();
    for _ in 0..3 {
        writer.more(5).await;
        let leads = leader(&replicas).await;
        replicas[leads].killed().await;
        let (now_leads, began) = new_leader(&replicas).await;
        assert_ne!(leads, now_leads);
        // Every client gets a change that is made there.
        writer.more(1).await;
        let state = schema.follower().await.snapshot().await.unwrap();
        let all = futures::future::join_all(services.iter().map(|service| service.has(state.revision)));
        timeout(FOLLOWS + PATIENCE, all).await.expect("every client is at the new leader");
        followed.push(began.elapsed());
        let all = all_acknowledged(&replicas[now_leads], state.revision);
        timeout(FOLLOWS + PATIENCE, all).await.expect("and has acknowledged it there");
        replicas[leads].again().await;
    }
    writer.stop().await;
    let mut done = 0;
    for service in services {
        done += service.stop().await;
    }
    followed.sort_unstable();
    eprintln!("{CLIENTS} clients, {done} decisions and writes; all at the new leader after {followed:?}");
    assert!(followed[followed.len() / 2] < FOLLOWS, "{followed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_passes_take_the_addresses_in_any_order() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
    let mut replicas = vec![Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    let leads = leader(&replicas).await;
    create(&replicas[leads]).await;
    let (_silent, silent) = silent();
    let dead = dead();
    let [leader_at, standby_at] = [url(&replicas[leads]), url(&replicas[1 - leads])];
    let (silent, dead) = (silent.as_str(), dead.as_str());
    let (leads_at, waits_at) = (leader_at.as_str(), standby_at.as_str());
    for order in [
        [leads_at, waits_at, dead, silent],
        [waits_at, leads_at, silent, dead],
        [silent, dead, waits_at, leads_at],
        [dead, silent, leads_at, waits_at],
    ] {
        let said = run(["list", "--server", &order.join(",")]).await;
        assert_eq!(said.code, 0, "{order:?}: {said:?}");
        assert!(said.out.contains("orders"), "{said:?}");
    }

    let all = [waits_at, dead, leads_at].join(",");
    let said = run(["doctor", "--server", &all]).await;
    assert_eq!(said.code, 0, "warnings only: {said:?}");
    for part in [
        &format!("  ok       {leads_at} leads") as &str,
        &format!("  ok       {waits_at} is on standby"),
        &format!("  warning  {dead} does not answer: "),
        "  ok       all that answer share a store",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let said = run(["list", "--server", &[waits_at, dead].join(",")]).await;
    assert_eq!(said.code, 69, "{said:?}");
    assert!(said.err.contains("no controller leads") && said.err.contains("is on standby"), "{said:?}");

    // A pass of some seconds, in the middle of which the leader is killed.
    let directory = TempDir::new().unwrap();
    let database = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    let spec = directory.path().join("orders.toml");
    let text = format!(
        "migration = \"orders\"\nserver = \"{all}\"\n[source]\nurl = \"{}\"\ntable = \"orders\"\n[target]\nurl = \"{}\"\n\
         table = \"orders\"\n[limits]\nrows_per_s = 250\n",
        database("source.db"),
        database("target.db")
    );
    std::fs::write(&spec, text).unwrap();
    let source = directory.path().join("source.db");
    let table = SqliteStore::create(&source, "orders", SqliteOptions::default()).await.unwrap();
    let record = |number| Record { version: Version(number), value: Some(b"one".to_vec()) };
    let records: Vec<_> = (0..2_000)
        .map(|number| (Id::new("acme", &format!("order-{number}")).unwrap(), record(number)))
        .collect();
    table.put_many_if_newer(&records).await.unwrap();
    table.close().await;
    let pass =
        tokio::spawn(async move { run(["backfill", spec.to_str().unwrap(), "--create-tables"]).await });
    let begun = async {
        let mut jobs = replicas[leads].jobs();
        let request = v1::ListJobsRequest { migration: "orders".to_owned() };
        let copied = |listed: &v1::ListJobsResponse| {
            listed.jobs.iter().filter_map(|job| job.counts).any(|counts| counts.scanned > 100)
        };
        while !jobs.list_jobs(request.clone()).await.is_ok_and(|listed| copied(listed.get_ref())) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), begun).await.expect("the pass copies");
    replicas[leads].killed().await;
    let said = timeout(Duration::from_secs(60), pass).await.unwrap().unwrap();
    assert_eq!(said.code, 0, "it continues at the new leader: {said:?}");
    assert!(said.out.contains("clean: "), "{said:?}");

    // A command waits for the other one to take over.
    replicas[leads].again().await;
    let now_leads = leader(&replicas).await;
    replicas[leads].on_standby().await;
    replicas[now_leads].killed().await;
    let said = run(["list", "--server", &all]).await;
    assert_eq!(said.code, 0, "{said:?}");
}

async fn doctor_tells_who_leads_a_shared_store(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let url = schema.url.replace(":cutover@", "@");
    let passwords = [("PGPASSWORD", "cutover"), ("MYSQL_PWD", "cutover")];
    let look = async || run_with_env(["doctor", "--server", &dead(), "--store", &url], &passwords).await;
    let told = if kind == Kind::DynamoDb { "or add &create=true" } else { "has nothing of cutover yet" };
    for _ in 0..2 {
        let said = look().await;
        assert!(said.out.contains(told), "and nothing was made: {said:?}");
    }
    let mut replica = Replica::start(&schema.url).await;
    leader(std::slice::from_ref(&replica)).await;
    create(&replica).await;
    let (said, name) = (look().await, name_of(&replica));
    let versions = match kind {
        Kind::DynamoDb => "revision 1\n  ok       format 2, the newest\n",
        _ => "revision 1\n  ok       schema 1, the newest\n  ok       format 3, the newest\n",
    };
    for part in [
        versions,
        "  ok       it answers, at revision 1\n",
        &format!("  ok       {name} leads, and renews its lease\n"),
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    replica.killed().await;
    let said = look().await;
    let gone = format!("  failed   {name} led last, and does not renew its lease");
    assert!(said.out.contains(&gone), "{said:?}");
}
