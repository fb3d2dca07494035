//! The controller's store is lost, and an earlier state takes its place: a backup that was restored, or a file that was
//! copied back by hand.
//!
//! A file copied by hand says nothing about it. The controller notices when an instance registers that holds a newer
//! revision. Until then it goes by the old state, see docs/protocol.md; so a file is copied only when every service that
//! runs holds a newer revision. Meanwhile passes that are under way may end, and nothing else happens.

use super::{chaos, kill, replicas, with};
use crate::{
    invariants, oracle,
    world::{self, MS, S},
};

/// A controller that does not know commits at most so much.
const PASSES: u64 = 4;

/// Takes a backup now, and puts it in the place of the controller's store later.
pub(super) fn begin() {
    let (control, number, by_hand) = with(|stage| {
        stage.backups += 1;
        (stage.control.clone(), stage.backups, stage.plan.by_hand)
    });
    let Some(then) = control.migration().filter(|_| with(|stage| !stage.unconfirmed)) else { return };
    world::tell(|| format!("backup {number} is taken"));
    let backup = match by_hand {
        true => control.copied(),
        false => control.backup(&format!("restored-{number}")),
    };
    world::after(chaos::span(100 * MS, 20 * S), move || {
        let (controller, may_be) = with(|stage| {
            let is_newest = stage.backups == number && world::now() < stage.plan.calm_from;
            (stage.controllers[0], is_newest && !stage.unconfirmed)
        });
        if !may_be || by_hand && !can_be_noticed(then.revision) {
            return;
        }
        world::tell(|| {
            format!("the controller is killed, and backup {number} is restored, by hand: {by_hand}")
        });
        kill(controller, false);
        let truth = control.migration();
        control.replace(backup);
        with(|stage| (stage.unconfirmed, stage.unnoticed, stage.truth) = (true, by_hand, truth));
        world::after(chaos::span(100 * MS, 15 * S), move || replicas::start_again(controller));
    });
}

/// Whether every service that runs holds a newer revision, and not only by what a pass may still commit that is under
/// way. Once is enough: another copy has another history.
fn can_be_noticed(revision: u64) -> bool {
    let services: Vec<_> = with(|stage| {
        let services = stage.services.iter().filter(|_| !stage.was_copied);
        services.map(|actor| (actor.service.pid, actor.service.name.clone())).collect()
    });
    let live: Vec<_> = services.into_iter().filter(|(pid, _)| world::look(*pid, |_| ()).is_some()).collect();
    let can_be = !live.is_empty() && live.iter().all(|(_, name)| invariants::held(name) > revision + PASSES);
    with(|stage| stage.was_copied |= can_be);
    can_be
}

/// A file was copied back by hand, and the controller has not noticed.
pub fn is_unnoticed() -> bool {
    with(|stage| stage.unnoticed)
}

/// The controller knows that its store is an earlier one.
pub(super) fn note_noticed() {
    with(|stage| stage.unnoticed = false);
}

/// Faults have stopped a while ago.
pub(super) fn check_that_it_was_noticed() {
    if is_unnoticed() {
        oracle::fault("unnoticed", "the controller goes on from a file that was copied back".to_owned());
    }
}
