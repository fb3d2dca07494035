//! A table with columns for the suite's documents.

use cutover_store::mapping::{Column, ColumnPath, Dialect, Fields, Mapping, OnMisfit, SqlTable, Versions};
pub(crate) use cutover_store::suite::Documents;

/// A table that has a column of most types for them, and names of its own.
pub(crate) fn table(dialect: Dialect, name: &str) -> SqlTable {
    let column = |path: &str, kind: &str| Column {
        name: path.replace('.', "_"),
        path: ColumnPath::dotted(path).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: path == "body",
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    };
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
