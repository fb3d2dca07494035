//! How the demo makes its target fail: a file says for whom, and every worker reads it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cutover_core::outcome::ErrorClass;
use cutover_proto::v1;
use cutover_store::{Faulty, Store, StoreError, Verb};

/// Interval at which a worker reads the file.
pub(super) const LOOK: Duration = Duration::from_millis(20);
const FILE: &str = "target-fault";
const EVERYTHING: &str = "*";

/// What fails in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    Nothing,
    /// Every call.
    Everything,
    /// Calls about one tenant.
    Tenant(String),
}

impl Fault {
    /// Tells the workers of a directory.
    pub(super) fn set(&self, dir: &Path) -> io::Result<()> {
        let text = match self {
            Self::Nothing => "",
            Self::Everything => EVERYTHING,
            Self::Tenant(tenant) => tenant,
        };
        // As a whole or not at all: half a tenant's name would be another tenant.
        fs::write(dir.join("target-fault.new"), text)?;
        fs::rename(dir.join("target-fault.new"), dir.join(FILE))
    }

    /// Whether the trip is about those for whom the target fails. If it fails for all, the busiest tenant may
    /// trip a moment before everybody.
    pub(super) fn is_answered_by(&self, trip: &v1::Trip) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => trip.tenant.is_empty(),
            Self::Tenant(tenant) => trip.tenant == *tenant,
        }
    }

    fn read(dir: &Path) -> Self {
        match fs::read_to_string(dir.join(FILE)).unwrap_or_default().as_str() {
            "" => Self::Nothing,
            EVERYTHING => Self::Everything,
            tenant => Self::Tenant(tenant.to_owned()),
        }
    }
}

/// Makes a worker's target fail as the file says, until the process ends.
pub(super) async fn follow(dir: PathBuf, target: Arc<Faulty<dyn Store>>) {
    let mut set = Fault::Nothing;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let fault = Fault::read(&dir);
        if fault == set {
            continue;
        }
        target.heal();
        if fault != Fault::Nothing {
            let what = "the demo lets it fail".to_owned();
            let refused = StoreError::NotApplied { class: ErrorClass::Connection, what };
            target.only(match &fault {
                Fault::Tenant(tenant) => Some(tenant),
                _ => None,
            });
            target.always(Verb::Get, cutover_store::Fault::Refuse(refused.clone()));
            target.always(Verb::Put, cutover_store::Fault::Refuse(refused));
        }
        set = fault;
    }
}
