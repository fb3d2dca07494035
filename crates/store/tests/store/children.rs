//! Lists in tables of their own, the same on every SQL store that has them.

#[path = "children/mysql.rs"]
mod mysql;
#[path = "children/postgres.rs"]
mod postgres;
#[path = "children/sqlite.rs"]
mod sqlite;

use std::sync::Arc;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Id, Put, PutAll, Record, Scope, Segment, Store, StoreError, Version,
    document::{Attribute, Document},
    mapping::{Child, ColumnPath, Dialect, Fields, Mapping, OnMisfit, SqlTable, Versions},
};

use super::{
    columns::column,
    documents::{self, Documents},
    kinds::{kinds, of_each_kind},
    servers::{scanned, table},
    suite,
};

/// Orders with lines and tags, whose columns are those of an application.
pub(super) fn orders(dialect: Dialect, name: &str, versions: Versions) -> SqlTable {
    let mapped = |columns: Vec<_>, overflow: Option<&str>, on_misfit| {
        Mapping::new(dialect, columns, overflow.map(str::to_owned), on_misfit).expect("a mapping")
    };
    let line = vec![
        column("sku", "varchar(20)"),
        column("n", "int"),
        column("price", "decimal(12,2)"),
        column("ratio", if dialect == Dialect::Sqlite { "json" } else { "double" }),
        column("gift", "boolean"),
        column("photo", "blob"),
        column("at.shelf", "text"),
        column("due", "date"),
        column("id", "uuid"),
        column("more", "jsonb"),
    ];
    let child = |path: &str, elements| Child {
        table: format!("{name}_{path}"),
        path: ColumnPath::dotted(path).expect("a path"),
        tenant: "tenant".to_owned(),
        key: "of".to_owned(),
        position: "position".to_owned(),
        elements,
        of_values: false,
    };
    let mut tag = column("value", "text");
    (tag.name, tag.required) = ("tag".to_owned(), true);
    let lines = child("lines", mapped(line, None, OnMisfit::Quarantine));
    let tags = Child { of_values: true, ..child("tags", mapped(vec![tag], None, OnMisfit::Quarantine)) };
    let mapping = mapped(vec![column("id", "bigint")], Some("rest"), OnMisfit::Quarantine);
    let mapping = mapping.with_children(vec![lines, tags]).expect("a mapping");
    SqlTable { name: name.to_owned(), fields: Fields::default(), mapping: Some(mapping), versions }
}

/// Runs the suite on stores of tables with these names.
async fn passes<S: Store>(
    dialect: Dialect,
    versions: Versions,
    names: &[String],
    create: impl AsyncFn(SqlTable) -> S,
) {
    let mut stores = Vec::new();
    for name in names {
        let table = SqlTable { versions, ..documents::with_children(dialect, name) };
        stores.push(Documents(create(table).await));
    }
    suite::scans_in_order(&stores.pop().expect("one more")).await;
    suite::run(|| stores.pop().expect("one for each story")).await;
}

/// As many names of tables as the suite needs.
fn of_suite(story: &str) -> Vec<String> {
    (0..=suite::STORES).map(|n| table(&format!("{story}_{n}"))).collect()
}

/// How many rows the lists of a record table have.
fn parts_of(names: &[String]) -> String {
    format!("SELECT count(*) FROM {}_parts", names[0])
}

fn id(key: &str) -> Id {
    Id::new("t", key).expect("valid")
}

