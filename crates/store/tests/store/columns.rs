//! Stories of mapped columns, the same on every SQL store. Each gets a table from the server's own test,
//! which also plays the foreign writer.

#[cfg(feature = "mysql")]
#[path = "columns/mysql.rs"]
mod mysql;
#[cfg(feature = "postgres")]
#[path = "columns/postgres.rs"]
mod postgres;
#[cfg(feature = "sqlite")]
#[path = "columns/sqlite.rs"]
mod sqlite;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Id, Put, Record, Scope, Segment, Store, StoreError, Version,
    document::Document,
    mapping::{Column, ColumnPath, Dialect, Fields, Mapping, OnMisfit, SqlTable, Versions},
};

use super::servers::scanned;

/// A column of this type for the attribute at this path.
pub(crate) fn column(path: &str, kind: &str) -> Column {
    Column {
        name: path.replace(['.', '['], "_").replace(']', ""),
        path: ColumnPath::dotted(path).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: false,
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    }
}

/// `price` and `name` have columns that can be too small; `id` is required; everything else goes to `rest`.
pub(crate) fn orders(dialect: Dialect, name: &str, on_misfit: OnMisfit) -> SqlTable {
    let columns = vec![
        Column { required: true, ..column("id", "bigint") },
        column("price", "decimal(38,10)"),
        column("name", "varchar(12)"),
        column("note", "text"),
        column("paid", "boolean"),
        column("sig", "varbinary(4)"),
        column("photo", "blob"),
        column("at.city", "text"),
        column("lines", "json"),
    ];
    let mapping = Mapping::new(dialect, columns, Some("rest".to_owned()), on_misfit).expect("a mapping");
    SqlTable {
        name: name.to_owned(),
        fields: Fields::default(),
        mapping: Some(mapping),
        versions: Versions::default(),
    }
}

pub(crate) fn id(key: &str) -> Id {
    Id::new("t", key).expect("valid")
}

pub(crate) fn record(version: u64, json: &str) -> Record {
    let document = Document::decode(json.as_bytes()).expect("typed JSON");
    Record { version: Version(version), value: Some(document.encode().expect("a document")) }
}

/// The column or attribute that a permanent error of this class names, and all that it says.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, of: ErrorClass) -> (String, String) {
    match result {
        Err(error @ StoreError::Permanent { class, .. }) if class == of => {
            let StoreError::Permanent { field, .. } = &error else { unreachable!() };
            (field.clone(), error.to_string())
        }
        other => panic!("it was to be refused as {of:?}: {other:?}"),
    }
}

