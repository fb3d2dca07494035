//! Child tables that a draft has, and why it has none.

use super::*;

const POSTGRES: &str = "postgres://u@db/shop";

fn lines(columns: &[(&str, &str)], to: &[&str]) -> (Referencing, Described) {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let referencing =
        Referencing { table: "order_lines".to_owned(), columns: names(&["of", "the_order"]), to: names(to) };
    (referencing, table(columns, 3))
}

#[test]
fn a_list_gets_the_child_table_that_has_its_names_wherever_a_spec_takes_one() {
    let ids = ["customer", "order_id"];
    let whole = [
        ("of", "text"),
        ("the_order", "bigint"),
        ("place", "int"),
        ("sku", "varchar(9)"),
        ("N", "int"),
        ("at_shelf", "text"),
    ];
    let section = "\n# NOT DECIDED: each write of a record replaces all its rows in order_lines, also of a record without this list. \
                   Remove this section if another program writes rows there.\n[[target.children]]\n# in 100 % of 200, 400 elements\nfrom = \"ship.Lines\"\ntable = \"order_lines\"\n\
                   tenant = \"of\"\nkey = \"the_order\"\nposition = \"place\"\ncolumns = [\n";
    for target in ["sqlite:t.db", "postgres://u@db/shop", "mysql://u@db/shop"] {
        let (text, undecided) = matched(target, "", &table(&ORDERS, 2), &[lines(&whole, &ids)]);
        let spec = Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        let takes = text.contains(section);
        let with = format!(
            "{}{section}    {{ name = \"sku\", type = \"text\" }}]\n",
            text.split(SECTION).next().unwrap_or_default()
        );
        assert_eq!(takes, Spec::read(&with).is_ok(), "as the spec says: {text}");
        if takes {
            assert_eq!(undecided, 1, "{text}");
            let children = spec.target.sql_table().expect("SQL").children().to_vec();
            assert_eq!(children.len(), 1);
            let names: Vec<&str> = children[0].columns().collect();
            assert_eq!(names, ["of", "the_order", "place", "at_shelf", "N", "sku"]);
            assert!(text.contains("from = \"at.shelf\""), "{text}");
        } else {
            assert!(text.contains("# NOT DECIDED: ship.Lines has no child table: "), "{text}");
            assert!(text.contains("ship.Lines: in 100 % of 200"), "it stays what it is without: {text}");
        }
    }
}

#[test]
fn why_a_list_gets_no_child_table_is_said() {
    let ids = ["customer", "order_id"];
    let of = |columns: &[(&str, &str)], to: &[&str]| {
        matched("sqlite:t.db", "", &table(&ORDERS, 2), &[lines(columns, to)]).0
    };
    let three = [("of", "text"), ("the_order", "bigint"), ("place", "int")];
    let with = |more: &[(&'static str, &'static str)]| [&three[..], more].concat();
    let all = [("sku", "text"), ("n", "int"), ("at_shelf", "text")];
    for (text, told) in [
        (
            of(&with(&all), &["customer", "id"]),
            "the foreign key of order_lines is not that of tenant and key",
        ),
        (
            of(&[&three[..2], &[("id", "text")], &all[..]].concat(), &ids),
            "the primary key of order_lines is not tenant, key, and a number for the element's place",
        ),
        (
            of(&with(&[&all[..], &[("note", "text")]].concat()), &ids),
            "no element has an attribute for column note of order_lines, and each write replaces the rows",
        ),
        (
            of(&with(&[("sku", "text"), ("n", "double")]), &ids),
            "SQLite can't give floats of rows back exactly",
        ),
        (
            of(&[&three[..2], &[("N", "int")], &all[..1], &all[2..]].concat(), &ids),
            "the element's n is in the primary key of order_lines, where Cutover needs its place in the list: 0, 1, 2",
        ),
        (
            {
                let mut numbered = lines(&with(&all), &ids);
                numbered.1.columns[2].fills_itself = true;
                matched("sqlite:t.db", "", &table(&ORDERS, 2), &[numbered]).0
            },
            "column place of order_lines fills itself, and Cutover needs the element's place in the list there: 0, 1, 2",
        ),
    ] {
        let line =
            text.lines().find(|line| line.starts_with("# NOT DECIDED: ship.Lines has no child table: "));
        assert!(line.is_some_and(|line| line.contains(told)), "{told}\n{text}");
        assert!(!text.contains("[[target.children]]"), "{text}");
    }
    let some = of(&with(&all[..2]), &ids);
    let told =
        "# NOT DECIDED: no column takes at.shelf of an element. A list with that does not fit the table\n";
    assert!(some.contains(told) && some.contains("[[target.children]]"), "{some}");
    assert!(!of(&with(&[("other", "text")]), &ids).contains("child table"), "nothing in common");
    Spec::read(&some).expect("it is a spec");
    let kept = of(&with(&[all[0], all[1], ("rest", "text")]), &ids);
    let told =
        "overflow = \"rest\"\n# These have no column, so they stay in the column \"rest\": at.shelf\ncolumns";
    assert!(kept.contains(told), "{kept}");
    Spec::read(&kept).expect("it is a spec");
}

