//! Reads and writes of your own types.

use serde::{Serialize, de::DeserializeOwned};

use super::{Edit, Migrator, ReadError, WriteError};
use crate::store::{
    Version,
    document::{Document, DocumentError},
};

impl Migrator {
    /// Returns the record as a value; `None` if there is no record or it was deleted. Attributes that the type
    /// does not know are ignored. An error names the attribute that does not fit.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     items: u32,
    /// }
    ///
    /// orders.put_bytes("acme", "order-1", br#"{"items":{"N":"3"}}"#.to_vec()).await?;
    /// let order = orders.get::<Order>("acme", "order-1").await?;
    /// assert_eq!(order.map(|order| order.items), Some(3));
    ///
    /// orders.put_bytes("acme", "order-2", br#"{"items":{"S":"three"}}"#.to_vec()).await?;
    /// let error = orders.get::<Order>("acme", "order-2").await.err().unwrap();
    /// assert_eq!(error.to_string(), "the record can't be read as this type: items: text where u32 is needed");
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn get<T: DeserializeOwned>(&self, tenant: &str, key: &str) -> Result<Option<T>, ReadError> {
        let Some(bytes) = self.get_bytes(tenant, key).await? else { return Ok(None) };
        Document::decode(&bytes).and_then(Document::to_value).map(Some).map_err(ReadError::Value)
    }

    /// Writes the whole record, whatever is there, and returns its version. **Attributes that are not in `value`
    /// are lost**; use [`Self::mutate`] to keep those that the type does not know.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// #[derive(serde::Serialize)]
    /// struct Order {
    ///     items: u32,
    ///     note: Option<String>,
    /// }
    ///
    /// orders.put("acme", "order-1", &Order { items: 3, note: None }).await?;
    /// let bytes = orders.get_bytes("acme", "order-1").await?;
    /// assert_eq!(bytes.as_deref(), Some(&br#"{"items":{"N":"3"}}"#[..]));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn put<T: Serialize + ?Sized>(
        &self,
        tenant: &str,
        key: &str,
        value: &T,
    ) -> Result<Version, WriteError> {
        let document = Document::from_value(value).map_err(WriteError::Value)?;
        let bytes = document.encode().map_err(WriteError::Value)?;
        self.put_bytes(tenant, key, bytes).await
    }

    /// Reads the record, applies `change`, and writes the result only if nobody else has written since.
    /// Otherwise it starts over, so `change` may be called several times and must only compute. Returns the
    /// version written, or `None` for [`Edit::Keep`].
    ///
    /// Attributes that the type does not know stay as they are, in maps within the record too, but not in lists
    /// or enums ([`Document::split`] has the details).
    ///
    /// The comparison is made in the store that orders the writers: the source, or at target-only the target.
    /// So mutations and puts lose no update, at any rung and across every step, except while target-first and
    /// target-only are both live. A mutation at target-first is then ordered like a put: it can replace a write at
    /// target-only that it has not seen ([`Self::put_if`] is refused there instead). And a mutation at target-only can
    /// replace a write at target-first that is under way.
    ///
    /// A mutation that keeps the record confirms what it found: at mirrored and target-first the target has it then,
    /// or the mutation fails. So whoever recognizes an earlier attempt of its own may report success.
    ///
    /// A mutation starts from the newest record in that store. This may be an earlier write that returned
    /// "indeterminate"; it has taken effect then.
    ///
    /// ```
    /// # use cutover_client::{migrator::Edit, routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     items: u32,
    /// }
    ///
    /// let stored = br#"{"items":{"N":"3"},"region":{"S":"eu"}}"#;
    /// orders.put_bytes("acme", "order-1", stored.to_vec()).await?;
    /// let add_one = |order: Option<Order>| match order {
    ///     Some(order) => Edit::Put(Order { items: order.items + 1 }),
    ///     None => Edit::Keep,
    /// };
    /// orders.mutate("acme", "order-1", add_one).await?;
    /// let bytes = orders.get_bytes("acme", "order-1").await?;
    /// assert_eq!(bytes.as_deref(), Some(&br#"{"items":{"N":"4"},"region":{"S":"eu"}}"#[..]));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn mutate<T: Serialize + DeserializeOwned>(
        &self,
        tenant: &str,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Edit<T> + Send + 'static,
    ) -> Result<Option<Version>, WriteError> {
        let change = move |old: Option<&[u8]>| apply(old, &mut change);
        self.mutate_by(tenant, key, Box::new(change)).await
    }
}

/// Applies a change to an encoded document.
fn apply<T: Serialize + DeserializeOwned>(
    old: Option<&[u8]>,
    change: &mut impl FnMut(Option<T>) -> Edit<T>,
) -> Result<Edit, DocumentError> {
    let old = old.map(|bytes| Document::decode(bytes)?.split()).transpose()?;
    let (value, rest) = old.unzip();
    Ok(match change(value) {
        Edit::Put(value) => {
            let mut document = Document::from_value(&value)?;
            document.restore(rest.unwrap_or_default());
            Edit::Put(document.encode()?)
        }
        Edit::Delete => Edit::Delete,
        Edit::Keep => Edit::Keep,
    })
}