fn record(version: u64, json: &str) -> Record {
    let document = Document::decode(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
    Record { version: Version(version), value: Some(document.encode().expect("a document")) }
}

fn tombstone(version: u64) -> Record {
    Record { version: Version(version), value: None }
}

/// So many lines and tags, each of which names the version.
fn numbered(version: u64, lines: usize) -> Record {
    let line = |at| format!(r#"{{"M":{{"sku":{{"S":"{version}-{at}"}},"n":{{"N":"{version}"}}}}}}"#);
    let tags: Vec<String> = (0..lines / 2).map(|at| format!(r#"{{"S":"{version}.{at}"}}"#)).collect();
    let lines: Vec<String> = (0..lines).map(line).collect();
    let list = |name: &str, of: &[String]| format!(r#""{name}":{{"L":[{}]}}"#, of.join(","));
    record(
        version,
        &format!("{{\"id\":{{\"N\":\"{version}\"}},{},{}}}", list("lines", &lines), list("tags", &tags)),
    )
}

/// How many lines the versions of the stories about writers have.
fn lines_of(version: u64) -> usize {
    usize::try_from(version * 7 % 11).expect("small")
}

fn is_whole(found: &Record) -> bool {
    *found == tombstone(found.version.0) || *found == numbered(found.version.0, lines_of(found.version.0))
}

async fn every_kind_of_element_comes_back(store: &dyn Store) {
    let full = r#"{"M":{"sku":{"S":"a, \"b\" \\ {ü\n}"},"n":{"N":"-2147483648"},"price":{"N":"9999999999.99"},
        "ratio":{"N":"0.1"},"gift":{"BOOL":false},"photo":{"B":"AP+A"},"at":{"M":{"shelf":{"S":""}}},
        "due":{"S":"2026-11-30"},"id":{"S":"00000000-0000-4000-8000-0000000000a0"},
        "more":{"M":{"k":{"L":[{"NULL":true},{"N":"0.9999999999999999"}]}}}}}"#;
    let one = r#"{"M":{"ratio":{"N":"1.5E-130"},"gift":{"BOOL":true},"photo":{"B":""}}}"#;
    let documents = [
        format!(r#"{{"id":{{"N":"1"}},"lines":{{"L":[{full},{{"M":{{}}}},{one},{full}]}}}}"#),
        r#"{"id":{"N":"2"}}"#.to_owned(),
        r#"{"id":{"N":"3"},"lines":{"L":[]},"tags":{"L":[{"S":""},{"S":"NULL"},{"S":"null"}]}}"#.to_owned(),
        r#"{"id":{"N":"4"},"lines":{"NULL":true},"tags":{"L":[{"S":"x"}]},"note":{"S":"kept"}}"#.to_owned(),
        format!(r#"{{"lines":{{"L":[{}]}}}}"#, vec![one; 700].join(",")),
    ];
    let canonical =
        |json: &String| Document::decode(json.as_bytes()).expect("typed JSON").encode().expect("encoded");
    let of = |(n, json): (usize, &String)| {
        (id(&format!("{n}")), Record { version: Version(n as u64 + 1), value: Some(canonical(json)) })
    };
    let mut records: Vec<_> = documents.iter().enumerate().map(of).collect();
    records.push((id("gone"), tombstone(9)));
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; records.len()]));
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Present; records.len()]));
    let ids: Vec<Id> = records.iter().map(|(id, _)| id.clone()).collect();
    // Each over each, one by one and together: nothing of what was there before stays.
    for turn in 0..2 * records.len() as u64 {
        let value = |n: usize| records[(n + turn as usize) % records.len()].1.value.clone();
        let turned: Vec<_> = (0..records.len())
            .map(|n| (ids[n].clone(), Record { version: Version(100 + turn), value: value(n) }))
            .collect();
        if turn % 2 == 0 {
            for (id, record) in &turned {
                assert_eq!(store.put_if_newer(id, record).await, Ok(Put::Applied));
                assert_eq!(store.get(id).await.as_ref(), Ok(&Some(record.clone())));
            }
        } else {
            assert_eq!(store.put_all_if_newer(&turned).await, Ok(PutAll::Applied));
        }
        let stored = turned.iter().map(|(_, record)| Some(record.clone())).collect();
        assert_eq!(store.get_many(&ids).await, Ok(stored));
        assert_eq!(scanned(store, &Scope::All, Segment::ALL, 300).await, turned);
    }
}

