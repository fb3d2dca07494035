//! Documents: typed JSON, and the types of applications.

use std::collections::BTreeMap;

use cutover_store::document::{Attribute, DEPTH_MAX, Document, Number};
use serde::{Deserialize, Serialize};

use crate::{Target, draw::Draw};

pub(crate) const TARGET: Target = Target {
    name: "document",
    check,
    seeds,
    words: &[
        "{\"S\":\"\"}",
        "{\"N\":\"1\"}",
        "{\"B\":\"AA==\"}",
        "{\"BOOL\":true}",
        "{\"NULL\":true}",
        "{\"L\":[]}",
        "{\"M\":{}}",
        "{\"SS\":[\"\"]}",
        "{\"NS\":[\"0\"]}",
        "{\"BS\":[\"\"]}",
        "\"name\":",
        "\"lines\":",
        "\"state\":",
        "\\u0000",
        "\\ud83d\\ude00",
        "1e125",
        "0.000",
    ],
};

/// What an application may make of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    name: Option<String>,
    total: Option<Number>,
    count: Option<i64>,
    weight: Option<f64>,
    is_paid: Option<bool>,
    lines: Option<Vec<Line>>,
    by_day: Option<BTreeMap<u16, Line>>,
    state: Option<State>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    sku: Option<String>,
    price: Option<Number>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Open,
    Paid(u8),
    Sent { by: String },
}

const FIELDS: [&str; 8] = ["name", "total", "count", "weight", "is_paid", "lines", "by_day", "state"];

fn check(bytes: &[u8]) {
    if let Ok(attribute) = Attribute::decode(bytes) {
        let encoded = attribute.encode().expect("what was decoded can be encoded");
        assert_eq!(Attribute::decode(&encoded), Ok(attribute));
    }
    let Ok(document) = Document::decode(bytes) else {
        assert!(Document::decode_canonical(bytes).is_err());
        return;
    };
    let encoded = document.encode().expect("what was decoded can be encoded");
    assert_eq!(Document::decode(&encoded).as_ref(), Ok(&document), "the same document comes back");
    assert_eq!(Document::decode_canonical(&encoded).as_ref(), Ok(&document));
    assert_eq!(Document::decode_canonical(bytes).is_ok(), encoded == bytes, "one text is canonical");
    // The longest number is written without an exponent.
    assert!(encoded.len() <= bytes.len() * 50 + 16, "{} bytes became {}", bytes.len(), encoded.len());
    assert!(document.0.values().all(|attribute| depth(attribute) <= DEPTH_MAX));
    check_typed(&document);
}

fn depth(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::L(them) => 1 + them.iter().map(depth).max().unwrap_or(0),
        Attribute::M(them) => 1 + them.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A value is written so that it is read again, and what its type does not know is kept.
fn check_typed(document: &Document) {
    if let Ok(any) = document.clone().to_value::<BTreeMap<String, serde::de::IgnoredAny>>() {
        assert!(any.keys().eq(document.0.keys()), "every name is there");
    }
    let Ok((order, rest)) = document.clone().split::<Order>() else { return };
    let mut written = Document::from_value(&order).expect("it was read from a document");
    assert_eq!(written.clone().to_value::<Order>().as_ref(), Ok(&order), "what is written is read again");
    written.restore(rest);
    assert!(written.encode().is_ok(), "it is not deeper than it was");
    for (name, attribute) in document.0.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())) {
        assert_eq!(written.0.get(name), Some(attribute), "{name:?} is kept");
    }
    let unknown = written.0.keys().filter(|name| !document.0.contains_key(*name));
    assert_eq!(unknown.count(), 0, "nothing is made up");
}

fn seeds() -> Vec<Vec<u8>> {
    let order = concat!(
        r#"{"by_day":{"M":{"7":{"M":{"sku":{"S":"x"}}}}},"count":{"N":"-3"},"is_paid":{"BOOL":true},"#,
        r#""lines":{"L":[{"M":{"price":{"N":"12.5"},"sku":{"S":"a"},"more":{"NULL":true}}}]},"name":{"S":"ü"},"#,
        r#""state":{"M":{"Sent":{"M":{"by":{"S":"post"}}}}},"total":{"N":"99"},"weight":{"N":"0.25"},"x":{"B":"AA=="}}"#
    );
    let nested = format!("{{\"a\":{}{}}}", "{\"L\":[".repeat(DEPTH_MAX), "]}".repeat(DEPTH_MAX));
    let mut seeds =
        vec![order.into(), nested.into(), br#"{"a":{"N":"1E+2"},"b":{"NS":["1.0","2"]}}"#.to_vec()];
    seeds.extend([br#"{"S":"x"}"#.to_vec(), br#"{"state":{"S":"Open"},"a":{"SS":["b","a"]}}"#.to_vec()]);
    let drawn = crate::seeds::noise(40, 256);
    seeds.extend(drawn.iter().map(|noise| Draw::new(noise).document().encode().expect("no set is empty")));
    seeds
}
