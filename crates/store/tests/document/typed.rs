//! Values of the application's own types as documents, by serde.

use std::collections::{BTreeMap, BTreeSet};

use cutover_store::document::{Document, Number};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    total: Number,
    lines: Vec<Line>,
    #[serde(default)]
    address: Option<Address>,
    state: State,
    #[serde(with = "cutover_store::document::set", default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    article: String,
    count: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Address {
    city: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<i8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Open,
    Sent { parcel: String },
    Returned(f64),
}

const ORDER: &str = r#"{"address":{"M":{"city":{"S":"Wien"}}},"lines":{"L":[{"M":{"article":{"S":"pen"},"count":{"N":"2"}}}]},"state":{"M":{"Sent":{"M":{"parcel":{"S":"p1"}}}}},"tags":{"SS":["a","b"]},"total":{"N":"12.5"}}"#;

fn order() -> Order {
    Order {
        total: "12.50".parse().expect("a number"),
        lines: vec![Line { article: "pen".to_owned(), count: 2 }],
        address: Some(Address { city: "Wien".to_owned(), floor: None }),
        state: State::Sent { parcel: "p1".to_owned() },
        tags: ["a", "b"].map(str::to_owned).into(),
    }
}

fn encoded(document: &Document) -> String {
    String::from_utf8(document.encode().expect("encodes")).expect("JSON")
}

fn decoded(json: &str) -> Document {
    Document::decode(json.as_bytes()).expect("a document")
}

fn error<T: for<'de> Deserialize<'de>>(json: &str) -> String {
    decoded(json).to_value::<T>().err().expect("it does not fit").to_string()
}

#[test]
fn a_value_comes_back_from_the_document_that_it_became() {
    let document = Document::from_value(&order()).expect("converts");
    assert_eq!(encoded(&document), ORDER);
    assert_eq!(document.to_value::<Order>(), Ok(order()));
    for state in [State::Open, State::Returned(0.1)] {
        let order = Order { state, address: None, tags: BTreeSet::new(), ..order() };
        let document = Document::from_value(&order).expect("converts");
        assert!(!document.0.contains_key("address") && !document.0.contains_key("tags"), "left out");
        assert_eq!(document.to_value(), Ok(order));
    }
}

#[test]
fn maps_take_keys_of_texts_and_numbers() {
    let counts: BTreeMap<u8, Option<i128>> = [(1, None), (2, Some(i128::from(u64::MAX) + 1))].into();
    let document = Document::from_value(&counts).expect("converts");
    assert_eq!(encoded(&document), r#"{"1":{"NULL":true},"2":{"N":"18446744073709551616"}}"#);
    assert_eq!(document.to_value(), Ok(counts));
}

#[test]
fn an_error_names_the_attribute_and_no_value() {
    let wrong = [
        (r#""count":{"N":"2"}"#, r#""count":{"S":"secret"}"#, "lines[0].count: text where u32 is needed"),
        (r#""count":{"N":"2"}"#, r#""count":{"N":"-2"}"#, "lines[0].count: a number that is no u32"),
        (r#""count":{"N":"2"}"#, r#""kind":{"N":"2"}"#, "lines[0].count: it is missing"),
        (r#"{"N":"12.5"}"#, r#"{"S":"12.5"}"#, "total: text (S) where a number is needed"),
        (r#"{"SS":["a","b"]}"#, r#"{"L":[]}"#, "tags: a list (L) where a set is needed"),
        (r#""Sent":"#, r#""Lost":"#, "state: none of Open, Sent, Returned"),
        (r#"{"S":"Wien"}"#, r#"{"NULL":true}"#, "address.city: null where a string is needed"),
    ];
    for (from, to, expected) in wrong {
        assert!(ORDER.contains(from), "{from}");
        assert_eq!(error::<Order>(&ORDER.replace(from, to)), expected);
    }
    let set = error::<BTreeMap<String, Vec<String>>>(r#"{"tags":{"SS":["a"]}}"#);
    assert!(set.starts_with("tags: a set of texts (SS): mark the field with"), "{set}");
}

#[test]
fn a_number_is_refused_rather_than_changed() {
    type Floats = BTreeMap<String, f64>;
    for exact in ["0.1", "-12.5", "1e20", "123456789012345680000"] {
        let json = format!(r#"{{"n":{{"N":"{exact}"}}}}"#);
        let value: Floats = decoded(&json).to_value().expect("it fits");
        let back = Document::from_value(&value).expect("converts");
        assert_eq!(back, decoded(&json), "{exact}");
    }
    let lossy = error::<Floats>(r#"{"n":{"N":"0.12345678901234567890123"}}"#);
    assert_eq!(lossy, "n: a number with more digits than f64 keeps: use Number");
    let nan = Document::from_value(&Floats::from([("n".to_owned(), f64::NAN)])).expect_err("no number");
    assert!(nan.to_string().starts_with("n: not a decimal number"), "{nan}");
}

#[test]
fn what_is_no_struct_or_map_is_no_document() {
    let error = Document::from_value(&vec![1_u8, 2]).expect_err("a list").to_string();
    assert_eq!(error, "the record: a list (L) where a struct or a map is needed");
    let empty = Document::from_value(&Empty { tags: BTreeSet::new() }).expect_err("an empty set").to_string();
    assert_eq!(empty, "tags: an empty set: leave the attribute out");
}

#[derive(Serialize)]
struct Empty {
    #[serde(with = "cutover_store::document::set")]
    tags: BTreeSet<u8>,
}

#[test]
fn what_a_type_does_not_know_is_restored_where_it_was() {
    let json = r#"{"address":{"M":{"city":{"S":"Wien"},"floor":{"NULL":true},"zip":{"S":"1010"}}},"lines":{"L":[]},"state":{"S":"Open"},"total":{"N":"1"},"vip":{"BOOL":true}}"#;
    let (mut order, rest) = decoded(json).split::<Order>().expect("it fits");
    let mut same = Document::from_value(&order).expect("converts");
    assert_ne!(encoded(&same), json);
    same.restore(rest.clone());
    assert_eq!(encoded(&same), json, "nulls too");

    // The new value has the last word.
    order.address.as_mut().expect("there").floor = Some(3);
    let mut changed = Document::from_value(&order).expect("converts");
    changed.restore(rest.clone());
    assert_eq!(encoded(&changed), json.replace(r#"{"NULL":true}"#, r#"{"N":"3"}"#));
    order.address = None;
    let mut without = Document::from_value(&order).expect("converts");
    without.restore(rest);
    let left = r#"{"lines":{"L":[]},"state":{"S":"Open"},"total":{"N":"1"},"vip":{"BOOL":true}}"#;
    assert_eq!(encoded(&without), left, "no part of an address that is gone");
}

#[test]
fn an_attribute_by_its_old_name_is_not_kept_beside_the_new_one() {
    #[derive(Serialize, Deserialize)]
    struct Renamed {
        #[serde(alias = "old")]
        new: u8,
    }
    let (value, rest) = decoded(r#"{"old":{"N":"1"}}"#).split::<Renamed>().expect("it fits");
    let mut document = Document::from_value(&value).expect("converts");
    document.restore(rest);
    assert_eq!(encoded(&document), r#"{"new":{"N":"1"}}"#);
}
