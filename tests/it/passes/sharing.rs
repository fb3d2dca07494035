//! Many workers, one job.

use cutover::{
    domain::{Cover, NewPass, PassKind, PassTables},
    service::{
        Checkpoint, Instances, Operate, PassEnd, Passes, Registry, SegmentRecord, Tuning, Witness,
        operate::RequestMeta,
    },
    store::open_store,
};
use cutover_core::outcome::ErrorClass;
use cutover_store::StoreError;

use super::{filled, hooked::Hooked, *};
use crate::support::{instance::Instance, key};

#[tokio::test(flavor = "multi_thread")]
async fn pages_shrink_until_they_arrive() {
    let (_dir, controller) = started().await;
    let world = filled();
    let source = Arc::new(Hooked { arrives_bytes: 5_000, ..Hooked::new(&world.source) });
    let stores = Stores { source: source.clone(), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == RECORDS, "{evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_a_backfill_and_a_second_run_writes_nothing() {
    let (_dir, controller) = started().await;
    let world = filled();
    world.target.insert(id(1), record(1_000_000));
    let stores = world.stores();
    let plan = plan(v1::PassKind::Full);
    let (one, other) = tokio::join!(run(&controller, &stores, &plan), run(&controller, &stores, &plan));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one, other, "one job, one evidence");
    assert_eq!(one.settled, one.began_revision, "a worker that has just come has nothing to end");
    assert!(!one.clean && found(&one).ahead == 1, "somebody wrote to the target without an SDK: {one:?}");
    let done = counts(&one);
    assert_eq!((done.scanned, done.copied, done.stale), (RECORDS, RECORDS - 1, 1), "each once");
    assert_eq!(get(&world.target, 1).await, Some(record(1_000_000)), "newer is never overwritten");
    assert_eq!(get(&world.target, 10).await, Some(tombstone(11)), "the dead move as well");

    let again = run(&controller, &stores, &plan).await.unwrap();
    assert_ne!(again.job, one.job);
    let done = counts(&again);
    assert_eq!((done.copied, done.present, done.stale), (0, RECORDS - 1, 1), "it says that it wrote nothing");
    let instances = controller.admin().await.list_instances(v1::ListInstancesRequest::default()).await;
    assert!(instances.unwrap().into_inner().instances.is_empty(), "workers say goodbye");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_other_stores_or_options_is_refused_while_one_is_under_way() {
    let (_dir, controller) = started().await;
    let mut jobs = controller.jobs().await;
    let request = |fingerprint: &str| v1::CreateJobRequest {
        migration: KEY.to_owned(),
        segments: 2,
        fingerprint: fingerprint.to_owned(),
        ..Default::default()
    };
    let first = jobs.create_job(request("one")).await.unwrap().into_inner();
    let joined = jobs.create_job(request("one")).await.unwrap().into_inner();
    assert!(joined.joined && joined.id == first.id);
    let refused = jobs.create_job(request("other")).await.unwrap_err();
    assert!(refused.message().contains("other stores or options"), "{refused}");
    let finish = |complete| v1::FinishJobRequest { id: first.id.clone(), complete, ..Default::default() };
    let refused = jobs.finish_job(finish(true)).await.unwrap_err();
    assert!(refused.message().contains("2 of 2 segments"), "{refused}");
    let canceled = jobs.finish_job(finish(false)).await.unwrap().into_inner().evidence.unwrap();
    assert!(!canceled.clean, "one that was cut short shows nothing");
    assert!(!jobs.create_job(request("other")).await.unwrap().into_inner().joined);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_a_pass_and_lets_it_go_on() {
    let (_dir, controller) = started().await;
    let (world, mut jobs) = (filled(), controller.jobs().await);
    let stores = world.stores();
    let paused = v1::Tuning { paused: true, ..Default::default() };
    let plan = Plan { tuning: paused, ..plan(v1::PassKind::Full) };
    let (notes, mut noted) = tokio::sync::watch::channel((String::new(), String::new()));
    let told = move |job: &v1::Job| {
        let note = job.claims.first().map(|claim| claim.note.clone()).unwrap_or_default();
        notes.send_replace((job.id.clone(), note));
    };
    let running = worker::run(&controller.url, &stores, &plan, told, std::future::pending());
    let go_on = async {
        let (id, _) = noted.wait_for(|(_, note)| note == "paused by an operator").await.unwrap().clone();
        assert!(world.target.dump().is_empty(), "nothing moves while it is paused");
        let tuning = Some(v1::Tuning::default());
        jobs.tune_job(v1::TuneJobRequest { id, tuning, ..Default::default() }).await.unwrap();
    };
    let (evidence, ()) = tokio::join!(running, go_on);
    assert_eq!(counts(&evidence.unwrap()).copied, RECORDS);
}

/// More than one second's quota and a fifth. One segment has all of the quota until another is claimed.
fn burst(records: &[(Id, Record)]) -> Option<StoreError> {
    (records.len() > 240).then(|| StoreError::NotApplied {
        class: ErrorClass::Server,
        what: format!("{} records at once", records.len()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_bounds_how_much_is_written_at_once() {
    let (_dir, controller) = started().await;
    let world = filled();
    let target = Arc::new(Hooked { refuses: burst, ..Hooked::new(&world.target) });
    let stores = Stores { target, ..world.stores() };
    let tuning = v1::Tuning { records_per_s: 200, ..Default::default() };
    let limits = Limits { patience: Duration::ZERO, ..Limits::default() };
    let plan = Plan { tuning, limits, statements: 1, ..plan(v1::PassKind::Full) };
    // At least two chunks of each.
    run_until(&controller, &stores, &plan, |job| job.counts.unwrap_or_default().scanned > 150).await;
}

/// Passes in their own process, over the store in a directory.
async fn passes(dir: &TempDir) -> Passes {
    let store = open_store(&format!("sqlite:{}", dir.path().join("cutover.db").display())).await.unwrap();
    passes_on(store).await
}

pub(super) async fn passes_on(store: Arc<dyn cutover::store::Store>) -> Passes {
    let (registry, kept) = Registry::load(store.clone()).await.unwrap();
    let registry = Arc::new(registry);
    let (instances, _) = Instances::new(store.clone(), &registry, kept.instances);
    let operate = Arc::new(Operate::new(store.clone(), registry.clone(), Arc::new(instances)));
    if registry.state().entry(&key(KEY)).is_none() {
        operate.change(&key(KEY), &crate::support::create(), &RequestMeta::default()).await.unwrap();
    }
    Passes::new(store, registry, operate, kept.passes)
}

pub(super) fn new_pass() -> NewPass {
    NewPass {
        removes_extra: false,
        source_wins: false,
        tables: PassTables::default(),
        new_tables: Default::default(),
        id: format!("{KEY}/one"),
        kind: PassKind::Full,
        cover: Cover { upto_ppm: 1_000_000, tenants: Vec::new() },
        fingerprint: "f".to_owned(),
        segments: 2,
        residual_ms: 0,
        expected: 0,
    }
}

fn witness() -> Witness {
    Witness { tenant: "acme".to_owned(), key: "order".to_owned(), version: 7 }
}

pub(super) fn checkpoint(segment: u32, token: u64, cursor: &[u8], done: bool) -> Checkpoint {
    let record = SegmentRecord { cursor: cursor.to_vec(), done, ..Default::default() };
    Checkpoint {
        segment,
        token,
        instance_id: "w".to_owned(),
        record,
        note: String::new(),
        findings: Vec::new(),
        witness: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_goodbye_or_is_evicted_leaves_its_segments_to_the_next_one_at_once() {
    let (_dir, controller) = started().await;
    let (stores, mut jobs) = (filled().stores(), controller.jobs().await);
    let paused = v1::Tuning { paused: true, ..Default::default() };
    let plan = Plan { tuning: paused, ..plan(v1::PassKind::Full) };
    run_until(&controller, &stores, &plan, |job| job.claims.len() == 2).await;

    let listed = jobs.list_jobs(v1::ListJobsRequest { migration: KEY.to_owned() }).await.unwrap();
    let job = listed.into_inner().jobs.pop().unwrap();
    assert!(job.claims.is_empty(), "{job:?}");
    let mut claim = async |instance_id: &str| {
        let request = v1::ClaimSegmentRequest {
            id: job.id.clone(),
            instance_id: instance_id.to_owned(),
            ..Default::default()
        };
        jobs.claim_segment(request).await.unwrap().into_inner().segment.map(|segment| segment.index)
    };
    let _instance = Instance::register(&controller.url, "dead", 1).await;
    assert_eq!(claim("dead").await, Some(0), "nobody waits for the stopped one");
    assert_eq!(claim("other").await, Some(1));
    let evict = v1::EvictInstanceRequest {
        instance_id: "dead".to_owned(),
        reason: "the machine burnt down".to_owned(),
        force: true,
        ..Default::default()
    };
    controller.admin().await.evict_instance(evict).await.unwrap();
    assert_eq!(claim("other").await, Some(0), "the dead one's");
    assert_eq!(claim("other").await, Some(2), "and nobody else's");
}

#[tokio::test]
async fn a_worker_gets_the_segments_that_it_prefers_first() {
    let dir = TempDir::new().unwrap();
    let passes = Arc::new(passes(&dir).await);
    let id = new_pass().id;
    passes.begin(&key(KEY), &new_pass(), Tuning::default(), &RequestMeta::default()).await.unwrap();
    let segments = new_pass().segments;
    let mut claimed = Vec::new();
    for _ in 0..segments {
        let claim = passes.claim(&id, "w", &PassTables::default(), segments - 1).await.unwrap();
        claimed.push(claim.segment.unwrap().0);
    }
    let expected: Vec<u32> = [segments - 1].into_iter().chain(0..segments - 1).collect();
    assert_eq!(claimed, expected);
    assert!(
        passes.claim(&id, "w", &PassTables::default(), 99).await.unwrap().segment.is_none(),
        "all are taken"
    );
}

#[tokio::test]
async fn a_silent_worker_loses_its_segment_to_the_next_one_where_it_was() {
    let dir = TempDir::new().unwrap();
    let passes = Arc::new(passes(&dir).await.with_claim_lease(Duration::ZERO));
    let id = new_pass().id;
    passes.begin(&key(KEY), &new_pass(), Tuning::default(), &RequestMeta::default()).await.unwrap();
    let (at, fresh, dead) =
        passes.claim(&id, "dead", &PassTables::default(), 0).await.unwrap().segment.unwrap();
    assert_eq!((at, fresh.cursor), (0, Vec::new()));
    assert!(passes.checkpoint(&id, checkpoint(0, dead, b"half", false)).await.unwrap().is_some());
    let (at, left, heir) =
        passes.claim(&id, "heir", &PassTables::default(), 0).await.unwrap().segment.unwrap();
    assert_eq!((at, left.cursor.as_slice()), (0, b"half".as_slice()));
    let late = passes.checkpoint(&id, checkpoint(0, dead, b"more", false)).await.unwrap();
    assert!(late.is_none(), "the dead one lives and is told");
    assert!(passes.checkpoint(&id, checkpoint(0, heir, b"", true)).await.unwrap().is_some());
    assert_eq!(
        passes.claim(&id, "heir", &PassTables::default(), 0).await.unwrap().segment.unwrap().0,
        1,
        "what is done is done"
    );
}

#[tokio::test]
async fn a_pass_goes_on_after_a_restart_of_the_controller() {
    let dir = TempDir::new().unwrap();
    let id = new_pass().id;
    let token = {
        let passes = Arc::new(passes(&dir).await);
        passes.begin(&key(KEY), &new_pass(), Tuning::default(), &RequestMeta::default()).await.unwrap();
        let (_, _, token) =
            passes.claim(&id, "one", &PassTables::default(), 0).await.unwrap().segment.unwrap();
        passes.checkpoint(&id, checkpoint(0, token, b"", true)).await.unwrap();
        let (_, _, token) =
            passes.claim(&id, "one", &PassTables::default(), 0).await.unwrap().segment.unwrap();
        let tuning = Tuning { records_per_s: 7, ..Tuning::default() };
        let half = Checkpoint { witness: Some(witness()), ..checkpoint(1, token, b"half", false) };
        passes.checkpoint(&id, half).await.unwrap();
        passes.tune(&id, tuning, &RequestMeta::default()).await.unwrap();
        token
    };
    let passes = passes(&dir).await;
    let seen = passes.list(&key(KEY)).unwrap().pop().unwrap();
    assert_eq!(seen.record.tuning.records_per_s, 7);
    assert!(seen.record.segments[0].done && seen.claims.is_empty());
    assert_eq!(seen.record.segments[1].cursor, b"half");
    assert_eq!(seen.record.witnesses, [witness()]);
    let kept = passes.checkpoint(&id, checkpoint(1, token, b"", true)).await.unwrap();
    assert!(kept.is_some(), "who works on knows nothing of the restart");
    let by = RequestMeta::default();
    let evidence = passes.finish(&id, Default::default(), PassEnd::Complete, &by).await.unwrap();
    assert_eq!(
        passes.finish(&id, Default::default(), PassEnd::Complete, &by).await.unwrap(),
        evidence,
        "twice is once"
    );
    assert!(passes.claim(&id, "late", &PassTables::default(), 0).await.is_err());
}
