//! Two instances over the same two files, like two processes: neither loses what the other adds.
#![cfg(feature = "sqlite")]

use std::{path::Path, sync::Arc};

use cutover_client::{
    migrator::{Edit, Migrator, Options, Parts, Stamper},
    report::Recorder,
    routing::{Band, PPM, Policy, Route, Rung, Snapshot, Table},
    store::{SqliteOptions, SqliteStore, Store},
    watch::Current,
};

const ADDITIONS: u32 = 25;

async fn open(dir: &Path, file: &str) -> Arc<dyn Store> {
    let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
    Arc::new(SqliteStore::create(&dir.join(file), "orders", options).await.expect("created"))
}

async fn instance(dir: &Path, slot: u16, rung: Rung) -> Migrator {
    over(open(dir, "source.db").await, open(dir, "target.db").await, slot, rung)
}

fn over(source: Arc<dyn Store>, target: Arc<dyn Store>, slot: u16, rung: Rung) -> Migrator {
    let current = Arc::new(Current::default());
    let mut snapshot = Snapshot::default();
    let bands = [Band { upto_ppm: PPM, route: Route { rung, ..Route::DEFAULT } }];
    snapshot.insert("orders", Ok(Arc::new(Table::new(1, "orders", &bands, Policy::default()))));
    snapshot.set_revision(1);
    current.replace(snapshot);
    Migrator::new(Parts {
        current,
        recorder: Arc::new(Recorder::new()),
        migration: "orders".to_owned(),
        stamper: Arc::new(Stamper::new(slot).expect("a slot")),
        source,
        target,
        options: Options::default(),
    })
}

fn number(value: Option<&[u8]>) -> u32 {
    value.map_or(0, |value| u32::from_be_bytes(value.try_into().expect("four bytes")))
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_of_two_instances_all_count_at_every_rung() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut expected = 0;
    for rung in [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly] {
        let mut adding = Vec::new();
        for slot in [1, 2] {
            let migrator = instance(dir.path(), slot, rung).await;
            adding.push(tokio::spawn(async move {
                for _ in 0..ADDITIONS {
                    let add = |old: Option<&[u8]>| Edit::Put((number(old) + 1).to_be_bytes().to_vec());
                    migrator.mutate_bytes("acme", "sum", add).await.expect("acknowledged");
                }
                migrator
            }));
        }
        expected += 2 * ADDITIONS;
        for added in adding {
            let migrator = added.await.expect("no panic");
            let sum = migrator.get_bytes("acme", "sum").await.expect("readable");
            // The first to finish may find the other one still running.
            assert!(number(sum.as_deref()) > expected - 2 * ADDITIONS, "{rung:?}");
        }
        let sum = instance(dir.path(), 3, rung).await.get_bytes("acme", "sum").await.expect("readable");
        assert_eq!(number(sum.as_deref()), expected, "{rung:?}");
    }
}

