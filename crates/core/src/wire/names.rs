//! Conversion of enums.

use cutover_proto::v1;

use crate::routing::{Level, Reason, Route, Rung, Stage};

/// An enum value that is missing (0) or that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value} is not known to this version")]
pub struct UnknownOnWire {
    /// Which enum.
    pub what: &'static str,
    /// The number on the wire.
    pub value: i32,
}

/// Implements both directions between a routing type and the wire enum with the same names.
macro_rules! on_wire {
    ($kind:ident, $from_wire:ident, $what:literal, [$($name:ident),+]) => {
        impl From<$kind> for v1::$kind {
            fn from(kind: $kind) -> Self {
                match kind {
                    $($kind::$name => Self::$name,)+
                }
            }
        }

        #[doc = concat!("Reads a ", $what, "; 0, so a missing one, is refused like an unknown one.")]
        pub fn $from_wire(value: i32) -> Result<$kind, UnknownOnWire> {
            match v1::$kind::try_from(value) {
                $(Ok(v1::$kind::$name) => Ok($kind::$name),)+
                Ok(v1::$kind::Unspecified) | Err(_) => Err(UnknownOnWire { what: $what, value }),
            }
        }
    };
}

on_wire!(Rung, rung_from_wire, "rung", [SourceOnly, Dual, Mirrored, Hold, TargetFirst, TargetOnly]);
on_wire!(Stage, stage_from_wire, "stage", [SourceOnly, Dual, TargetFirst, TargetOnly, Hold]);
on_wire!(Reason, reason_from_wire, "reason", [Rollout, Pin, Rollback, Floor, Hold, Restored]);
on_wire!(Level, level_from_wire, "level", [Acknowledged, Linearizable]);

/// Reads where a tenant or a band goes.
pub fn route_from_wire(rung: i32, reason: i32, no_fallback: bool) -> Result<Route, UnknownOnWire> {
    Ok(Route { rung: rung_from_wire(rung)?, reason: reason_from_wire(reason)?, no_fallback })
}
