//! Where a group of tenants stands, and since when.

use cutover_core::routing::{Mutation, PPM, Rung};
use serde::{Deserialize, Serialize};

/// Where tenants stand. Revisions are those of steps; 0 means "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Their rung.
    pub rung: Rung,
    /// Revision of their last step.
    pub since: u64,
    /// The rung that step left.
    pub was: Rung,
    /// Since when they have been at mirrored or above without interruption. A gate accepts passes that began
    /// after this had settled.
    pub mirrored_since: u64,
    /// The same for target-first.
    pub target_first_since: u64,
    /// When they took the step to target-first, by the controller's steady clock.
    pub target_first_at_ms: u64,
    /// When they took the step to target-only, by the controller's steady clock.
    pub target_only_at_ms: u64,
    /// The lowest rung at which no acknowledged write is lost. It rises when writes go to the target alone.
    pub floor: Rung,
}

/// Which acknowledgement of the last step the next one has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// None: the step goes to a hold, which is safe beside every rung, or only undoes the last one, so no
    /// third rung becomes live.
    Nothing,
    /// Received: no new operation starts under the old rung. Lost instances are not waited for.
    Received,
    /// Quiesced: every operation begun under the old rung has ended, also at lost instances.
    Quiesced,
}

impl Placement {
    /// The placement of tenants that never moved.
    pub const START: Self = Self {
        rung: Rung::SourceOnly,
        since: 0,
        was: Rung::SourceOnly,
        mirrored_since: 0,
        target_first_since: 0,
        target_first_at_ms: 0,
        target_only_at_ms: 0,
        floor: Rung::SourceOnly,
    };

    /// The placement after a step to `next` at `revision`.
    pub fn stepped(&self, next: Rung, revision: u64, steady_ms: u64) -> Self {
        let since = |at_least: Rung, before: u64| match (next >= at_least && next != Rung::Hold, before) {
            (false, _) => 0,
            (true, 0) => revision,
            (true, before) => before,
        };
        let target_first_since = since(Rung::TargetFirst, self.target_first_since);
        let target_only = next == Rung::TargetOnly;
        Self {
            rung: next,
            since: revision,
            was: self.rung,
            mirrored_since: since(Rung::Mirrored, self.mirrored_since),
            target_first_since,
            target_first_at_ms: match (target_first_since, self.target_first_since) {
                (0, _) => 0,
                (_, 0) => steady_ms,
                _ => self.target_first_at_ms,
            },
            target_only_at_ms: if target_only { steady_ms } else { self.target_only_at_ms },
            floor: if target_only && !Mutation::Floor.is_left_out() { Rung::TargetFirst } else { self.floor },
        }
    }

    /// Whether a tenant with this placement may be given `other` instead. Only if that makes no later step of
    /// it possible earlier, and its route stays the same.
    ///
    /// `settled`: everybody, lost instances included, has quiesced for both placements' last steps. Then
    /// nobody serves the tenant at the rung that either step left, and it does not matter which one that was.
    /// Before that, it decides what may be undone without waiting.
    pub fn may_join(&self, other: &Self, settled: bool) -> bool {
        // 0 is "never", which no evidence and no time satisfies: it is not earlier than anything.
        let no_earlier = |own: u64, others: u64| (own == 0) == (others == 0) && own <= others;
        self.rung == other.rung
            && self.floor == other.floor
            && (settled || self.was == other.was || Mutation::Joining.is_left_out())
            // Under a floor, a reverse pass also has to have begun after the last step.
            && (self.since <= other.since || settled && self.floor == Rung::SourceOnly)
            && no_earlier(self.mirrored_since, other.mirrored_since)
            && no_earlier(self.target_first_since, other.target_first_since)
            && no_earlier(self.target_first_at_ms, other.target_first_at_ms)
            && self.target_only_at_ms <= other.target_only_at_ms
    }

