//! Writes that compare the content first.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Cause, Edit, Migrator, RefusedUntil, WriteError, finish,
    rules::compares_alone,
    writing::{Intent, MutateFn, Writing, Written},
};
use crate::{
    routing::Level,
    store::{
        Id, Version,
        document::{Document, DocumentError},
    },
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
    /// writes nothing and returns what is there. Of several calls with one expectation at most one is applied, as long as
    /// nobody writes the expected content again. So don't expect `None` of records that are deleted and created again:
    /// make the expectation unique, with a counter in the value.
    ///
    /// The promise is among calls of SDKs, `put`, `delete` and `mutate` included. At source-only a service without an SDK
    /// changes records without a version, and its change may be replaced. **Around target-only**, while tenants step
    /// there or back, the promises are those of [`Self::mutate`]: an applied `put_if` and a put or mutation at
    /// target-first may replace each other unseen.
    ///
    /// Values are compared as `T`: attributes that the type does not know may differ, and stay as they are, as with
    /// [`Self::mutate`]. A type that serializes equal values differently, for example one with a `HashSet`, is compared by
    /// what it happens to write: use ordered collections.
    ///
    /// **At target-first it is refused** (not applied, [`Cause::BesideTargetOnly`]) unless the policy `local_guard` is on
    /// and the tenant can fall back to the source. Otherwise another instance may be at target-only already, and no store
    /// orders both. Level linearizable has no local guard. docs/protocol.md, "Writes that compare first", has the rules of
    /// each rung and the exceptions.
    ///
    /// After [`WriteError::Indeterminate`] call it again with the same expectation, if that content can't come back. If
    /// it finds the new value, the first call took effect, or somebody else wrote the same: put an id of your own into the
    /// value where that matters. If it finds another value, the first call has not taken effect or was replaced; only
    /// around target-only it may still take effect later.
    ///
    /// A `Permanent` error of the target means that the target refuses the source's newer record. Reads and `put_if`
    /// then disagree until somebody overwrites the record with [`Self::put`].
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
        // As the stored value below, so that a value equals itself although its type drops something on the way.
        let expected = expected.map(|value| encoded(&Document::from_value(value)?.to_value::<T>()?));
        let expected = expected.transpose().map_err(WriteError::Value)?;
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

    /// [`Self::put_if`] of raw bytes, all of which are compared. Stores may give a document back in canonical form, so
    /// pass only bytes that [`Document::encode`] has made. Others may never match again.
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
        let (decision, policy) = (operation.decision, operation.policy);
        let writing = Writing::new(self.inner.clone(), operation, id, Intent::Mutate(change));
        let written = if compares_alone(decision.rung, decision.no_fallback, policy.local_guard) {
            finish::Finish::new(writing.run()).await?
        } else {
            let until = match policy.level {
                Level::Linearizable => RefusedUntil::AnotherStage,
                Level::Acknowledged if decision.no_fallback => RefusedUntil::ReversePass,
                Level::Acknowledged => RefusedUntil::LocalGuard,
            };
            writing.refuse(Cause::BesideTargetOnly(until))?
        };
        Ok(match written {
            Written::Applied(version) => PutIf::Applied(version),
            Written::Kept(found) => PutIf::Mismatch(found),
        })
    }
}

fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>, DocumentError> {
    Document::from_value(value)?.encode()
}
