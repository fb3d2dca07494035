//! What is stored of a pass's progress, whatever becomes of a call.

use std::{
    future::{Future, poll_fn},
    task::Poll,
};

use cutover::{
    domain::{NewPass, PassTables, TableIdentity},
    service::{PassEnd, Passes, Tuning, operate::RequestMeta},
    store::{
        PassRecord, Store as _,
        memory::{Call, Fault, MemoryStore as Kept},
    },
};

use super::{
    sharing::{checkpoint, new_pass, passes_on},
    *,
};
use crate::support::key;

struct Running {
    store: Kept,
    passes: Arc<Passes>,
    id: String,
}

/// A pass with a worker on its first segment, and the token of that.
async fn running() -> (Running, u64) {
    let store = Kept::default();
    let passes = Arc::new(passes_on(Arc::new(store.clone())).await);
    let id = new_pass().id;
    passes.begin(&key(KEY), &new_pass(), Tuning::default(), &RequestMeta::default()).await.unwrap();
    let (_, _, token) = passes.claim(&id, "w", &PassTables::default(), 0).await.unwrap().segment.unwrap();
    (Running { store, passes, id }, token)
}

impl Running {
    async fn kept(&self) -> Option<PassRecord> {
        self.store.snapshot().await.unwrap().passes.into_iter().find(|pass| pass.id == self.id)
    }

    async fn cursor(&self) -> Vec<u8> {
        self.kept().await.unwrap().segments[0].cursor.clone()
    }

    async fn goes_on(&self, token: u64, cursor: &[u8]) {
        self.passes.checkpoint(&self.id, checkpoint(0, token, cursor, false)).await.unwrap().unwrap();
    }
}

