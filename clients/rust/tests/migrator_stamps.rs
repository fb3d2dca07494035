//! Stamps: above everything seen, never twice, and near the clock.

#[path = "migrator/world.rs"]
mod world;

use std::time::Duration;

use cutover_client::{
    migrator::{AHEAD_MS, StampError, Stamper, stamp},
    routing::Rung,
    store::{Id, Record, Version, now_ms_since_2025},
};
use world::{TENANT, World, id};

#[test]
fn stamps_follow_the_clock_and_rise_above_what_was_seen() {
    let at = |ms, counter, slot| Version::new(ms, counter, slot).expect("fits");
    assert_eq!(stamp(100, Version::ZERO, Version::ZERO, 7), Some(at(100, 0, 7)));
    assert_eq!(stamp(100, Version::ZERO, at(100, 0, 7), 7), Some(at(100, 1, 7)));
    // Above another writer's, even if that one's slot is higher.
    assert_eq!(stamp(100, at(100, 5, Version::SLOTS - 1), Version::ZERO, 7), Some(at(100, 6, 7)));
    assert_eq!(stamp(100, at(100, 255, 0), Version::ZERO, 7), Some(at(101, 0, 7)), "a full counter carries");
    assert_eq!(stamp(100, at(900, 3, 0), at(901, 0, 7), 7), Some(at(901, 1, 7)), "a clock that is behind");
    assert_eq!(stamp(100, Version::MAX, Version::ZERO, 7), None);
    // No clock is trusted beyond its 41 bits.
    assert_eq!(stamp(u64::MAX, at(5, 0, 0), Version::ZERO, 7), Some(at(5, 1, 7)));
}

#[test]
fn a_stamper_never_repeats_itself_and_tells_of_wrong_clocks() {
    let stamper = Stamper::new(3).expect("a slot");
    let mut last = Version::ZERO;
    for now_ms in [100, 100, 50, 100, 101, 101] {
        let version = stamper.stamp(now_ms, Version::ZERO).expect("room");
        assert!(version > last && version.slot() == 3);
        last = version;
    }
    assert_eq!(stamper.ahead(), 0);
    let far = Version::new(200 + AHEAD_MS, 0, 9).expect("fits");
    assert!(stamper.stamp(100, far).expect("room") > far);
    assert_eq!(stamper.ahead(), 1);
    assert_eq!(stamper.stamp(100, Version::MAX), Err(StampError::Exhausted(Version::MAX)));
    assert_eq!(Stamper::new(16_384).err(), Some(StampError::Slot(16_384)));
    stamper.set_slot(4).expect("a slot");
    assert_eq!(stamper.stamp(300 + AHEAD_MS, Version::ZERO).expect("room").slot(), 4);
}

/// The clock was set back, or versions in the store are ahead of it. Then one holder of a slot may stamp what another
/// stamped before.
#[tokio::test]
async fn a_later_holder_of_a_slot_repeats_no_version_of_an_earlier_one() {
    let ahead = |counter, slot| {
        Version::new(now_ms_since_2025() / 1_000_000 * 1_000_000 + 9_000_000, counter, slot).expect("fits")
    };
    for rung in [Rung::SourceOnly, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly] {
        let world = World::at(rung);
        let record = |version| Record { version, value: Some(b"before".to_vec()) };
        let others = Id::new(TENANT, "other").expect("valid");
        for store in [world.source.inner(), world.target.inner()] {
            store.insert(others.clone(), record(ahead(4, 9)));
            // Its earlier holder stamped this one.
            store.insert(id(), record(ahead(6, 1)));
        }
        world
            .migrator
            .put_bytes(TENANT, "other", "after".into())
            .await
            .expect("stamped above, ahead of the clock");
        assert!(world.put("after").await > ahead(6, 1));
        assert_eq!(world.get().await.as_deref(), Some(&b"after"[..]), "{rung}");
    }
}

#[test]
fn while_its_slot_rests_a_stamper_stamps_nothing_ahead_of_the_clock() {
    let stamper = Stamper::new(3).expect("a slot");
    stamper.rest(Duration::from_secs(60));
    let by_the_clock = stamper.stamp(100, Version::ZERO).expect("later than all of an earlier holder");
    assert_eq!(by_the_clock.ms_since_2025(), 100);
    let far = Version::new(700, 0, 9).expect("fits");
    let refused = stamper.stamp(100, far);
    assert!(matches!(refused, Err(StampError::Resting { ahead_ms: 600, .. })), "{refused:?}");
    stamper.rest(Duration::ZERO);
    assert!(stamper.stamp(100, far).expect("rested") > far);
}
