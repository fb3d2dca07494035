//! Stories of numbers, UUIDs, dates and times, the same on every SQL store.

#[path = "kinds/mysql.rs"]
mod mysql;
#[path = "kinds/postgres.rs"]
mod postgres;
#[path = "kinds/sqlite.rs"]
mod sqlite;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Put, Record, Scope, Segment, Store,
    document::{Attribute, Document},
    mapping::{Column, Dialect, Format, Mapping, OnMisfit, Spelling, SqlTable, Versions},
};

use super::columns::{column, id, record, refused};

/// A column of each type that the other stories do not have.
pub(crate) fn kinds(dialect: Dialect, name: &str) -> SqlTable {
    let spelled = |path, kind, format| Column {
        spelling: Spelling { format, ..Spelling::default() },
        ..column(path, kind)
    };
    let labels = ["", "paid", "PAID", "it's", "2"].map(str::to_owned).to_vec();
    let mut columns = vec![
        column("tiny", "tinyint"),
        column("utiny", "tinyint unsigned"),
        column("small", "smallint"),
        column("usmall", "smallint unsigned"),
        column("whole", "int"),
        column("uwhole", "int unsigned"),
        column("ubig", "bigint unsigned"),
        column("single", "real"),
        column("both", "double"),
        column("code", "char(4)"),
        column("guid", "uuid"),
        column("raw", "uuid_bytes"),
        column("day", "date"),
        column("clock", "time(3)"),
        spelled("made", "datetime(3)", Format::EpochMs),
        spelled("zoned", "timestamp(0)", Format::Pattern("%d.%m.%Y %H:%M:%S".to_owned())),
        column("sent", "timestamptz(6)"),
        column("flags", "bit(10)"),
        column("bits", "bit(64)"),
        Column { labels, ..column("state", "enum") },
        column("plain", "jsonb"),
        column("items[0].sku", "varchar(9)"),
        column("items[1].sku", "varchar(9)"),
        Column {
            computed: Some("{org}#{nr:N}.txt".parse().expect("a template")),
            ..column("ref", "varchar(20)")
        },
    ];
    if dialect == Dialect::Postgres {
        let arrays = ["text", "smallint", "int", "bigint", "real", "double", "boolean", "uuid"];
        columns.extend(arrays.map(|kind| column(&format!("{kind}s"), &format!("{kind}[]"))));
    }
    let mapping = Mapping::new(dialect, columns, Some("rest".to_owned()), OnMisfit::Quarantine);
    SqlTable { mapping: Some(mapping.expect("a mapping")), ..SqlTable::from(name) }
}

/// Lowest and highest values, and what looks different but is the same.
fn documents() -> Vec<Record> {
    let of = |version, json: &str| {
        let document = json.split(';').map(|pair| {
            let (name, value) = pair.split_once('=').expect("a name and a value");
            let attribute = match value.strip_prefix('#') {
                Some(digits) => Attribute::N(digits.parse().expect("a number")),
                None => Attribute::S(value.to_owned()),
            };
            (name.to_owned(), attribute)
        });
        let document = Document(document.collect());
        Record { value: Some(document.encode().expect("a document")), ..record(version, "{}") }
    };
    [
        "tiny=#-128;utiny=#0;small=#-32768;usmall=#0;whole=#-2147483648;uwhole=#0;ubig=#0",
        "tiny=#127;utiny=#255;small=#32767;usmall=#65535;whole=#2147483647;uwhole=#4294967295",
        "ubig=#18446744073709551615;single=#0.1;both=#0.1",
        "single=#340282350000000000000000000000000000000;both=#-9007199254740992",
        "single=#-16777216;both=#1.5e-128",
        "single=#0.000000000000000000000000000000000000011754944;both=#123456789012345680000",
        "single=#0;both=#0.30000000000000004",
        "single=#0.33333334;both=#0.3333333333333333",
        "single=#1234567.9;both=#4.35",
        "code=;guid=00000000-0000-0000-0000-000000000000;raw=ffffffff-ffff-ffff-ffff-ffffffffffff",
        "code= ab;guid=936DA01F-9ABD-4D9D-80C7-02AF85C822A8;raw=936da01f-9abd-4d9d-80c7-02af85c822a8",
        "code=\u{e4}\u{f6}\u{1f680}x;day=1000-01-01;clock=00:00:00.000;made=#-30610224000000",
        "day=9999-12-31;clock=23:59:59.999;made=#253402207199999;sent=2038-01-19T03:14:07.000000Z",
        "day=2024-02-29;made=#1795849500001;zoned=28.11.2026 07:05:00;sent=1970-01-01T00:00:01.000000Z",
        "sent=2026-11-28T08:05:00.123456+01:00;made=#0.5e1;clock=07:05:00",
        "org=acme;nr=#-42",
        "org=\u{e4} '\\ ;nr=#0.5",
    ]
    .into_iter()
    .zip(1..)
    .map(|(json, version)| of(version, json))
    .collect()
}

