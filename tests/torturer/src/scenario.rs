//! For each bug, a sequence that exposes it, repeated: chance alone would take minutes to combine a slow put,
//! a late client and a ramp. A product without the bug survives it too (`--directed`). Each is a
//! counterexample of `clients/rust/tests/protocol_model`, run for real.

use crate::{
    bug::Bug,
    unreliable::{Active, Mood},
};

/// One act of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ask everybody to go to this place of the ladder.
    Ask(u32),
    /// The same, and wait for it for a while: what is held back may make it impossible.
    Ramp(u32),
    /// Disconnect the first service from the controller.
    Hold,
    /// Connect it again.
    Release,
    /// Set the mood of the first service, of all others, and of passes.
    First(Mood),
    Others(Mood),
    Passes(Mood),
    /// A full pass that really copies, whatever the bug; run to its end.
    Pass,
    Wait(u64),
}

use Act::{Ask, First, Hold, Others, Pass, Passes, Ramp, Release, Wait};

/// Places of the ladder.
const SOURCE_ONLY: u32 = 0;
const DUAL: u32 = 1;
const MIRRORED: u32 = 3;
const TARGET_FIRST: u32 = 5;
const TARGET_ONLY: u32 = 7;

const CALM: Mood = Mood { active: Active::All, source_put_ms: 0, target_put_ms: 0, target_down: false };
const READS: Mood = Mood { active: Active::Reads, ..CALM };
const NO_TARGET: Mood = Mood { target_down: true, ..CALM };

/// Whether it needs confirmed reads.
pub fn wants_linearizable(bug: Bug) -> bool {
    bug == Bug::UnconditionalMirror
}

/// What is repeated until the time is over.
pub fn of(bug: Bug) -> Vec<Act> {
    match bug {
        // A client continues in source-only while the others read the target.
        Bug::NoBarrier => {
            vec![Hold, Ramp(TARGET_FIRST), Wait(500), Release, Wait(200), Ramp(SOURCE_ONLY)]
        }
        // A write begun in dual lands after the pass has gone by, and the target misses it.
        Bug::AcknowledgeOnReceipt => vec![
            Ramp(DUAL),
            Others(READS),
            First(Mood { source_put_ms: 3_000, ..NO_TARGET }),
            Wait(500),
            Ramp(MIRRORED),
            Pass,
            Wait(2_500),
            Ramp(TARGET_FIRST),
            Wait(500),
            First(CALM),
            Others(CALM),
            Ramp(SOURCE_ONLY),
        ],
        // In dual the target may miss a write; a client at target-first sees that.
        Bug::JumpDualTargetFirst => vec![
            Ramp(DUAL),
            First(NO_TARGET),
            Hold,
            Ramp(TARGET_FIRST),
            Wait(500),
            First(CALM),
            Release,
            Wait(200),
            Ramp(SOURCE_ONLY),
        ],
        // The same on the way down: clients that went to dual miss the target's failure, one has not gone.
        Bug::OneRevisionEmergency => vec![
            Ramp(TARGET_FIRST),
            Hold,
            Others(NO_TARGET),
            First(READS),
            Ask(DUAL),
            Wait(1_500),
            Others(CALM),
            First(CALM),
            Release,
            Wait(200),
            Ramp(SOURCE_ONLY),
        ],
        Bug::FullPassSkipped | Bug::ReverseSkipped | Bug::NoTombstones => {
            vec![Wait(300), Ramp(TARGET_ONLY), Wait(500), Ramp(SOURCE_ONLY), Wait(300)]
        }
        // It copies while only the source is written, and counts as if it had come later.
        Bug::FullPassEarly => vec![
            Ramp(SOURCE_ONLY),
            Pass,
            Wait(500),
            Ramp(MIRRORED),
            Ramp(TARGET_FIRST),
            Wait(500),
            Ramp(SOURCE_ONLY),
        ],
        // A confirmation writes what it read to the target, late, while others have written something newer
        // there.
        Bug::UnconditionalMirror => vec![
            Ramp(MIRRORED),
            Pass,
            Others(Mood { target_put_ms: 100, ..CALM }),
            First(Mood { target_put_ms: 700, ..READS }),
            Wait(300),
            Hold,
            Ask(TARGET_FIRST),
            Wait(2_000),
            First(CALM),
            Others(CALM),
            Release,
            Wait(200),
            Ramp(SOURCE_ONLY),
        ],
        // A pass writes what it read some time ago.
        Bug::UnconditionalCopy => vec![
            Ramp(MIRRORED),
            Passes(Mood { target_put_ms: 800, ..CALM }),
            Ramp(TARGET_FIRST),
            Wait(300),
            Passes(CALM),
            Ramp(SOURCE_ONLY),
        ],
    }
}
