//! Where one tenant goes.

use super::{Reason, Rung};

/// Where one tenant goes, as stored in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The rung.
    pub rung: Rung,
    /// Why.
    pub reason: Reason,
    /// At target-first: do not read the source if the target has no record.
    pub no_fallback: bool,
}

impl Route {
    /// The route of a tenant that has neither an override nor a band.
    pub const DEFAULT: Self = Self { rung: Rung::SourceOnly, reason: Reason::Rollout, no_fallback: false };

    /// Whether acknowledged writes may be in the target alone.
    pub const fn is_in_target_alone(&self) -> bool {
        matches!(self.rung, Rung::TargetOnly) || self.no_fallback
    }

    pub(super) const fn code(self) -> u8 {
        self.rung as u8 | (self.reason as u8) << 3 | (self.no_fallback as u8) << 6
    }

    /// `None` for the code of "cleared", which no route has.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        let rung = *Rung::ALL.get(usize::from(code & 7))?;
        let reason = *Reason::ALL.get(usize::from(code >> 3 & 7))?;
        Some(Self { rung, reason, no_fallback: code & 0x40 != 0 })
    }
}