/// The shortest decimals of 64-bit floats.
async fn floats_come_back_bit_by_bit(store: &dyn Store) {
    let mut bits = 0x3ff0_0000_0000_0000_u64;
    let float = |_| loop {
        bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let float = f64::from_bits(bits);
        if float.is_finite() && (1e-120..1e120).contains(&float.abs()) {
            return format!(r#"{{"M":{{"ratio":{{"N":"{float:e}"}}}}}}"#);
        }
    };
    let floats: Vec<String> = (0..3000).map(float).collect();
    let given = record(1, &format!(r#"{{"lines":{{"L":[{}]}}}}"#, floats.join(",")));
    assert_eq!(store.put_if_newer(&id("floats"), &given).await, Ok(Put::Applied));
    assert!(store.get(&id("floats")).await == Ok(Some(given)));
}

/// A record with a list of which each element has a column of each type.
fn of_kinds(dialect: Dialect, name: &str, versions: Versions) -> SqlTable {
    let lines = Child {
        table: format!("{name}_lines"),
        path: ColumnPath::dotted("lines").expect("a path"),
        tenant: "tenant".to_owned(),
        key: "key".to_owned(),
        position: "position".to_owned(),
        elements: kinds(dialect, name).mapping.expect("a mapping"),
        of_values: false,
    };
    let mapping = Mapping::new(dialect, vec![column("id", "bigint")], None, OnMisfit::Quarantine);
    let mapping = Some(mapping.expect("a mapping").with_children(vec![lines]).expect("a mapping"));
    SqlTable { mapping, versions, ..SqlTable::from(name) }
}

async fn every_type_comes_back_in_rows(store: &dyn Store, dialect: Dialect) {
    let elements = of_each_kind(dialect).into_iter().map(|record| {
        let Document(element) = Document::decode(&record.value.expect("a value")).expect("a document");
        Attribute::M(element)
    });
    let document = Document([("lines".to_owned(), Attribute::L(elements.collect()))].into());
    for version in [1, 2] {
        let given = Record { version: Version(version), value: Some(document.encode().expect("encoded")) };
        assert_eq!(store.put_if_newer(&id("k"), &given).await, Ok(Put::Applied));
        assert!(store.get(&id("k")).await == Ok(Some(given.clone())), "{:?}", store.get(&id("k")).await);
        assert!(scanned(store, &Scope::All, Segment::ALL, 100).await == [(id("k"), given)]);
    }
}

/// A put that is not newer leaves the rows alone, whichever method it comes by.
async fn what_is_not_newer_touches_no_row(store: &dyn Store) {
    let (new, old) = (numbered(8, 5), numbered(3, 2));
    assert_eq!(store.put_if_unchanged(&id("k"), &new, None).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id("k"), &old).await, Ok(Put::Stale(Version(8))));
    assert_eq!(store.put_if_newer(&id("k"), &numbered(8, 1)).await, Ok(Put::Present));
    assert_eq!(
        store.put_if_unchanged(&id("k"), &numbered(9, 1), Some(Version(7))).await,
        Ok(Put::Stale(Version(8)))
    );
    assert_eq!(store.put_if_unchanged(&id("k"), &numbered(9, 1), None).await, Ok(Put::Stale(Version(8))));
    let many = [(id("k"), old.clone()), (id("l"), old.clone())];
    assert_eq!(store.put_many_if_newer(&many).await, Ok(vec![Copied::Stale(Version(8)), Copied::Written]));
    let both = [(id("k"), numbered(4, 1)), (id("l"), numbered(4, 1))];
    assert_eq!(store.put_all_if_newer(&both).await, Ok(PutAll::Refused(vec![(0, Version(8))])));
    assert_eq!(store.put_if_newer(&id("k"), &tombstone(7)).await, Ok(Put::Stale(Version(8))));
    assert_eq!(store.get_many(&[id("k"), id("l")]).await, Ok(vec![Some(new), Some(old)]));
    assert_eq!(store.put_if_unchanged(&id("k"), &tombstone(9), Some(Version(8))).await, Ok(Put::Applied));
    assert_eq!(store.get(&id("k")).await, Ok(Some(tombstone(9))));
    assert_eq!(store.put_if_unchanged(&id("k"), &numbered(10, 3), Some(Version(9))).await, Ok(Put::Applied));
    assert_eq!(store.get(&id("k")).await, Ok(Some(numbered(10, 3))));
    let unversioned = numbered(0, 4);
    assert_eq!(store.put_if_newer(&id("zero"), &unversioned).await, Ok(Put::Applied));
    assert_ne!(store.put_if_newer(&id("zero"), &numbered(0, 1)).await, Ok(Put::Applied));
    assert_eq!(store.get(&id("zero")).await, Ok(Some(unversioned)), "version 0 replaces nothing");
    let misfit = r#"{"lines":{"L":[{"M":{"sku":{"S":"a"}}},{"M":{"n":{"N":"0.5"}}}]}}"#;
    let refused = store.put_if_newer(&id("k"), &record(20, misfit)).await.expect_err("half a piece");
    let StoreError::Permanent { class: ErrorClass::Constraint, field, what } = refused else {
        panic!("{refused}")
    };
    assert!(field.ends_with("_lines.n") && what.contains("attribute lines[1].n: "), "{field}: {what}");
}

/// Writers of the same records with lists of different lengths, with readers between them. Every read is one version's.
async fn racing_writers_leave_whole_lists(store: Arc<dyn Store>) {
    let mut tasks = Vec::new();
    for writer in 0..6_u64 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..25_u64 {
                let version = round * 6 + writer + 1;
                let new = |version| match version % 9 {
                    0 => tombstone(version),
                    _ => numbered(version, lines_of(version)),
                };
                let pair = [(id("x"), new(version)), (id("y"), new(version))];
                let done = match writer % 3 {
                    0 => store.put_if_newer(&id("x"), &new(version)).await.map(drop),
                    1 => store.put_many_if_newer(&pair).await.map(drop),
                    _ => store.put_all_if_newer(&pair).await.map(drop),
                };
                assert!(!matches!(done, Err(StoreError::Permanent { .. })), "{done:?}");
            }
        }));
    }
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        let many = store.get_many(&[id("x"), id("y")]).await.expect("read");
        let one = store.get(&id("x")).await.expect("read");
        let page = scanned(&*store, &Scope::All, Segment::ALL, 1 << 20).await;
        let scanned = page.into_iter().map(|(_, record)| record);
        for found in many.into_iter().flatten().chain(one).chain(scanned) {
            assert!(is_whole(&found), "{found:?}");
        }
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let last = store.get(&id("x")).await.expect("read").expect("written");
    assert!(last.version >= Version(144) && is_whole(&last), "{last:?}");
}

