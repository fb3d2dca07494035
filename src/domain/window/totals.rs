//! What operations came to.

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
            /// All events by their names.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }

            /// Adds others; none ever overflows.
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
    /// Copied to the target by an operation.
    migrated,
    /// Copied by a batch job.
    backfill,
    /// Older in the target, made equal.
    repaired,
    /// Different, and still so when read again.
    mismatch,
    /// Reads of which both answers were compared.
    compared,
    /// Of these: the target had nothing.
    lacking,
    /// Writes that both stores took.
    both_ok,
    /// Writes that only the source took.
    only_target_failed,
    /// Writes that only the target took.
    only_source_failed,
    /// Writes that neither took.
    both_failed,
    /// Operations of which the caller cannot know whether they took effect.
    indeterminate,
    /// Operations that took no effect.
    not_applied,
    /// Operations that were held or fenced.
    unavailable,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
