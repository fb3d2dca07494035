//! What operators do over and over, where a theme has them do it.

use cutover_client::routing::Rung;
use cutover_proto::v1;
use rand::RngExt as _;

use super::{Desk, told};
use crate::{
    cast::KEY,
    invariants,
    play::{self, foreign},
    world::{self, MS},
};

/// One thing of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cue(pub Ask, pub Then);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Everybody at a stage.
    Ramp(v1::Rung),
    /// The same, past the gate that asks for a full pass.
    Overriding(v1::Rung),
    /// A tenant at a stage.
    Pin(v1::Rung),
    /// That tenant where its neighbors are.
    Unpin,
    /// A tenant without records at a stage, past the gate that asks for a full pass.
    PinEmpty(v1::Rung),
    /// That tenant where its neighbors are.
    UnpinEmpty,
    /// Everybody back.
    RollBack,
    /// A rollback is acknowledged. Where a script has this, nobody does so before.
    Acknowledge,
    /// Reads are to promise more, or less, than they do.
    OtherLevel,
    /// The local guard on or off.
    LocalGuard(bool),
    /// Somebody else writes to the target alone, perhaps with a version that is ahead of all clocks.
    ForeignWrite { ahead: bool },
    /// A full pass that no gate asks for.
    FullPass,
    /// A pass where the source wins.
    Repair,
    /// That it ends.
    CancelRepair,
    /// Nothing.
    Nothing,
}

/// When the next thing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Once everybody is where they were asked to be, or patience has ended.
    Arrive,
    /// At once.
    Next,
    /// Once patience has ended. Until then the same is asked for again, up to so many milliseconds later each time.
    Insist(u64),
    /// Once the target has nothing any more that somebody else wrote.
    Repaired,
    /// Once a repair is under way: nothing that a pass showed before counts any more.
    Begun,
    /// Once the services have written over what somebody else wrote to the target.
    Overwritten,
    /// Up to so many milliseconds later.
    Pause(u64),
    /// So many milliseconds later.
    After(u64),
}

impl Desk {
    /// Goes on with the script.
    pub(super) async fn follow(&mut self, has_arrived: bool) {
        if world::now() < self.rests_until {
            return;
        }
        let awaits = self.awaits;
        if let (Then::Insist(ms), true) = (awaits, world::now() < self.bored_at) {
            let Cue(ask, _) = self.operator.script[(self.cue - 1) % self.operator.script.len()];
            self.play(ask).await;
            return self.rest(ms);
        }
        if !has_arrived && world::now() < self.bored_at {
            return;
        }
        match awaits {
            // Somebody else does not know of it.
            Then::Repaired if foreign::is_left() => {
                return match self.random.random_range(0..4) {
                    0 => play::want_pass(v1::PassKind::Full),
                    _ => play::want_repair(),
                };
            }
            Then::Begun if self.repairs_under_way().await.is_empty() => return play::want_repair(),
            Then::Overwritten if foreign::is_left() => return,
            _ => {}
        }
        (self.sweeps, self.patient) = (self.random.random(), self.random.random());
        loop {
            let Cue(ask, then) = self.operator.script[self.cue % self.operator.script.len()];
            self.cue += 1;
            if !matches!(ask, Ask::ForeignWrite { .. }) || has_arrived {
                self.play(ask).await;
            }
            let patience = self.operator.patience;
            self.awaits = then;
            match then {
                Then::Next => continue,
                Then::Repaired | Then::Begun | Then::Overwritten => {}
                Then::Pause(ms) => self.rest(ms),
                Then::After(ms) => self.rests_until = world::now() + ms * MS,
                Then::Arrive | Then::Insist(_) => {
                    self.bored_at = world::now() + self.random.random_range(patience / 2..=patience)
                }
            }
            return;
        }
    }

    fn rest(&mut self, ms: u64) {
        self.rests_until = world::now() + self.random.random_range(0..=ms * MS);
    }

    async fn play(&mut self, ask: Ask) {
        match ask {
            Ask::Ramp(stage) => {
                self.climbs = stage > self.asked;
                self.ramp(stage, 1_000_000).await;
            }
            // They know that everything was copied only where a pass has brought them.
            Ask::Overriding(_) if !invariants::is_at("t0", Rung::TargetFirst) => {}
            Ask::Overriding(stage) => {
                self.climbs = true;
                self.ramp_overriding(stage, &["full-pass"]).await;
            }
            Ask::Pin(stage) => _ = self.pin_at("t0", stage, &[]).await,
            Ask::Unpin => self.unpin_one("t0".to_owned()).await,
            Ask::PinEmpty(stage) => {
                let is_accepted = self.pin_at(super::EMPTY_TENANT, stage, &["full-pass"]).await;
                play::note_override(is_accepted);
            }
            Ask::UnpinEmpty => {
                play::note_override(false);
                self.unpin_one(super::EMPTY_TENANT.to_owned()).await;
            }
            Ask::RollBack => {
                self.climbs = false;
                play::note_override(false);
                let request = v1::RollbackRequest {
                    mutation: self.mutation(),
                    key: KEY.to_owned(),
                    tenant: String::new(),
                };
                told("rollback", &self.admin.rollback(request).await);
            }
            Ask::Acknowledge => self.acknowledge().await,
            Ask::OtherLevel => self.change_level().await,
            Ask::LocalGuard(on) => self.update(|policy| policy.local_guard = on).await,
            Ask::ForeignWrite { ahead } => foreign::write(ahead),
            Ask::FullPass => play::want_pass(v1::PassKind::Full),
            Ask::Repair => play::want_repair(),
            Ask::CancelRepair => self.cancel_repair().await,
            Ask::Nothing => {}
        }
    }
}
