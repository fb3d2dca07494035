//! Lists in tables of their own.

use cutover_store::{
    document::{Attribute, Document},
    mapping::{Cell, Child, ColumnPath, Dialect, Mapping, OnMisfit},
};
use proptest::prelude::*;

use super::given::{attributes, column, document, map, mapping, number, pairs, text};

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

fn line(sku: &str, count: &str) -> Attribute {
    Attribute::M(map([("sku", text(sku)), ("n", n(count))]))
}

fn lines(elements: impl IntoIterator<Item = Attribute>) -> Document {
    document([("lines", Attribute::L(elements.into_iter().collect()))])
}

fn child(path: &str, elements: Mapping) -> Child {
    Child {
        table: path.replace('.', "_"),
        path: ColumnPath::dotted(path).expect("a path"),
        tenant: "tenant".to_owned(),
        key: "key".to_owned(),
        position: "position".to_owned(),
        elements,
        of_values: false,
    }
}

/// Lines with two columns; what else a line has goes to its overflow, if it has one.
fn orders(overflow: bool, on_misfit: OnMisfit, line_overflow: bool) -> Mapping {
    let elements = mapping(&[("sku", "varchar(3)"), ("n", "bigint")], line_overflow, OnMisfit::Quarantine);
    let parent = mapping(&[("id", "bigint")], overflow, on_misfit);
    parent.with_children(vec![child("lines", elements)]).expect("a mapping")
}

fn tags(required: bool) -> Child {
    let mut column = column("value", "varchar(3)");
    column.name = "tag".to_owned();
    column.required = required;
    let elements = Mapping::new(Dialect::Postgres, vec![column], None, OnMisfit::Quarantine);
    Child { of_values: true, ..child("tags", elements.expect("a mapping")) }
}

fn row(place: i64, cells: [Cell; 2]) -> Vec<Cell> {
    let mut row = vec![Cell::Int(place)];
    row.extend(cells);
    row
}

