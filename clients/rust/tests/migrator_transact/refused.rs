//! Transactions that are refused before anything begins.

use std::sync::Arc;

use cutover_client::{
    migrator::{Cause, TRANSACT_MAX, TRANSACT_MAX_BYTES, WriteError, Writes, WritesError},
    report::StoreRole,
    store::{EqualIds, IdError, MemoryStore},
};

use super::{ROUTED, TENANT, World, adapter::adapter};

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

adapter! { Plain(); }

// Takes keys for equal that differ only in case.
adapter! {
    Loose();
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

#[tokio::test]
async fn keys_that_the_target_takes_for_equal_are_refused_before_the_source_has_them() {
    let both = || Writes::new().put_bytes("KEY", vec![]).put_bytes("key", vec![]);
    for rung in [super::Rung::Mirrored, super::Rung::TargetFirst] {
        let world = World::at(rung);
        let error = world
            .to(Arc::new(Loose(MemoryStore::new())))
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
        world
            .to(Arc::new(Loose(MemoryStore::new())))
            .transact(TENANT, both())
            .await
            .expect("the source takes both");
    }
}

#[tokio::test]
async fn a_store_without_transactions_is_refused_at_every_rung() {
    for rung in ROUTED {
        let world = World::at(rung);
        let migrator = world.to(Arc::new(Plain(MemoryStore::new())));
        let error = migrator.transact(TENANT, super::writes("one")).await.expect_err("refused");
        assert!(matches!(&error, WriteError::NotApplied(Cause::Store { store: StoreRole::Target, .. })));
        let expected = "not applied: at the target: store: it has no transactions, so transact can't write several \
                        records at once: write them one by one";
        assert_eq!(error.to_string(), expected);
        assert!(world.source.take_calls().is_empty());
        migrator.put_bytes(TENANT, "a", vec![]).await.expect("single records can be written");
    }
}
