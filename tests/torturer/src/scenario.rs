//! For each bug the happenings that expose it, over and over: chance alone would take minutes to
//! bring together a slow put, a late client and a ramp. A product that is whole survives them too
//! (`--directed`). Each is a counterexample of `clients/rust/tests/protocol_model`, played for real.

use crate::{
    bug::Bug,
    unreliable::{Active, Mood},
};

/// One happening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Everybody is asked to this place of the ladder.
    Ask(u32),
    /// The same, and waited for, for a while: what is held back may make it impossible.
    Ramp(u32),
    /// The first service hears nothing of the controller any more.
    Hold,
    /// It hears again.
    Release,
    /// How the first service, all others and the passes are from now on.
    First(Mood),
    Others(Mood),
    Passes(Mood),
    /// A full pass that copies for real, whatever the bug; to its end.
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

/// Does it need reads that are confirmed?
pub fn wants_linearizable(bug: Bug) -> bool {
    bug == Bug::UnconditionalMirror
}

/// What is repeated until the time is over.
pub fn of(bug: Bug) -> Vec<Act> {
    match bug {
        // A client goes on in source-only while the others read the target.
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
        // In dual the target may miss a write; beside target-first somebody sees that.
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
        // The same on the way down: those who went to dual have lost the target, one has not.
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
        // A confirmation carries what it read into the target, late, while the others have written
        // something newer there.
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
        // A pass writes what it read a while ago.
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
