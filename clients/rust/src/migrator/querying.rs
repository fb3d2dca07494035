//! Queries that the application makes itself.

use std::sync::Arc;

use super::{Migrator, READS_MAX, ReadError, Unavailable, calls::Calls, rules};
use crate::{
    report::StoreRole,
    routing,
    store::{IdError, Store, StoreError},
};

impl Migrator {
    /// Runs a query of your own about one tenant, at the store that has all of its acknowledged writes: the source
    /// below target-first, then the target.
    ///
    /// `run` gets that store and which of the two it is, and uses your own connection to it. While it runs, the
    /// operation holds the barrier between two steps, as any read does. It gets at most
    /// [`Options::call_timeout`](super::Options::call_timeout). Its time and its error are counted as those of a store
    /// call, so the guards see them. If routing overtakes the query, it runs again, at the other store if need be; so it
    /// must only read, and must not return a part of its result earlier.
    ///
    /// - The query sees the table as it is. Leave out tombstones (`docs/guides/queries.md` has the filters).
    /// - It reads one store, so it is at level acknowledged, whatever the migration's level.
    /// - At target-first the target has to be complete. It is after the full pass that is needed for that step, but not if
    ///   the pass was overridden or replaced by a sweep.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::TargetFirst).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// # async fn count_in_dynamodb(_: &str) -> Result<u64, std::io::Error> { Ok(1) }
    /// # async fn count_in_postgres(_: &str) -> Result<u64, std::io::Error> { Ok(2) }
    /// use cutover_client::{
    ///     report::{ErrorClass, StoreRole},
    ///     store::StoreError,
    /// };
    ///
    /// let count = orders
    ///     .query("acme", async |side, _store| {
    ///         let counted = match side {
    ///             StoreRole::Source => count_in_dynamodb("acme").await,
    ///             StoreRole::Target => count_in_postgres("acme").await,
    ///         };
    ///         counted.map_err(|error| StoreError::NotApplied {
    ///             class: ErrorClass::Other,
    ///             what: error.to_string(),
    ///         })
    ///     })
    ///     .await?;
    /// assert_eq!(count, 2);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn query<T, Query>(
        &self,
        tenant: &str,
        mut run: impl FnMut(StoreRole, Arc<dyn Store>) -> Query + Send,
    ) -> Result<T, ReadError>
    where
        Query: Future<Output = Result<T, StoreError>> + Send,
    {
        routing::check_tenant(tenant).map_err(IdError::from)?;
        let inner = self.inner.clone();
        for _ in 0..READS_MAX {
            let operation = inner.admit(tenant).await?;
            let decision = operation.decision;
            let store = rules::query_store(decision.rung).expect("an admitted operation is not on hold");
            // Ends before the operation, so that calls are counted before their revision is acknowledged.
            let mut calls = Calls::new(inner.clone(), tenant, decision.revision, operation.standing());
            let result = calls.read(store, run(store, inner.store(store).clone())).await;
            if !inner.overtaken(&operation, tenant) {
                return result.map_err(|error| ReadError::Failed { store, error });
            }
        }
        inner.unavailable(tenant, inner.revision(tenant));
        Err(Unavailable::Overtaken(READS_MAX).into())
    }
}
