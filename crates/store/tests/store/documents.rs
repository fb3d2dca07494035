//! A table with columns for the suite's documents.

use cutover_store::mapping::{Column, ColumnPath, Dialect, Fields, Mapping, OnMisfit, SqlTable, Versions};
pub(crate) use cutover_store::suite::Documents;

fn column(path: &str, kind: &str) -> Column {
    Column {
        name: path.replace('.', "_"),
        path: ColumnPath::dotted(path).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: path == "body",
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    }
}

/// A table that has a column of most types for them, and names of its own.
pub(crate) fn table(dialect: Dialect, name: &str) -> SqlTable {
    let columns = vec![
        column("body", "blob"),
        column("bytes", "bigint"),
        column("at.half", "decimal(12,1)"),
        column("empty", "boolean"),
        column("text", "varchar(40)"),
        column("more", "json"),
    ];
    let mapping = Mapping::new(dialect, columns, Some("rest".to_owned()), OnMisfit::Overflow);
    let named = |name: &str| name.to_owned();
    let fields = Fields {
        tenant: named("owner"),
        key: named("order"),
        version: named("at_version"),
        deleted: named("gone"),
        ..Fields::default()
    };
    SqlTable {
        name: name.to_owned(),
        fields,
        mapping: Some(mapping.expect("a mapping")),
        versions: Versions::default(),
    }
}

/// The same with a child table for the list of parts.
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(crate) fn with_children(dialect: Dialect, name: &str) -> SqlTable {
    use cutover_store::mapping::Child;

    let table = table(dialect, name);
    let columns = vec![column("n", "bigint"), column("byte", "varbinary(1)"), column("even", "boolean")];
    let elements = Mapping::new(dialect, columns, Some("rest".to_owned()), OnMisfit::Quarantine);
    let child = Child {
        table: format!("{name}_parts"),
        path: ColumnPath::dotted("parts").expect("a path"),
        tenant: "owner".to_owned(),
        key: "of_order".to_owned(),
        position: "place".to_owned(),
        elements: elements.expect("a mapping"),
        of_values: false,
    };
    let mapping = table.mapping.expect("it has columns").with_children(vec![child]);
    SqlTable { mapping: Some(mapping.expect("a mapping")), ..table }
}