/// Begins a call and drops it while it waits.
async fn drops(call: impl Future) {
    let mut call = Box::pin(call);
    for _ in 0..20 {
        let is_pending = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await;
        assert!(is_pending, "it is dropped in the middle");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_save_that_is_dropped_or_fails_leaves_everything_to_the_next_one() {
    let (world, token) = running().await;
    for (cursor, fault) in
        [(b"a", Fault::Hung), (b"b", Fault::Silent), (b"c", Fault::Lost), (b"d", Fault::Before)]
    {
        world.goes_on(token, cursor).await;
        world.store.fail_next(Call::Keep, fault);
        if matches!(fault, Fault::Hung | Fault::Silent) {
            drops(world.passes.keep_now()).await;
        } else {
            world.passes.keep_now().await.unwrap_err();
        }
        world.passes.keep_now().await.unwrap();
        assert_eq!(world.cursor().await, cursor, "after {fault:?}");
    }
}

#[tokio::test]
async fn what_comes_while_a_save_is_under_way_is_in_the_next_one() {
    let (world, token) = running().await;
    world.goes_on(token, b"before").await;
    world.store.fail_next(Call::Keep, Fault::Silent);
    let mut saving = Box::pin(world.passes.keep_now());
    assert!(poll_fn(|context| Poll::Ready(saving.as_mut().poll(context).is_pending())).await);
    world.goes_on(token, b"meanwhile").await;
    drop(saving);
    world.passes.keep_now().await.unwrap();
    assert_eq!(world.cursor().await, b"meanwhile");
}

/// The history says that it happened, so the answer does too; the store gets the rest as soon as it takes it.
#[tokio::test]
async fn what_was_committed_is_not_answered_as_failed_because_progress_can_not_be_stored() {
    let store = Kept::default();
    let passes = Arc::new(passes_on(Arc::new(store.clone())).await);
    let (id, by) = (new_pass().id, RequestMeta::default());
    let limited = Tuning { records_per_s: 7, ..Tuning::default() };
    store.fail_next(Call::Keep, Fault::Before);
    passes.begin(&key(KEY), &new_pass(), limited, &by).await.unwrap();
    store.fail_next(Call::Keep, Fault::Before);
    let slower = Tuning { records_per_s: 3, ..Tuning::default() };
    passes.tune(&id, slower, &by).await.unwrap();
    let world = Running { store, passes, id };
    world.passes.keep_now().await.unwrap();
    assert_eq!(world.kept().await.unwrap().tuning, slower);
    world.store.fail_next(Call::Keep, Fault::Before);
    let ended = world.passes.finish(&world.id, Default::default(), PassEnd::Canceled, &by).await.unwrap();
    assert!(!ended.clean);
    assert!(world.kept().await.is_some());
    world.passes.keep_now().await.unwrap();
    assert!(world.kept().await.is_none(), "an ended pass leaves nothing behind");
}

#[tokio::test]
async fn what_was_committed_and_is_not_published_yet_is_answered_as_it_is() {
    let store = Kept::default();
    let passes = Arc::new(passes_on(Arc::new(store.clone())).await);
    let world = Running { store, passes, id: new_pass().id };
    let limited = Tuning { records_per_s: 7, ..Tuning::default() };
    let (key, by) = (key(KEY), RequestMeta::default());
    world.store.fail_next(Call::Changes, Fault::Before);
    let (_, joined) = world.passes.begin(&key, &new_pass(), limited, &by).await.unwrap();
    assert!(!joined);
    assert_eq!(world.kept().await.unwrap().tuning, limited);
    let (seen, joined) = world.passes.begin(&key, &new_pass(), Tuning::default(), &by).await.unwrap();
    assert!(joined && seen.record.tuning == limited, "{seen:?}");
    world.store.fail_next(Call::Changes, Fault::Before);
    let ended = world.passes.finish(&world.id, Default::default(), PassEnd::Canceled, &by).await.unwrap();
    assert_eq!(ended.job.id, world.id);
}

/// Otherwise it would run without the limits that it was begun with, against stores that need them.
#[tokio::test]
async fn a_pass_whose_caller_is_gone_has_its_limits() {
    let store = Kept::default();
    let passes = Arc::new(passes_on(Arc::new(store.clone())).await);
    let world = Running { store, passes, id: new_pass().id };
    let (key, pass, by) = (key(KEY), new_pass(), RequestMeta::default());
    for limit in [7, 3] {
        let limited = Tuning { records_per_s: limit, ..Tuning::default() };
        let mut call: std::pin::Pin<Box<dyn Future<Output = bool> + Send>> = match limit {
            7 => Box::pin(async { world.passes.begin(&key, &pass, limited, &by).await.is_ok() }),
            _ => Box::pin(async { world.passes.tune(&world.id, limited, &by).await.is_ok() }),
        };
        assert!(poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await);
        drop(call);
        let limits = async || world.passes.list(&key).unwrap().pop().map(|seen| seen.record.tuning);
        let wait = async {
            while limits().await != Some(limited) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("in the end");
    }
}

/// Else another worker could be taken for the first one after a restart, and scan other tables.
#[tokio::test]
async fn nobody_reads_before_the_store_knows_which_tables_a_pass_is_about() {
    let store = Kept::default();
    let passes = Arc::new(passes_on(Arc::new(store.clone())).await);
    let world = Running { store, passes, id: new_pass().id };
    let table =
        |id: &str| Some(TableIdentity { id: id.to_owned(), place: id.to_owned(), ledger: String::new() });
    let tables = PassTables { source: table("one"), target: table("other") };
    let pass = NewPass { tables: tables.clone(), ..new_pass() };
    world.passes.begin(&key(KEY), &pass, Tuning::default(), &RequestMeta::default()).await.unwrap();
    world.store.fail_next(Call::Keep, Fault::Hung);
    drops(world.passes.claim(&world.id, "first", &tables, 0)).await;
    world.store.fail_next(Call::Keep, Fault::Before);
    world.passes.claim(&world.id, "second", &tables, 0).await.unwrap_err();
    world.passes.claim(&world.id, "second", &tables, 0).await.unwrap().segment.unwrap();
    assert_eq!(world.kept().await.unwrap().source, table("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_stopped_stores_what_it_knows_first() {
    let store = Kept::default();
    let controller = Controller::start_on(Arc::new(store.clone())).await;
    create(&controller).await;
    let mut jobs = controller.jobs().await;
    let request = plan(v1::PassKind::Full).request();
    let id = jobs.create_job(request).await.unwrap().into_inner().id;
    let claim = v1::ClaimSegmentRequest { id: id.clone(), instance_id: "w".to_owned(), ..Default::default() };
    let segment = jobs.claim_segment(claim).await.unwrap().into_inner().segment.unwrap();
    let half = v1::CheckpointRequest {
        id: id.clone(),
        instance_id: "w".to_owned(),
        segment: segment.index,
        claim: segment.claim,
        cursor: b"half".to_vec(),
        ..Default::default()
    };
    jobs.checkpoint(half).await.unwrap();
    // It is stored every 5 s otherwise.
    drop(jobs);
    controller.stop().await;
    let kept = store.snapshot().await.unwrap().passes.pop().unwrap();
    assert_eq!((kept.id, kept.segments[segment.index as usize].cursor.as_slice()), (id, b"half".as_slice()));
}