/// What only some servers have a type for.
fn native(dialect: Dialect) -> Vec<Record> {
    let n = |digits: &str| Attribute::N(digits.parse().expect("a number"));
    let s = |text: &str| Attribute::S(text.to_owned());
    let (null, yes, no) = (Attribute::Null, Attribute::Bool(true), Attribute::Bool(false));
    let map = |entries: &[(&str, Attribute)]| {
        Attribute::M(entries.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect())
    };
    let mut documents = vec![
        vec![("flags", n("1023")), ("bits", n("18446744073709551615")), ("state", s("paid"))],
        vec![("flags", n("0")), ("bits", n("0")), ("state", s("PAID"))],
        vec![("bits", n("9223372036854775808")), ("state", s("it's"))],
        vec![("bits", n("9223372036854775807")), ("state", s("2"))],
        vec![("state", s("")), ("plain", null.clone())],
        vec![("plain", s("a\"\\\u{7}\n\u{1f680}"))],
        vec![("plain", Attribute::L(vec![]))],
        vec![("items", Attribute::L(vec![map(&[("sku", s("a"))]), map(&[("sku", s("b")), ("n", n("2"))])]))],
        vec![("items", Attribute::L(vec![null.clone(), map(&[("sku", s("b"))]), null.clone()]))],
        vec![("plain", map(&[("\u{e4}", map(&[("", Attribute::L(vec![null.clone(), yes.clone()]))]))]))],
    ];
    let floats = [
        0.1,
        -0.1,
        1e20,
        123_456_789_012_345_680_000.0,
        0.300_000_000_000_000_04,
        4.35,
        1.5e-100,
        1.797_693_134_862_315_7e100,
        2.225_073_858_507_201_4e-100,
        1.0 / 3.0,
        5e-100,
        8.41e21,
        9.5e-100,
        2_f64.powi(300),
        2_f64.powi(-300),
        0.1 + 0.7,
    ]
    .map(|float: f64| n(&float.to_string()));
    let whole = ["0", "-1", "18446744073709551615", "-9223372036854775808", "9007199254740993"].map(n);
    documents.push(vec![("plain", Attribute::L([whole.as_slice(), &floats].concat()))]);
    if dialect == Dialect::Postgres {
        let uuid = s("936da01f-9abd-4d9d-80c7-02af85c822a8");
        documents.extend([
            vec![("plain", n("12345678901234567890.123456789012345678"))],
            vec![("texts", Attribute::L(vec![s(""), s("NULL"), s("a,\"\\{}'\u{e4}\n "), null.clone()]))],
            vec![("texts", Attribute::L(vec![])), ("booleans", Attribute::L(vec![yes, no, null]))],
            vec![
                ("smallints", Attribute::L(vec![n("-32768"), n("32767")])),
                ("uuids", Attribute::L(vec![uuid])),
            ],
            vec![
                ("ints", Attribute::L(vec![n("-2147483648")])),
                ("bigints", Attribute::L(vec![n("9223372036854775807")])),
            ],
            vec![("reals", Attribute::L(vec![n("0.1"), n("1e30"), n("-16777216")]))],
            vec![("doubles", Attribute::L(vec![n("0.1"), n("1.5e-128"), n("123456789012345680000")]))],
        ]);
    }
    let record = |document: Vec<(&str, Attribute)>| {
        let document = Document(document.into_iter().map(|(name, it)| (name.to_owned(), it)).collect());
        Record { value: Some(document.encode().expect("a document")), ..record(50, "{}") }
    };
    documents.into_iter().map(record).collect()
}

/// All of them.
pub(crate) fn of_each_kind(dialect: Dialect) -> Vec<Record> {
    documents().into_iter().chain(native(dialect)).collect()
}

pub(crate) async fn each_comes_back(store: &dyn Store, dialect: Dialect) {
    let records = of_each_kind(dialect).into_iter();
    let records: Vec<_> = records.enumerate().map(|(n, record)| (id(&format!("{n:02}")), record)).collect();
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; records.len()]));
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    assert_eq!(page.records, records, "{:?}", page.unreadable);
    for (at, one) in &records {
        let put = Record { version: cutover_store::Version(100), ..one.clone() };
        assert_eq!(store.put_if_unchanged(at, &put, Some(one.version)).await, Ok(Put::Applied));
        assert_eq!(store.get(at).await, Ok(Some(put)));
        let again = Record { version: cutover_store::Version(101), ..one.clone() };
        assert_eq!(store.put_if_newer(at, &again).await, Ok(Put::Applied));
        assert_eq!(store.get(at).await, Ok(Some(again)));
    }
}

pub(crate) async fn a_value_that_would_change_is_refused(store: &dyn Store) {
    let misfits = [
        (r#"{"tiny":{"N":"128"}}"#, "tiny", "tinyint would change"),
        (r#"{"single":{"N":"0.1234567891"}}"#, "single", "real would change"),
        (r#"{"both":{"N":"0.12345678901234567891"}}"#, "both", "double would change"),
        (r#"{"code":{"S":"a "}}"#, "code", "ends with a blank"),
        (r#"{"guid":{"S":"x"}}"#, "guid", "not written as the format"),
        (r#"{"day":{"S":"28.11.2026"}}"#, "day", "not written as the format"),
        (r#"{"made":{"N":"0.0001"}}"#, "made", "more digits after the second"),
        (r#"{"flags":{"N":"1024"}}"#, "flags", "bit(10) would change"),
        (r#"{"state":{"S":"Paid"}}"#, "state", "has no such label"),
        (r#"{"org":{"S":"a#b"},"nr":{"N":"1"}}"#, "ref", "attribute org: its value contains \"#\""),
        (r#"{"org":{"S":"0123456789abcdef"},"nr":{"N":"1"}}"#, "ref", "22 characters where varchar(20)"),
        (r#"{"nr":{"N":"1"}}"#, "ref", "attribute org: it is missing"),
        (r#"{"plain":{"L":[{"B":"eA=="}]}}"#, "plain", "where jsonb is mapped"),
    ];
    for (json, field, what) in misfits {
        let put = store.put_if_newer(&id("new"), &record(9, json)).await;
        let (named, told) = refused(put, ErrorClass::Constraint);
        assert!(named == field && told.contains(what), "{told}");
    }
}
