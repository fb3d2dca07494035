//! Who goes where: one pure function, used alike by every SDK and by the controller.
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
//! Nothing here takes a lock, allocates (but when a table is built), reads a clock or uses a float.

mod bucket;
mod mutation;
mod overrides;
mod rung;
mod snapshot;
mod table;

pub use bucket::{PPM, Salt, bucket};
pub use mutation::Mutation;
pub use overrides::OVERRIDES_MAX;
pub use rung::{Level, Reason, Rung, Stage, UnknownName, coexist};
pub use snapshot::Snapshot;
pub use table::{Band, Decision, Policy, Route, Table, decide};

/// Most bytes of a tenant.
pub const TENANT_MAX_BYTES: usize = 256;

/// Why there is no decision. Never a bucket, never a default stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No table for this key.
    #[error("migration {0:?} is not known here: create it, or check the key")]
    UnknownMigration(String),
    /// The table could not be read, e.g. a rung that only a newer version knows.
    #[error("migration {migration:?} can't be routed by this version: {what}; upgrade this client")]
    Unreadable {
        /// Its key.
        migration: String,
        /// What was not understood.
        what: String,
    },
    /// Empty, too long or with control characters.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

/// What is wrong with a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// There is none.
    #[error("tenant is empty: give 1 to 256 bytes")]
    Empty,
    /// Over [`TENANT_MAX_BYTES`].
    #[error("tenant has {0} bytes: give 1 to 256")]
    TooLong(usize),
    /// U+0000..U+001F or U+007F..U+009F.
    #[error("tenant has a control character: remove it")]
    Control,
}

/// Checks what every surface demands of a tenant: 1 to 256 bytes, no control characters.
pub fn check_tenant(tenant: &str) -> Result<(), TenantError> {
    let bytes = tenant.as_bytes();
    if bytes.is_empty() {
        return Err(TenantError::Empty);
    }
    if bytes.len() > TENANT_MAX_BYTES {
        return Err(TenantError::TooLong(bytes.len()));
    }
    // 0xC2 leads the controls of U+0080..U+009F, and harmless letters too: look closer only then.
    let suspect =
        bytes.iter().fold(false, |found, &byte| found | (byte < 0x20) | (byte == 0x7f) | (byte == 0xc2));
    if suspect && tenant.chars().any(char::is_control) {
        return Err(TenantError::Control);
    }
    Ok(())
}
