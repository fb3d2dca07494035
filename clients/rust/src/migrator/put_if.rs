//! Writes that compare the content first.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Cause, Edit, Migrator, WriteError, finish,
    rules::compares_alone,
    writing::{Intent, MutateFn, Writing, Written},
};
use crate::store::{
    Id, Version,
    document::{Document, DocumentError},
};

/// What [`Migrator::put_if`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutIf<T = Vec<u8>> {
    /// The record had the expected content, and was written with this version.
    Applied(Version),
    /// Nothing was written: the record has this content. `None`: there is none.
    Mismatch(Option<T>),
}

impl Migrator {
    /// Writes the record if it is as the caller expects it; `None`: if there is none, or it was deleted. Otherwise it
    /// writes nothing and returns what is there. Of several calls with one expectation exactly one is applied.
    ///
    /// Values are compared as `T`: attributes that the type does not know may differ, and stay as they are, as with
    /// [`Self::mutate`].
    ///
    /// **At target-first it is refused** (not applied) unless the policy `local_guard` is on, because another instance
    /// may be at target-only already, and no store orders both. docs/protocol.md has the rules of each rung.
    ///
    /// After [`WriteError::Indeterminate`] call it again, with the same expectation: it is applied at most once. If it
    /// finds the new value, the first call has taken effect, or somebody else wrote the same. Put an id of your own into
    /// the value where that matters.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("seats", Rung::Dual).client();
    /// # let seats = client.migrator("seats", MemoryStore::new(), MemoryStore::new());
    /// use cutover_client::migrator::PutIf;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    /// struct Seat {
    ///     guest: String,
    /// }
    ///
    /// let ada = Seat { guest: "Ada".to_owned() };
    /// let bob = Seat { guest: "Bob".to_owned() };
    /// assert!(matches!(seats.put_if("acme", "seat-1", None, &ada).await?, PutIf::Applied(_)));
    /// assert_eq!(seats.put_if("acme", "seat-1", None, &bob).await?, PutIf::Mismatch(Some(ada)));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn put_if<T: Serialize + DeserializeOwned>(
        &self,
        tenant: &str,
        key: &str,
        expected: Option<&T>,
        new: &T,
    ) -> Result<PutIf<T>, WriteError> {
        let expected = expected.map(encoded).transpose().map_err(WriteError::Value)?;
        let new = Document::from_value(new).map_err(WriteError::Value)?;
        let change = move |old: Option<&[u8]>| {
            let old = old.map(|bytes| Document::decode(bytes)?.split::<T>()).transpose()?;
            let (value, rest) = old.unzip();
            if value.as_ref().map(encoded).transpose()? != expected {
                return Ok(Edit::Keep);
            }
            let mut new = new.clone();
            new.restore(rest.unwrap_or_default());
            Ok(Edit::Put(new.encode()?))
        };
        match self.compare(tenant, key, Box::new(change)).await? {
            PutIf::Applied(version) => Ok(PutIf::Applied(version)),
            PutIf::Mismatch(found) => {
                let value = |bytes: Vec<u8>| Document::decode(&bytes)?.to_value();
                Ok(PutIf::Mismatch(found.map(value).transpose().map_err(WriteError::Value)?))
            }
        }
    }

    /// [`Self::put_if`] of raw bytes, all of which are compared.
    pub async fn put_if_bytes(
        &self,
        tenant: &str,
        key: &str,
        expected: Option<&[u8]>,
        new: Vec<u8>,
    ) -> Result<PutIf, WriteError> {
        let expected = expected.map(<[u8]>::to_vec);
        let change = move |old: Option<&[u8]>| {
            let is_expected = old == expected.as_deref();
            Ok(if is_expected { Edit::Put(new.clone()) } else { Edit::Keep })
        };
        self.compare(tenant, key, Box::new(change)).await
    }

    /// A mutation that keeps the record if it is not as expected.
    async fn compare(&self, tenant: &str, key: &str, change: MutateFn) -> Result<PutIf, WriteError> {
        let id = Id::new(tenant, key)?;
        let operation = self.inner.admit(tenant).await?;
        let (decision, local_guard) = (operation.decision, operation.policy.local_guard);
        if !compares_alone(decision.rung, decision.no_fallback, local_guard) {
            return Err(WriteError::NotApplied(Cause::BesideTargetOnly));
        }
        let writing = Writing::new(self.inner.clone(), operation, id, Intent::Mutate(change));
        Ok(match finish::Finish::new(writing.run()).await? {
            Written::Applied(version) => PutIf::Applied(version),
            Written::Kept(found) => PutIf::Mismatch(found),
        })
    }
}

fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>, DocumentError> {
    Document::from_value(value)?.encode()
}
