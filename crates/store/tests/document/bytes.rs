//! Documents as bytes: equal ones have equal bytes, and invalid ones are named.

use cutover_store::document::{Attribute, DEPTH_MAX, Document};
use proptest::{collection::vec, prelude::*};

use super::given::{document, documents, map, number, text};

fn decode(json: &str) -> Document {
    Document::decode(json.as_bytes()).expect("typed JSON")
}

fn refusal(bytes: &[u8]) -> String {
    Document::decode(bytes).expect_err("no document").to_string()
}

#[test]
fn every_type_has_its_canonical_text() {
    let all = document([
        ("b", Attribute::B(vec![0, 255])),
        ("bool", Attribute::Bool(false)),
        ("bs", Attribute::Bs([vec![2], vec![1], vec![]].into())),
        ("l", Attribute::L(vec![text("x"), Attribute::Null])),
        ("m", Attribute::M(map([("z", text("")), ("a", Attribute::B(vec![]))]))),
        ("n", Attribute::N(number("9.90"))),
        ("ns", Attribute::Ns([number("10"), number("9"), number("-1.0")].into())),
        ("s", text("a\"\0ü")),
        ("ss", Attribute::Ss(["b".to_owned(), "a".to_owned()].into())),
    ]);
    let canonical = concat!(
        r#"{"b":{"B":"AP8="},"bool":{"BOOL":false},"bs":{"BS":["","AQ==","Ag=="]},"#,
        r#""l":{"L":[{"S":"x"},{"NULL":true}]},"m":{"M":{"a":{"B":""},"z":{"S":""}}},"#,
        r#""n":{"N":"9.9"},"ns":{"NS":["-1","9","10"]},"s":{"S":"a\"\u0000ü"},"ss":{"SS":["a","b"]}}"#
    );
    let bytes = all.encode().expect("a document");
    assert_eq!(String::from_utf8(bytes).expect("UTF-8"), canonical);
    assert_eq!(decode(canonical), all);
}

#[test]
fn what_is_written_differently_and_means_the_same_has_the_same_bytes() {
    let one = decode(r#"{"tags":{"SS":["b","a"]},"price":{"N":"1.00"},"ns":{"NS":["2","1e0"]}}"#);
    let other = decode(
        r#" { "ns" : {"NS":["1.0","2.0"]}, "price": {"N": "1e0"}, "tags": {"SS": ["\u0061", "b"]} } "#,
    );
    assert_eq!(one.encode(), other.encode());
}

#[test]
fn a_refusal_names_the_place() {
    let cases = [
        (
            r#"{"items":{"L":[{"S":""},{"N":"0"},{"M":{"price":{"N":"x"}}}]}}"#,
            "items[2].price: not a decimal",
        ),
        (r#"{"a":{"L":[{"L":[{"B":"=="}]}]}}"#, "a[0][0]: no base64"),
        (r#"{"a":{"B":"AP9="}}"#, "a: no base64"),
        (r#"{"a":{"S":"x"},"a":{"S":"y"}}"#, "a: it is there twice"),
        (r#"{"a":{"M":{"b":{"S":"x"},"b":{"S":"x"}}}}"#, "a.b: it is there twice"),
        (r#"{"a":{"SS":["x","y","x"]}}"#, "a[2]: it is there twice"),
        (r#"{"a":{"NS":["1","1.0"]}}"#, "a[1]: it is there twice"),
        (r#"{"a":{"SS":[]}}"#, "a: an empty set"),
        (r#"{"a":{"N":1}}"#, "a: a number without quotes where text in quotes is needed"),
        (r#"{"a":{"NULL":false}}"#, "a: true or false where true is needed"),
        (r#"{"a":{"BOOL":"true"}}"#, "a: text where true or false"),
        (r#"{"a":{"S":"x","N":"1"}}"#, "a: an object without exactly one type"),
        (r#"{"a":{}}"#, "a: an object without exactly one type"),
        (r#"{"a":{"X":"x"}}"#, "a: \"X\" is no type"),
        (r#"{"a":"x"}"#, "a: text where"),
        ("[]", "the record: an array where an object of attributes"),
        ("", "the record: no typed JSON"),
        (r#"{"a":{"S":"x"}} {}"#, "the record: no typed JSON"),
        (r#"{"a":{"S":"\ud800"}}"#, "the record: no typed JSON"),
    ];
    for (json, message) in cases {
        assert!(refusal(json.as_bytes()).starts_with(message), "{json}: {}", refusal(json.as_bytes()));
    }
    assert!(refusal(b"{\"a\":{\"S\":\"\xff\"}}").starts_with("the record: no typed JSON"));
    let forty = format!(r#"{{"a":{{"N":"{}"}}}}"#, "7".repeat(40));
    let message = refusal(forty.as_bytes());
    assert!(message.contains("40 significant digits") && !message.contains("777"), "{message}");
}

#[test]
fn an_empty_set_is_not_written() {
    for empty in [Attribute::Ss([].into()), Attribute::Ns([].into()), Attribute::Bs([].into())] {
        let error = document([("a", Attribute::L(vec![empty]))]).encode().expect_err("an empty set");
        assert!(error.to_string().starts_with("a[0]: an empty set"), "{error}");
    }
}

#[test]
fn depth_ends_where_dynamodbs_does() {
    let nested = |levels| {
        let value = (0..levels).fold(text("leaf"), |inner, level| match level % 2 {
            0 => Attribute::L(vec![inner]),
            _ => Attribute::M(map([("m", inner)])),
        });
        document([("a", value)])
    };
    let deepest = nested(DEPTH_MAX);
    let bytes = deepest.encode().expect("not too deep");
    assert_eq!(Document::decode(&bytes), Ok(deepest));
    let error = nested(DEPTH_MAX + 1).encode().expect_err("too deep");
    assert!(error.to_string().contains("more than 32"), "{error}");
    let json = |levels| format!("{{\"a\":{}{}}}", r#"{"L":["#.repeat(levels), "]}".repeat(levels));
    assert!(Document::decode(json(DEPTH_MAX).as_bytes()).is_ok());
    assert!(refusal(json(DEPTH_MAX + 1).as_bytes()).contains("more than 32"));
    // At any depth it is an error, not a stack overflow.
    assert!(refusal(json(1_000_000).as_bytes()).contains("no typed JSON"));
}

proptest! {
    #[test]
    fn bytes_bring_the_document_back(document in documents()) {
        let bytes = document.encode().expect("it has no empty sets and is not deep");
        let back = Document::decode(&bytes).expect("it was encoded");
        prop_assert_eq!(back.encode(), Ok(bytes));
        prop_assert_eq!(back, document);
    }

    #[test]
    fn different_documents_have_different_bytes(one in documents(), other in documents()) {
        prop_assert_eq!(one == other, one.encode() == other.encode());
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..64)) {
        if let Ok(document) = Document::decode(&bytes) {
            prop_assert!(document.encode().is_ok());
        }
    }

    #[test]
    fn damaged_documents_are_answered(document in documents(), at: prop::sample::Index, byte: u8) {
        let mut bytes = document.encode().expect("a document");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(document) = Document::decode(&bytes) {
            prop_assert!(document.encode().is_ok());
        }
    }
}
