//! Stories of what programs without the SDK do beside a ledger.

use cutover_store::{Copied, Put, Scope, Segment, Store, StoreError, Version};

use super::{id, record, stories::Admin, tombstone};

/// A row that a program without the SDK deletes takes its version with it, and one that it inserts has none, as in a
/// table with its versions in columns. Only what is older than the entry stays out.
pub(crate) async fn an_entry_counts_if_it_agrees(
    store: &dyn Store,
    [table, tenant, key]: [&str; 3],
    mut run: impl AsyncFnMut(String),
) {
    let (gone, back) = (|n: u32| id(&format!("g-{n}")), |n: u32| id(&format!("b-{n}")));
    for n in 0..8 {
        store.put_if_newer(&gone(n), &record(5, 1)).await.expect("written");
        store.put_if_newer(&back(n), &record(4, 1)).await.expect("written");
        store.put_if_newer(&back(n), &tombstone(5)).await.expect("written");
        run(format!("INSERT INTO {table} ({tenant}, {key}, n) VALUES ('t', 'b-{n}', 2)")).await;
    }
    run(format!("DELETE FROM {table} WHERE {key} LIKE 'g-%'")).await;
    let both = [gone(0), back(0)];
    assert_eq!(store.get(&gone(0)).await, Ok(None), "not a tombstone, which would be a definite not found");
    assert_eq!(store.get_many(&both).await, Ok(vec![None, Some(record(0, 2))]));
    assert_eq!(store.get_versions(&both).await, Ok(vec![None, Some(Version::ZERO)]));
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    let expected: Vec<_> = (0..8).map(|n| (back(n), record(0, 2))).collect();
    assert_eq!((page.records, page.unreadable), (expected, Vec::new()));

    // A copy of the same version is not taken for what is there.
    let copies =
        [(gone(0), record(5, 1)), (back(0), tombstone(5)), (gone(1), record(4, 3)), (back(1), record(4, 3))];
    let answers = store.put_many_if_newer(&copies).await;
    let stale = Copied::Stale(Version(5));
    assert_eq!(answers, Ok(vec![Copied::Written, Copied::Written, stale, stale]));
    assert_eq!(store.get_many(&both).await, Ok(vec![Some(record(5, 1)), Some(tombstone(5))]));
    assert_eq!(store.put_many_if_newer(&copies[..2]).await, Ok(vec![Copied::Present; 2]));

    let applied = Ok(Put::Applied);
    for (id, record) in [
        (gone(2), record(5, 1)),
        (back(2), tombstone(5)),
        (back(3), record(5, 3)),
        (gone(6), record(9, 1)),
        (back(7), tombstone(9)),
    ] {
        assert_eq!(store.put_if_newer(&id, &record).await, applied, "{id:?}");
        assert_eq!(store.get(&id).await, Ok(Some(record)), "{id:?}");
    }
    assert_eq!(store.put_if_newer(&gone(3), &record(4, 1)).await, Ok(Put::Stale(Version(5))), "older");
    assert_eq!(store.put_if_newer(&back(4), &record(4, 1)).await, Ok(Put::Stale(Version(5))), "older");

    // A condition is about what a read has seen.
    for (id, wrong) in [(gone(4), Some(5)), (gone(4), Some(0)), (back(4), Some(5)), (back(4), None)] {
        let put = store.put_if_unchanged(&id, &record(9, 1), wrong.map(Version)).await;
        assert_eq!(put, Ok(Put::Stale(Version::ZERO)), "{id:?} {wrong:?}");
        let put = store.put_if_unchanged(&id, &tombstone(9), wrong.map(Version)).await;
        assert_eq!(put, Ok(Put::Stale(Version::ZERO)), "{id:?} {wrong:?}");
    }
    for (id, record, right) in [
        (gone(4), record(3, 1), None),
        (gone(5), tombstone(9), None),
        (back(4), record(9, 1), Some(0)),
        (back(5), tombstone(9), Some(0)),
        (back(6), record(0, 3), Some(0)),
    ] {
        assert_eq!(store.put_if_unchanged(&id, &record, right.map(Version)).await, applied, "{id:?}");
        assert_eq!(store.get(&id).await, Ok(Some(record)), "{id:?}");
    }
}