/// Rows of somebody else: `run` executes SQL.
async fn rows_of_others_are_read_or_refused(store: &dyn Store, name: &str, run: impl AsyncFn(String)) {
    assert_eq!(store.put_if_newer(&id("k"), &numbered(1, 2)).await, Ok(Put::Applied));
    let insert = |place: i32| {
        format!(
            "INSERT INTO {name}_lines (tenant, \"of\", position, sku, n) VALUES ('t', 'k', {place}, 'x', 1)"
        )
    };
    run(insert(2)).await;
    let found = store.get(&id("k")).await.expect("a third line").expect("there");
    let Document(document) = Document::decode(&found.value.expect("a value")).expect("a document");
    assert!(matches!(&document["lines"], Attribute::L(lines) if lines.len() == 3), "{document:?}");
    run(format!("UPDATE {name}_lines SET position = 9 WHERE position = 1")).await;
    for error in [store.get(&id("k")).await.map(drop), store.get_many(&[id("k")]).await.map(drop)] {
        let told = error.expect_err("a gap").to_string();
        assert!(told.contains("the places of its rows are not 0, 1, 2"), "{told}");
    }
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    assert_eq!((page.records.len(), page.unreadable.len()), (0, 1));
    assert_eq!(
        store.put_if_newer(&id("k"), &numbered(2, 1)).await,
        Ok(Put::Applied),
        "a write replaces them"
    );
    assert_eq!(store.get(&id("k")).await, Ok(Some(numbered(2, 1))));
    // A program that deletes the record outright.
    run(format!("DELETE FROM {name} WHERE \"key\" = 'k'")).await;
    assert_eq!(store.get(&id("k")).await, Ok(None));
    let written = store.put_if_newer(&id("k"), &numbered(3, 1)).await;
    assert_eq!(written, Ok(Put::Applied));
    assert_eq!(store.get(&id("k")).await, Ok(Some(numbered(3, 1))), "its rows went with it");
}
