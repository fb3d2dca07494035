//! Everything that is wrong with a plan's steps, at once.

use cutover_client::routing::{PPM, Rung};

use super::{super::Violation, Step};

/// The rungs that have a share, lowest first.
const LADDER: [Rung; 4] = [Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

/// A field is `steps[N]`, N from 1.
pub(super) fn violations(steps: &[Step]) -> Vec<Violation> {
    if steps.is_empty() {
        return vec![Violation::new("steps", "there are none: give at least one")];
    }
    let mut reached = [0_u32; 4];
    let mut violations = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let mut wrong = |message: String| {
            violations.push(Violation::new(&format!("steps[{}]", at + 1), message));
        };
        let Some(rung) = LADDER.iter().position(|rung| *rung == step.rung) else {
            wrong(format!("{} has no share: give dual, mirrored, target-first or target-only", step.rung));
            continue;
        };
        let (share, name) = (step.share_ppm, step.rung);
        if share > PPM {
            wrong(format!("{} % is over 100 %: give 0 to 100", percent(share)));
            continue;
        }
        if share <= reached[rung] {
            let before = percent(reached[rung]);
            let how = if share < reached[rung] { "goes down" } else { "changes nothing" };
            wrong(format!("{name} {how}, from {before} % to {} %: a plan only goes up", percent(share)));
        }
        if let Some(below) = rung.checked_sub(1)
            && share > reached[below]
        {
            let (lower, has) = (LADDER[below], percent(reached[below]));
            let to = percent(share);
            wrong(format!("{name} jumps to {to} % where {lower} has {has} %: put {lower} {to} before it"));
        }
        // What a mistake meant to reach counts as reached: it is told once, not at each later step.
        reached[..=rung].iter_mut().for_each(|share_ppm| *share_ppm = (*share_ppm).max(share));
    }
    violations
}

fn percent(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
}
