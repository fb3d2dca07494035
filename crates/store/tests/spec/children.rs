//! Child tables in a spec.

use cutover_store::mapping::{Child, ColumnType, create_sql};

use super::{SMALL, read, reference, refusal};

const LINES: &str = "overflow = \"rest\"\n[[target.children]]\nfrom = \"lines\"\ntable = \"order_lines\"\n";

fn with(more: &str) -> String {
    format!("{SMALL}{LINES}{more}\n")
}

fn columns(names: &[&str]) -> String {
    let columns: Vec<String> =
        names.iter().map(|name| format!("{{ name = \"{name}\", type = \"text\" }}")).collect();
    format!("columns = [{}]\n", columns.join(", "))
}

#[test]
fn the_reference_s_child_tables_are_read() {
    let section = reference().split("### Child tables\n").nth(1).expect("a section").to_owned();
    let example =
        section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let source = SMALL.split_once("[target]").expect("two stores").0;
    let spec = read(&format!("{source}{example}"));
    let mapping = spec.target.mapping.expect("it has columns");
    let [lines, tags] = mapping.children() else { panic!("{:?}", mapping.children()) };
    assert_eq!((lines.table.as_str(), lines.path.to_string().as_str()), ("order_lines", "lines"));
    assert_eq!(lines.primary(), ["tenant", "order_key", "position"]);
    let types: Vec<ColumnType> = lines.elements.types().collect();
    assert_eq!(types[2], ColumnType::Decimal { digits: 12, scale: 2 });
    assert!(tags.of_values && tags.elements.columns()[0].required);
    assert_eq!(tags.elements.columns()[0].name, "tag");
}

#[test]
fn mistakes_in_child_tables_name_their_place() {
    let sku = columns(&["sku"]);
    for (text, told) in [
        (with(&columns(&["a", "A"])), "column \"A\" is there twice"),
        (with(""), "line 9, column 1: columns: it is missing: add columns"),
        (with(&format!("{sku}value = {{ name = \"tag\", type = \"text\" }}")), "remove it, or the columns"),
        (with("value = { name = \"tag\", type = \"text\", from = \"x\" }"), "remove from, computed, default"),
        (with("value = { name = \"tag\", type = \"float\" }"), "\"float\" is no column type"),
        (with(&columns(&["position"])), "\"position\" names two of its columns"),
        (with(&format!("{sku}positon = \"at\"")), "did you mean \"position\""),
        (with(&format!("{sku}[[target.children.children]]")), "unknown \"children\""),
        (with(&sku).replace("\"order_lines\"", "\"orders\""), "the table of the records or its ledger"),
        (with(&sku).replace("from = \"lines\"\n", ""), "from: it is missing: add from"),
        (with(&sku).replace("\"lines\"", "\"a[0]\""), "is in a list"),
        (with(&format!("{sku}tenant = \"key\"")), "its record has columns for tenant and key"),
        (with(&sku).replace("overflow = \"rest\"\n", ""), "a mapping needs a column or an overflow column"),
        (
            format!("{}[[target.children]]\nfrom = \"lines\"\ntable = \"more\"\n{sku}", with(&sku)),
            "order_lines takes the same list",
        ),
        (
            with(&sku)
                .replacen("table = \"orders\"", "table = \"order_lines\"", 1)
                .replace("sqlite:a.db", "postgres://u@db/shop"),
            "are the same table",
        ),
        (format!("quarantine_table = \"order_lines\"\n{}", with(&sku)), "it is the table of a store"),
    ] {
        let refused = refusal(&text);
        assert!(refused.contains(told), "{told}: {refused}\n{text}");
    }
    let items = with(&sku)
        .replace("url = \"postgres://u@db/shop\"\ntable = \"orders\"", "url = \"dynamodb://Orders\"");
    assert!(refusal(&items).contains("remove columns, overflow, on_misfit and children"));
}

#[test]
fn record_types_have_child_tables_of_their_own() {
    let of_type = |prefix: &str, table: &str, lines: &str| {
        format!(
            "[[target.types]]\nkey_prefix = \"{prefix}\"\ntable = \"{table}\"\noverflow = \"rest\"\n\
             [[target.types.children]]\nfrom = \"lines\"\ntable = \"{lines}\"\n{}",
            columns(&["sku"])
        )
    };
    let small = SMALL.strip_suffix("table = \"orders\"\n").expect("its last line");
    let spec = |other: &str| format!("{small}{}{}", of_type("A", "a", "a_lines"), of_type("B", "b", other));
    let types = read(&spec("b_lines")).target.types;
    let children =
        |at: usize| types[at].store.mapping.iter().flat_map(|it| it.children()).map(|it| it.table.clone());
    assert_eq!(children(0).chain(children(1)).collect::<Vec<_>>(), ["a_lines", "b_lines"]);
    for taken in ["a_lines", "a"] {
        assert!(refusal(&spec(taken)).contains(&format!("two record types have the table \"{taken}\"")));
    }
}

#[test]
fn the_fingerprint_covers_child_tables() {
    let one = with(&columns(&["sku", "n"]));
    let fingerprint = |text: &str| read(text).fingerprint();
    assert_eq!(fingerprint(&one), fingerprint(&with(&columns(&["n", "sku"]))));
    for other in [
        format!("{SMALL}overflow = \"rest\"\n"),
        with(&columns(&["sku"])),
        one.replace("order_lines", "other_lines"),
        one.replace("\"lines\"", "\"parts\""),
        format!("{one}position = \"place\"\n"),
        format!("{one}key = \"order_key\"\n"),
    ] {
        assert_ne!(fingerprint(&one), fingerprint(&other), "{other}");
    }
}

#[test]
fn a_child_s_own_names_default_to_the_record_s() {
    let own = format!("{SMALL}tenant = \"id\"\nkey = \"id\"\n{LINES}{}", columns(&["sku"]));
    let table = read(&own).target.sql_table().expect("SQL");
    let child: &Child = &table.children()[0];
    assert_eq!(child.primary(), ["id", "position"]);
    let created = create_sql(table.mapping.as_ref().expect("columns").dialect(), &table).expect("names");
    assert_eq!(created.len(), 1, "child tables are created on their own");
}