/// Neither a table nor a ledger replaces one that was lost, and nothing deletes rows of other tables on the way.
pub(crate) async fn nothing_lost_is_made_anew<S, F>(admin: &impl Admin, name: &str, create: impl Fn() -> F)
where
    S: Store,
    F: Future<Output = Result<S, StoreError>>,
{
    admin.run(format!("ALTER TABLE {name} ADD COLUMN cutover_deleted smallint")).await;
    let error = create().await.err().expect("versions in two places").to_string();
    assert!(error.contains("it has the column cutover_deleted"), "{error}");
    admin.run(format!("ALTER TABLE {name} DROP COLUMN cutover_deleted")).await;
    admin
        .run(format!(
            "CREATE TABLE {name}_lines AS SELECT org, id FROM {name} WHERE n = 0; ALTER TABLE {name}_lines \
             ADD CONSTRAINT {name}_fk FOREIGN KEY (org, id) REFERENCES {name} (org, id) ON DELETE CASCADE"
        ))
        .await;
    let error = create().await.err().expect("a cascade").to_string();
    assert!(error.contains(&format!("the foreign key {name}_fk of {name}_lines")), "{error}");
    assert!(error.contains("ON DELETE CASCADE"), "{error}");
    admin.run(format!("DROP TABLE {name}_lines")).await;
    admin.run(format!("ALTER TABLE {name} RENAME TO {name}_old")).await;
    let error = create().await.err().expect("the table was lost").to_string();
    assert!(error.contains("its ledger has entries"), "{error}");
    admin.run(format!("ALTER TABLE {name}_old RENAME TO {name}")).await;
    assert!(create().await.is_ok());
}

/// A ledger that was emptied, or made anew: nothing is written to it, and nobody opens it until it has an id. With
/// another id it is another ledger. `ledger`: the statement that creates one.
pub(crate) async fn a_lost_ledger_is_refused<S, F>(
    store: &S,
    [table, ledger]: [&str; 2],
    run: impl AsyncFn(String),
    open: impl Fn() -> F,
) where
    S: Store,
    F: Future<Output = Result<S, StoreError>>,
{
    let name = format!("cutover_ledger_{table}");
    let identity = async |store: &S| store.identity().await.expect("asked").expect("it has one");
    let refused = async |with: &str| {
        let none = id("none");
        let one = [(none.clone(), record(9, 1))];
        for error in [
            store.put_if_newer(&none, &record(9, 1)).await.expect_err("another ledger"),
            store.put_if_newer(&none, &record(0, 1)).await.expect_err("another ledger"),
            store.put_if_newer(&none, &tombstone(9)).await.expect_err("another ledger"),
            store.put_if_unchanged(&none, &record(9, 1), None).await.expect_err("another ledger"),
            store
                .put_if_unchanged(&id("kept"), &record(9, 1), Some(Version::ZERO))
                .await
                .expect_err("another"),
            store
                .put_if_unchanged(&id("kept"), &tombstone(9), Some(Version::ZERO))
                .await
                .expect_err("another"),
            store.put_many_if_newer(&one).await.expect_err("another ledger"),
        ] {
            let told = error.to_string();
            assert!(told.contains(&name) && told.contains(with) && told.contains("one backup"), "{told}");
            assert!(!error.may_apply(), "{told}");
        }
        let left = [store.get(&none).await, store.get(&id("kept")).await];
        assert_eq!(
            left,
            [Ok(None), Ok(Some(record(0, 1)))],
            "its version is forgotten, and nothing is written"
        );
    };
    let mut known = vec![identity(store).await];
    assert_eq!(store.put_if_newer(&id("kept"), &record(5, 1)).await, Ok(Put::Applied));
    for lost in [format!("DELETE FROM {name}"), format!("DROP TABLE {name}; {ledger}")] {
        run(lost).await;
        refused("has no id").await;
        let error = store.identity().await.expect_err("no id").to_string();
        let opened = open().await.err().expect("no id").to_string();
        for error in [error, opened.clone()] {
            assert!(error.contains("it was emptied, or made anew by hand"), "{error}");
        }
        run(opened.split_once("run:\n").expect("a statement").1.to_owned()).await;
        refused("and had the id").await;
        let again = open().await.expect("it has an id");
        assert_eq!(again.put_if_newer(&id("again"), &record(5, 1)).await, Ok(Put::Applied));
        known.push(identity(&again).await);
    }
    let ids: std::collections::HashSet<_> = known.iter().map(|it| (&it.id, &it.ledger)).collect();
    assert_eq!(ids.len(), 3, "{known:?}");
    assert!(known.iter().all(|it| it.place.contains(&name) && it.place.ends_with(&it.ledger)), "{known:?}");
}
