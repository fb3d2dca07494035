//! Asks a store about many records, and finds those at fault one by one.

use cutover_store::{Id, Record, Store, StoreError};
use futures::future::{self, BoxFuture};

use super::{Error, Plan, Stores, quarantine::is_misfit, side::Side};

/// A question to a store about many ids, and its answer for each.
type Question<T> = for<'a> fn(&'a dyn Store, &'a [Id]) -> BoxFuture<'a, Result<Vec<Option<T>>, StoreError>>;
pub(super) type Answer<T> = Result<Option<T>, StoreError>;
pub(super) type Read = Answer<Record>;

impl Stores {
    /// Each record, or why it alone can't be read.
    pub(super) async fn read(&self, plan: &Plan, side: Side, ids: &[Id]) -> Result<Vec<Read>, Error> {
        self.ask(plan, side, ids, |store, ids| store.get_many(ids)).await
    }

    /// In as many concurrent statements as the plan has.
    pub(super) async fn ask<T>(
        &self,
        plan: &Plan,
        side: Side,
        ids: &[Id],
        question: Question<T>,
    ) -> Result<Vec<Answer<T>>, Error> {
        let parts = plan.parts(ids).map(|part| self.ask_part(side, part, question));
        Ok(future::try_join_all(parts).await?.into_iter().flatten().collect())
    }

    async fn ask_part<T>(
        &self,
        side: Side,
        ids: &[Id],
        question: Question<T>,
    ) -> Result<Vec<Answer<T>>, Error> {
        let mut read = Vec::with_capacity(ids.len());
        // Halves of a batch that could not be read, in order, down to the record at fault.
        let mut left = vec![ids];
        while let Some(part) = left.pop() {
            match question(self.side(side), part).await {
                Ok(records) => read.extend(records.into_iter().map(Ok)),
                Err(error) if !is_misfit(&error) => {
                    return Err(Error::Store { store: side.name(), error });
                }
                Err(error) if part.len() <= 1 => read.push(Err(error)),
                Err(_) => {
                    let (one, other) = part.split_at(part.len() / 2);
                    left.extend([other, one]);
                }
            }
        }
        Ok(read)
    }
}
