//! Columns with a default, which stands for a missing attribute, with a constant, or with a prefix that they leave out.

use cutover_store::{
    document::{Attribute, Document},
    mapping::{Cell, Column, ColumnPath, Dialect, Fill, Mapping, MappingError, OnMisfit},
};

use super::given::{column, document, map, number, text};

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

fn filled(kind: &str, fill: Fill) -> Column {
    Column { fill: Some(fill), ..column("a", kind) }
}

fn of(columns: Vec<Column>, overflow: bool) -> Result<Mapping, MappingError> {
    let overflow = overflow.then(|| "rest".to_owned());
    Mapping::new(Dialect::Postgres, columns, overflow, OnMisfit::Quarantine)
}

#[test]
fn a_default_stands_for_a_missing_attribute_and_an_equal_one_is_kept_beside_it() {
    let mapping = of(vec![filled("bigint", Fill::Default(n("0")))], true).expect("a mapping");
    let kept = Cell::Json(r#"{"a":{"N":"0"}}"#.to_owned());
    for (given, row) in [
        (Document::default(), [Cell::Int(0), Cell::Null]),
        (document([("a", n("7"))]), [Cell::Int(7), Cell::Null]),
        (document([("a", n("0"))]), [Cell::Int(0), kept.clone()]),
        // Null is not missing.
        (document([("a", Attribute::Null)]), [Cell::Null, Cell::Json(r#"{"a":{"NULL":true}}"#.to_owned())]),
    ] {
        assert_eq!(mapping.to_row(&given), Ok(row.to_vec()));
        assert_eq!(mapping.from_row(&row), Ok(given));
    }
    // Another program sets the column afterwards, or leaves it NULL.
    let misfit = mapping.from_row(&[Cell::Int(1), kept]).expect_err("two values");
    assert!(misfit.to_string().contains("both its column and the overflow"), "{misfit}");
    assert_eq!(mapping.from_row(&[Cell::Null, Cell::Null]), Ok(Document::default()));
    let without = of(vec![filled("bigint", Fill::Default(n("0")))], false).expect("a mapping");
    let misfit = without.to_row(&document([("a", n("0"))])).expect_err("it would be missing");
    assert!(misfit.to_string().contains("stands for a missing attribute"), "{misfit}");
    assert_eq!(without.to_row(&Document::default()), Ok(vec![Cell::Int(0)]));
}

#[test]
fn a_default_inside_a_map_makes_no_map() {
    let nested = Column {
        path: ColumnPath::dotted("m.x").expect("a path"),
        ..filled("text", Fill::Default(text("?")))
    };
    let mapping = of(vec![nested], true).expect("a mapping");
    for given in [
        Document::default(),
        document([("m", Attribute::M(map([])))]),
        document([("m", Attribute::M(map([("x", text("?"))])))]),
        document([("m", Attribute::M(map([("x", text("y")), ("z", n("1"))])))]),
        document([("m", text("no map"))]),
    ] {
        let row = mapping.to_row(&given).expect("a row");
        assert_ne!(row[0], Cell::Null);
        assert_eq!(mapping.from_row(&row), Ok(given));
    }
}

#[test]
fn a_constant_takes_no_attribute_and_is_checked_when_it_is_read() {
    let constant = filled("varchar(9)", Fill::Constant(text("shop")));
    // Of the same name, in another column.
    let other = Column { name: "b".to_owned(), ..column("a", "bigint") };
    let mapping = of(vec![constant, other], false).expect("a mapping");
    let given = document([("a", n("7"))]);
    let row = [Cell::Text("shop".to_owned()), Cell::Int(7)];
    assert_eq!(mapping.to_row(&given), Ok(row.to_vec()));
    assert_eq!(mapping.from_row(&row), Ok(given));
    for wrong in [Cell::Text("Shop".to_owned()), Cell::Null, Cell::Int(1)] {
        let misfit = mapping.from_row(&[wrong, Cell::Null]).expect_err("another value").to_string();
        assert!(misfit.contains("another value than the column's constant"), "{misfit}");
    }
}

#[test]
fn what_a_column_could_not_hold_is_no_default() {
    let fault = |column| of(vec![column], true).expect_err("no mapping").to_string();
    for (kind, fill, told) in [
        ("bigint", Fill::Default(text("0")), "its default does not fit: text (S) where bigint is mapped"),
        ("varchar(2)", Fill::Constant(text("long")), "its constant does not fit: 4 characters"),
        ("datetime(0)", Fill::Default(text("2026-11-28T08:05:00+01:00")), "is written in another way"),
        ("date", Fill::Default(text("soon")), "not written as the format"),
    ] {
        let error = fault(filled(kind, fill));
        assert!(error.contains(told), "{error}");
    }
    let required = Column { required: true, ..filled("bigint", Fill::Default(n("0"))) };
    assert!(fault(required).contains("it is required"));
}

#[test]
fn a_column_has_what_follows_the_prefix_of_its_attribute() {
    let prefixed = |kind: &str| Column { prefix: Some("ORG#".to_owned()), ..column("a", kind) };
    let uuid = "936da01f-9abd-4d9d-80c7-02af85c822a8";
    for (kind, attribute, cell) in [
        ("bigint", "ORG#42".to_owned(), Cell::Int(42)),
        ("bigint", "ORG#-9223372036854775808".to_owned(), Cell::Int(i64::MIN)),
        ("varchar(2)", "ORG#a#".to_owned(), Cell::Text("a#".to_owned())),
        ("text", "ORG#".to_owned(), Cell::Text(String::new())),
        ("text", "ORG#ORG#".to_owned(), Cell::Text("ORG#".to_owned())),
        ("uuid", format!("ORG#{uuid}"), Cell::Text(uuid.to_owned())),
    ] {
        let mapping = of(vec![prefixed(kind)], false).expect("a mapping");
        let given = document([("a", text(&attribute))]);
        assert_eq!(mapping.to_row(&given), Ok(vec![cell]), "{attribute}");
        assert_eq!(mapping.from_row(&mapping.to_row(&given).expect("a row")), Ok(given));
    }
    // The column has the number, and the overflow how it is written.
    for other in ["ORG#042", "ORG#4.20e1", "ORG#+42"] {
        let mapping = of(vec![prefixed("bigint")], true).expect("a mapping");
        let given = document([("a", text(other))]);
        let row = mapping.to_row(&given).expect("a row");
        assert_eq!(row[0], Cell::Int(42), "{other}");
        assert_eq!(mapping.from_row(&row), Ok(given.clone()));
        let without = of(vec![prefixed("bigint")], false).expect("a mapping");
        assert!(without.to_row(&given).is_err(), "{other}");
    }
    for (kind, attribute) in [
        ("bigint", text("USER#42")),
        ("bigint", text("ORG#x")),
        ("bigint", text("ORG#")),
        ("text", text("org#1")),
        ("text", n("42")),
    ] {
        let mapping = of(vec![prefixed(kind)], false).expect("a mapping");
        assert!(mapping.to_row(&document([("a", attribute.clone())])).is_err(), "{attribute:?}");
    }
    let fault = |column| of(vec![column], true).expect_err("no mapping").to_string();
    assert!(fault(prefixed("double")).contains("a double column has no prefix"));
    assert!(fault(Column { prefix: Some(String::new()), ..column("a", "text") }).contains("is empty"));
}
