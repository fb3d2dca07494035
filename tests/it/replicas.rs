//! Two controllers over one database: the leader is killed, frozen, and cut off from its database.

#[cfg(feature = "sqlite")]
mod clients;
mod outage;
mod replica;
#[cfg(feature = "sqlite")]
mod upgrade;

use std::time::Duration;

use cutover_proto::v1::{self, routing_service_client::RoutingServiceClient};
use nix::sys::signal::Signal;
use rand::RngExt as _;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::{
    store::{
        chain::followed,
        proxy::Proxy,
        schema::{Deposed, Kind, Schema, Session, on_dynamodb, on_each_server},
    },
    support::{database::Database, plain, replay, tenant},
};
use replica::{Replica, Writer, create, leader};

on_each_server!(
    a_standby_takes_over_at_once_from_one_that_is_stopped,
    no_change_is_lost_when_leaders_are_killed,
    a_leader_that_was_frozen_commits_nothing_and_grants_nothing,
    a_leader_that_is_cut_off_from_its_database_stops_before_another_one_starts,
    no_change_is_lost_when_the_database_ends_all_connections,
    no_change_is_lost_when_the_database_is_killed,
    everybody_is_held_after_a_failover_that_may_have_lost_commits,
);

on_dynamodb!(
    a_standby_takes_over_at_once_from_one_that_is_stopped,
    no_change_is_lost_when_leaders_are_killed,
    a_leader_that_was_frozen_commits_nothing_and_grants_nothing,
    a_leader_that_is_cut_off_from_its_database_stops_before_another_one_starts,
    everybody_is_held_after_a_failover_that_may_have_lost_commits,
);

/// The goal for commits after a leader has gone.
const TAKEOVER: Duration = Duration::from_secs(5);
/// For machines that do much else beside.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every acknowledged pin is there, no event is missing, and nothing is there by half.
async fn is_whole(schema: &Schema, acknowledged: &[String]) {
    let store = schema.follower().await;
    let state = store.snapshot().await.unwrap();
    let [migration] = &state.migrations[..] else { panic!("one migration") };
    for pinned in acknowledged {
        assert!(migration.tenants.contains_key(&tenant(pinned)), "{pinned} is lost");
    }
    let events = store.changes(0, u32::MAX).await.unwrap();
    assert!(events.iter().map(|event| event.revision).eq(1..=state.revision), "no gaps");
    assert_eq!(replay(&events), plain(&state.migrations));
    assert_eq!(followed(&*store, 500).await.0.revision, state.revision);
    // A request that was repeated after its answer was lost was made once.
    let mut ids: Vec<_> = events.iter().map(|event| &event.request_id).filter(|id| !id.is_empty()).collect();
    let made = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), made);
}

fn name_of(replica: &Replica) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    format!("{}, gRPC {}", host.trim(), replica.grpc)
}

async fn a_standby_takes_over_at_once_from_one_that_is_stopped(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let mut replicas = vec![Replica::start(&schema.url).await];
    assert_eq!(leader(&replicas).await, 0);
    create(&replicas[0]).await;
    replicas.push(Replica::start(&schema.url).await);
    let standby = &replicas[1];
    let words = standby.on_standby().await;
    let leads = replicas[0].grpc.to_string();
    let tells = |words: &str| words.contains(&leads);
    assert!(!tells(&words), "who asks without a token does not hear who leads: {words}");
    assert!(tells(&standby.log()), "{}", standby.log());
    assert_eq!(standby.probe("/healthz").await.unwrap().0, 200);
    assert_eq!(standby.probe("/api/v1/migrations").await.unwrap().0, 503);
    let (_, metrics) = standby.probe("/metrics").await.unwrap();
    assert!(metrics.contains("cutover_leading 0\n"), "{metrics}");
    let refused = standby.admin().list_migrations(v1::ListMigrationsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("on standby") && !tells(refused.message()), "{refused}");
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", standby.grpc)).unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.connect_lazy());
    for service in ["", "cutover.v1.RoutingService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::NotServing);
    }

    // The first token is made while nobody leads.
    let token = || {
        let mut token = tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
        token.args(["token", "create", "ada", "--role", "admin", "--store"]).env_remove("CUTOVER_STORE");
        token
    };
    let by_argument = token()
        .arg(schema.url.replace(":cutover@", "@"))
        .env("PGPASSWORD", "cutover")
        .env("MYSQL_PWD", "cutover")
        .output()
        .await;
    let by_environment = token().env("CUTOVER_STORE", &schema.url).output().await;
    for told in [by_argument, by_environment] {
        let told = String::from_utf8(told.unwrap().stderr).unwrap();
        assert!(told.contains(&format!("{} leads there", name_of(&replicas[0]))), "{told}");
    }
    for (environment, says) in
        [(None, "not set"), (Some(""), "not set"), (Some(&*schema.url), "NAME before --store")]
    {
        let mut token = token();
        environment.map(|url| token.env("CUTOVER_STORE", url));
        if says.contains("NAME") {
            token.arg("grace");
        }
        let told = token.output().await.unwrap();
        assert_eq!(told.status.code(), Some(64), "{told:?}");
        assert!(String::from_utf8_lossy(&told.stderr).contains(says), "{told:?}");
    }

    let began = Instant::now();
    replicas[0].signal(Signal::SIGTERM);
    assert_eq!(leader(&replicas[1..]).await, 0);
    assert!(began.elapsed() < TAKEOVER + PATIENCE, "{:?}", began.elapsed());
    eprintln!("takes over {:?} after SIGTERM", began.elapsed());
    let listed = replicas[1].admin().list_migrations(v1::ListMigrationsRequest {}).await.unwrap();
    assert_eq!(listed.into_inner().migrations.len(), 1);
    for replica in &replicas {
        assert!(!replica.log().contains(":cutover@"), "no password: {}", replica.log());
    }
}

