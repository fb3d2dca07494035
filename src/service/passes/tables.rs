//! Checks that all workers of a pass have the same two tables, and all passes of a migration. A pass that scans two
//! sources would be clean and have half of each; one that scans another source than the one before would be clean and
//! have nothing of it.

use super::{Passes, key_of, operate};
use crate::{
    domain::{Change, Gate, Job, PassKind, PassTables, Refusal, Unmet},
    service::operate::RequestMeta,
    store::PassRecord,
};

impl Passes {
    /// Refuses a worker whose tables differ from the pass's or from those of earlier passes, or whose ledgers do.
    pub(super) async fn check_tables(
        &self,
        job: &Job,
        worker: &str,
        tables: &PassTables,
    ) -> Result<(), operate::Error> {
        // It must not change what the migration knows if the pass has other tables.
        let mut record = Self::pass(&mut self.live(), job).record.clone();
        check(&mut record, job, worker, tables)?;
        self.know_tables(job, tables).await?;
        let is_unkept = {
            let mut live = self.live();
            let pass = Self::pass(&mut live, job);
            let is_first = check(&mut pass.record, job, worker, tables)?;
            pass.unkept |= is_first;
            pass.unkept_tables |= is_first;
            pass.unkept_tables
        };
        // Durable before anybody reads anything: workers continue after a restart of the controller, and another
        // one must not be taken for the first one then. If the first one's call failed or was dropped, the next one
        // sees to it.
        if is_unkept {
            self.keep_now().await?;
        }
        Ok(())
    }

    /// Keeps the tables with the migration, where later passes are compared with them. Mostly it knows them since the
    /// pass began.
    pub(super) async fn know_tables(&self, job: &Job, tables: &PassTables) -> Result<(), operate::Error> {
        let key = key_of(&job.id)?;
        let migration = self.registry.state().entry(&key).map(|entry| entry.migration.clone());
        let Some(migration) = migration else { return Ok(()) };
        let unmet = migration.other_ledgers(job.kind, &tables.ledgers());
        if !unmet.is_empty() {
            return Err(Refusal::Unmet(unmet).into());
        }
        if migration.must_learn(tables) {
            let by = RequestMeta { actor: "controller".to_owned(), ..RequestMeta::default() };
            let know = Change::KnowTables { id: job.id.clone(), tables: tables.clone() };
            self.operate.change(&key, &know, &by).await?;
        }
        Ok(())
    }
}

/// Compares a worker's tables with the pass's. The first worker's tables become the pass's. True: they just
/// did.
fn check(record: &mut PassRecord, job: &Job, worker: &str, tables: &PassTables) -> Result<bool, Refusal> {
    let writes_source = job.kind == PassKind::Reverse;
    let verb = |writes| if writes { "writes" } else { "scans" };
    let sides = [
        (&record.source, &tables.source, verb(writes_source)),
        (&record.target, &tables.target, verb(!writes_source)),
    ];
    let mut unmet = Vec::new();
    for (pass, has, verb) in sides {
        let Some(pass) = pass else { continue };
        if has.as_ref().is_some_and(|has| has.id == pass.id) {
            continue;
        }
        let has = has.as_ref().map_or("a table that it can't tell", |has| &has.place);
        let message = format!("worker {worker} {verb} {has}, this pass {verb} {}", pass.place);
        let action = format!(
            "give all workers the same region, account and address; or cutover cancel {} and begin anew",
            job.id
        );
        unmet.push(Unmet::of_change(Gate::Stage, message, action));
    }
    if !unmet.is_empty() {
        return Err(Refusal::Unmet(unmet));
    }
    let before = (record.source.is_some(), record.target.is_some());
    record.source = record.source.take().or_else(|| tables.source.clone());
    record.target = record.target.take().or_else(|| tables.target.clone());
    Ok(before != (record.source.is_some(), record.target.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cover, TableIdentity};

    fn job(kind: PassKind) -> Job {
        Job {
            id: "orders/pass-1".to_owned(),
            kind,
            cover: Cover { upto_ppm: 1_000_000, tenants: Vec::new() },
            began_revision: 1,
            settled: 1,
            fingerprint: String::new(),
            segments: 2,
            begins_at_ms: 0,
            residual_ms: 0,
            source_wins: false,
            began_at_ms: 0,
            beside_reverse: false,
            expected: 0,
            new_tables: Default::default(),
        }
    }

    #[test]
    fn a_pass_that_an_earlier_version_began_may_have_been_beside_a_reverse_pass() {
        let job = job(PassKind::Full);
        let mut stored = serde_json::to_value(&job).expect("it is stored like this");
        assert_eq!(serde_json::from_value::<Job>(stored.clone()).expect("read"), job);
        stored.as_object_mut().expect("an object").remove("beside_reverse").expect("there");
        let read: Job = serde_json::from_value(stored).expect("read");
        assert_eq!(read, Job { beside_reverse: true, ..job });
    }

    fn table(region: &str) -> Option<TableIdentity> {
        let place = format!("arn:aws:dynamodb:{region}:1:table/Orders");
        Some(TableIdentity { id: region.to_owned(), place, ledger: String::new() })
    }

    #[test]
    fn the_first_worker_says_which_tables_and_another_one_is_refused_by_name() {
        let mut record = PassRecord::default();
        let mut check = |worker, kind, source, target| {
            check(&mut record, &job(kind), worker, &PassTables { source, target })
        };
        let (here, there) = (|| table("eu-west-1"), || table("us-east-1"));
        assert_eq!(check("a", PassKind::Full, here(), None), Ok(true));
        assert_eq!(check("b", PassKind::Full, here(), here()), Ok(true), "of the target nobody knew");
        assert_eq!(check("a", PassKind::Full, here(), here()), Ok(false));
        for (kind, source, target, told) in [
            (PassKind::Full, there(), here(), "worker b scans arn:aws:dynamodb:us-east-1"),
            (PassKind::Full, here(), there(), "worker b writes arn:aws:dynamodb:us-east-1"),
            (PassKind::Reverse, there(), here(), "worker b writes arn:aws:dynamodb:us-east-1"),
            (PassKind::Sweep, here(), there(), "worker b writes arn:aws:dynamodb:us-east-1"),
            (PassKind::Full, None, here(), "worker b scans a table that it can't tell"),
        ] {
            let refused = check("b", kind, source, target).expect_err(told).to_string();
            assert!(refused.contains(told), "{refused}");
            assert!(refused.contains("this pass") && refused.contains("eu-west-1"), "{refused}");
        }
    }
}
