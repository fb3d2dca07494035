//! The statements that read, whichever way the versions are kept.

/// The statements that read, as text.
pub(super) struct Reads {
    pub(super) get: String,
    pub(super) get_many: String,
    pub(super) get_versions: String,
    pub(super) version: String,
    /// For each of [`SCANS`], the first page and the next ones.
    pub(super) scans: [[String; 2]; 3],
    pub(super) count: String,
}

/// What a scan asks for, given the columns of tenant and key: everything after a place, the same up to
/// another place, and the rest of one tenant.
const SCANS: [fn(&str, &str) -> [String; 2]; 3] = [
    |tenant, key| [format!("({tenant}, {key}) > (?1, ?2)"), "TRUE".to_owned()],
    |tenant, key| [format!("({tenant}, {key}) > (?1, ?2)"), format!("({tenant}, {key}) <= (?3, ?4)")],
    |tenant, key| [format!("{key} > ?2"), format!("{tenant} = ?1")],
];

/// For each of [`SCANS`] the statements of the first page and of the next ones, made from its condition on given
/// columns.
pub(super) fn scans(page: impl Fn(&dyn Fn(&str, &str) -> String) -> String) -> [[String; 2]; 3] {
    SCANS.map(|scan| {
        let first = |tenant: &str, key: &str| scan(tenant, key)[1].clone();
        let next = |tenant: &str, key: &str| scan(tenant, key).join(" AND ");
        [page(&first), page(&next)]
    })
}
