//! The controller as its clients see it: instances, barrier, gates, idempotency, restarts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cutover::store::{
    Store as _,
    memory::{Call, Fault, MemoryStore},
};
use cutover_client::{Client, Options};
use cutover_core::routing::Rung;
use cutover_proto::v1::{self, telemetry_service_client::TelemetryServiceClient};
use tempfile::TempDir;
use tonic::Code;

use crate::support::server::Controller;

fn mutation() -> Option<v1::Mutation> {
    Some(v1::Mutation {
        actor: "operator:ada".to_owned(),
        reason: "a story".to_owned(),
        ..Default::default()
    })
}

fn create(key: &str) -> v1::CreateMigrationRequest {
    v1::CreateMigrationRequest {
        mutation: mutation(),
        key: key.to_owned(),
        source: "ddb".to_owned(),
        target: "mysql".to_owned(),
        ..Default::default()
    }
}

fn ramp(key: &str) -> v1::SetRolloutRequest {
    v1::SetRolloutRequest { mutation: mutation(), key: key.to_owned(), ..Default::default() }
}

/// Waits until a migration is idle and settled, without a clock in the test.
async fn settled(controller: &Controller, key: &str) -> v1::Status {
    let request = v1::GetStatusRequest { key: key.to_owned() };
    let mut statuses = controller.admin().await.watch_status(request).await.unwrap().into_inner();
    let arrived = async {
        loop {
            let status = statuses.message().await.unwrap().unwrap();
            if status.settled && status.migration.as_ref().unwrap().state() == v1::State::Idle {
                return status;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("the migration settles")
}

async fn full_pass(controller: &Controller, key: &str) {
    let mut jobs = controller.jobs().await;
    let request = v1::CreateJobRequest { migration: key.to_owned(), ..Default::default() };
    let job = jobs.create_job(request).await.unwrap().into_inner();
    let counts = Some(v1::PassCounts { scanned: 1, copied: 1, ..Default::default() });
    let request = v1::FinishJobRequest { id: job.id, counts, complete: true, ..Default::default() };
    assert!(jobs.finish_job(request).await.unwrap().into_inner().evidence.unwrap().clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_waits_for_the_operations_of_every_instance() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    admin.create_migration(create("orders")).await.unwrap();
    let (one, two) = (controller.sdk("one").await, controller.sdk("two").await);
    settled(&controller, "orders").await;

    // An operation that began at source-only delays the step after the next revision.
    let operation = two.begin("orders", "acme").unwrap();
    admin.set_rollout(v1::SetRolloutRequest { dual_ppm: Some(1_000_000), ..ramp("orders") }).await.unwrap();
    let mut received = one.current().subscribe();
    received.wait_for(|revision| *revision >= 2).await.unwrap();
    assert_eq!(one.decide("orders", "acme").unwrap().rung, Rung::Dual);
    let next = v1::SetRolloutRequest { mirrored_ppm: Some(1_000_000), ..ramp("orders") };
    let refused = admin.set_rollout(next.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("two"), "the refusal names who is behind: {}", refused.message());

    // With `wait` it is accepted, and proceeds once the operation has ended.
    admin.set_rollout(v1::SetRolloutRequest { wait: true, ..next }).await.unwrap();
    assert_eq!(one.decide("orders", "acme").unwrap().rung, Rung::Dual);
    drop(operation);
    settled(&controller, "orders").await;
    let mut received = one.current().subscribe();
    received.wait_for(|revision| *revision >= 3).await.unwrap();
    assert_eq!(one.decide("orders", "acme").unwrap().rung, Rung::Mirrored);
    assert!(one.close().await && two.close().await);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_after_a_restart_and_needs_its_pass() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    admin.create_migration(create("orders")).await.unwrap();
    let request = v1::SetRolloutRequest { target_first_ppm: Some(250_000), wait: true, ..ramp("orders") };
    let answer = admin.set_rollout(request).await.unwrap().into_inner();
    assert!(answer.waiting.iter().all(|waiting| waiting.gate == "full-pass"), "{:?}", answer.waiting);
    let port = controller.port();
    controller.stop().await;

    let controller = Controller::start(dir.path(), port).await;
    full_pass(&controller, "orders").await;
    let status = settled(&controller, "orders").await;
    assert_eq!(status.migration.unwrap().rollout.unwrap().target_first_ppm, 250_000);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_the_first_answer_and_a_stale_change_is_refused() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    admin.create_migration(create("orders")).await.unwrap();
    let mutation = v1::Mutation { request_id: "r-1".to_owned(), expected_revision: 1, ..mutation().unwrap() };
    let request =
        v1::SetRolloutRequest { mutation: Some(mutation), dual_ppm: Some(10_000), ..ramp("orders") };
    let first = admin.set_rollout(request.clone()).await.unwrap().into_inner();
    let second = admin.set_rollout(request.clone()).await.unwrap().into_inner();
    assert!(!first.repeated && second.repeated);
    assert_eq!((first.changes, first.migration), (second.changes, second.migration));

    let mutation = v1::Mutation { request_id: "r-2".to_owned(), ..request.mutation.unwrap() };
    let stale = v1::SetRolloutRequest { mutation: Some(mutation), dual_ppm: Some(20_000), ..ramp("orders") };
    assert_eq!(admin.set_rollout(stale).await.unwrap_err().code(), Code::Aborted);

    let dry = v1::Mutation { dry_run: true, ..Default::default() };
    let dry = v1::SetRolloutRequest { mutation: Some(dry), dual_ppm: Some(500_000), ..ramp("orders") };
    assert_eq!(admin.set_rollout(dry).await.unwrap().into_inner().changes.len(), 2);
    let now =
        admin.get_migration(v1::GetMigrationRequest { key: "orders".to_owned() }).await.unwrap().into_inner();
    assert_eq!((now.revision, now.rollout.unwrap().dual_ppm), (2, 10_000));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_and_the_server_lives() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    let mut routing = controller.routing().await;
    admin.create_migration(create("orders")).await.unwrap();
    let code = |status: tonic::Status| status.code();
    assert_eq!(code(admin.create_migration(create("Orders!")).await.unwrap_err()), Code::InvalidArgument);
    assert_eq!(code(admin.create_migration(create("orders")).await.unwrap_err()), Code::AlreadyExists);
    let over = v1::SetRolloutRequest { dual_ppm: Some(1_010_000), ..ramp("orders") };
    assert_eq!(code(admin.set_rollout(over).await.unwrap_err()), Code::InvalidArgument);
    let unnested = v1::SetRolloutRequest { dual_ppm: Some(10), target_first_ppm: Some(20), ..ramp("orders") };
    assert_eq!(code(admin.set_rollout(unnested).await.unwrap_err()), Code::InvalidArgument);
    for tenant in ["", "a\nb", &"x".repeat(257)] {
        let request = v1::DecideRequest {
            migration: "orders".to_owned(),
            tenant: tenant.to_owned(),
            ..Default::default()
        };
        assert_eq!(code(routing.decide(request).await.unwrap_err()), Code::InvalidArgument, "{tenant:?}");
    }
    let unknown =
        v1::DecideRequest { migration: "nope".to_owned(), tenant: "acme".to_owned(), ..Default::default() };
    assert_eq!(code(routing.decide(unknown).await.unwrap_err()), Code::NotFound);
    let pin = |rung| v1::SetPinRequest {
        mutation: mutation(),
        key: "orders".to_owned(),
        tenant: "acme".to_owned(),
        rung,
        ..Default::default()
    };
    assert_eq!(code(admin.set_pin(pin(99)).await.unwrap_err()), Code::InvalidArgument);
    assert_eq!(code(admin.set_pin(pin(v1::Rung::Hold.into())).await.unwrap_err()), Code::InvalidArgument);
    let jump = admin.set_pin(pin(v1::Rung::TargetOnly.into())).await.unwrap_err();
    assert_eq!(jump.code(), Code::FailedPrecondition, "a jump over rungs lacks the evidence of each");
    let huge = v1::DecideRequest {
        migration: "orders".to_owned(),
        tenant: "x".repeat(5 << 20),
        ..Default::default()
    };
    assert_eq!(code(routing.decide(huge).await.unwrap_err()), Code::OutOfRange);

    let mut garbage = tokio::net::TcpStream::connect(("127.0.0.1", controller.port())).await.unwrap();
    garbage.write_all(&[0xff; 4096]).await.unwrap();
    let _ = garbage.read_to_end(&mut Vec::new()).await;
    let fine =
        v1::DecideRequest { migration: "orders".to_owned(), tenant: "acme".to_owned(), ..Default::default() };
    assert_eq!(routing.decide(fine).await.unwrap().into_inner().rung(), v1::Rung::SourceOnly);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_instance_blocks_no_more_and_is_told_when_it_is_back() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    admin.create_migration(create("orders")).await.unwrap();
    let sdk = controller.sdk("one").await;
    settled(&controller, "orders").await;
    let operation = sdk.begin("orders", "acme").unwrap();
    let evict = |reason: &str| v1::EvictInstanceRequest {
        instance_id: "one".to_owned(),
        actor: "operator:ada".to_owned(),
        reason: reason.to_owned(),
        // It is not lost: whoever insists is wrong.
        force: true,
        ..Default::default()
    };
    assert_eq!(admin.evict_instance(evict("")).await.unwrap_err().code(), Code::InvalidArgument);
    // The ramp waits for what it has begun.
    let dual = v1::SetRolloutRequest { dual_ppm: Some(1_000_000), wait: true, ..ramp("orders") };
    admin.set_rollout(dual).await.unwrap();
    let request = v1::GetStatusRequest { key: "orders".to_owned() };
    let status = admin.get_status(request).await.unwrap().into_inner();
    assert!(
        !status.settled && status.waiting[0].message.ends_with("in flight at: one"),
        "{:?}",
        status.waiting
    );
    admin.evict_instance(evict("the machine burnt down")).await.unwrap();
    let free = async {
        loop {
            let request = v1::GetStatusRequest { key: "orders".to_owned() };
            let status = admin.get_status(request).await.unwrap().into_inner();
            if status.settled && status.waiting.is_empty() {
                return;
            }
            // It was back before this was asked, and is waited for again.
            let _ = admin.evict_instance(evict("the machine burnt down")).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("nobody is waited for");
    // It is alive after all, and registers again: the result of what it had begun can't be guaranteed any
    // more.
    let back = async {
        while !operation.overtaken(sdk.current(), "orders", "acme") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("it hears of it by its next report");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_takes_over_the_file_of_one_that_was_killed_blocks_no_ramp() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    admin.create_migration(create("orders")).await.unwrap();
    let start = async || loop {
        let options = Options { persist: Some(dir.path().join("routes")), ..Options::default() };
        // A save that was under way keeps the lock for a moment.
        match Client::connect(&controller.url, "orders-api", options).await {
            Err(error) if format!("{error:?}").contains("InUse") => tokio::task::yield_now().await,
            connected => break connected.unwrap(),
        }
    };
    let killed = start().await;
    settled(&controller, "orders").await;
    // It says no goodbye, and without a fence the controller would wait for it until somebody evicts it.
    drop(killed);
    let next = start().await;
    let dual = v1::SetRolloutRequest { dual_ppm: Some(1_000_000), wait: true, ..ramp("orders") };
    admin.set_rollout(dual).await.unwrap();
    let status = settled(&controller, "orders").await;
    assert_eq!(status.instances.len(), 1, "{:?}", status.instances);
    assert_eq!(next.decide("orders", "acme").unwrap().rung, Rung::Dual);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_over_the_network_is_waited_for_and_named() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut admin = controller.admin().await;
    admin.create_migration(create("orders")).await.unwrap();
    let asks =
        v1::DecideRequest { migration: "orders".to_owned(), tenant: "acme".to_owned(), ..Default::default() };
    controller.routing().await.decide(asks).await.unwrap();
    let dual = v1::SetRolloutRequest { dual_ppm: Some(1_000_000), wait: true, ..ramp("orders") };
    admin.set_rollout(dual).await.unwrap();
    let request = v1::GetStatusRequest { key: "orders".to_owned() };
    let status = admin.get_status(request).await.unwrap().into_inner();
    assert!(!status.settled && status.instances.is_empty());
    let said = &status.waiting[0].message;
    assert!(said.contains("cached answers of Decide or OpenFeature from before"), "{said}");
    let action = &status.waiting[0].action;
    assert!(action.contains("nothing to do") && action.contains("at most 11 s after a step"), "{action}");
    assert!(settled(&controller, "orders").await.waiting.is_empty());
}

/// A store that makes whoever calls it so panic, each time that it is told to.
fn panicking(call: Call) -> (MemoryStore, Arc<AtomicBool>) {
    let (store, is_broken) = (MemoryStore::default(), Arc::new(AtomicBool::new(false)));
    let breaks = is_broken.clone();
    store.fail_by(move |called| {
        assert!(called != call || !breaks.swap(false, SeqCst), "a bug");
        None
    });
    (store, is_broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_whose_background_task_panics_ends_with_that_error() {
    // The clock is stored from time to time as well: which of the two comes first is not said.
    let tasks: [(_, &[&str]); 2] =
        [(Call::Changes, &["publication"]), (Call::Keep, &["registrations", "steady clock"])];
    for (call, tasks) in tasks {
        let (store, is_broken) = panicking(call);
        let controller = Controller::start_on(Arc::new(store)).await;
        let mut routing = controller.routing().await;
        is_broken.store(true, SeqCst);
        let request = v1::WatchRequest {
            instance_id: "a".to_owned(),
            service: "orders-api".to_owned(),
            incarnation: 1,
            ..Default::default()
        };
        // It has its registration stored, in a task.
        let registering = tokio::spawn(async move { routing.watch(request).await.map(drop) });
        let ended = tokio::time::timeout(Duration::from_secs(20), controller.ended()).await;
        let error = ended.expect("it does not go on without the task").to_string();
        let is_named = tasks.iter().any(|task| error.contains(&format!("task {task} failed")));
        assert!(is_named && error.contains("a bug"), "{call:?}: {error}");
        registering.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_stops_ends_what_is_under_way_although_its_caller_is_gone() {
    let store = MemoryStore::default();
    let controller = Controller::start_on(Arc::new(store.clone())).await;
    let mut admin = controller.admin().await;
    store.fail_next(Call::Commit, Fault::Slow(Duration::from_secs(1)));
    let creating = tokio::spawn(async move { admin.create_migration(create("orders")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!creating.is_finished() && store.snapshot().await.unwrap().migrations.is_empty());
    creating.abort();
    controller.stop().await;
    assert_eq!(store.snapshot().await.unwrap().migrations.len(), 1, "it is committed by then");
}

/// A restarted controller has to know which writer slots are those of an earlier SDK.
#[tokio::test(flavor = "multi_thread")]
async fn how_a_process_splits_versions_is_stored_and_newer_layouts_are_refused() {
    let store = MemoryStore::default();
    let controller = Controller::start_on(Arc::new(store.clone())).await;
    let mut routing = controller.routing().await;
    let watch = |id: &str, version_layout| v1::WatchRequest {
        instance_id: id.to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        version_layout,
        ..Default::default()
    };
    for (id, layout) in [("a", 0), ("b", 1)] {
        routing.watch(watch(id, layout)).await.unwrap();
    }
    let instances = store.snapshot().await.unwrap().instances;
    assert_eq!(instances.iter().map(|record| record.version_layout).collect::<Vec<_>>(), [0, 1]);
    let refused = routing.watch(watch("c", 2)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains("upgrade the controller first"), "{refused}");
    controller.stop().await;
}

/// A registration that was answered as failed may be in the store, and nobody waits for that process after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_also_ends_a_registration_of_unknown_outcome() {
    let store = MemoryStore::default();
    let controller = Controller::start_on(Arc::new(store.clone())).await;
    let (instance_id, incarnation) = ("a".to_owned(), 1);
    store.fail_by(|call| (call == Call::Keep).then_some(Fault::After));
    let watch = v1::WatchRequest {
        instance_id: instance_id.clone(),
        service: "orders-api".to_owned(),
        incarnation,
        ..Default::default()
    };
    controller.routing().await.watch(watch).await.unwrap_err();
    store.fail_by(|_| None);
    assert_eq!(store.snapshot().await.unwrap().instances.len(), 1);
    let goodbye = v1::GoodbyeRequest { instance_id, incarnation, ..Default::default() };
    let mut telemetry = TelemetryServiceClient::connect(controller.url.clone()).await.unwrap();
    telemetry.goodbye(goodbye).await.unwrap();
    assert!(store.snapshot().await.unwrap().instances.is_empty());
    controller.stop().await;
}
