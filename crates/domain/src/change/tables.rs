//! Which tables a pass may work with. What a pass of other tables showed says nothing about these, and its result could
//! open a gate for records that it never read.

use cutover_core::routing::Rung;

use super::{Draft, NewPass, Refusal};
use crate::{
    Evidence, Gate, Migration, NewTables, PassKind, PassTables, Unmet, conditions::is_elsewhere,
    pass_tables::OtherTable, pending::Reserved,
};

impl Migration {
    /// Whether a pass with these tables has something to tell the migration, or contradicts what it knows.
    pub fn must_learn(&self, seen: &PassTables) -> bool {
        let known = &self.document.tables;
        !known.others(seen).is_empty() || known.with(seen, NewTables::default()) != *known
    }

    /// Whether the target alone has writes.
    fn has_floors(&self) -> bool {
        self.placements().any(|placement| placement.floor > Rung::SourceOnly)
    }
}

impl Draft {
    /// Compares the tables of a pass that begins. If it does not say them, its workers do when they claim a segment; but
    /// one without segments has none.
    pub(super) fn begin_with_tables(&mut self, pass: &NewPass) -> Result<(), Refusal> {
        let NewPass { id, kind, segments, tables, new_tables, .. } = pass;
        if !new_tables.any() && *segments > 0 && *tables == PassTables::default() {
            return Ok(());
        }
        Refusal::unless_met(self.migration.other_ledgers(*kind, &tables.ledgers()))?;
        self.take_tables(id, *kind, tables, *new_tables)
    }

    /// Keeps the tables of a running pass.
    pub(super) fn know_tables(&mut self, id: &str, tables: &PassTables) -> Result<(), Refusal> {
        let Some(job) = self.document.jobs.iter().find(|job| job.id == id) else { return Ok(()) };
        self.take_tables(id, job.kind, tables, NewTables::default())
    }

    /// Keeps the tables of a pass, or refuses them: those of a migration change only by `new`, an operator's
    /// assertion. While everybody is at source-only no pass opens a gate, so the next one may have any tables. In both
    /// cases what earlier passes showed no longer counts. Equal ids do not contradict the assertion: a restored table
    /// may have the id that it had.
    fn take_tables(
        &mut self,
        id: &str,
        kind: PassKind,
        seen: &PassTables,
        new: NewTables,
    ) -> Result<(), Refusal> {
        let known = self.document.tables.clone();
        let others = known.others(seen);
        let mut replaced = new;
        for other in &others {
            if other.side == "source" {
                replaced.source = true;
            } else {
                replaced.target = true;
            }
        }
        if self.migration.placements().any(is_elsewhere) {
            let refused = others.iter().filter(|other| !new.has(other.side));
            let way_out = format!(
                "if the table has moved, by a failover or a restore, and services use the new one: cutover {} SPEC \
                 --new-tables {} --reason .., and earlier passes open no gate any more",
                command(kind, replaced),
                replaced.names()
            );
            Refusal::unless_met(refused.map(|other| unmet(other, &way_out)))?;
        }
        if replaced.any()
            && let Some(beside) = self.document.jobs.iter().find(|job| job.id != id)
        {
            let way_out = format!(
                "let {} {} end, which has those tables, or cutover cancel {}",
                beside.kind.name(),
                beside.id,
                beside.id
            );
            Refusal::unless_met(others.iter().map(|other| unmet(other, &way_out)))?;
            self.refuse_new_tables_beside(id)?;
        }
        if kind == PassKind::Reverse {
            self.refuse_unproven_reverse(seen, replaced)?;
        }
        let learned = known.with(seen, replaced);
        if learned != known {
            self.document.tables = learned;
            self.say_tables();
        }
        if replaced.any() {
            self.begin_with_new(new);
        }
        Ok(())
    }

    /// What a pass that is under way shows is about the earlier tables, and it would end after the assertion.
    pub(super) fn refuse_new_tables_beside(&self, id: &str) -> Result<(), Refusal> {
        let Some(beside) = self.document.jobs.iter().find(|job| job.id != id) else { return Ok(()) };
        let message = format!(
            "{} {} is under way, and began before these tables were called new",
            beside.kind.name(),
            beside.id
        );
        let action = format!("let it end, or cutover cancel {}; then run this again", beside.id);
        Err(Unmet::of_change(Gate::Stage, message, action).into())
    }

