//! Shares of the tenants, in parts per million.

use cutover_core::routing::{PPM, Rung};
use serde::{Deserialize, Serialize};

use super::Violation;

/// Cumulative shares, each "at least at this rung": `dual >= mirrored >= target_first >= target_only`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    dual_ppm: u32,
    mirrored_ppm: u32,
    target_first_ppm: u32,
    target_only_ppm: u32,
}

/// A share in percent, for people.
pub(super) fn percent(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
}

/// Requested shares, in the ladder's order; `None` leaves a share unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// At least at dual.
    pub dual_ppm: Option<u32>,
    /// At least at mirrored.
    pub mirrored_ppm: Option<u32>,
    /// At least at target-first.
    pub target_first_ppm: Option<u32>,
    /// At target-only.
    pub target_only_ppm: Option<u32>,
}

impl Shares {
    /// The highest rung that the request names for a bucket.
    pub fn named_rung(&self, bucket: u32) -> Option<Rung> {
        let named = [
            (Rung::TargetOnly, self.target_only_ppm),
            (Rung::TargetFirst, self.target_first_ppm),
            (Rung::Mirrored, self.mirrored_ppm),
            (Rung::Dual, self.dual_ppm),
        ];
        named.into_iter().find(|(_, ppm)| ppm.is_some_and(|ppm| bucket < ppm)).map(|(rung, _)| rung)
    }

    /// Those that the request names, for people: `dual 40 %, mirrored 10 %`.
    pub(super) fn list(&self) -> String {
        let all = [
            (Rung::Dual, self.dual_ppm),
            (Rung::Mirrored, self.mirrored_ppm),
            (Rung::TargetFirst, self.target_first_ppm),
            (Rung::TargetOnly, self.target_only_ppm),
        ];
        let named = all.into_iter().filter_map(|(rung, ppm)| Some(format!("{rung} {} %", percent(ppm?))));
        named.collect::<Vec<_>>().join(", ")
    }

    /// Why a request for them changes nothing: they were asked for before. `reached`: where everybody is.
    pub(super) fn told_unchanged(&self, reached: &Rollout) -> String {
        let list = self.list();
        let is_there = reached.with(self).is_ok_and(|asked| asked == *reached);
        if is_there { format!("it is there already: {list}") } else { format!("{list} was asked for before") }
    }
}

impl Rollout {
    /// Shares by rung, lowest rung first.
    pub const fn shares(&self) -> [(Rung, u32); 4] {
        [
            (Rung::Dual, self.dual_ppm),
            (Rung::Mirrored, self.mirrored_ppm),
            (Rung::TargetFirst, self.target_first_ppm),
            (Rung::TargetOnly, self.target_only_ppm),
        ]
    }

    /// Shares that nest, from a function that falls as the rung rises.
    pub fn from_shares(share: impl Fn(Rung) -> u32) -> Self {
        Self {
            dual_ppm: share(Rung::Dual),
            mirrored_ppm: share(Rung::Mirrored),
            target_first_ppm: share(Rung::TargetFirst),
            target_only_ppm: share(Rung::TargetOnly),
        }
    }

    /// Where a bucket goes by these shares alone.
    pub fn rung_of(&self, bucket: u32) -> Rung {
        self.shares()
            .into_iter()
            .rev()
            .find(|(_, ppm)| bucket < *ppm)
            .map_or(Rung::SourceOnly, |(rung, _)| rung)
    }

    /// Applies a request. An unnamed share follows if nesting requires it: raised with a higher rung's,
    /// lowered with a lower rung's. Named ones must be percentages that nest.
    pub fn with(self, asked: &Shares) -> Result<Self, Vec<Violation>> {
        let named = [asked.dual_ppm, asked.mirrored_ppm, asked.target_first_ppm, asked.target_only_ppm];
        let fields = ["dual_ppm", "mirrored_ppm", "target_first_ppm", "target_only_ppm"];
        let mut violations = Vec::new();
        for (field, ppm) in fields.into_iter().zip(named) {
            if let Some(ppm) = ppm.filter(|ppm| *ppm > PPM) {
                let share = percent(ppm);
                violations.push(Violation::new(field, format!("{share} % is over 100 %: give 0 to 100")));
            }
        }
        let mut lowest: Option<(&str, u32)> = None;
        for (field, ppm) in fields.into_iter().zip(named) {
            let Some(ppm) = ppm else { continue };
            if let Some((below, least)) = lowest
                && ppm > least
            {
                let message = format!(
                    "{} % is over {} {} %: shares nest, dual >= mirrored >= target-first >= target-only",
                    percent(ppm),
                    below.trim_end_matches("_ppm").replace('_', "-"),
                    percent(least)
                );
                violations.push(Violation::new(field, message));
            }
            lowest = Some((field, ppm));
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        let mut shares = self.shares().map(|(_, ppm)| ppm);
        for (at, ppm) in named.into_iter().enumerate() {
            let Some(ppm) = ppm else { continue };
            shares[at] = ppm;
            shares[..at].iter_mut().for_each(|lower| *lower = (*lower).max(ppm));
            shares[at + 1..].iter_mut().for_each(|higher| *higher = (*higher).min(ppm));
        }
        let [dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm] = shares;
        Ok(Self { dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm })
    }

    /// The same shares with nobody above `ceiling`.
    pub fn capped(self, ceiling: Rung) -> Self {
        Self::from_shares(|rung| if rung > ceiling { 0 } else { self.share(rung) })
    }

    /// The same shares, each at most as large as the other's.
    pub fn at_most(self, other: Self) -> Self {
        Self::from_shares(|rung| self.share(rung).min(other.share(rung)))
    }

    fn share(&self, rung: Rung) -> u32 {
        self.shares().into_iter().find(|(at, _)| *at == rung).map_or(0, |(_, ppm)| ppm)
    }

    /// Share at least at dual.
    pub const fn dual_ppm(&self) -> u32 {
        self.dual_ppm
    }

    /// Share at least at mirrored.
    pub const fn mirrored_ppm(&self) -> u32 {
        self.mirrored_ppm
    }

    /// Share at least at target-first.
    pub const fn target_first_ppm(&self) -> u32 {
        self.target_first_ppm
    }

    /// Share at target-only.
    pub const fn target_only_ppm(&self) -> u32 {
        self.target_only_ppm
    }
}