    /// One placement for both, if they stand on the same rung and floor: it permits nothing that either of
    /// them does not permit.
    fn joined(&self, other: &Self) -> Option<Self> {
        if self.rung != other.rung || self.floor != other.floor {
            return None;
        }
        let was = match (self.was, other.was) {
            (one, other) if one == other => one,
            // The way down from there always waits for everybody to quiesce.
            (Rung::TargetOnly, _) | (_, Rung::TargetOnly) => Rung::TargetOnly,
            // No step leads from a rung to itself, so nothing is an undo that need not wait.
            _ => self.rung,
        };
        Some(Self {
            was,
            since: self.since.max(other.since),
            mirrored_since: self.mirrored_since.max(other.mirrored_since),
            target_first_since: self.target_first_since.max(other.target_first_since),
            target_first_at_ms: self.target_first_at_ms.max(other.target_first_at_ms),
            target_only_at_ms: self.target_only_at_ms.max(other.target_only_at_ms),
            ..*self
        })
    }
}

/// The buckets below `upto_ppm` that are in no earlier band, and where their tenants stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// The first bucket after the band.
    pub upto_ppm: u32,
    /// Where its tenants stand.
    pub placement: Placement,
}

/// Placements of all buckets: ascending, without gaps, the last up to [`PPM`], with falling rungs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bands(Vec<Band>);

/// More bands than this are merged if they stand on the same rung and floor.
const BANDS_MAX: usize = 64;

impl Default for Bands {
    fn default() -> Self {
        Self(vec![Band { upto_ppm: PPM, placement: Placement::START }])
    }
}

impl Bands {
    /// Where the tenants of a bucket stand.
    pub fn of(&self, bucket: u32) -> Placement {
        self.0.iter().find(|band| bucket < band.upto_ppm).map_or(Placement::START, |band| band.placement)
    }

    /// The bands, also split at the cuts: `(from, upto, placement)`, ascending.
    pub fn pieces(&self, cuts: &[u32]) -> impl Iterator<Item = (u32, u32, Placement)> {
        let mut ends: Vec<u32> =
            self.0.iter().map(|band| band.upto_ppm).chain(cuts.iter().copied()).collect();
        ends.retain(|end| (1..=PPM).contains(end));
        ends.sort_unstable();
        ends.dedup();
        let starts: Vec<u32> = std::iter::once(0).chain(ends.iter().copied()).collect();
        starts.into_iter().zip(ends).map(|(from, upto)| (from, upto, self.of(from)))
    }

    /// Maps every piece, and merges equal neighbours.
    pub fn map(&self, cuts: &[u32], mut f: impl FnMut(u32, Placement) -> Placement) -> Self {
        let mut bands: Vec<Band> = Vec::new();
        for (from, upto_ppm, placement) in self.pieces(cuts) {
            let placement = f(from, placement);
            match bands.last_mut() {
                Some(last) if last.placement == placement => last.upto_ppm = upto_ppm,
                _ => bands.push(Band { upto_ppm, placement }),
            }
        }
        if bands.len() > BANDS_MAX { Self(joined(&bands)) } else { Self(bands) }
    }

    /// Revision of the newest step of any bucket. 0: none ever moved.
    pub fn since(&self) -> u64 {
        self.0.iter().map(|band| band.placement.since).max().unwrap_or(0)
    }

    /// Share of buckets at or above a rung.
    pub fn at_least_ppm(&self, rung: Rung) -> u32 {
        self.0.iter().filter(|band| band.placement.rung >= rung).map(|band| band.upto_ppm).max().unwrap_or(0)
    }
}

fn joined(bands: &[Band]) -> Vec<Band> {
    let mut out: Vec<Band> = Vec::new();
    for band in bands {
        match out.last_mut().and_then(|last| Some((last.placement.joined(&band.placement)?, last))) {
            Some((placement, last)) => *last = Band { placement, ..*band },
            None => out.push(*band),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
