//! Checks that a worker has the same tables as every other worker of the pass.

use std::{sync::Arc, time::Duration};

use cutover_proto::v1;
use cutover_store::{Identity, Store};
use tokio::{sync::Mutex, time::Instant};

use super::{Error, Plan, Stores, side::Side};

/// How long an answer may be reused for further claims.
const FRESH: Duration = Duration::from_secs(5);

/// Both tables of a worker; `None` for a store without identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// The source table.
    pub source: Option<Identity>,
    /// The target table.
    pub target: Option<Identity>,
}

/// The last answer of both stores.
pub(super) type Known = Mutex<Option<(Instant, Identities)>>;

impl Stores {
    /// Asks both stores. Refuses a table that belongs to both.
    pub async fn identities(&self) -> Result<Identities, Error> {
        let ask = async |store: &Arc<dyn Store>, side: Side| {
            store.identity().await.map_err(|error| Error::Store { store: side.name(), error })
        };
        let source = ask(&self.source, Side::Source).await?;
        let target = ask(&self.target, Side::Target).await?;
        if let (Some(source), Some(target)) = (&source, &target)
            && source.shares_table(target)
        {
            let (of_source, of_target) = (source.place.clone(), target.place.clone());
            return Err(Error::SameTable { of_source, of_target });
        }
        Ok(Identities { source, target })
    }

    /// Source and target, for people.
    pub async fn tables(&self) -> Result<[Option<String>; 2], Error> {
        let Identities { source, target } = self.identities().await?;
        Ok([source, target].map(|identity| identity.map(|identity| identity.place)))
    }

    /// The same, unless they were asked a moment ago.
    pub(super) async fn identities_for(&self, known: &Known) -> Result<Identities, Error> {
        let mut known = known.lock().await;
        if let Some((at, identities)) = &*known
            && at.elapsed() < FRESH
        {
            return Ok(identities.clone());
        }
        let identities = self.identities().await?;
        *known = Some((Instant::now(), identities.clone()));
        Ok(identities)
    }

    /// Checks that these are still the pass's tables. They may have been recreated while the worker was
    /// running.
    pub(super) async fn check_identities(&self, plan: &Plan, job: &v1::Job) -> Result<(), Error> {
        let Identities { source, target } = self.identities().await?;
        for (side, has, pass) in [(Side::Source, source, &job.source), (Side::Target, target, &job.target)] {
            if let (Some(has), Some(pass)) = (has, pass)
                && has.id != pass.id
            {
                return Err(Error::OtherTable {
                    job: job.id.clone(),
                    verb: if side == plan.writes() { "writes" } else { "scans" },
                    has: has.place,
                    pass: pass.place.clone(),
                });
            }
        }
        Ok(())
    }
}

/// For the controller.
pub fn to_wire(identity: Option<Identity>) -> Option<v1::StoreIdentity> {
    identity.map(|Identity { id, place, ledger, .. }| v1::StoreIdentity { id, place, ledger })
}
