//! Overrides: gates that one request passes without evidence, for the tenants that it moves and for nobody
//! else.

use cutover_core::routing::Rung;
use serde::{Deserialize, Serialize};

use super::Gate;

/// Maximum overrides in a document.
pub(super) const OVERRIDES_MAX: usize = 64;

/// What an operator overrode with one request. It lasts until the tenants of that request have arrived, turn
/// back, or get a different goal from a later request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The revision of that request. The row of a tenant that is covered by name also holds it.
    pub revision: u64,
    /// Gates to pass without evidence.
    pub gates: Vec<Gate>,
    /// Nobody passes them to a rung above this.
    pub upto: Rung,
    /// Covered tenants without a row, as ranges of buckets. Ascending, without overlap.
    pub buckets: Vec<Covered>,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A range of buckets under an override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// First bucket.
    pub from: u32,
    /// First bucket after the range.
    pub before: u32,
    /// Its tenants pass no gate to a rung above this.
    pub upto: Rung,
}

/// What an override permits one group of tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passes {
    /// Revision of the override.
    pub revision: u64,
    /// Gates to pass without evidence.
    pub gates: Vec<Gate>,
    /// But to no rung above this.
    pub upto: Rung,
}

impl Passes {
    /// Whether they pass this gate on the way to a rung.
    pub fn allow(&self, gate: Gate, next: Rung) -> bool {
        next <= self.upto && self.gates.contains(&gate)
    }
}

impl Override {
    /// Covers another range; ranges must be added in ascending order.
    pub(super) fn cover(&mut self, range: Covered) {
        self.upto = self.upto.max(range.upto);
        match self.buckets.last_mut() {
            Some(last) if last.before == range.from && last.upto == range.upto => last.before = range.before,
            _ => self.buckets.push(range),
        }
    }

    /// Ends the override for the tenants of a range.
    pub(super) fn uncover(&mut self, from: u32, before: u32) {
        let rest = |range: &Covered| {
            let below = Covered { before: range.before.min(from), ..*range };
            let above = Covered { from: range.from.max(before), ..*range };
            [below, above].into_iter().filter(|range| range.from < range.before)
        };
        self.buckets = self.buckets.iter().flat_map(rest).collect();
    }

    /// The same override, covering nobody.
    pub(super) fn of_nobody(&self) -> Self {
        Self { buckets: Vec::new(), ..self.clone() }
    }

    /// How far it takes the tenants of a bucket that have no row.
    pub(super) fn upto_of(&self, bucket: u32) -> Option<Rung> {
        self.buckets.iter().find(|range| (range.from..range.before).contains(&bucket)).map(|range| range.upto)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn covering(ranges: &[(u32, u32)]) -> Override {
        let mut over = Override {
            revision: 1,
            gates: vec![Gate::FullPass],
            upto: Rung::SourceOnly,
            buckets: Vec::new(),
            by: String::new(),
            reason: String::new(),
        };
        ranges
            .iter()
            .for_each(|&(from, before)| over.cover(Covered { from, before, upto: Rung::TargetFirst }));
        over
    }

    #[test]
    fn ranges_are_joined_cut_and_found() {
        let mut over = covering(&[(0, 10), (10, 30), (40, 50)]);
        assert_eq!(over.buckets.len(), 2, "neighbours are one range");
        over.uncover(5, 45);
        let ranges: Vec<_> = over.buckets.iter().map(|range| (range.from, range.before)).collect();
        assert_eq!(ranges, [(0, 5), (45, 50)]);
        assert_eq!(over.upto_of(4), Some(Rung::TargetFirst));
        assert_eq!(over.upto_of(5), None);
        over.uncover(0, 100);
        assert!(over.buckets.is_empty());
    }
}