#[test]
fn a_list_is_rows_and_what_is_no_list_of_maps_stays_in_the_overflow() {
    let mapping = orders(true, OnMisfit::Overflow, false);
    let kept = |json: &str| Cell::Json(format!(r#"{{"lines":{json}}}"#));
    let rows = Cell::Rows(vec![
        row(0, [Cell::Text("a".to_owned()), Cell::Int(2)]),
        row(1, [Cell::Null, Cell::Null]),
        row(2, [Cell::Text("a".to_owned()), Cell::Int(2)]),
    ]);
    for (given, rest, rows) in [
        (lines([line("a", "2"), Attribute::M(map([])), line("a", "2")]), Cell::Null, rows),
        (Document::default(), Cell::Null, Cell::Null),
        (lines([]), kept(r#"{"L":[]}"#), Cell::Null),
        (document([("lines", Attribute::Null)]), kept(r#"{"NULL":true}"#), Cell::Null),
        (document([("lines", text("x"))]), kept(r#"{"S":"x"}"#), Cell::Null),
        (
            lines([line("a", "2"), text("x")]),
            kept(r#"{"L":[{"M":{"n":{"N":"2"},"sku":{"S":"a"}}},{"S":"x"}]}"#),
            Cell::Null,
        ),
        (lines([line("long", "2")]), kept(r#"{"L":[{"M":{"n":{"N":"2"},"sku":{"S":"long"}}}]}"#), Cell::Null),
    ] {
        let row = vec![Cell::Null, rest, rows];
        assert_eq!(mapping.to_row(&given), Ok(row.clone()), "{given:?}");
        assert_eq!(mapping.from_row(&row), Ok(given));
    }
}

#[test]
fn what_rows_can_not_hold_is_refused_by_its_place() {
    let strict = orders(true, OnMisfit::Quarantine, false);
    let told = |mapping: &Mapping, given| mapping.to_row(&given).expect_err("a misfit").to_string();
    assert_eq!(
        told(&strict, lines([line("a", "1"), line("long", "1")])),
        "lines[1].sku (column lines.sku): 4 characters where varchar(3) takes 3"
    );
    let extra = Attribute::M(map([("x", n("1"))]));
    assert!(told(&strict, lines([extra.clone()])).starts_with("lines[0].x: no column takes it"));
    let no_map = told(&strict, lines([text("x")]));
    assert!(
        no_map.starts_with("lines[0] (column lines): ") && no_map.contains("are mapped as maps"),
        "{no_map}"
    );
    assert!(told(&strict, document([("lines", n("1"))])).contains("where a list is mapped to a table"));
    for kept in [lines([]), document([("lines", Attribute::Null)])] {
        assert!(strict.to_row(&kept).is_ok(), "the overflow says that it is there");
    }
    let bare = orders(false, OnMisfit::Quarantine, true);
    assert!(told(&bare, lines([])).contains("an empty list, which has no rows"));
    let rich = lines([extra]);
    assert_eq!(bare.from_row(&bare.to_row(&rich).expect("the line's overflow takes it")), Ok(rich));
}

#[test]
fn rows_of_somebody_else_are_read_or_refused_and_never_guessed_at() {
    let mapping = orders(true, OnMisfit::Overflow, false);
    let cells = || [Cell::Text("a".to_owned()), Cell::Int(2)];
    let read = |rest: Cell, rows: Vec<Vec<Cell>>| mapping.from_row(&[Cell::Null, rest, Cell::Rows(rows)]);
    let two = lines([line("a", "2"), line("a", "2")]);
    assert_eq!(read(Cell::Null, vec![row(1, cells()), row(0, cells())]), Ok(two), "in any order");
    for places in [vec![1], vec![0, 2], vec![0, 0], vec![-1, 0]] {
        let rows = places.iter().map(|place| row(*place, cells())).collect();
        let told = read(Cell::Null, rows).expect_err("places").to_string();
        assert!(told.starts_with("lines (column lines): the places of its rows are not 0, 1, 2"), "{told}");
    }
    let kept = Cell::Json(r#"{"lines":{"L":[]}}"#.to_owned());
    let told = read(kept, vec![row(0, cells())]).expect_err("both").to_string();
    assert!(told.contains("both its column and the overflow hold it"), "{told}");
    let wrong = [Cell::Text("a".to_owned()), Cell::Bool(true)];
    let told = read(Cell::Null, vec![row(0, wrong)]).expect_err("no number").to_string();
    assert!(told.starts_with("lines[0].n (column lines.n): the row has a boolean"), "{told}");
}

#[test]
fn elements_that_are_no_maps_have_one_column() {
    let mapping = mapping(&[("id", "bigint")], true, OnMisfit::Overflow);
    let mapping = mapping.with_children(vec![tags(true)]).expect("a mapping");
    let tags_of = |tags: Vec<Attribute>| document([("tags", Attribute::L(tags))]);
    for given in [tags_of(vec![text("a"), text("b")]), tags_of(vec![text("a"), Attribute::Null])] {
        let row = mapping.to_row(&given).expect("a row");
        assert_eq!(matches!(row[2], Cell::Rows(_)), given == tags_of(vec![text("a"), text("b")]));
        assert_eq!(mapping.from_row(&row), Ok(given));
    }
    let null = mapping.from_row(&[Cell::Null, Cell::Null, Cell::Rows(vec![vec![Cell::Int(0), Cell::Null]])]);
    assert!(null.expect_err("no value").to_string().starts_with("tags[0] (column tags.tag): it is missing"));
}

#[test]
fn child_tables_are_checked_against_each_other_and_the_columns() {
    let elements = || mapping(&[("sku", "text")], false, OnMisfit::Quarantine);
    let wrong = |columns: &[(&str, &str)], children: Vec<Child>| {
        let parent = mapping(columns, true, OnMisfit::Quarantine);
        parent.with_children(children).expect_err("a mistake").to_string()
    };
    let id = [("id", "bigint")];
    for (told, what) in [
        (
            wrong(&[("lines", "json")], vec![child("lines", elements())]),
            "column lines takes the same attribute",
        ),
        (
            wrong(&[("lines[0].sku", "text")], vec![child("lines", elements())]),
            "takes the same attribute or a part",
        ),
        (wrong(&id, vec![child("a", elements()), child("a.b", elements())]), "a takes the same list"),
        (
            wrong(
                &id,
                vec![child("a", elements()), Child { table: "A".to_owned(), ..child("b", elements()) }],
            ),
            "the same table",
        ),
        (wrong(&id, vec![child("a[0]", elements())]), "a[0] is in a list"),
        (
            wrong(&id, vec![Child { position: "sku".to_owned(), ..child("a", elements()) }]),
            "\"sku\" names two",
        ),
        (wrong(&id, vec![Child { table: "a b".to_owned(), ..child("a", elements()) }]), "is no name"),
        (wrong(&id, vec![tags(false)]), "have one column, which is required"),
        (wrong(&id, vec![child("a", orders(true, OnMisfit::Quarantine, true))]), "child tables of its own"),
    ] {
        assert!(told.contains(what), "{told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The element's mapping suits one of the elements, as `pairs` draws them.
    #[test]
    fn what_fits_comes_back_as_it_was(
        (elements, one) in pairs(),
        others in proptest::collection::vec(attributes(), 0..3),
        (overflow, lenient, inside) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let on_misfit = if overflow && lenient { OnMisfit::Overflow } else { OnMisfit::Quarantine };
        let path = if inside { "at.lines" } else { "lines" };
        let rest = overflow.then(|| "rest".to_owned());
        let parent = Mapping::new(elements.dialect(), vec![column("id", "bigint")], rest, on_misfit);
        // Not every server has child tables of every type.
        let parent = parent.expect("a mapping").with_children(vec![child(path, elements)]);
        let Ok(parent) = parent else { return Ok(()) };
        let list = Attribute::L([Attribute::M(one.0.clone()), Attribute::M(one.0)].into_iter().chain(others).collect());
        let given = match inside {
            true => document([("at", Attribute::M(map([("lines", list)])))]),
            false => document([("lines", list), ("id", n("7"))]),
        };
        match parent.to_row(&given) {
            Ok(row) => {
                prop_assert_eq!(parent.from_row(&row), Ok(given.clone()));
                prop_assert_eq!(parent.check(&[given]), vec![]);
            }
            Err(misfit) => {
                prop_assert!(on_misfit == OnMisfit::Quarantine);
                prop_assert!(misfit.path.starts_with(path), "{}", misfit);
            }
        }
    }
}

#[test]
fn the_draws_reach_rows_with_cells_and_refusals() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut in_rows, mut refused) = (0, 0);
    for _ in 0..600 {
        let (elements, one) = pairs().new_tree(&mut runner).expect("a draw").current();
        if elements.dialect() != Dialect::Postgres {
            continue;
        }
        let parent = mapping(&[("id", "bigint")], false, OnMisfit::Quarantine);
        let parent = parent.with_children(vec![child("lines", elements)]).expect("a mapping");
        match parent.to_row(&lines([Attribute::M(one.0)])) {
            Ok(row) => {
                let Cell::Rows(rows) = &row[1] else { panic!("no rows") };
                in_rows += usize::from(rows[0][1..].iter().any(|cell| *cell != Cell::Null));
            }
            Err(_) => refused += 1,
        }
    }
    assert!(in_rows >= 50 && refused >= 20, "{in_rows} {refused}");
}