    /// A clean reverse pass says that the source has every write. One of a target that may lack some does not show
    /// that, and neither does one with tables that nobody has seen before.
    fn refuse_unproven_reverse(&self, seen: &PassTables, replaced: NewTables) -> Result<(), Refusal> {
        if !self.migration.has_floors() {
            return Ok(());
        }
        let known = &self.document.tables;
        let mut unmet = Vec::new();
        if replaced.target {
            let message = "only the target has some writes, and another target may lack them: a clean reverse pass \
                           would hide that";
            let action = "if it has them all: cutover verify SPEC --new-tables target --reason .., then cutover reverse \
                          SPEC";
            unmet.push(Unmet::of_change(Gate::Floor, message, action));
        }
        let sides = [
            ("source", &known.source, &seen.source, replaced.source),
            ("target", &known.target, &seen.target, replaced.target),
        ];
        for (side, known, seen, is_new) in sides {
            if let (None, Some(seen), false) = (known, seen, is_new) {
                let message = format!(
                    "no pass has had the {side} yet, so nobody knows whether services use {}",
                    seen.place
                );
                let action = "cutover verify SPEC --sample 1 where a service runs, with its settings; then run this again";
                unmet.push(Unmet::of_change(Gate::Floor, message, action));
            }
        }
        Refusal::unless_met(unmet)
    }

    /// Nothing that was shown or allowed for the earlier tables counts for these.
    fn begin_with_new(&mut self, asserted: NewTables) {
        if asserted.any() {
            self.say(format!("an operator says that these tables are new: {}", asserted.names()));
        }
        if asserted.target && self.migration.has_floors() {
            self.say("writes that only the earlier target had are LOST, unless the new one has them");
        }
        self.forget_evidence("a pass of the new tables");
        if !self.document.overrides.is_empty() {
            self.document.overrides.clear();
            self.say(
                "overrides of steps that were not taken yet have ended: they were for the earlier tables",
            );
        }
        let requests = self.document.requests.len();
        self.document
            .requests
            .retain(|request| !matches!(request.change, Reserved::Rollout { .. } | Reserved::Pins { .. }));
        if self.document.requests.len() < requests {
            self.say("requests for overrides have ended: they were for the earlier tables");
        }
    }

    /// What passes showed before does not count any more, even if `next` never ends.
    pub(super) fn forget_evidence(&mut self, next: &str) {
        if self.document.evidence.iter().any(Evidence::may_open_gates) {
            self.document.evidence.iter_mut().for_each(|pass| pass.clean &= !pass.may_open_gates());
            self.say(format!("earlier passes open no gate any more: {next} has to end clean"));
        }
    }

    fn say_tables(&mut self) {
        let PassTables { source, target } = self.document.tables.clone();
        let tables = [("source", source), ("target", target)];
        let told = tables.into_iter().filter_map(|(side, table)| Some(format!("{side} {}", table?.place)));
        self.say(format!("passes work with {}", told.collect::<Vec<_>>().join(", ")));
    }
}

fn unmet(OtherTable { side, known, seen }: &OtherTable<'_>, way_out: &str) -> Unmet {
    let message = match seen {
        None => {
            format!("this pass has a {side} that can't be identified, earlier passes had {}", known.place)
        }
        Some(seen) if seen.place == known.place => format!(
            "this pass has another {side} than earlier passes at the same place, {}: it was restored or recreated, or \
             another server answers",
            known.place
        ),
        Some(seen) => format!("this pass has the {side} {}, earlier passes had {}", seen.place, known.place),
    };
    let action =
        format!("give it the address, region and account of the {side} that services use; or, {way_out}");
    Unmet::of_change(Gate::Stage, message, action)
}

/// The command that begins such a pass. A reverse pass must not be the first one of a new target.
const fn command(kind: PassKind, new: NewTables) -> &'static str {
    match kind {
        PassKind::Full => "backfill",
        PassKind::Reverse if !new.target => "reverse",
        PassKind::Verify | PassKind::Sample | PassKind::Reverse => "verify",
        PassKind::Sweep => "verify --sweep",
    }
}
