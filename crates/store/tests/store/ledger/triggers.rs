//! Programs without the SDK take part in a ledger by triggers, the same on every server.

use std::sync::Arc;

use cutover_store::{
    Id, Put, Record, Store, StoreError, Version,
    mapping::{Dialect, SqlTable, triggers_sql},
    now_ms_since_2025,
};

use super::{id, record, tombstone};

const SLOT: u16 = Version::SOURCE_TRIGGERS;

/// Each statement as the administrator runs it.
pub(crate) async fn installed(dialect: Dialect, table: &SqlTable, run: impl AsyncFn(String)) {
    let statements = triggers_sql(dialect, table, SLOT).expect("valid names");
    assert!(statements.len() > 1, "{statements:?}");
    for statement in statements {
        run(statement).await;
    }
}

/// Inserts, updates and deletions get a version above what is there. The SDK's own writes keep theirs.
pub(crate) async fn outside_writes_have_versions<S: Store>(
    store: &Arc<S>,
    [table, tenant, key]: [&str; 3],
    run: impl AsyncFn(String) + Sync,
) {
    let run = &run;
    let version = async |key: &str| store.get_versions(&[id(key)]).await.expect("read")[0];
    let insert = async |at: &str, n: u64| {
        run(format!("INSERT INTO {table} ({tenant}, {key}, n) VALUES ('t', '{at}', {n})")).await;
    };
    // The SDK's, also over a row of version 0.
    for record in [record(0, 1), record(7, 2), tombstone(8), record(9, 3)] {
        assert_eq!(store.put_if_newer(&id("own"), &record).await, Ok(Put::Applied));
        assert_eq!(store.get(&id("own")).await, Ok(Some(record)), "no trigger touched it");
    }
    let batch = [(id("own"), record(10, 1)), (id("own-2"), record(11, 1)), (id("own-3"), tombstone(12))];
    store.put_many_if_newer(&batch).await.expect("written");
    for (id, record) in batch {
        assert_eq!(store.get(&id).await, Ok(Some(record)), "{id:?}");
    }

    let now = now_ms_since_2025();
    insert("new", 1).await;
    let inserted = version("new").await.expect("it is there");
    let age_ms = inserted.ms_since_2025().abs_diff(now);
    assert!(inserted.slot() == SLOT && age_ms < 60_000, "{inserted}: {age_ms} ms from {now}");
    assert_eq!(store.get(&id("new")).await, Ok(Some(record(inserted.0, 1))));
    run(format!("UPDATE {table} SET n = 2 WHERE {key} = 'new'")).await;
    let updated = version("new").await.expect("it is there");
    assert!(updated > inserted && updated.slot() == SLOT, "{updated} after {inserted}");
    run(format!("DELETE FROM {table} WHERE {key} = 'new'")).await;
    let deleted = version("new").await.expect("a tombstone");
    assert!(deleted > updated, "{deleted} after {updated}");
    assert_eq!(store.get(&id("new")).await, Ok(Some(tombstone(deleted.0))));
    insert("new", 3).await;
    assert!(version("new").await > Some(deleted));

    // Whatever the clock of whoever wrote before said.
    let ahead = Version::new(now + 3_600_000, 5, 77).expect("it fits");
    assert_eq!(store.put_if_newer(&id("own"), &record(ahead.0, 1)).await, Ok(Put::Applied));
    run(format!("UPDATE {table} SET n = 2 WHERE {key} = 'own'")).await;
    assert_eq!(store.get(&id("own")).await, Ok(Some(record(ahead.next(SLOT).expect("one more").0, 2))));
    assert_eq!(
        store.put_if_newer(&id("own"), &record(ahead.0, 1)).await.map(|put| put == Put::Applied),
        Ok(false)
    );

    // Another key is a deletion here and an insertion there.
    run(format!("UPDATE {table} SET {key} = 'moved' WHERE {key} = 'own'")).await;
    let [gone, there] = [store.get(&id("own")).await, store.get(&id("moved")).await];
    let (gone, there) = (gone.expect("read").expect("a tombstone"), there.expect("read").expect("a record"));
    assert!(gone.is_tombstone() && gone.version > ahead, "{gone:?}");
    assert!(!there.is_tombstone() && there.version.slot() == SLOT, "{there:?}");
}

/// An SDK, a program without one and a pass write one record at once. Versions only grow, and no copy replaces what
/// either of the two wrote. `run`: false if the server ended the statement, because the two lock a record and its entry
/// in opposite orders.
pub(crate) async fn a_pass_overwrites_nobody<S: Store>(
    store: &Arc<S>,
    [table, key]: [&str; 2],
    run: impl AsyncFn(String) -> bool,
) {
    const ROUNDS: u64 = 15;
    let hot = id("hot");
    assert_eq!(store.put_if_newer(&hot, &record(1, 1)).await, Ok(Put::Applied));
    let sdk = {
        let (store, hot) = (store.clone(), hot.clone());
        tokio::spawn(async move {
            let mut above = Version::ZERO;
            for n in 0..ROUNDS {
                loop {
                    let stamped = above.next(5).expect("one more");
                    let put = record(stamped.0, n % 2 + 1);
                    let Some(put) = done(store.put_if_newer(&hot, &put).await) else { continue };
                    match put {
                        Put::Applied => {
                            let there = store.get(&hot).await.expect("read").expect("it is there").version;
                            assert!(there >= stamped, "{there} after the acknowledged {stamped}");
                            break above = there;
                        }
                        Put::Present => panic!("nobody else has this slot"),
                        Put::Stale(current) => above = current,
                    }
                }
            }
        })
    };
    let pass = {
        let (store, hot) = (store.clone(), hot.clone());
        tokio::spawn(async move {
            let mut copy: Vec<(Id, Record)> = vec![(hot.clone(), record(2, 1))];
            for _ in 0..ROUNDS {
                let before = store.get(&hot).await.expect("read").expect("it is there");
                while done(store.put_many_if_newer(&copy).await).is_none() {}
                let after = store.get(&hot).await.expect("read").expect("it is there");
                assert!(after.version >= before.version, "{after:?} after {before:?}");
                // What it read a while ago.
                copy = vec![(hot.clone(), before)];
            }
        })
    };
    let mut last = Version::ZERO;
    for n in 0..ROUNDS {
        let update =
            format!("UPDATE {table} SET n = {} WHERE {key} = 'hot'", if n % 2 == 0 { 10 } else { 40 });
        while !run(update.clone()).await {}
        let there = store.get(&hot).await.expect("read").expect("it is there").version;
        assert!(there > last, "{there} after {last}");
        last = there;
    }
    sdk.await.expect("no panic");
    pass.await.expect("no panic");
}

/// The answer of a call. `None`: nothing was written, so it is repeated.
fn done<T>(answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Err(error) if !error.may_apply() => None,
        answer => Some(answer.expect("it is known what was written")),
    }
}