/// Orders of DynamoDB with this document.
fn orders_of(
    document: &str,
    orders: &[(&str, &str)],
    children: &[(Referencing, Described)],
) -> (String, usize) {
    let keys = [("customer".to_owned(), KeyType::S), ("orderId".to_owned(), KeyType::S)];
    let source = ("dynamodb://Orders?region=eu-west-1", TableHas::Items(&keys));
    let documents = (0..9).map(|n| (n.to_string(), document.to_owned()));
    moved(source, documents, POSTGRES, &table(orders, 2), children, |draft| draft.text())
}

const IDS: [&str; 2] = ["customer", "order_id"];
const ITEMS: [(&str, &str); 4] = [("of", "text"), ("the_order", "bigint"), ("place", "int"), ("sku", "text")];
const LIST: &str = r#"{"L":[{"M":{"sku":{"S":"a"}}}]}"#;

/// Whoever accepts the section has to know whose rows the next write deletes.
#[test]
fn a_child_table_that_has_rows_is_called_so() {
    let document = format!(r#"{{"placed":{{"S":"2026-11-30"}},"notes":{LIST}}}"#);
    let mut notes = lines(&ITEMS, &IDS);
    notes.1.has_rows = true;
    let (text, undecided) = orders_of(&document, &ORDERS, &[notes]);
    let told = "\n# NOT DECIDED: each write of a record replaces all its rows in order_lines, also of a record without this \
                list. The table has rows. Remove this section if another program writes rows there.\n[[target.children]]\n";
    assert!(text.contains(told) && undecided == 1, "{text}");
    Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
}

#[test]
fn no_list_is_chosen_of_two_that_fit_a_table_alike() {
    let document = format!(r#"{{"placed":{{"S":"2026-11-30"}},"sold":{LIST},"returned":{LIST}}}"#);
    let (text, undecided) = orders_of(&document, &ORDERS, &[lines(&ITEMS, &IDS)]);
    for list in ["sold", "returned"] {
        let told =
            format!("# NOT DECIDED: {list} has no child table: returned and sold fit order_lines alike\n");
        assert!(text.contains(&told), "{text}");
    }
    assert!(!text.contains(SECTION) && undecided == 2, "{text}");
    Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
    let named = document.replace("sold", "lines");
    let (text, _) = orders_of(&named, &ORDERS, &[lines(&ITEMS, &IDS)]);
    assert!(text.contains("from = \"lines\"\ntable = \"order_lines\"\n"), "it is called so: {text}");
}

/// The column takes the list already.
#[test]
fn a_list_inside_of_an_attribute_that_has_a_column_gets_no_child_table() {
    let whole = [("customer", "text"), ("order_id", "bigint"), ("doc", "jsonb")];
    let document = format!(r#"{{"doc":{{"M":{{"lines":{LIST}}}}}}}"#);
    let source = table(&whole, 2);
    let documents = (0..9).map(|n| (n.to_string(), document.clone()));
    let target = table(&whole, 2);
    let from = ("postgres://u@old/shop", TableHas::Columns(&source));
    let (text, _) = moved(from, documents, POSTGRES, &target, &[lines(&ITEMS, &IDS)], |draft| draft.text());
    let spec = Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
    assert!(!text.contains(SECTION), "{text}");
    let columns = spec.target.mapping.expect("columns");
    assert_eq!(columns.names().collect::<Vec<_>>(), ["doc"]);
    // Without the column the list can have the table.
    let (text, _) = orders_of(&document, &ORDERS, &[lines(&ITEMS, &IDS)]);
    assert!(text.contains("from = \"doc.lines\"\n"), "{text}");
    Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
}

/// What becomes of a draft whose sections do not go with its columns.
#[test]
fn a_draft_can_be_had_without_its_child_tables() {
    let keys = [("customer".to_owned(), KeyType::S), ("orderId".to_owned(), KeyType::S)];
    let source = ("dynamodb://Orders?region=eu-west-1", TableHas::Items(&keys));
    let documents = (0..9).map(|n| (n.to_string(), format!(r#"{{"lines":{LIST}}}"#)));
    let orders = table(&ORDERS, 2);
    moved(source, documents, POSTGRES, &orders, &[lines(&ITEMS, &IDS)], |draft| {
        assert!(draft.text().0.contains(SECTION));
        let text = draft.written(Some("the reason"));
        Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        assert!(!text.contains(SECTION), "{text}");
        assert!(text.contains("# NOT DECIDED: lines has no child table: the reason\n"), "{text}");
        assert!(text.contains("#   lines: in 100 % of 9"), "it stays what it is without: {text}");
    });
}
