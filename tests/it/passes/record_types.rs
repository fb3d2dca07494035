//! Passes into several tables, one for each record type.

use cutover_store::spec::{Missing, Spec};

use super::{filled, *};

/// Types of all keys but `order-0` and those with a 9 after the dash.
async fn typed(dir: &TempDir) -> Arc<dyn Store> {
    let types =
        (1..9).map(|n| format!("[[target.types]]\nkey_prefix = \"order-{n}\"\ntable = \"orders_{n}\"\n"));
    let path = dir.path().join("typed.db");
    let head = "migration = \"orders\"\n[source]\nurl = \"sqlite:none.db\"\ntable = \"none\"\n[target]\n";
    let spec: Spec =
        format!("{head}url = \"sqlite:{}\"\n{}", path.display(), types.collect::<String>()).parse().unwrap();
    spec.target.open(Missing::Create, |_| None).await.unwrap()
}

fn has_type(id: &Id) -> bool {
    id.key != "order-0" && !id.key.starts_with("order-9")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_types_move_and_are_compared_and_a_record_of_none_is_quarantined() {
    let (dir, controller) = started().await;
    let world = filled();
    let none: Vec<Id> = world.source.dump().into_keys().filter(|id| !has_type(id)).collect();
    let stores = Stores { target: typed(&dir).await, ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    let done = counts(&evidence);
    assert_eq!((done.copied, done.quarantined), (RECORDS - none.len() as u64, none.len() as u64));
    assert!(!evidence.clean, "no gate accepts it");
    assert!(evidence.samples[0].contains("key: no record type takes it"), "{:?}", evidence.samples);

    // A worker with a newer spec may have written it, so nobody knows whether it is missing.
    for on_target in [2, 0] {
        let plan = Plan { on_target, ..plan(v1::PassKind::Verify) };
        let evidence = run(&controller, &stores, &plan).await.unwrap();
        assert_eq!(
            (counts(&evidence).failed, found(&evidence)),
            (none.len() as u64, v1::Differences::default())
        );
        assert!(!evidence.clean && evidence.samples[0].contains("no record type takes it"), "{evidence:?}");
    }

    none.iter().for_each(|id| world.source.remove(id));
    // Looked up in each other, and side by side.
    for on_target in [2, 0] {
        let plan = Plan { on_target, ..plan(v1::PassKind::Verify) };
        let evidence = run(&controller, &stores, &plan).await.unwrap();
        assert_eq!(found(&evidence), v1::Differences::default());
        assert_eq!(counts(&evidence).scanned, 2 * (RECORDS - none.len() as u64), "each record of both");
    }
    world.source.insert(id(17), record(5_000));
    let plan = Plan { on_target: 0, ..plan(v1::PassKind::Verify) };
    let evidence = run(&controller, &stores, &plan).await.unwrap();
    assert_eq!(found(&evidence), v1::Differences { stale: 1, ..Default::default() });
}

/// By another path, the spec can't tell that it is the source's file.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_one_of_the_targets_tables_is_refused() {
    let (dir, controller) = started().await;
    let target = typed(&dir).await;
    let (file, other) = (dir.path().join("typed.db"), dir.path().join("other.db"));
    std::os::unix::fs::symlink(&file, &other).unwrap();
    let spec: Spec = format!(
        "migration = \"orders\"\n[source]\nurl = \"sqlite:{}\"\ntable = \"orders_3\"\n\
         [target]\nurl = \"sqlite:{}\"\ntable = \"none\"\n",
        other.display(),
        file.display()
    )
    .parse()
    .unwrap();
    let source = spec.source.open(Missing::Refuse, |_| None).await.unwrap();
    let stores = Stores { source, target, ..World::new().stores() };
    let refused = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap_err();
    assert!(matches!(refused, jobs::Error::SameTable { .. }), "{refused}");
    assert!(refused.to_string().contains("share a table"), "{refused}");
}
