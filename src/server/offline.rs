//! What commands do with a store themselves, without a controller.

use std::path::Path;

use super::Error;
use crate::store;
pub use crate::store::{Inspected, Leader, shown_store};

/// `cutover restore`: creates a store from a backup.
pub async fn restore(store: &str, file: &Path) -> Result<(), Error> {
    Ok(store::restore_store(store, file).await?)
}

/// `cutover doctor --store`: looks at a controller's store, and writes nothing.
pub async fn inspect(store: &str) -> Result<Inspected, Error> {
    Ok(store::inspect_store(store).await?)
}
