//! Columns that take single elements of lists, or what is in them.

use cutover_store::{
    document::{Attribute, Document},
    mapping::{Cell, ColumnPath, OnMisfit, Step},
};
use proptest::prelude::*;

use super::given::{document, map, mapping, number, text};

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

fn list(elements: impl IntoIterator<Item = Attribute>) -> Document {
    document([("l", Attribute::L(elements.into_iter().collect()))])
}

fn item(sku: &str) -> Attribute {
    Attribute::M(map([("sku", text(sku))]))
}

fn cell(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

#[test]
fn elements_have_columns_and_the_others_keep_their_places() {
    let columns = [("l[0].sku", "text"), ("l[1].sku", "text"), ("l[2]", "bigint")];
    let mapping = mapping(&columns, true, OnMisfit::Quarantine);
    let mixed = Attribute::M(map([("sku", text("b")), ("n", n("1"))]));
    let rest = |json: &str| Cell::Json(format!(r#"{{"l":{{"L":[{json}]}}}}"#));
    let null = Attribute::Null;
    for (given, row) in [
        (Document::default(), [Cell::Null, Cell::Null, Cell::Null, Cell::Null]),
        (list([item("a")]), [cell("a"), Cell::Null, Cell::Null, Cell::Null]),
        (list([item("a"), item("b"), n("3")]), [cell("a"), cell("b"), Cell::Int(3), Cell::Null]),
        (
            list([item("a"), mixed]),
            [cell("a"), cell("b"), Cell::Null, rest(r#"{"NULL":true},{"M":{"n":{"N":"1"}}}"#)],
        ),
        (
            list([null, item("b")]),
            [Cell::Null, cell("b"), Cell::Null, rest(r#"{"NULL":true},{"NULL":true}"#)],
        ),
        (list([Attribute::M(map([]))]), [Cell::Null, Cell::Null, Cell::Null, rest(r#"{"M":{}}"#)]),
        (list([]), [Cell::Null, Cell::Null, Cell::Null, rest("")]),
        (
            list([text("x"), item("b"), n("3"), n("4")]),
            [Cell::Null, cell("b"), Cell::Int(3), rest(r#"{"S":"x"},{"NULL":true},{"NULL":true},{"N":"4"}"#)],
        ),
    ] {
        assert_eq!(mapping.to_row(&given), Ok(row.to_vec()), "{given:?}");
        assert_eq!(mapping.from_row(&row), Ok(given));
    }
    let unlike = document([("l", item("a"))]);
    assert_eq!(mapping.from_row(&mapping.to_row(&unlike).expect("a row")), Ok(unlike));
}

#[test]
fn a_row_of_somebody_else_with_a_gap_can_not_be_read() {
    let mapping = mapping(&[("l[0]", "text"), ("l[1]", "text")], true, OnMisfit::Quarantine);
    let gap = mapping.from_row(&[Cell::Null, cell("b"), Cell::Null]).expect_err("no element 0");
    assert_eq!(
        gap.to_string(),
        "l[1] (column l_1): the elements before it are missing: somebody else wrote the row, correct it there"
    );
    let kept = Cell::Json(r#"{"l":{"L":[{"S":"a"}]}}"#.to_owned());
    let both = mapping.from_row(&[cell("x"), Cell::Null, kept]).expect_err("two of them");
    assert!(both.to_string().contains("both its column and the overflow hold it"), "{both}");
    let no_list = Cell::Json(r#"{"l":{"S":"a"}}"#.to_owned());
    assert!(mapping.from_row(&[cell("x"), Cell::Null, no_list]).is_err());
}

#[test]
fn order_is_that_of_places_and_not_of_columns() {
    let many: Vec<String> = (0..12).rev().map(|place| format!("l[{place}]")).collect();
    let columns: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "text")).collect();
    let mapping = mapping(&columns, false, OnMisfit::Quarantine);
    for length in 1..=12 {
        let given = list((0..length).map(|place| text(&place.to_string())));
        assert_eq!(mapping.from_row(&mapping.to_row(&given).expect("a row")), Ok(given));
    }
}

#[test]
fn a_path_says_what_is_a_name() {
    let path = |text| ColumnPath::dotted(text).map(|path| path.to_string());
    for text in ["a", "a.b", "a[0]", "a[10][2].b[0]"] {
        assert_eq!(path(text).as_deref(), Some(text));
    }
    for text in
        ["", ".", "[0]", "a.[0]", "a[", "a[]", "a[x]", "a[01]", "a[+1]", "a[-1]", "a[0]b", "a]", "a[0"]
    {
        assert_eq!(path(text), None, "{text}");
    }
    let named = ColumnPath::new(vec!["a[0]".to_owned()]).expect("a path");
    assert!(!named.overlaps(&ColumnPath::dotted("a[0]").expect("a path")));
    assert_eq!(ColumnPath::new(vec![Step::At(0)]), None);
}

/// Lists of lists and maps with few shapes, so that paths often lead into them.
fn elements() -> impl Strategy<Value = Attribute> {
    let leaf = prop_oneof![Just(Attribute::Null), "[ab]{0,1}".prop_map(Attribute::S)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Attribute::L),
            proptest::collection::btree_map("[ab]", inner, 0..3).prop_map(Attribute::M),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn whatever_is_taken_comes_back_to_its_place(
        paths in proptest::collection::vec("l(\\[[012]\\]|\\.a){1,3}", 1..6),
        kinds in proptest::collection::vec(proptest::sample::select(vec!["text", "json", "jsonb"]), 6),
        element in elements(),
        overflow in proptest::bool::weighted(0.7),
        lenient in any::<bool>(),
    ) {
        let on_misfit = if lenient && overflow { OnMisfit::Overflow } else { OnMisfit::Quarantine };
        let mut columns: Vec<(&str, &str)> = Vec::new();
        for (path, kind) in paths.iter().zip(&kinds) {
            let of = |path: &str| ColumnPath::dotted(path).expect("a path");
            if columns.iter().all(|(other, _)| !of(other).overlaps(&of(path))) {
                columns.push((path, kind));
            }
        }
        let mapping = mapping(&columns, overflow, on_misfit);
        let given = document([("l", element)]);
        if let Ok(row) = mapping.to_row(&given) {
            prop_assert_eq!(mapping.from_row(&row), Ok(given));
        } else {
            prop_assert!(!lenient || !overflow);
        }
    }
}
