//! Who asks for a change.

/// Who requests a change, and how.
#[derive(Clone, Debug, Default)]
pub struct RequestMeta {
    /// `operator:<name>`, `plan`, `guard:<name>` or `controller`.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
    /// The migration's revision that the change is based on. `None`: any.
    pub expected_revision: Option<u64>,
    /// A retry with the same id returns the first answer. Empty: none.
    pub request_id: String,
    /// Only say what would change.
    pub dry_run: bool,
}
