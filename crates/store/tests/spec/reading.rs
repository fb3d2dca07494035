//! A spec is read as documented.

use cutover_store::{
    mapping::{Dialect, Fields, OnMisfit},
    spec::{Limits, Spec, SpecError, StoreUrl},
};

use super::{SMALL, example, read, reference};

#[test]
fn the_example_of_the_reference_is_read() {
    let spec = read(&example());
    assert_eq!((spec.migration.as_str(), spec.residual_ms), ("orders", 30_000));
    assert_eq!(spec.quarantine_table, "orders_quarantine");
    assert_eq!(spec.limits, Limits::default());
    let endpoint = Some("http://127.0.0.1:8000".to_owned());
    assert_eq!(spec.source.url, StoreUrl::DynamoDb { region: Some("eu-west-1".to_owned()), endpoint });
    assert_eq!((spec.source.table.as_str(), &spec.source.mapping), ("Orders", &None));
    assert_eq!(spec.source.fields.of_item(), ["customer", "order_id", "cutover_version", "cutover_deleted"]);
    let mapping = spec.target.mapping.expect("it has columns");
    assert_eq!(mapping.dialect(), Dialect::MySql);
    assert_eq!(mapping.names().collect::<Vec<_>>(), ["price", "city", "signature", "placed_at", "rest"]);
    let types: Vec<String> = mapping.types().map(|kind| kind.to_string()).collect();
    assert_eq!(types, ["decimal(12,2)", "varchar(100)", "varbinary(64)", "datetime(3)", "json"]);
    let paths: Vec<_> = mapping.columns().iter().map(|column| column.path.steps().len()).collect();
    assert_eq!(paths, [1, 2, 1, 1]);
    let shown: Vec<_> = mapping.columns().iter().map(|column| column.path.to_string()).collect();
    assert_eq!(shown, ["price", "address.city", "sig.v1", "placed"]);
    let required: Vec<_> = mapping.columns().iter().map(|column| column.required).collect();
    assert_eq!((required, mapping.on_misfit()), (vec![true, false, false, false], OnMisfit::Quarantine));
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec = read(SMALL);
    assert_eq!((spec.server, spec.limits, spec.residual_ms), (None, Limits::default(), 30_000));
    assert_eq!(spec.quarantine_table, "cutover_quarantine");
    assert_eq!((spec.source.fields, spec.source.mapping), (Fields::default(), None));
}

#[test]
fn a_table_may_stand_in_the_url() {
    let text = SMALL.replace("sqlite:a.db\"\ntable = \"orders\"", "sqlite:dir with blanks/a.db?table=old\"");
    let spec = read(&text);
    assert_eq!(spec.source.table, "old");
    assert_eq!(spec.source.url, StoreUrl::Sqlite { path: "dir with blanks/a.db".into() });
    let text = SMALL.replace("u@db/shop\"\ntable = \"orders\"", "u@db/shop?sslmode=require&table=new\"");
    let spec = read(&text);
    assert_eq!(spec.target.table, "new");
    assert_eq!(spec.target.url.to_string(), "postgres://u@db/shop?sslmode=require");
}

#[test]
fn a_socket_is_the_same_in_every_form() {
    let url = |url: &str| {
        let spec = read(&SMALL.replace("postgres://u@db/shop", url));
        (spec.target.url.to_string(), spec.fingerprint())
    };
    let forms = [
        "postgres://u@localhost/shop?host=/run/postgresql",
        "postgres://u@/shop?host=/run/postgresql",
        "postgres:///shop?host=/run/postgresql&user=u",
        "postgres://u@%2Frun%2Fpostgresql/shop",
        "postgresql://u@:5432/shop?host=%2Frun%2Fpostgresql",
    ];
    let (_, fingerprint) = url(forms[0]);
    for form in forms {
        let (shown, same) = url(form);
        assert!(shown.starts_with("postgres") && shown.contains("://u@localhost"), "{form}: {shown}");
        assert!(shown.ends_with("/shop?host=%2Frun%2Fpostgresql"), "{form}: {shown}");
        assert_eq!(same, fingerprint, "{form}");
    }
    assert_ne!(url("postgres://u@:5433/shop?host=/run/postgresql").1, fingerprint, "another server's");
    assert_eq!(url("postgres://u@/shop?host=db&port=5433").0, "postgres://u@db:5433/shop");
    let more = "postgres://u@db/shop?application_name=orders&sslmode=verify-full&sslrootcert=ca.pem";
    assert_eq!(url(more).0, more);
    let spec = read(&format!("{SMALL}connections = 4\n"));
    assert_eq!((spec.target.connections, spec.source.connections), (Some(4), None));
    assert_eq!(spec.fingerprint(), read(SMALL).fingerprint(), "it does not change what is copied");
}

/// The keys that a table of the file knows, from the error for an unknown one.
fn keys(text: String) -> Vec<String> {
    match text.parse::<Spec>() {
        Err(SpecError::Unknown { name, known, .. }) if name == "no_such_key" => known,
        other => panic!("it was to refuse no_such_key: {other:?}\n{text}"),
    }
}

#[test]
fn every_key_is_in_the_reference_and_every_key_there_is_known() {
    let reference = reference();
    let sections = [
        ("## The file", keys(format!("no_such_key = 1\n{SMALL}"))),
        ("## A store", keys(format!("{SMALL}no_such_key = 1\n"))),
        (
            "## A column",
            keys(format!("{SMALL}[[target.columns]]\nname = \"a\"\ntype = \"text\"\nno_such_key = 1\n")),
        ),
        (
            "## Child tables",
            keys(format!(
                "{SMALL}overflow = \"rest\"\n[[target.children]]\nfrom = \"lines\"\ntable = \"order_lines\"\n\
                 columns = [{{ name = \"sku\", type = \"text\" }}]\nno_such_key = 1\n"
            )),
        ),
        ("## Limits", keys(format!("{SMALL}[limits]\nno_such_key = 1\n"))),
    ];
    for (heading, mut known) in sections {
        let section = reference.split(&format!("{heading}\n")).nth(1).expect(heading);
        let table =
            section.split("| key |").nth(1).and_then(|table| table.split("\n\n").next()).expect(heading);
        let first_cells = table.lines().skip(2).filter_map(|line| line.split('|').nth(1));
        let mut documented: Vec<String> =
            first_cells.flat_map(|cell| cell.split(", ").map(|key| key.trim().replace('`', ""))).collect();
        known.sort();
        documented.sort();
        assert_eq!(known, documented, "{heading}");
    }
}
