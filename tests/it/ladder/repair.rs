//! A repair where the source wins may leave an older record in the target until it has ended.

use super::*;

impl World {
    fn ask(&mut self, id: &str, kind: PassKind, source_wins: bool) -> bool {
        self.ask_with(id, kind, source_wins, 5)
    }

    pub(super) fn ask_with(&mut self, id: &str, kind: PassKind, source_wins: bool, residual_ms: u64) -> bool {
        self.change(&Change::BeginJob(NewPass {
            removes_extra: false,
            source_wins,
            tables: PassTables::default(),
            new_tables: Default::default(),
            id: id.to_owned(),
            kind,
            cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
            fingerprint: String::new(),
            segments: 1,
            residual_ms,
            expected: 0,
        }))
    }

    fn stop(&mut self, id: &str, complete: bool) {
        let (id, counts, findings) = (id.to_owned(), Default::default(), Default::default());
        assert!(self.change(&Change::FinishJob {
            id,
            counts,
            findings,
            complete,
            ledgers: Ledgers::default()
        }));
    }

    fn may_go_up(&self) -> bool {
        let shares = Shares { target_first_ppm: Some(PPM), ..Shares::default() };
        let ask = Ask { wait: false, overrides: Vec::new() };
        self.clone().change(&Change::SetRollout { shares, ask })
    }
}

/// Everybody is at mirrored, and a full pass has shown that the target has everything.
pub(super) fn copied() -> World {
    let mut world = World::new();
    world.happen(&Happening::Ramp([Some(PPM), Some(PPM), None, None]));
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Step);
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    assert!(world.ask("orders/full", PassKind::Full, false));
    world.stop("orders/full", true);
    assert!(world.may_go_up());
    world
}

#[test]
fn nothing_shown_before_it_counts_while_it_runs_or_after_its_worker_died() {
    let mut world = copied();
    assert!(world.ask("orders/repair", PassKind::Verify, true));
    assert!(!world.may_go_up());
    for kind in [PassKind::Full, PassKind::Sweep] {
        assert!(!world.ask("orders/beside", kind, false), "{kind:?} would copy behind its late writes");
    }
    world.stop("orders/repair", true);
    assert!(world.may_go_up(), "it has looked at every record again");
}

/// A full pass compares versions. So it does not see what a verification saw at equal versions.
#[test]
fn what_a_verification_found_is_gone_only_once_a_verification_says_so() {
    let found = PassCounts {
        remaining: Differences { different: 2, ..Differences::default() },
        ..PassCounts::default()
    };
    let unreadable = PassCounts { failed: 1, ..PassCounts::default() };
    for counts in [found, unreadable] {
        let mut world = copied();
        assert!(world.ask("orders/verify", PassKind::Verify, false));
        let (id, findings) = ("orders/verify".to_owned(), Vec::new());
        assert!(world.change(&Change::FinishJob {
            id,
            counts,
            findings,
            complete: true,
            ledgers: Ledgers::default()
        }));
        assert!(!world.may_go_up(), "earlier passes did not see it either");
        assert!(world.ask("orders/again", PassKind::Full, false));
        world.stop("orders/again", true);
        assert!(!world.may_go_up());
        assert!(world.ask("orders/repaired", PassKind::Verify, false));
        world.stop("orders/repaired", true);
        assert!(world.may_go_up());
    }
}

/// The newest verification is the clean one: what it lacks is that it began in time.
#[test]
fn a_clean_verification_that_began_too_early_is_not_called_unclean() {
    let mut world = World::new();
    let settle = |world: &mut World| (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Ramp([Some(PPM), None, None, None]));
    settle(&mut world);
    assert!(world.ask("orders/found", PassKind::Verify, false));
    let counts = PassCounts { failed: 1, ..PassCounts::default() };
    let (id, ledgers, findings) = ("orders/found".to_owned(), Ledgers::default(), Vec::new());
    assert!(world.change(&Change::FinishJob { id, counts, findings, complete: true, ledgers }));
    assert!(world.ask("orders/gone", PassKind::Verify, false));
    world.stop("orders/gone", true);
    world.happen(&Happening::Ramp([Some(PPM), Some(PPM), None, None]));
    settle(&mut world);
    let up = Change::SetRollout {
        shares: Shares { target_first_ppm: Some(PPM), ..Shares::default() },
        ask: Ask { wait: false, overrides: Vec::new() },
    };
    let refused = world.applied(&up).unwrap_err();
    let Refusal::Unmet(unmet) = &refused else { panic!("{refused:?}") };
    let told = &unmet.iter().find(|unmet| unmet.gate == Gate::FullPass).unwrap().message;
    let says = "the newest verification of these tenants, orders/gone, began before everybody had settled at mirrored";
    assert!(told.starts_with(says), "{told}");
    assert!(world.ask("orders/again", PassKind::Verify, false));
    world.stop("orders/again", true);
    assert!(world.may_go_up());
}

#[test]
fn a_pass_after_its_cancellation_waits_for_its_last_writes() {
    let mut world = copied();
    assert!(world.ask("orders/repair", PassKind::Verify, true));
    world.stop("orders/repair", false);
    assert!(!world.may_go_up());
    // The clock of this world is its revision, and 5 is how long such writes take.
    assert!(!world.ask("orders/soon", PassKind::Full, false));
    for _ in 0..3 {
        world.change(&Change::Pause);
        world.change(&Change::Resume);
    }
    assert!(world.ask("orders/later", PassKind::Full, false));
    world.stop("orders/later", true);
    assert!(world.may_go_up());
}

#[test]
fn it_is_not_begun_beside_a_pass_that_may_count() {
    let mut world = copied();
    assert!(world.ask("orders/second", PassKind::Full, false));
    assert!(!world.ask("orders/repair", PassKind::Verify, true));
}

/// The backup may have been made before the repair began, or with a repair whose worker hears late that it is over.
#[test]
fn after_a_restore_no_pass_begins_while_writes_of_a_repair_may_still_arrive() {
    for (known_ms, waited_ms) in [(None, 30_000), (Some(5), 30_000), (Some(45_000), 45_000)] {
        let mut world = copied();
        if let Some(residual_ms) = known_ms {
            assert!(world.ask_with("orders/repair", PassKind::Verify, true, residual_ms));
        }
        assert!(world.change(&Change::SuspectRestore { why: "restored".to_owned(), put_back: false }));
        world.revision += 20_000; // It has listened, also by the steady clock.
        assert!(world.change(&Change::ConfirmRestore(Confirmation::default())));
        let confirmed = world.revision;
        for kind in [PassKind::Full, PassKind::Sweep, PassKind::Verify] {
            assert!(!world.ask("orders/early", kind, false), "{kind:?}");
        }
        // The steady clock of the next change is one ahead.
        world.revision = confirmed + waited_ms - 2;
        assert!(!world.ask("orders/early", PassKind::Full, false), "{known_ms:?}");
        world.revision += 1;
        assert!(world.ask("orders/full", PassKind::Full, false), "{known_ms:?}");
    }
}
