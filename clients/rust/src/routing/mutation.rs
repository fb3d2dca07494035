//! Protocol rules that a test can leave out, to verify that the simulation notices.
//!
//! Without the feature `mutations` no rule is ever left out, and the compiler removes the check.

/// A rule that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutation {
    /// A step waits until the last one is acknowledged.
    Barrier = 1,
    /// A step up waits until old operations have ended, not only until no new one starts.
    Quiesced,
    /// A step up waits for lost instances.
    LostInstances,
    /// Tenants take one rung at a time.
    OneRung,
    /// Leaving mirrored, and target-first upwards, requires a full pass.
    FullPass,
    /// A pass counts from the revision that was settled when it began.
    SettledPass,
    /// Nobody goes below target-first while writes are in the target alone.
    Floor,
    /// Going down from target-only waits until old operations have ended.
    LeavingTargetOnly,
    /// An operation that routing has overtaken is not acknowledged.
    Overtaken,
    /// An instance reports that it has quiesced for a revision only when older operations have ended.
    Applied,
    /// A write at target-first observes the target's version before it is stamped.
    Observe,
    /// A read never falls back to the source because the target failed.
    NoFallback,
    /// An instance that the controller had forgotten takes a current snapshot before it continues.
    Readmitted,
}

impl Mutation {
    /// All rules.
    pub const ALL: [Self; 13] = [
        Self::Barrier,
        Self::Quiesced,
        Self::LostInstances,
        Self::OneRung,
        Self::FullPass,
        Self::SettledPass,
        Self::Floor,
        Self::LeavingTargetOnly,
        Self::Overtaken,
        Self::Applied,
        Self::Observe,
        Self::NoFallback,
        Self::Readmitted,
    ];

    /// Whether this rule is left out.
    #[cfg(not(feature = "mutations"))]
    #[inline(always)]
    pub const fn is_left_out(self) -> bool {
        false
    }

    /// Whether this rule is left out.
    #[cfg(feature = "mutations")]
    pub fn is_left_out(self) -> bool {
        LEFT_OUT.load(std::sync::atomic::Ordering::Relaxed) == self as u8
    }

    /// Leaves this rule out, in the whole process.
    #[cfg(feature = "mutations")]
    pub fn leave_out(self) {
        LEFT_OUT.store(self as u8, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(feature = "mutations")]
static LEFT_OUT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
