//! Transactions that are refused before anything begins.

use std::sync::Arc;

use async_trait::async_trait;
use cutover_client::{
    migrator::{
        Cause, Migrator, Options, Parts, Stamper, TRANSACT_MAX, TRANSACT_MAX_BYTES, WriteError, Writes,
        WritesError,
    },
    report::{Recorder, StoreRole},
    store::{
        Copied, Cursor, EqualIds, Estimate, Id, IdError, MemoryStore, Page, Pressure, Put, Record, Scope,
        Segment, Store, StoreError, Version,
    },
};

use super::{ROUTED, TENANT, World};

#[tokio::test]
async fn writes_that_no_transaction_can_have_call_no_store() {
    let many = |count: usize, bytes: usize| {
        (0..count).fold(Writes::new(), |all, n| all.put_bytes(&format!("key-{n:03}"), vec![b'x'; bytes]))
    };
    let too_large = TRANSACT_MAX_BYTES / 4 + 1;
    for (writes, expected) in [
        (Writes::new(), WritesError::Empty),
        (many(TRANSACT_MAX + 1, 1), WritesError::TooMany(TRANSACT_MAX + 1)),
        (many(4, too_large), WritesError::TooLarge(4 * (too_large + "key-000".len()))),
        (Writes::new().delete("a").delete("b").put_bytes("a", vec![]), WritesError::Twice("a".to_owned())),
    ] {
        let world = World::at(super::Rung::Mirrored);
        let error = world.migrator.transact(TENANT, writes).await.expect_err("refused");
        assert_eq!(error, WriteError::Writes(expected));
        assert!(world.source.take_calls().is_empty() && world.target.take_calls().is_empty());
        let invalid = world.migrator.transact(TENANT, Writes::new().delete("")).await;
        assert_eq!(invalid, Err(WriteError::Invalid(IdError::KeyBytes(0))));
        assert!(world.migrator.transact(TENANT, many(TRANSACT_MAX, 1)).await.is_ok());
    }
    assert!(matches!(Writes::new().put("a", &7), Err(WriteError::Value(_))), "no document");
}

/// An adapter with what every store must have, and more. By default it has no transactions.
macro_rules! adapter {
    ($name:ident $($more:tt)*) => {
        struct $name(MemoryStore);

        #[async_trait]
        impl Store for $name {
            async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
                self.0.get(id).await
            }

            async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
                self.0.put_if_newer(id, record).await
            }

            async fn put_if_unchanged(
                &self,
                id: &Id,
                record: &Record,
                expected: Option<Version>,
            ) -> Result<Put, StoreError> {
                self.0.put_if_unchanged(id, record, expected).await
            }

            async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
                self.0.get_many(ids).await
            }

            async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
                self.0.put_many_if_newer(records).await
            }

            async fn scan(
                &self,
                scope: &Scope,
                segment: Segment,
                cursor: Option<&Cursor>,
                limit_bytes: usize,
            ) -> Result<Page, StoreError> {
                self.0.scan(scope, segment, cursor, limit_bytes).await
            }

            async fn estimate(&self) -> Result<Estimate, StoreError> {
                self.0.estimate().await
            }

            async fn pressure(&self) -> Result<Pressure, StoreError> {
                self.0.pressure().await
            }

            $($more)*
        }
    };
}

adapter! { Plain }

// Takes keys for equal that differ only in case.
adapter! {
    Loose
    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        Ok(())
    }

    fn loose_ids(&self) -> Option<String> {
        Some("column key".to_owned())
    }

    async fn equal_ids(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        let two = ids.windows(2).position(|two| two[0].key.eq_ignore_ascii_case(&two[1].key));
        Ok(two.map(|first| EqualIds { first, last: first + 1, count: 2 }).into_iter().collect())
    }
}

/// From the world's source to such a target.
fn to(world: &World, target: Arc<dyn Store>) -> Migrator {
    Migrator::new(Parts {
        current: world.current.clone(),
        recorder: Arc::new(Recorder::new()),
        migration: "orders".to_owned(),
        stamper: Arc::new(Stamper::new(1).expect("a slot")),
        source: world.source.clone(),
        target,
        options: Options::default(),
    })
}

#[tokio::test]
async fn keys_that_the_target_takes_for_equal_are_refused_before_the_source_has_them() {
    let both = || Writes::new().put_bytes("KEY", vec![]).put_bytes("key", vec![]);
    for rung in [super::Rung::Mirrored, super::Rung::TargetFirst] {
        let world = World::at(rung);
        let error = to(&world, Arc::new(Loose(MemoryStore::new())))
            .transact(TENANT, both())
            .await
            .expect_err("refused");
        let expected = "not applied: at the target: key: \"KEY\" and \"key\" are equal in the collation of column key, so \
                        only one of the two can be written";
        assert_eq!(error.to_string(), expected);
        assert!(world.source.take_calls().is_empty());
    }
    for rung in [super::Rung::SourceOnly, super::Rung::Dual] {
        let world = World::at(rung);
        to(&world, Arc::new(Loose(MemoryStore::new())))
            .transact(TENANT, both())
            .await
            .expect("the source takes both");
    }
}

#[tokio::test]
async fn a_store_without_transactions_is_refused_at_every_rung() {
    for rung in ROUTED {
        let world = World::at(rung);
        let migrator = to(&world, Arc::new(Plain(MemoryStore::new())));
        let error = migrator.transact(TENANT, super::writes("one")).await.expect_err("refused");
        assert!(matches!(&error, WriteError::NotApplied(Cause::Store { store: StoreRole::Target, .. })));
        let expected = "not applied: at the target: store: it has no transactions, so transact can't write several \
                        records at once: write them one by one";
        assert_eq!(error.to_string(), expected);
        assert!(world.source.take_calls().is_empty());
        migrator.put_bytes(TENANT, "a", vec![]).await.expect("single records can be written");
    }
}
