//! How far a run came.

use cutover_client::routing::Rung;

/// How far a run came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// The highest rung of any tenant.
    pub highest: Option<Rung>,
    /// How often somebody came to target-first from below.
    pub target_first: u32,
    /// How often somebody came to target-only.
    pub target_only: u32,
    /// How often everybody was below target-first again.
    pub back: u32,
    now: Option<Rung>,
}

impl Reached {
    /// Tenants are at these rungs from now on.
    pub(super) fn note(&mut self, rungs: impl Iterator<Item = Rung>) {
        let Some(now) = rungs.max() else { return };
        let came_to = |rung| now >= rung && self.now.is_none_or(|before| before < rung);
        self.target_first += u32::from(came_to(Rung::TargetFirst));
        self.target_only += u32::from(came_to(Rung::TargetOnly));
        self.back += u32::from(now < Rung::TargetFirst && self.now >= Some(Rung::TargetFirst));
        (self.highest, self.now) = (self.highest.max(Some(now)), Some(now));
    }
}
