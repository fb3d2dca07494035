//! Which ledgers a pass may work with.

use crate::{Gate, Ledgers, Migration, PassKind, Unmet, conditions::is_elsewhere};

impl Migration {
    /// Why a pass must not work with these ledgers: the last passes had others, so the versions and deletions of the
    /// table were lost. While everybody is at source-only, nothing relies on them: the next full pass begins with what
    /// is there. A reverse pass overwrites what the source has, whatever is known of it.
    pub fn other_ledgers(&self, kind: PassKind, seen: &Ledgers) -> Vec<Unmet> {
        if !self.placements().any(is_elsewhere) {
            return Vec::new();
        }
        let known = &self.document.ledgers;
        let source = Some(("source", &known.source, &seen.source)).filter(|_| kind != PassKind::Reverse);
        let sides = source.into_iter().chain([("target", &known.target, &seen.target)]);
        let other = sides.filter(|(_, known, seen)| !known.is_empty() && known != seen);
        let told = |(side, known, seen): (&str, &String, &String)| {
            let seen = if seen.is_empty() { "none".to_owned() } else { seen.clone() };
            let message = format!(
                "the {side}'s table had the ledger {known} in the last passes, and now has {seen}: its versions and \
                 deletions were lost"
            );
            let action = format!(
                "restore the table and its ledger from one backup; or, if no writes are in the target alone, take \
                 everybody to source-only (cutover ramp {} --dual 0 --wait) and run a backfill there",
                self.document.key
            );
            Unmet::of_change(Gate::Stage, message, action)
        };
        other.map(told).collect()
    }
}