/// The target has record types, none of which takes this key. Dual acknowledges what the source has.
#[cfg(feature = "spec")]
#[tokio::test]
async fn a_key_that_the_target_does_not_take_is_not_written_to_the_source() {
    use cutover_client::{
        migrator::{Cause, WriteError},
        report::StoreRole,
        store::{
            Id,
            spec::{Missing, Spec},
        },
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spec = format!(
        "migration = \"orders\"\n[source]\nurl = \"sqlite:none.db\"\ntable = \"none\"\n[target]\n\
         url = \"sqlite:{}\"\n[[target.types]]\nkey_prefix = \"ORDER#\"\ntable = \"orders\"\n",
        dir.path().join("typed.db").display()
    );
    let spec: Spec = spec.parse().expect("a spec");
    let source = open(dir.path(), "source.db").await;
    let target = spec.target.open(Missing::Create, |_| None).await.expect("opened");
    let [typed, other] = ["ORDER#1", "INVOICE#1"].map(|key| Id::new("acme", key).expect("valid"));
    for rung in [Rung::Mirrored, Rung::TargetFirst, Rung::Dual] {
        let migrator = over(source.clone(), target.clone(), 1, rung);
        migrator.put_bytes("acme", &typed.key, b"x".to_vec()).await.expect("acknowledged");
        let put = migrator.put_bytes("acme", &other.key, b"x".to_vec()).await.map(drop);
        let mutated = migrator.mutate_bytes("acme", &other.key, |_| Edit::Put(b"x".to_vec())).await.map(drop);
        for written in [put, mutated] {
            match (rung, written) {
                (Rung::Dual, written) => written.expect("acknowledged"),
                (_, Err(WriteError::NotApplied(Cause::Store { store: StoreRole::Target, error }))) => {
                    assert!(error.to_string().contains("no record type takes it"), "{error}");
                }
                (_, written) => panic!("{rung:?}: {written:?}"),
            }
        }
        let there = source.get(&other).await.expect("readable");
        assert_eq!(there.is_some(), rung == Rung::Dual, "{rung:?}");
    }
}

/// The source would have it, and nobody could say what became of the write.
#[cfg(feature = "spec")]
#[tokio::test]
async fn a_record_that_does_not_fit_the_target_is_not_written_to_the_source() {
    use cutover_client::{
        migrator::{Cause, WriteError, Writes},
        report::StoreRole,
        store::{
            Id, StoreError,
            document::{Attribute, Document},
            spec::{Missing, Spec},
        },
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spec = format!(
        "migration = \"orders\"\n[source]\nurl = \"sqlite:none.db\"\ntable = \"none\"\n[target]\n\
         url = \"sqlite:{}\"\ntable = \"orders\"\noverflow = \"rest\"\non_misfit = \"quarantine\"\n\
         columns = [{{ name = \"total\", type = \"int\" }}]\n",
        dir.path().join("columns.db").display()
    );
    let spec: Spec = spec.parse().expect("a spec");
    let source = open(dir.path(), "source.db").await;
    let target = spec.target.open(Missing::Create, |_| None).await.expect("opened");
    let total = |text: &str| {
        let of = [("total".to_owned(), Attribute::S(text.to_owned()))];
        Document(of.into()).encode().expect("a document")
    };
    for rung in [Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly, Rung::Dual] {
        let migrator = over(source.clone(), target.clone(), 1, rung);
        let key = |what: &str| format!("{rung:?}-{what}");
        let put = migrator.put_bytes("acme", &key("put"), total("many")).await.map(drop);
        let mutated =
            migrator.mutate_bytes("acme", &key("mutated"), move |_| Edit::Put(total("many"))).await.map(drop);
        let compared = migrator.put_if_bytes("acme", &key("compared"), None, total("many")).await.map(drop);
        let both = Writes::new().put_bytes(&key("good"), total("1")).put_bytes(&key("bad"), total("many"));
        let transacted = migrator.transact("acme", both).await.map(drop);
        for (what, written) in
            [("put", put), ("mutated", mutated), ("compared", compared), ("good", transacted)]
        {
            let is_refused = rung != Rung::Dual;
            match (rung, what, written) {
                (Rung::Dual, _, written) => written.expect("acknowledged"),
                // Refused for another reason, wherever it is: docs/protocol.md, "Writes that compare first".
                (Rung::TargetFirst, "compared", Err(WriteError::NotApplied(Cause::BesideTargetOnly(_)))) => {}
                (_, _, Err(WriteError::NotApplied(Cause::Store { store: StoreRole::Target, error }))) => {
                    assert!(
                        matches!(&error, StoreError::Permanent { field, .. } if field == "total"),
                        "{error}"
                    );
                }
                (_, _, written) => panic!("{rung:?} {what}: {written:?}"),
            }
            let there = source.get(&Id::new("acme", &key(what)).expect("valid")).await.expect("readable");
            assert_eq!(there.is_some(), !is_refused, "{rung:?} {what}");
        }
    }
}

/// Whoever overwrites a record needs its version only. A process with another spec may have left content that this one
/// can't read.
#[cfg(feature = "spec")]
#[tokio::test]
async fn a_record_that_can_not_be_read_in_the_target_can_be_written_and_deleted() {
    use cutover_client::store::{
        Id, Record, Version, now_ms_since_2025,
        spec::{Missing, Spec},
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let opened = async |columns: &str| -> Arc<dyn Store> {
        let text = format!(
            "migration = \"orders\"\n[source]\nurl = \"sqlite:none.db\"\ntable = \"none\"\n[target]\n\
             url = \"sqlite:{}\"\ntable = \"orders\"\noverflow = \"rest\"\n{columns}",
            dir.path().join("target.db").display()
        );
        let spec: Spec = text.parse().expect("a spec");
        spec.target.open(Missing::Create, |_| None).await.expect("opened")
    };
    let target = opened("columns = [{ name = \"status\", type = \"text\" }]\n").await;
    let other = opened("").await;
    let source = open(dir.path(), "source.db").await;
    let id = Id::new("acme", "order-1").expect("valid");
    let paid = |status: &str| format!(r#"{{"status":{{"S":"{status}"}}}}"#).into_bytes();
    for rung in [Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly] {
        for deletes in [false, true] {
            for (store, back_ms) in [(&target, 20), (&other, 10)] {
                let version = Version::new(now_ms_since_2025() - back_ms, 0, 9).expect("in range");
                store
                    .put_if_newer(&id, &Record { version, value: Some(paid("paid")) })
                    .await
                    .expect("written");
            }
            target.get(&id).await.expect_err("its column and the overflow hold the status");
            let migrator = over(source.clone(), target.clone(), 1, rung);
            let written = match deletes {
                true => migrator.delete("acme", &id.key).await.map(drop),
                false => migrator.put_bytes("acme", &id.key, paid("sent")).await.map(drop),
            };
            written.unwrap_or_else(|error| panic!("{rung:?}, {deletes}: {error}"));
            let read = migrator.get_bytes("acme", &id.key).await.expect("readable");
            assert_eq!(read, (!deletes).then(|| paid("sent")), "{rung:?}");
            // The next turn's writes are newer than this one.
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    }
}