/// A scan reports each of these by its place, and all others as records. A read of one is refused and names
/// the column. A normal write repairs it. Each is key, column, and part of the message.
pub(crate) async fn is_unreadable_until_it_is_mended(store: &dyn Store, rows: &[(&str, &str, &str)]) {
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("it goes past them");
    let mut keys: Vec<_> = page.unreadable.iter().map(|it| it.key.as_str()).collect();
    let mut expected: Vec<_> = rows.iter().map(|(key, ..)| *key).collect();
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for (key, field, what) in rows {
        let (named, told) = refused(store.get(&id(key)).await, ErrorClass::Serialization);
        assert!(named == *field && told.contains(what), "{key}: {told}");
        let mended = record(5, r#"{"id":{"N":"5"}}"#);
        let put = store.put_if_newer(&id(key), &mended).await;
        if *field == "cutover_version" {
            // Nobody knows what it means, so it is not replaced either.
            let (_, told) = refused(put, ErrorClass::Serialization);
            assert!(told.contains(what), "{key}: {told}");
            let put = store.put_if_unchanged(&id(key), &mended, Some(Version::ZERO)).await;
            refused(put, ErrorClass::Serialization);
            refused(store.put_many_if_newer(&[(id(key), mended)]).await, ErrorClass::Serialization);
            continue;
        }
        assert_eq!(put, Ok(Put::Applied));
        assert_eq!(store.get(&id(key)).await, Ok(Some(mended)));
    }
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    let left = rows.iter().filter(|(_, field, _)| *field == "cutover_version").count();
    assert_eq!(page.unreadable.len(), left, "{:?}", page.unreadable);
}

/// Documents that have everything: in columns, outside them, and in both.
fn documents() -> Vec<String> {
    let most = "9".repeat(38);
    let bytes = "AAEC/w==";
    vec![
        r#"{"id":{"N":"1"}}"#.to_owned(),
        r#"{"id":{"N":"-9223372036854775808"},"price":{"N":"-0.0000000001"},"name":{"S":""}}"#.to_owned(),
        r#"{"id":{"N":"9223372036854775807"},"price":{"N":"9999999999999999999999999999"}}"#.to_owned(),
        format!(
            r#"{{"id":{{"N":"2"}},"big":{{"N":"{most}"}},"tiny":{{"N":"1e-130"}},"huge":{{"N":"1E125"}}}}"#
        ),
        format!(
            r#"{{"id":{{"N":"3"}},"lines":{{"L":[{{"N":"-{most}"}},{{"NULL":true}},{{"B":"{bytes}"}}]}}}}"#
        ),
        format!(
            r#"{{"id":{{"N":"4"}},"sig":{{"B":"{bytes}"}},"photo":{{"B":""}},"raw":{{"BS":["{bytes}","AA=="]}}}}"#
        ),
        r#"{"id":{"N":"5"},"tags":{"SS":["b","a"]},"sizes":{"NS":["2","10","1.5"]},"lines":{"SS":["x"]}}"#
            .to_owned(),
        r#"{"id":{"N":"6"},"at":{"M":{"city":{"S":"K\u00f6ln \ud83d\ude80"},"zip":{"M":{"a":{"M":{}}}}}}}"#
            .to_owned(),
        r#"{"id":{"N":"7"},"at":{"M":{"city":{"S":"'; DROP TABLE x -- \\ \" `"}}}}"#.to_owned(),
        r#"{"id":{"N":"8"},"note":{"NULL":true},"paid":{"NULL":true},"at":{"M":{"city":{"NULL":true}}}}"#
            .to_owned(),
        r#"{"id":{"N":"9"},"note":{"S":"trailing blanks   "},"name":{"S":"a b   "},"paid":{"BOOL":false}}"#
            .to_owned(),
        r#"{"id":{"N":"10"},"paid":{"BOOL":true},"a.b":{"S":"a name with a point"},"at":{"S":"no map"}}"#
            .to_owned(),
    ]
}

pub(crate) async fn documents_come_back_byte_by_byte(store: &dyn Store) {
    let records: Vec<_> = documents()
        .iter()
        .enumerate()
        .map(|(n, json)| (id(&format!("{n:02}")), record(n as u64 + 1, json)))
        .chain([(id("gone"), Record { version: Version(7), value: None })])
        .collect();
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; records.len()]));
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Present; records.len()]));
    for (id, record) in &records {
        assert_eq!(store.get(id).await.as_ref(), Ok(&Some(record.clone())), "{id:?}");
    }
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    assert_eq!(page.records, records);
    // Each over each: nothing of what was there before stays.
    let ids: Vec<_> = records.iter().map(|(id, _)| id.clone()).collect();
    for turn in 1..records.len() as u64 {
        let next = |n: usize| records[(n + turn as usize) % records.len()].1.value.clone();
        let turned: Vec<_> = (0..records.len())
            .map(|n| (ids[n].clone(), Record { version: Version(100 + turn), value: next(n) }))
            .collect();
        assert_eq!(store.put_many_if_newer(&turned).await, Ok(vec![Copied::Written; records.len()]));
        let stored = turned.into_iter().map(|(_, record)| Some(record)).collect();
        assert_eq!(store.get_many(&ids).await, Ok(stored));
    }
}

