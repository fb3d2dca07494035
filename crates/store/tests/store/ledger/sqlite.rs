//! In SQLite: a lost ledger, and triggers.

use super::*;

#[tokio::test]
async fn a_lost_ledger_is_refused() {
    let (dir, admin) = existing().await;
    let path = dir.path().join("store.db");
    let table = || with_ledger(refusing::table(Dialect::Sqlite, "orders"));
    let store = create(&path, table()).await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    let open = || SqliteStore::open(&path, table(), SqliteOptions::default());
    let ledger = ledger_sql(Dialect::Sqlite, &table());
    foreign::a_lost_ledger_is_refused(&store, ["orders", &ledger], run, open).await;
}

#[tokio::test]
async fn programs_take_part_by_triggers() {
    let (dir, admin) = existing().await;
    let store = create(&dir.path().join("store.db"), refusing::table(Dialect::Sqlite, "orders")).await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    triggers::programs_take_part(&store, ["orders", "tenant", "key"], run).await;
    // Whatever a statement says about conflicts.
    for verb in ["INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"] {
        run(format!("{verb} INTO orders (tenant, key, n) VALUES ('t', '{verb}', 1)")).await;
        let first = store.get_versions(&[id(verb)]).await.expect("read")[0].expect("a record");
        run(format!("{verb} INTO orders (tenant, key, n) VALUES ('t', '{verb}', 2)")).await;
        let second = store.get_versions(&[id(verb)]).await.expect("read")[0].expect("a record");
        assert_eq!(second > first, verb != "INSERT OR IGNORE", "{verb}: {first} {second}");
    }
    let (dir, admin) = existing().await;
    let store =
        create(&dir.path().join("store.db"), children::orders(Dialect::Sqlite, "more", Versions::Ledger))
            .await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    triggers::lines_stamp_their_record(&store, "more_lines", "more", run).await;
}

#[tokio::test]
async fn programs_take_part_by_triggers_with_numbers_as_ids() {
    let (dir, admin) = existing().await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: &str| sql(&mut *admin.lock().await, text).await;
    run("CREATE TABLE numbers (org INTEGER NOT NULL, id INTEGER NOT NULL, n INTEGER NOT NULL, rest TEXT, PRIMARY KEY (org, id))")
        .await;
    let store = create(&dir.path().join("store.db"), stories::orders(Dialect::Sqlite, "numbers")).await;
    for trigger in store.triggers() {
        run(&trigger.create).await;
    }
    let least = i64::MIN;
    run(&format!(
        "INSERT INTO numbers (org, id, n) VALUES (1, 2, 1), ({least}, 2, 1), ({least}, {least}, 1), (1, 'x', 1)"
    ))
    .await;
    run("UPDATE numbers SET n = 2; DELETE FROM numbers WHERE id <> 2").await;
    let ids = ["1".to_owned(), least.to_string()].map(|org| Id::new(&org, "2").expect("valid"));
    for version in store.get_versions(&ids).await.expect("read") {
        assert_eq!(version.expect("a record").slot(), Version::TRIGGER_SLOT);
    }
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    assert!(
        page.unreadable.is_empty() && page.records.len() == 2,
        "no entries of what is no record: {page:?}"
    );
    let last = Record { version: Version(1 << 62), ..record(0, 1) };
    assert_eq!(store.put_if_newer(&ids[0], &last).await, Ok(Put::Applied), "it is the same ledger");
}

#[tokio::test]
async fn triggers_that_are_missing_or_have_another_text_are_named() {
    let (dir, admin) = existing().await;
    let store = create(&dir.path().join("store.db"), refusing::table(Dialect::Sqlite, "orders")).await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: &str| sql(&mut *admin.lock().await, text).await;
    let about = async || -> Vec<String> {
        let warnings = store.warnings().await.expect("asked");
        warnings.into_iter().filter(|it| it.contains("cutover_stamp")).collect()
    };
    for trigger in store.triggers() {
        assert_eq!(
            about().await.len(),
            usize::from(!store.created_triggers().await.expect("asked").is_empty())
        );
        run(&trigger.create).await;
    }
    assert_eq!(store.created_triggers().await.expect("asked").len(), store.triggers().len());
    assert_eq!(about().await, [""; 0]);
    let first = store.triggers().swap_remove(0);
    run(&format!("{}; {}", first.drop, first.create.replace("+ 1", "+ 2"))).await;
    assert!(about().await[0].contains(&format!("{} runs another text. ", first.name)));
    run(&first.drop).await;
    assert!(about().await[0].contains(&format!("{} is not there. ", first.name)));
}

/// SQLite runs the trigger first that was created last.
#[tokio::test]
async fn a_row_that_a_trigger_deletes_or_puts_back_is_stamped_as_it_is() {
    let (dir, admin) = existing().await;
    let store = create(&dir.path().join("store.db"), refusing::table(Dialect::Sqlite, "orders")).await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: &str| sql(&mut *admin.lock().await, text).await;
    for trigger in store.triggers() {
        run(&trigger.create).await;
    }
    run("CREATE TRIGGER done AFTER UPDATE ON orders WHEN NEW.n = 9 BEGIN DELETE FROM orders WHERE key = NEW.key; END").await;
    run("CREATE TRIGGER kept AFTER DELETE ON orders WHEN OLD.n = 7 BEGIN \
         INSERT INTO orders (tenant, key, n) VALUES (OLD.tenant, OLD.key, 8); END")
    .await;
    run("INSERT INTO orders (tenant, key, n) VALUES ('t', 'gone', 1), ('t', 'back', 7)").await;
    run("UPDATE orders SET n = 9 WHERE key = 'gone'; DELETE FROM orders WHERE key = 'back'").await;
    let gone = store.get(&id("gone")).await.expect("read").expect("a tombstone");
    assert!(gone.is_tombstone(), "{gone:?}");
    let back = store.get(&id("back")).await.expect("read").expect("a record");
    assert!(!back.is_tombstone() && back.version.slot() == Version::TRIGGER_SLOT, "{back:?}");
}
