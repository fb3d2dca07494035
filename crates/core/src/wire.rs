//! Converts wire messages to and from routing types, for SDK and controller alike.
//!
//! Nothing is guessed when reading: what is not understood makes that one migration unreadable.

mod assembly;
mod names;
mod parts;

pub use assembly::{Assembled, Assembly, Misfit, UpdateKind, apply};
pub use names::{
    UnknownOnWire, level_from_wire, reason_from_wire, route_from_wire, rung_from_wire, stage_from_wire,
};
pub use parts::{
    PART_MAX_BYTES, bands_from_wire, override_to_wire, parts, policy_from_wire, policy_to_wire, updates,
};

/// Largest message that a client accepts. The controller splits at [`PART_MAX_BYTES`].
pub const MESSAGE_MAX_BYTES: usize = 16 << 20;
