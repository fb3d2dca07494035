//! Records that can't be moved: kept with the reason, reported, and released once they can.

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    StoreError,
    document::{Attribute, Document},
};

use super::{filled, hooked::Hooked, *};

/// The rows in quarantine, without tombstones.
fn rows(quarantine: &MemoryStore) -> Vec<(Id, Document)> {
    let rows = quarantine.dump().into_iter();
    rows.filter_map(|(id, row)| Some((id, Document::decode(&row.value?).unwrap()))).collect()
}

fn misfit(what: &str) -> StoreError {
    StoreError::Permanent { class: ErrorClass::Constraint, field: "name".to_owned(), what: what.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_fit_is_quarantined_and_blocks_the_gate() {
    let (_dir, controller) = started().await;
    let world = filled();
    let narrow = Hooked {
        refuses: |records| {
            let one = records.iter().any(|(each, _)| *each == id(77));
            one.then(|| misfit("41 characters do not fit varchar(40)"))
        },
        ..Hooked::new(&world.target)
    };
    let stores = Stores { target: Arc::new(narrow), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    let done = counts(&evidence);
    assert_eq!((done.copied, done.quarantined), (RECORDS - 1, 1), "the others move");
    assert!(!evidence.clean, "no gate accepts it");
    assert!(evidence.samples[0].contains("varchar(40)"), "{:?}", evidence.samples);
    let rows = rows(&world.quarantine);
    let [(place, row)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((place.tenant.as_str(), place.key.as_str()), (KEY, "\"shop-0\"/\"order-77\""));
    let says = |name: &str| row.0.get(name).cloned();
    assert_eq!(says("value"), Some(Attribute::B(vec![b'x'; 100])), "exactly as it was");
    assert_eq!(says("version"), Some(Attribute::N("78".parse().unwrap())));
    let Some(Attribute::S(reason)) = says("reason") else { panic!("{row:?}") };
    assert!(reason.contains("varchar(40)"), "{reason}");

    let alone = Stores { quarantine: None, ..stores };
    let failed = run(&controller, &alone, &plan(v1::PassKind::Full)).await.unwrap_err().to_string();
    assert!(failed.contains("the target: record \"shop-0\"/\"order-77\": name: 41 characters"), "{failed}");
    assert!(failed.contains("--create-tables"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_in_a_later_pass_is_out_of_quarantine_and_the_gate_opens() {
    let (_dir, controller) = started().await;
    let world = filled();
    let odd = |records: &[(Id, Record)]| {
        let any = records.iter().any(|(each, _)| [id(7), id(77)].contains(each));
        any.then(|| misfit("41 characters do not fit varchar(40)"))
    };
    let narrow = Hooked { refuses: odd, ..Hooked::new(&world.target) };
    let stores = Stores { target: Arc::new(narrow), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert_eq!((counts(&evidence).quarantined, rows(&world.quarantine).len()), (2, 2));
    // Another migration shares the table.
    let other = Id::new("other", "\"shop-0\"/\"order-77\"").unwrap();
    let of_other = world.quarantine.dump().into_values().next().unwrap();
    world.quarantine.insert(other.clone(), of_other.clone());

    // One of them is corrected so that it fits; then the other.
    let less = |records: &[(Id, Record)]| {
        records.iter().any(|(each, _)| *each == id(77)).then(|| misfit("41 characters are still too many"))
    };
    let wider = Hooked { refuses: less, ..Hooked::new(&world.target) };
    let stores = Stores { target: Arc::new(wider), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(!evidence.clean && counts(&evidence).quarantined == 1, "{evidence:?}");
    let left = rows(&world.quarantine);
    let [(first, _), (second, row)] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((first.key.as_str(), second), (other.key.as_str(), &other), "and the other's stays");
    assert!(row.0.contains_key("value"));

    let evidence = run(&controller, &world.stores(), &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(rows(&world.quarantine).len(), 1, "just the other migration's");
    assert_eq!(world.quarantine.dump()[&other], of_other);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_quarantined_in_a_copy_and_told_by_a_comparison() {
    let (_dir, controller) = started().await;
    let world = filled();
    let unreadable = |id: &Id| {
        (id.key == "order-13").then(|| StoreError::Permanent {
            class: ErrorClass::Serialization,
            field: "version".to_owned(),
            what: "it is no INTEGER: correct it in the row".to_owned(),
        })
    };
    let source = Hooked { unreadable, ..Hooked::new(&world.source) };
    let stores = Stores { source: Arc::new(source), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    let done = counts(&evidence);
    assert_eq!((done.scanned, done.copied, done.quarantined), (RECORDS, RECORDS - 1, 1));
    assert!(!evidence.clean && evidence.samples[0].contains("order-13\", which can't be read: version"));
    let kept = rows(&world.quarantine);
    let [(_, row)] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(row.0.get("value"), None, "it stays where it is");

    world.target.insert(id(13), record(1));
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Verify)).await.unwrap();
    let done = counts(&evidence);
    assert_eq!((done.failed, done.found.unwrap_or_default()), (1, v1::Differences::default()));
    assert!(!evidence.clean);
    let told = evidence.samples.join("\n");
    assert!(
        told.contains("unreadable in the source \"shop-6\"/\"order-13\": version: it is no INTEGER"),
        "{told}"
    );

    let repair = Plan { repair: true, ..plan(v1::PassKind::Verify) };
    let evidence = run(&controller, &stores, &repair).await.unwrap();
    assert_eq!((counts(&evidence).failed, rows(&world.quarantine)), (1, kept), "it is told, and stays kept");
    let evidence = run(&controller, &world.stores(), &repair).await.unwrap();
    assert!(evidence.clean && rows(&world.quarantine).is_empty(), "somebody corrected it: {evidence:?}");
}
