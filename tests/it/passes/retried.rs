//! Records in quarantine: listed with their reasons, and tried again by themselves.

use cutover::jobs::{
    quarantine::{Row, Rows},
    retry::{Retried, retry},
};
use cutover_core::outcome::ErrorClass;
use cutover_store::StoreError;

use super::{hooked::Hooked, *};

fn misfit() -> StoreError {
    let what = "41 characters where varchar(40) takes 40".to_owned();
    StoreError::Permanent { class: ErrorClass::Constraint, field: "name".to_owned(), what }
}

async fn listed(world: &World) -> Vec<Row> {
    let mut pages = Rows::of(&*world.quarantine, KEY, Duration::ZERO);
    let mut rows = pages.next().await.unwrap().unwrap();
    assert_eq!(pages.next().await.unwrap(), None, "they are few");
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    rows
}

async fn tried(controller: &Controller, stores: &Stores) -> Result<Vec<(String, Retried)>, jobs::Error> {
    let mut tried = Vec::new();
    let told = |row: &Row, retried: &Retried| tried.push((row.key.clone(), retried.clone()));
    retry(&controller.url, stores, &plan(v1::PassKind::Full), told, std::future::pending()).await?;
    tried.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(tried)
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_those_in_quarantine_are_tried_and_what_fits_is_out() {
    let (_dir, controller) = started().await;
    let world = filled();
    let narrow = Hooked {
        refuses: |records| {
            let any = records.iter().any(|(each, _)| [7, 17, 27, 37].map(id).contains(each));
            any.then(misfit)
        },
        ..Hooked::new(&world.target)
    };
    let stores = Stores { target: Arc::new(narrow), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert_eq!(counts(&evidence).quarantined, 4);
    let said = evidence.findings.iter().map(|finding| (finding.what.as_str(), finding.records));
    let expected = [("quarantined: name: N characters where varchar(N) takes N", 4)];
    assert_eq!(said.collect::<Vec<_>>(), expected);
    let kept = listed(&world).await;
    let keys: Vec<_> = kept.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["order-17", "order-27", "order-37", "order-7"]);
    assert_eq!((kept[0].version, kept[0].toward.name()), (Some(18), "target"));
    assert!(kept[0].reason.contains("varchar(40)") && evidence.job == kept[0].pass, "{kept:?}");

    // One was removed, one arrived by a write of a service, and one still does not fit.
    world.source.remove(&id(17));
    world.target.insert(id(27), record(28));
    let wide = Hooked {
        refuses: |records| records.iter().any(|(each, _)| *each == id(37)).then(misfit),
        ..Hooked::new(&world.target)
    };
    let scans = Arc::new(Hooked::new(&world.source));
    let stores = Stores { source: scans.clone(), target: Arc::new(wide), ..world.stores() };
    let retried = tried(&controller, &stores).await.unwrap();
    let left = "name: 41 characters where varchar(40) takes 40".to_owned();
    let expected = [Retried::Gone, Retried::Present, Retried::Left(left), Retried::Moved];
    assert_eq!(retried.into_iter().map(|(_, retried)| retried).collect::<Vec<_>>(), expected);
    assert_eq!(scans.scans.load(std::sync::atomic::Ordering::SeqCst), 0, "no pass");
    assert_eq!(get(&world.target, 7).await, Some(record(8)));
    let [row] = &listed(&world).await[..] else { panic!("{:?}", listed(&world).await) };
    assert_eq!((row.key.as_str(), row.pass.as_str()), ("order-37", "orders/retry"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_go_back_is_left_unless_its_tenant_has_been_at_target_only() {
    let (_dir, controller) = started().await;
    let world = filled();
    let narrow = Hooked {
        refuses: |records| records.iter().any(|(each, _)| *each == id(7)).then(misfit),
        ..Hooked::new(&world.target)
    };
    let stores = Stores { target: Arc::new(narrow), ..world.stores() };
    run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    // As a reverse pass would have left it.
    let (place, row) = world.quarantine.dump().into_iter().next().unwrap();
    let text = String::from_utf8(row.value.unwrap()).unwrap().replace("\"target\"", "\"source\"");
    world.quarantine.insert(place, Record { version: row.version, value: Some(text.into_bytes()) });
    world.target.insert(id(7), record(99));
    let retried = tried(&controller, &world.stores()).await.unwrap();
    let [(_, Retried::Left(why))] = &retried[..] else { panic!("{retried:?}") };
    assert!(why.contains("target-first after target-only"), "{why}");
    assert_eq!(get(&world.source, 7).await, Some(record(8)), "the source is the truth");
    assert_eq!(listed(&world).await.len(), 1);
}
