//! The statements that read, whichever way the versions are kept.

/// The statements that read, as text.
pub(super) struct Reads {
    pub(super) get: String,
    pub(super) get_many: String,
    pub(super) get_versions: String,
    pub(super) version: String,
    /// For each of [`SCANS`], the first page and the next ones.
    pub(super) scans: [[String; 2]; 4],
    pub(super) count: String,
}

/// What the first page of a scan asks for, and what the next ones do, given the columns of tenant and key: everything after
/// a place, the same up to another place, the rest of one tenant, and keys of one tenant up to one that ends them. The first
/// page of those keys has the one that it begins at, the next ones do not.
const SCANS: [fn(&str, &str) -> [String; 2]; 4] = [
    |tenant, key| ["TRUE".to_owned(), format!("({tenant}, {key}) > (?1, ?2)")],
    |tenant, key| {
        let up_to = format!("({tenant}, {key}) <= (?3, ?4)");
        [up_to.clone(), format!("({tenant}, {key}) > (?1, ?2) AND {up_to}")]
    },
    |tenant, key| [format!("{tenant} = ?1"), format!("{key} > ?2 AND {tenant} = ?1")],
    |tenant, key| [">=", ">"].map(|than| format!("{key} {than} ?2 AND {tenant} = ?1 AND {key} < ?3")),
];

/// For each of [`SCANS`] the statements of the first page and of the next ones, made from its condition on given
/// columns.
pub(super) fn scans(page: impl Fn(&dyn Fn(&str, &str) -> String) -> String) -> [[String; 2]; 4] {
    SCANS.map(|scan| [0, 1].map(|at| page(&|tenant: &str, key: &str| scan(tenant, key)[at].clone())))
}