async fn no_change_is_lost_when_leaders_are_killed(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    // The rules are the same on both, so the second one takes fewer.
    let usual = if kind == Kind::Postgres { 4 } else { 2 };
    let rounds = std::env::var("CUTOVER_TEST_ROUNDS").ok().map_or(usual, |rounds| rounds.parse().unwrap());
    let mut replicas = vec![Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    let leads = leader(&replicas).await;
    create(&replicas[leads]).await;
    let writer = Writer::start(&replicas).await;
    let mut takeovers = Vec::new();
    for _ in 0..rounds {
        let leads = leader(&replicas).await;
        writer.more(rand::rng().random_range(1..30)).await;
        sleep(Duration::from_micros(rand::rng().random_range(0..20_000))).await;
        replicas[leads].killed().await;
        let killed = Instant::now();
        // One may have been acknowledged just before.
        writer.more(1).await;
        takeovers.push(writer.more(1).await.duration_since(killed));
        replicas[leads].again().await;
    }
    is_whole(&schema, &writer.stop().await).await;
    takeovers.sort_unstable();
    let longest = takeovers[takeovers.len() - 1];
    eprintln!(
        "{rounds} kills: commits again after {:?} (median), {longest:?} (longest)",
        takeovers[takeovers.len() / 2]
    );
    assert!(longest < TAKEOVER + PATIENCE, "{takeovers:?}");
}

async fn a_leader_that_was_frozen_commits_nothing_and_grants_nothing(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let replicas = [Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    let leads = leader(&replicas).await;
    let (old, new) = (&replicas[leads], &replicas[1 - leads]);
    create(old).await;
    let mut routing = RoutingServiceClient::connect(format!("http://{}", old.grpc)).await.unwrap();
    let watch = v1::WatchRequest {
        instance_id: "a".to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        ..Default::default()
    };
    let mut stream = routing.watch(watch.clone()).await.unwrap().into_inner();
    stream.message().await.unwrap().expect("registered");

    old.frozen().await;
    // It gets all of these before it runs again.
    let pin = v1::SetPinRequest {
        key: "orders".to_owned(),
        tenant: "late".to_owned(),
        rung: v1::Rung::Dual.into(),
        wait: true,
        ..Default::default()
    };
    let mut admin = old.admin();
    let late = tokio::spawn(async move { admin.set_pin(pin).await });
    let renewed = tokio::spawn({
        let watch = v1::WatchRequest { last_revision: 1, ..watch };
        async move { routing.watch(watch).await.map(drop) }
    });
    let took_over = async {
        while !new.leads().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TAKEOVER + PATIENCE, took_over).await.expect("the other one takes over");
    let writer = Writer::start(std::slice::from_ref(new)).await;
    writer.more(3).await;

    old.signal(Signal::SIGCONT);
    let ended = async { while matches!(stream.message().await, Ok(Some(_))) {} };
    timeout(Duration::from_secs(5), ended).await.expect("its streams end");
    let refused = late.await.unwrap().expect_err("it may not commit");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    renewed.await.unwrap().expect_err("it may not register");
    let is_on_standby = async {
        while !matches!(old.probe("/readyz").await, Some((503, words)) if words.contains("standby")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), is_on_standby).await.expect("it waits for its turn");
    assert!(new.leads().await);
    writer.more(3).await;
    is_whole(&schema, &writer.stop().await).await;
    let state = schema.follower().await.snapshot().await.unwrap();
    assert!(!state.migrations[0].tenants.contains_key(&tenant("late")));
}

async fn a_leader_that_is_cut_off_from_its_database_stops_before_another_one_starts(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let (proxy, url) = Proxy::before(&schema.url).await;
    let replicas = [Replica::start(&url).await];
    assert_eq!(leader(&replicas).await, 0);
    create(&replicas[0]).await;
    let replicas = [replicas.into_iter().next().unwrap(), Replica::start(&schema.url).await];
    let writer = Writer::start(&replicas).await;
    writer.more(5).await;
    for hangs in [false, true] {
        let began = Instant::now();
        if hangs {
            proxy.hang()
        } else {
            proxy.cut()
        }
        while !replicas[1].leads().await {
            assert!(began.elapsed() < TAKEOVER + PATIENCE, "the other one takes over");
            sleep(Duration::from_millis(10)).await;
        }
        // An answer that needs no store.
        let mut admin = replicas[0].admin();
        let answer =
            timeout(Duration::from_secs(1), admin.list_migrations(v1::ListMigrationsRequest {})).await;
        assert!(!matches!(answer, Ok(Ok(_))), "two answer");
        writer.more(5).await;
        eprintln!("cut off ({hangs}): commits again after {:?}", began.elapsed());
        proxy.heal();
        // Back to the one behind the proxy.
        replicas[1].signal(Signal::SIGSTOP);
        assert_eq!(leader(&replicas[..1]).await, 0);
        replicas[1].signal(Signal::SIGCONT);
        writer.more(5).await;
    }
    is_whole(&schema, &writer.stop().await).await;
}

async fn no_change_is_lost_when_the_database_ends_all_connections(kind: Kind) {
    let Some(mut schema) = Schema::fresh(kind).await else { return };
    let end = match kind {
        Kind::Postgres => {
            schema.url = format!("{}&application_name=cutover_restarts", schema.url);
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cutover_restarts'"
                .to_owned()
        }
        Kind::MySql => format!(
            "BEGIN NOT ATOMIC FOR session IN (SELECT id FROM information_schema.processlist WHERE db = '{}'
             AND id <> connection_id()) DO KILL session.id; END FOR; END",
            schema.name
        ),
        Kind::DynamoDb => unreachable!("it has no connections of its own"),
    };
    let mut admin = Session::of(&schema.url.replace("&application_name=cutover_restarts", "")).await;
    let replicas = [Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    let leads = leader(&replicas).await;
    create(&replicas[leads]).await;
    let writer = Writer::start(&replicas).await;
    for _ in 0..20 {
        writer.more(rand::rng().random_range(1..10)).await;
        sleep(Duration::from_micros(rand::rng().random_range(0..10_000))).await;
        admin.execute(&end).await.unwrap();
    }
    writer.more(5).await;
    is_whole(&schema, &writer.stop().await).await;
}

async fn everybody_is_held_after_a_failover_that_may_have_lost_commits(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let replicas = [Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    let leads = leader(&replicas).await;
    create(&replicas[leads]).await;
    let store = schema.follower().await;
    schema.depose(Deposed::Elsewhere).await;
    let held = async {
        loop {
            if let Some(restored) = &store.snapshot().await.unwrap().migrations[0].document.restored {
                return format!("{restored:?}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let why = timeout(Duration::from_secs(20), held).await.expect("it is held before anybody is served");
    assert!(why.contains("7/00000001"), "{why}");
    let told = async {
        while !replicas.iter().any(|replica| replica.log().contains("cutover confirm")) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("the log says what to do");
}

/// A crash: whatever it has acknowledged is in its log.
async fn no_change_is_lost_when_the_database_is_killed(kind: Kind) {
    let Some(mut database) = Database::start(kind).await else { return };
    let schema = Schema::over(&database);
    let replicas = [Replica::start(&schema.url).await, Replica::start(&schema.url).await];
    create(&replicas[leader(&replicas).await]).await;
    let writer = Writer::start(&replicas).await;
    for _ in 0..3 {
        writer.more(rand::rng().random_range(1..30)).await;
        database.killed().await;
        database.again().await;
        writer.more(1).await;
    }
    is_whole(&schema, &writer.stop().await).await;
    assert_eq!(
        schema.follower().await.snapshot().await.unwrap().restored,
        None,
        "the same server is no failover"
    );
}

#[tokio::test]
async fn a_password_on_the_command_line_is_refused() {
    let url = "postgres://ada:s3cret@127.0.0.1:1/db";
    let of_mysql = "mysql://ada:s3cret@127.0.0.1:1/db";
    for (flags, variable) in [
        (&["serve", "--store", url][..], "PGPASSWORD"),
        (&["token", "create", "ada", "--role", "admin", "--store", url], "PGPASSWORD"),
        (&["serve", "--store", of_mysql], "MYSQL_PWD"),
    ] {
        let said =
            tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover")).args(flags).output().await.unwrap();
        let words = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(64), "{words}");
        assert!(words.contains(variable) && !words.contains("s3cret"), "{words}");
    }
    for verb in ["serve", "restore"] {
        let help = tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args([verb, "--help"])
            .env("CUTOVER_STORE", url)
            .output();
        let help = String::from_utf8(help.await.unwrap().stdout).unwrap();
        assert!(help.contains("CUTOVER_STORE") && !help.contains("s3cret"), "{help}");
    }
}
