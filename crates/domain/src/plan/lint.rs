//! Everything that is wrong with a plan's steps, all at once.

use std::collections::BTreeMap;

use cutover_core::routing::{PPM, Rung};

use super::{
    super::{Tenant, Violation, percent},
    Part, STEPS_MAX, Step, TENANTS_MAX,
};

/// In the message about a share that is lower than that of an earlier step.
pub const GOES_DOWN: &str = "goes down";

/// The rungs that have a share, lowest first.
const LADDER: [Rung; 4] = [Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

/// The result of the steps so far.
#[derive(Default)]
struct Reached<'a> {
    /// Shares, in the order of the ladder.
    shares: [u32; 4],
    /// Indexes into the ladder.
    tenants: BTreeMap<&'a Tenant, usize>,
}

/// A field is named `steps[N]`, N from 1.
pub(super) fn violations(steps: &[Step]) -> Vec<Violation> {
    if steps.is_empty() {
        return vec![Violation::new("steps", "give at least one")];
    }
    let mut violations = Vec::new();
    if steps.len() > STEPS_MAX {
        let message = format!("there are {}: give at most {STEPS_MAX}", steps.len());
        violations.push(Violation::new("steps", message));
    }
    let mut reached = Reached::default();
    for (at, step) in steps.iter().enumerate() {
        let mut wrong = |message: String| {
            violations.push(Violation::new(&format!("steps[{}]", at + 1), message));
        };
        let Some(rung) = LADDER.iter().position(|rung| *rung == step.rung) else {
            wrong(format!("{} has no share: give dual, mirrored, target-first or target-only", step.rung));
            continue;
        };
        match &step.part {
            Part::Share(ppm) => reached.share(rung, *ppm, &mut wrong),
            Part::Tenants(tenants) => reached.tenants(rung, tenants, &mut wrong),
        }
    }
    if reached.tenants.len() > TENANTS_MAX {
        let message =
            format!("name {} tenants: give at most {TENANTS_MAX}, or a share", reached.tenants.len());
        violations.push(Violation::new("steps", message));
    }
    violations
}

impl<'a> Reached<'a> {
    fn share(&mut self, rung: usize, share: u32, wrong: &mut impl FnMut(String)) {
        let (reached, name) = (&mut self.shares, LADDER[rung]);
        if share > PPM {
            wrong(format!("{} % is over 100 %: give 0 to 100", percent(share)));
            return;
        }
        if share <= reached[rung] {
            let before = percent(reached[rung]);
            let how = if share < reached[rung] { GOES_DOWN } else { "changes nothing" };
            wrong(format!("{name} {how}, from {before} % to {} %: a plan only goes up", percent(share)));
        }
        if let Some(below) = rung.checked_sub(1)
            && share > reached[below]
        {
            let (lower, has) = (LADDER[below], percent(reached[below]));
            let to = percent(share);
            wrong(format!("{name} {to} % is more than {lower} {has} %: put {lower} {to} before it"));
        }
        // What a wrong step meant to reach counts as reached: the mistake is reported once, not again at each
        // later step.
        reached[..=rung].iter_mut().for_each(|share_ppm| *share_ppm = (*share_ppm).max(share));
    }

    fn tenants(&mut self, rung: usize, tenants: &'a [Tenant], wrong: &mut impl FnMut(String)) {
        if tenants.is_empty() {
            wrong("names no tenant: give some, or a percentage".to_owned());
        }
        let everybody = self.shares.iter().filter(|ppm| **ppm == PPM).count();
        for tenant in tenants {
            // Counted in rungs; 0 is source-only.
            let has = self.tenants.get(tenant).map_or(0, |at| at + 1).max(everybody);
            if has > rung {
                wrong(format!("tenant {tenant} is at {} by then: a plan only goes up", LADDER[has - 1]));
            } else if has < rung {
                let lower = LADDER[rung - 1];
                wrong(format!(
                    "tenant {tenant} jumps to {}: put it, or everybody, at {lower} before",
                    LADDER[rung]
                ));
            }
            self.tenants.insert(tenant, rung);
        }
    }
}
