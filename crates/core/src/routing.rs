//! Who goes where: one pure function, used by every SDK and by the controller.
//!
//! ```text
//! bucket(salt, tenant) = (murmur3_x86_32(utf8(salt + ":" + tenant), seed 0) as u64 * 1_000_000) >> 32
//!
//! decide(table, tenant):
//!   overrides[tenant]                       if present
//!   the first band with bucket < upto_ppm   most advanced rung first
//!   source-only                             otherwise
//! ```
//!
//! Nothing here takes a lock, allocates (except to build a table), reads a clock or uses a float.

mod bucket;
mod mutation;
mod overrides;
mod route;
mod rung;
mod snapshot;
mod table;

pub use bucket::{PPM, Salt, bucket};
pub use mutation::Mutation;
pub use overrides::OVERRIDES_MAX;
pub use route::Route;
pub use rung::{Level, Reason, Rung, Stage, UnknownName, coexist};
pub use snapshot::Snapshot;
pub use table::{Band, Decision, Policy, Table, decide};

/// Maximum bytes of a tenant.
pub const TENANT_MAX_BYTES: usize = 256;

/// Why there is no decision. An error never becomes a bucket or a default stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no table for this key.
    #[error(
        "the controller has no migration {0:?}: check the key (cutover list). If it was finished and deleted, use the target \
             without Cutover; create one only if it is new"
    )]
    UnknownMigration(String),
    /// The table could not be read, for example because of a rung that only a newer version knows.
    #[error("migration {migration:?} can't be routed by this version: {what}; upgrade this client")]
    Unreadable {
        /// The migration's key.
        migration: String,
        /// What this version does not know.
        what: String,
    },
    /// The tenant is invalid.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

/// What is wrong with a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// It is empty.
    #[error("tenant is empty: give 1 to 256 bytes")]
    Empty,
    /// It has more than [`TENANT_MAX_BYTES`].
    #[error("tenant has {0} bytes: give 1 to 256")]
    TooLong(usize),
    /// It has a control character: U+0000..U+001F or U+007F..U+009F.
    #[error("tenant has a control character: remove it")]
    Control,
}

/// Checks a tenant: 1 to 256 bytes, no control characters.
pub fn check_tenant(tenant: &str) -> Result<(), TenantError> {
    let bytes = tenant.as_bytes();
    if bytes.is_empty() {
        return Err(TenantError::Empty);
    }
    if bytes.len() > TENANT_MAX_BYTES {
        return Err(TenantError::TooLong(bytes.len()));
    }
    // 0xC2 leads the control characters U+0080..U+009F, but also letters: check further only then.
    let suspect =
        bytes.iter().fold(false, |found, &byte| found | (byte < 0x20) | (byte == 0x7f) | (byte == 0xc2));
    if suspect && tenant.chars().any(char::is_control) {
        return Err(TenantError::Control);
    }
    Ok(())
}
