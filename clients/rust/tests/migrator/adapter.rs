//! Adapters of tests: what every store must have, from a store in memory, and more.

/// Of these fields beside the memory, and with these functions as well. By default it has no transactions.
macro_rules! adapter {
    ($name:ident($($field:ty),*); $($more:tt)*) => {
        struct $name(cutover_client::store::MemoryStore $(, $field)*);

        const _: () = {
            use cutover_client::store::{
                Copied, Cursor, Estimate, Id, Page, Pressure, Put, Record, Scope, Segment, Store, StoreError,
                Version,
            };

            #[async_trait::async_trait]
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

                async fn put_many_if_newer(
                    &self,
                    records: &[(Id, Record)],
                ) -> Result<Vec<Copied>, StoreError> {
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
    };
}
pub(crate) use adapter;
