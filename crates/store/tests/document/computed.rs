//! Columns that are composed of several attributes.

use cutover_store::{
    document::{Attribute, Document},
    mapping::{Cell, Column, Dialect, Mapping, OnMisfit, Template},
};
use proptest::prelude::*;

use super::given::{column, document, map, number, text};

fn computed(template: &str) -> Column {
    Column { computed: Some(template.parse().expect("a template")), ..column("c", "text") }
}

fn of(columns: Vec<Column>, overflow: bool, on_misfit: OnMisfit) -> Mapping {
    let overflow = overflow.then(|| "rest".to_owned());
    Mapping::new(Dialect::Postgres, columns, overflow, on_misfit).expect("a mapping")
}

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

#[test]
fn attributes_are_composed_and_come_back() {
    let inner = |id| ("m", Attribute::M(map([("id", id)])));
    for (template, given, composed) in [
        ("{org}#{id}", document([("org", text("acme")), ("id", text("42"))]), "acme#42"),
        ("{org}#{id:N}", document([("org", text("acme")), ("id", n("42"))]), "acme#42"),
        ("{org}#{id}", document([("org", text("")), ("id", text(""))]), "#"),
        ("{{{id:N}}}.{org}.x", document([("org", text(".x")), ("id", n("-0.5"))]), "{-0.5}..x.x"),
        ("{m.id}", document([inner(text("7"))]), "7"),
        ("ORG#{m.id}-{org}", document([inner(text("#")), ("org", text("ORG#"))]), "ORG##-ORG#"),
    ] {
        let mapping = of(vec![computed(template)], false, OnMisfit::Quarantine);
        let row = mapping.to_row(&given);
        assert_eq!(row, Ok(vec![Cell::Text(composed.to_owned())]), "{template}");
        assert_eq!(mapping.from_row(&[Cell::Text(composed.to_owned())]), Ok(given), "{template}");
    }
}

#[test]
fn what_a_template_can_not_hold_is_a_misfit_or_stays_in_the_overflow() {
    for (given, path, told) in [
        (document([("a", text("x#")), ("b", text("y"))]), "a", "contains \"#\""),
        (document([("a", text("x")), ("b", text("#y"))]), "b", "contains \"#\""),
        (document([("a", text("x"))]), "b", "it is missing"),
        (
            document([("a", n("1")), ("b", text("y"))]),
            "a",
            "a number (N) where its template has text; {name:N} is",
        ),
        (document([("a", text("x")), ("b", Attribute::Null)]), "b", "where its template has text"),
        (document([("a", text("x\0")), ("b", text("y"))]), "a, b", "NUL"),
    ] {
        let column = || vec![computed("{a}#{b}")];
        let misfit = of(column(), true, OnMisfit::Quarantine).to_row(&given).expect_err("a misfit");
        assert_eq!((misfit.path.as_str(), misfit.column.as_deref()), (path, Some("c")));
        assert!(misfit.to_string().contains(told), "{misfit}");
        let lenient = of(column(), true, OnMisfit::Overflow);
        let row = lenient.to_row(&given).expect("a row");
        assert_eq!(row[0], Cell::Null);
        assert_eq!(lenient.from_row(&row), Ok(given));
    }
    let mapping = of(vec![computed("{a}#{b}")], true, OnMisfit::Quarantine);
    for given in [Document::default(), document([("a", Attribute::Null)])] {
        let row = mapping.to_row(&given).expect("a row");
        assert_eq!((&row[0], mapping.from_row(&row)), (&Cell::Null, Ok(given)));
    }
    let required = of(vec![Column { required: true, ..computed("{a}#{b}") }], true, OnMisfit::Overflow);
    assert!(required.to_row(&Document::default()).is_err());
    assert!(required.to_row(&document([("a", text("x"))])).is_err());
}

#[test]
fn a_text_that_was_not_composed_so_can_not_be_read() {
    let mapping = of(vec![computed("A{a:N}#{b}.x")], true, OnMisfit::Quarantine);
    let fine = Cell::Text("A1#b.x".to_owned());
    assert!(mapping.from_row(&[fine.clone(), Cell::Null]).is_ok());
    for wrong in ["", "A1b.x", "a1#b.x", "A1#b", "A1#b#c.x", "A01#b.x", "Ax#b.x", "A1e3#b.x"] {
        let misfit = mapping.from_row(&[Cell::Text(wrong.to_owned()), Cell::Null]).expect_err(wrong);
        assert!(misfit.to_string().contains("is not composed as the template says"), "{misfit}");
    }
    let twice = mapping.from_row(&[fine, Cell::Json(r#"{"b":{"S":"b"}}"#.to_owned())]);
    assert!(twice.expect_err("two values").to_string().contains("both its column and the overflow"));
}

#[test]
fn a_template_with_two_ways_back_is_none() {
    for (template, told) in [
        ("{a}{b}", "nothing separates {a} from {b}"),
        ("text", "it has no attribute"),
        ("{a", "a brace without its other half"),
        ("a}", "a brace without its other half"),
        ("{}", "{} is no path"),
        ("{a..b}", "{a..b} is no path"),
        ("{a}-{a}", "{a} and {a} are the same attribute"),
        ("{m}-{m.x}", "{m} and {m.x} are the same attribute"),
    ] {
        let error = template.parse::<Template>().expect_err(template);
        assert!(error.contains(told), "{template}: {error}");
    }
    for template in ["{a}", "{{{a}}}", "x{a:N}#{b.c}}}y"] {
        assert_eq!(template.parse::<Template>().expect("a template").to_string(), template);
    }
    let fault = |column: Column| {
        let others = vec![column, super::given::column("b", "text")];
        let error = Mapping::new(Dialect::MySql, others, None, OnMisfit::Quarantine).expect_err("no mapping");
        error.to_string()
    };
    let kind = |kind: &str| kind.parse().expect("a type");
    assert!(
        fault(Column { kind: kind("bigint"), ..computed("{a}") })
            .contains("it is computed, so it can't be bigint")
    );
    assert!(fault(Column { prefix: Some("x".to_owned()), ..computed("{a}") }).contains("has no prefix"));
    assert!(fault(computed("{a}-{b}")).contains("take the same attribute"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_has_two_ways_back(
        separators in proptest::sample::select(vec![("#", "#"), ("##", "-"), ("#-", "-#"), ("-", "a")]),
        values in proptest::collection::vec("[a#-]{0,4}", 3),
        other in "[a#-]{0,9}",
    ) {
        let template = format!("-{{a}}{}{{b}}{}{{c}}#", separators.0, separators.1);
        let mapping = of(vec![computed(&template)], false, OnMisfit::Quarantine);
        let given = document([("a", text(&values[0])), ("b", text(&values[1])), ("c", text(&values[2]))]);
        if let Ok(row) = mapping.to_row(&given) {
            prop_assert_eq!(mapping.from_row(&row), Ok(given));
        }
        let row = vec![Cell::Text(other)];
        if let Ok(document) = mapping.from_row(&row) {
            prop_assert_eq!(mapping.to_row(&document), Ok(row));
        }
    }
}
