//! Records that services without an SDK wrote: content decides what is equal, and unexplained records make a
//! pass unclean.

use super::*;

fn unversioned(content: &[u8]) -> Record {
    Record { version: Version::ZERO, value: Some(content.to_vec()) }
}

/// A full pass that also looks into the target.
fn full() -> Plan {
    Plan { on_target: 1, segments: 5, ..plan(v1::PassKind::Full) }
}

fn repair() -> Plan {
    Plan { repair: true, fingerprint: "f+repair".to_owned(), ..plan(v1::PassKind::Verify) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_in_the_source_is_copied_again_and_what_is_gone_there_is_told() {
    let (_dir, controller) = started().await;
    let world = World::new();
    for n in 0..300 {
        world.source.insert(id(n), unversioned(b"early"));
    }
    let evidence = run(&controller, &world.stores(), &full()).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 300, "{evidence:?}");

    // A service without an SDK.
    for n in 0..100 {
        world.source.insert(id(n), unversioned(b"changed"));
    }
    world.source.remove(&id(200));
    let evidence = run(&controller, &world.stores(), &full()).await.unwrap();
    let done = counts(&evidence);
    assert_eq!((done.scanned, done.copied, done.present), (299, 100, 199), "{evidence:?}");
    assert_eq!(get(&world.target, 7).await, Some(unversioned(b"changed")));
    let extra = v1::Differences { extra: 1, unversioned: 1, ..Default::default() };
    assert_eq!((found(&evidence), done.remaining), (extra, Some(extra)));
    let told = format!("extra {:?}/{:?}: source has none, target version 0", id(200).tenant, id(200).key);
    assert!(!evidence.clean && evidence.samples[0].starts_with(&told), "{:?}", evidence.samples);

    // A repair alone leaves it.
    let evidence = run(&controller, &world.stores(), &repair()).await.unwrap();
    assert!(!evidence.clean && counts(&evidence).remaining == Some(extra), "{evidence:?}");
    let remove = Plan { remove_extra: true, fingerprint: "f+remove-extra".to_owned(), ..repair() };
    let refused = run(&controller, &world.stores(), &remove).await.unwrap_err().to_string();
    assert!(refused.contains("reason: is missing"), "{refused}");
    let remove = Plan { reason: "deleted by the old shop".to_owned(), ..remove };
    let evidence = run(&controller, &world.stores(), &remove).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 1, "{evidence:?}");
    assert_eq!(get(&world.target, 200).await, Some(tombstone(1)), "older than any write of an SDK");
    let evidence = run(&controller, &world.stores(), &full()).await.unwrap();
    assert!(evidence.clean && found(&evidence) == v1::Differences::default(), "{evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_repairs_content_where_neither_store_has_a_version() {
    let (_dir, controller) = started().await;
    for on_target in [2, 0] {
        let world = World::new();
        world.source.insert(id(1), unversioned(b"changed"));
        world.target.insert(id(1), unversioned(b"early"));
        // Written without the SDK: nobody knows which one is right.
        world.source.insert(id(2), Record { version: Version(5), value: Some(b"one".to_vec()) });
        world.target.insert(id(2), Record { version: Version(5), value: Some(b"other".to_vec()) });
        let look = Plan { on_target, ..plan(v1::PassKind::Verify) };
        let evidence = run(&controller, &world.stores(), &look).await.unwrap();
        assert!(!evidence.clean && found(&evidence).different == 2, "{evidence:?}");
        let evidence = run(&controller, &world.stores(), &Plan { on_target, ..repair() }).await.unwrap();
        let left = v1::Differences { different: 1, ..Default::default() };
        assert_eq!((counts(&evidence).copied, counts(&evidence).remaining), (1, Some(left)));
        assert_eq!(get(&world.target, 1).await, Some(unversioned(b"changed")));
    }
    let world = World::new();
    world.source.insert(id(1), unversioned(b"changed"));
    world.target.insert(id(1), unversioned(b"early"));
    let evidence = run(&controller, &world.stores(), &plan(v1::PassKind::Sweep)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 1, "the lazy way as well: {evidence:?}");
    assert_eq!(get(&world.target, 1).await, Some(unversioned(b"changed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lost_its_versions_is_not_clean() {
    let (_dir, controller) = started().await;
    let world = World::new();
    // An SDK wrote both; then the old service wrote the source's.
    world.source.insert(id(1), unversioned(b"by the old service"));
    world.target.insert(id(1), record(7));
    // The SDK's write came after the page was read: no difference.
    world.source.insert(id(2), record(9));
    world.target.insert(id(2), record(9));
    let evidence = run(&controller, &world.stores(), &full()).await.unwrap();
    let ahead = v1::Differences { ahead: 1, ..Default::default() };
    assert_eq!((found(&evidence), counts(&evidence).remaining), (ahead, Some(ahead)));
    assert!(!evidence.clean && evidence.samples[0].contains("source version 0"), "{evidence:?}");
    assert_eq!(get(&world.target, 1).await, Some(record(7)), "nothing is guessed");
    // Once an SDK has written it again, it is a record like any other.
    world.source.insert(id(1), record(8));
    let evidence = run(&controller, &world.stores(), &full()).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 1, "{evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_between_reading_and_writing_a_page_is_no_difference() {
    let (_dir, controller) = started().await;
    let world = World::new();
    world.source.insert(id(1), unversioned(b"early"));
    world.target.insert(id(1), record(7));
    // The source's part of that write is seen by the second look.
    let arrives = |source: &MemoryStore, _| source.insert(id(1), record(7));
    let source =
        Arc::new(super::hooked::Hooked { before_read: arrives, ..super::hooked::Hooked::new(&world.source) });
    let stores = Stores { source, ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && found(&evidence) == v1::Differences::default(), "{evidence:?}");
}