pub(crate) async fn a_record_that_does_not_fit_is_refused_and_its_column_named(store: &dyn Store) {
    let fits = record(1, r#"{"id":{"N":"1"},"name":{"S":"before"}}"#);
    assert_eq!(store.put_if_newer(&id("k"), &fits).await, Ok(Put::Applied));
    let misfits = [
        (r#"{"id":{"N":"1"},"name":{"S":"thirteen char"}}"#, "name", "13 characters where varchar(12)"),
        (r#"{"id":{"N":"1"},"price":{"N":"0.00000000001"}}"#, "price", "11 after it"),
        (r#"{"id":{"N":"1"},"sig":{"B":"AAECAwQ="}}"#, "sig", "5 bytes where varbinary(4)"),
        (r#"{"id":{"N":"1"},"at":{"M":{"city":{"N":"1"}}}}"#, "at_city", "attribute at.city: a number"),
        (r#"{"id":{"N":"9223372036854775808"}}"#, "id", "bigint would change the number"),
        (r#"{"name":{"S":"no id"}}"#, "id", "it is missing"),
    ];
    for (json, field, what) in misfits {
        let bad = record(9, json);
        for (named, told) in [
            refused(store.put_if_newer(&id("k"), &bad).await, ErrorClass::Constraint),
            refused(store.put_if_unchanged(&id("k"), &bad, Some(Version(1))).await, ErrorClass::Constraint),
            refused(store.put_if_unchanged(&id("new"), &bad, None).await, ErrorClass::Constraint),
            refused(store.put_many_if_newer(&[(id("k"), bad.clone())]).await, ErrorClass::Constraint),
        ] {
            assert!(named == field && told.contains(what), "{told}");
        }
    }
    let raw = |bytes: &[u8]| Record { version: Version(9), value: Some(bytes.to_vec()) };
    for (bytes, what) in
        [(&b"five"[..], "no typed JSON"), (br#"{ "id":{"N":"1"}}"#, "it is not written in the one way")]
    {
        let (named, told) = refused(store.put_if_newer(&id("k"), &raw(bytes)).await, ErrorClass::Constraint);
        assert!(named == "value" && told.contains(what), "{told}");
    }
    assert_eq!(store.get(&id("k")).await, Ok(Some(fits)), "and nothing was written");
    assert_eq!(store.get(&id("new")).await, Ok(None));
}

/// With `on_misfit = "overflow"`.
pub(crate) async fn a_misfit_goes_to_the_overflow_if_that_is_asked_for(store: &dyn Store) {
    let long = record(1, r#"{"id":{"N":"1"},"name":{"S":"much too long a name"},"price":{"S":"free"}}"#);
    assert_eq!(store.put_if_newer(&id("k"), &long).await, Ok(Put::Applied));
    assert_eq!(store.get(&id("k")).await, Ok(Some(long)));
    let required = record(2, r#"{"id":{"S":"one"}}"#);
    let (named, _) = refused(store.put_if_newer(&id("k"), &required).await, ErrorClass::Constraint);
    assert_eq!(named, "id", "a required column has no other place");
}

/// One column for both tenant and key.
pub(crate) fn own_tenants(dialect: Dialect, name: &str) -> SqlTable {
    let fields = Fields { tenant: "id".to_owned(), key: "id".to_owned(), ..Fields::default() };
    let mapping = Mapping::new(dialect, vec![column("n", "bigint")], None, OnMisfit::Quarantine);
    SqlTable {
        name: name.to_owned(),
        fields,
        mapping: Some(mapping.expect("a mapping")),
        versions: Versions::default(),
    }
}

pub(crate) async fn a_record_can_be_a_tenant_of_its_own(store: &dyn Store) {
    let own = |key: &str| Id::new(key, key).expect("valid");
    let one = |version| record(version, r#"{"n":{"N":"1"}}"#);
    let records: Vec<_> = (0..40).map(|n| (own(&format!("{n:02}")), one(n + 1))).collect();
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; 40]));
    assert_eq!(store.put_if_newer(&own("00"), &one(1)).await, Ok(Put::Present));
    assert_eq!(store.put_if_newer(&own("01"), &one(1)).await, Ok(Put::Stale(Version(2))));
    assert_eq!(store.put_if_unchanged(&own("00"), &one(5), None).await, Ok(Put::Stale(Version(1))));
    assert_eq!(store.put_if_unchanged(&own("00"), &one(9), Some(Version(1))).await, Ok(Put::Applied));
    assert_eq!(store.put_if_unchanged(&own("new"), &one(9), None).await, Ok(Put::Applied));
    assert_eq!(store.get(&own("00")).await, Ok(Some(one(9))));

    let other = Id::new("01", "02").expect("valid");
    assert_eq!(store.get(&other).await, Ok(None));
    assert_eq!(store.get_many(&[other.clone(), own("01")]).await, Ok(vec![None, Some(one(2))]));
    let (named, told) = refused(store.put_if_newer(&other, &one(1)).await, ErrorClass::Constraint);
    assert!(named == "id" && told.contains("must be equal"), "{told}");

    let mut found = Vec::new();
    for segment in Segment::split(2) {
        let records = scanned(store, &Scope::All, segment, 100).await;
        found.extend(records.into_iter().map(|(id, _)| id.key));
    }
    found.sort();
    assert_eq!(found.len(), 41, "each once");
    found.dedup();
    assert_eq!(found.len(), 41, "each once");
    let all: Vec<_> = found.iter().map(|key| own(key)).collect();
    super::suite::ranges_have_their_own(store, &all, &all).await;
    let of_one = Scope::Tenant("07".to_owned());
    let page = store.scan(&of_one, Segment::ALL, None, usize::MAX).await.expect("scanned");
    assert_eq!(page.records, [(own("07"), one(8))]);
}
