//! Makes the target's record what the source has, although the target's is newer, differs at the same
//! version, or is the only one: somebody wrote one of the two without an SDK.
//!
//! Only the target is written, and only if it still has the version that was seen there. So every write that
//! comes in between wins. docs/protocol.md#repairing-what-the-protocol-never-writes says why nothing is lost.

use cutover_core::routing::{Mutation, Rung};
use cutover_store::{Id, Put, Record, StoreError, Version};

use super::{
    Error, Plan, Stores,
    compare::Difference,
    page::Done,
    quarantine::{JoinedPass, is_misfit},
    side::Side,
};

/// How often a record is looked at again after a write. Services that write it all the time repair it, too.
const TIMES: u32 = 10;

impl Stores {
    /// Makes the target's record what the source has. False: not now, because the tenant's reads may come from
    /// the target, or because the record can't be read or stored there.
    pub(super) async fn overwrite(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        id: &Id,
        done: &mut Done,
    ) -> Result<bool, Error> {
        let current = pass.client.current();
        let mut written = false;
        for _ in 0..TIMES {
            // From before the look until the write has ended: as long as it is held, nobody writes to the
            // target alone.
            let operation = pass.begin(&plan.migration, &id.tenant, |_| {}).await?;
            if !reads_the_source(operation.decision.rung) && !Mutation::RepairBelowTarget.is_left_out() {
                return Ok(false);
            }
            // The target first: what is written in between is then newer in the source.
            let Some(target) = readable(Side::Target, self.target.get(id).await)? else { return Ok(false) };
            let Some(source) = readable(Side::Source, self.source.get(id).await)? else { return Ok(false) };
            let Some(difference) = plan.difference(source.as_ref(), target.as_ref()) else {
                done.counts.copied += u64::from(written);
                return Ok(true);
            };
            // The look counts only if the operation still had the right to act when it was over.
            let is_overtaken = operation.overtaken(current, &plan.migration, &id.tenant);
            if is_overtaken && !Mutation::WorkersInTime.is_left_out() {
                return Err(Error::Overtaken);
            }
            // Below every stamp, so it hides no write of an SDK.
            let record = source.unwrap_or(Record { version: Version(1), value: None });
            let put = match (difference, target) {
                // With a ledger, the version of a row that another program deleted still keeps older ones out.
                (_, None) => self.target.put_if_unchanged(id, &record, None),
                (Difference::Stale, _) => self.target.put_if_newer(id, &record),
                (_, Some(target)) => self.target.put_if_unchanged(id, &record, Some(target.version)),
            };
            match pass.in_time(&operation, put).await? {
                // Looked at again in either case. An SDK whose write was older than what the target had
                // believed that it was superseded, and did not write it there.
                Ok(Put::Applied | Put::Present) if Mutation::RepairLooksAgain.is_left_out() => {
                    return Ok(true);
                }
                Ok(Put::Applied | Put::Present) => {
                    pass.in_a_row.accepted(Side::Target, [id]);
                    written = true;
                }
                Ok(Put::Stale(_)) => {}
                Err(error) if is_misfit(&error) => {
                    self.keep_apart(plan, pass, Side::Target, id, &record, &error, done).await?;
                    return Ok(false);
                }
                Err(error) => return Err(Error::Store { store: Side::Target.name(), error }),
            }
        }
        Ok(false)
    }
}

/// Whether the tenant's reads come from the source, and the source has all of its acknowledged writes. A floor
/// keeps tenants at target-first as long as it does not.
const fn reads_the_source(rung: Rung) -> bool {
    matches!(rung, Rung::SourceOnly | Rung::Dual | Rung::Mirrored)
}

/// `None`: this record can't be read, which was reported when it was compared.
fn readable<T>(side: Side, read: Result<T, StoreError>) -> Result<Option<T>, Error> {
    match read {
        Ok(record) => Ok(Some(record)),
        Err(error) if is_misfit(&error) => Ok(None),
        Err(error) => Err(Error::Store { store: side.name(), error }),
    }
}
