//! Tries exactly those records again that are in quarantine, and takes out those that fit by now.

use std::sync::Arc;

use cutover_client::{Client, clock};
use cutover_core::routing::Rung;
use cutover_store::{Id, Ttl};

use super::{
    Error, Plan, Stores,
    patience::patiently,
    quarantine::{JoinedPass, Row, Rows, is_misfit},
    side::Side,
    worker,
};

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It was written.
    Moved,
    /// The other store has this version already, or a newer one.
    Present,
    /// Its store has no such record any more, or it has expired.
    Gone,
    /// It remains in quarantine; why.
    Left(String),
}

/// Tries each record again. `told` is called with each row and what became of it. Ends early when `stop`
/// completes.
pub async fn retry(
    server: &str,
    stores: &Stores,
    plan: &Plan,
    told: impl FnMut(&Row, &Retried),
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let stores = stores.bounded(plan.limits.call);
    // An instance: a copy that was read before a step and lands after it would leave the target stale.
    worker::registered(server, "cutover-retry", plan, stop, async |client, _| {
        stores.retry(plan, client, told).await
    })
    .await
}

impl Stores {
    async fn retry(
        &self,
        plan: &Plan,
        client: &Arc<Client>,
        mut told: impl FnMut(&Row, &Retried),
    ) -> Result<(), Error> {
        let Some(quarantine) = &self.quarantine else { return Ok(()) };
        // Refuses one table as both.
        self.identities().await?;
        // No pass has begun whose revision the snapshot would have to include, so no snapshot excuses a difference.
        let pass = JoinedPass::joined(&format!("{}/retry", plan.migration), u64::MAX, client);
        let patience = plan.limits.patience;
        let mut rows = Rows::of(&**quarantine, &plan.migration, patience);
        while let Some(page) = rows.next().await? {
            for row in page {
                let retried = patiently(patience, |_, _| {}, || self.try_again(plan, &pass, &row)).await?;
                if !matches!(retried, Retried::Left(_)) {
                    row.release(&**quarantine, patience).await?;
                }
                told(&row, &retried);
            }
        }
        Ok(())
    }

    async fn try_again(&self, plan: &Plan, pass: &JoinedPass, row: &Row) -> Result<Retried, Error> {
        let left = |why: &str| Ok(Retried::Left(why.to_owned()));
        let Ok(id) = Id::new(&row.tenant, &row.key) else {
            return left("its tenant or key is invalid: correct it, then run the pass again");
        };
        // From before the read until the write has ended, so that no barrier settles in between.
        let operation = pass.begin(&plan.migration, &id.tenant, |_| {}).await?;
        let decision = operation.decision;
        let from_target_only = decision.rung == Rung::TargetFirst && decision.no_fallback;
        match row.toward {
            _ if decision.rung == Rung::Hold => return left("its tenant is on hold: try again in a moment"),
            Side::Source if !from_target_only => {
                return left(
                    "records go back only while their tenant is at target-first after target-only: ramp it \
                     there, then run cutover reverse",
                );
            }
            Side::Source | Side::Target => {}
        }
        let (from, until) = (row.toward.other(), clock::Instant::now() + Ttl::CALLS_WITHIN);
        let record = match self.side(from).get(&id).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Retried::Gone),
            Err(error) if is_misfit(&error) => {
                return Ok(Retried::Left(format!("it can't be read in the {}: {error}", from.name())));
            }
            Err(error) => return Err(Error::Store { store: from.name(), error }),
        };
        let addable = self.addable(plan, pass, row.toward, &[(id.clone(), record)]).await?;
        if !addable.withheld.is_empty() {
            return left("its tenant reads the target: ramp it to mirrored, then try again");
        }
        if addable.records.is_empty() && addable.behind.is_empty() && addable.present == 0 {
            // It has expired.
            return Ok(Retried::Gone);
        }
        let copy = pass.in_time(&operation, self.copy(plan, pass, row.toward, &addable.records));
        let copied = match plan.ttl {
            None => Some(copy.await),
            Some(_) => clock::before(until, copy).await,
        };
        let Some(copied) = copied else { return left("it took too long: try again") };
        let mut done = copied??;
        let mut behind = std::mem::take(&mut done.behind);
        behind.extend(addable.behind);
        self.report_kept_out(plan, pass, row.toward, &mut done, behind).await?;
        if operation.overtaken(pass.client.current(), &plan.migration, &id.tenant) {
            return Err(Error::Overtaken);
        }
        let mut why = done.findings.0.into_iter().flat_map(|finding| finding.examples);
        Ok(match why.next() {
            Some(why) => Retried::Left(
                why.strip_prefix(&format!("quarantined {}: ", row.place())).unwrap_or(&why).to_owned(),
            ),
            None if done.counts.copied > 0 => Retried::Moved,
            None => Retried::Present,
        })
    }
}
