//! Outcomes of operations, counted.

use serde::{Deserialize, Serialize};

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events, counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Totals {
            $($(#[$doc])* #[serde(skip_serializing_if = "is_zero")] pub $name: u64,)*
        }

        impl Totals {
            /// All events by name.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }

            /// Adds other counts; they saturate.
            pub fn add(&mut self, more: &Self) {
                $(self.$name = self.$name.saturating_add(more.$name);)*
            }
        }
    };
}

totals! {
    /// Reads that the target answered.
    hit,
    /// Reads that only the source could answer.
    miss,
    /// Reads that neither could answer.
    not_found,
    /// Records copied to the target by an operation.
    migrated,
    /// Records copied by a pass.
    backfill,
    /// Records that were older in the target, and updated.
    repaired,
    /// Compared reads that differed, also when read again.
    mismatch,
    /// Reads whose answers from both stores were compared.
    compared,
    /// Of `compared`: the target had no record.
    lacking,
    /// Writes that both stores accepted.
    both_ok,
    /// Writes that only the source accepted.
    only_target_failed,
    /// Writes that only the target accepted.
    only_source_failed,
    /// Writes that neither accepted.
    both_failed,
    /// Operations with an unknown outcome.
    indeterminate,
    /// Operations that did not take effect.
    not_applied,
    /// Operations that were on hold or fenced.
    unavailable,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
