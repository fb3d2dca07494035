//! Statements that create tables, on request. Nothing here alters a table.

#[cfg(feature = "spec")]
use super::KeyHolds;
use super::{Child, ColumnType, Dialect, Fields, Mapping, NameError, SqlTable, fields::check_name};

/// The statement that creates a store's table: with the columns of a mapping, or else with one for the whole
/// record. Fails for invalid names, and for columns with the same name as a field.
///
/// Tenant and key are compared byte by byte. In MySQL they are VARBINARY, because a binary collation of text
/// still ignores trailing blanks. Content columns are never NOT NULL: a tombstone has no content.
pub fn create_table_sql(
    dialect: Dialect,
    table: &str,
    fields: &Fields,
    mapping: Option<&Mapping>,
) -> Result<String, NameError> {
    create_table(dialect, table, fields, mapping, ["", ""])
}

/// With the types of tenant and key, if these are not empty.
fn create_table(
    dialect: Dialect,
    table: &str,
    fields: &Fields,
    mapping: Option<&Mapping>,
    [of_tenant, of_key]: [&str; 2],
) -> Result<String, NameError> {
    check_name(table)?;
    let names = || mapping.into_iter().flat_map(Mapping::names);
    fields.check_table(mapping.is_some(), names())?;
    let q = |name: &str| quoted(dialect, name);
    let id = |name: &str, given: &str, most: u32| {
        let kind = if given.is_empty() { id_type(dialect, most) } else { given.to_owned() };
        format!("{} {kind} NOT NULL", q(name))
    };
    let mut lines = vec![id(&fields.tenant, of_tenant, 256)];
    let mut primary = q(&fields.tenant);
    if !fields.is_own_tenant() {
        lines.push(id(&fields.key, of_key, 1024));
        primary = format!("{primary}, {}", q(&fields.key));
    }
    lines.push(format!(
        "{} {} NOT NULL DEFAULT 0",
        q(&fields.version),
        sql_type(dialect, ColumnType::Bigint)
    ));
    match mapping {
        None => lines.push(format!("{} {}", q(&fields.value), sql_type(dialect, ColumnType::Blob))),
        Some(mapping) => {
            let no = if dialect == Dialect::Sqlite { "0" } else { "FALSE" };
            let boolean = sql_type(dialect, ColumnType::Boolean);
            lines.push(format!("{} {boolean} NOT NULL DEFAULT {no}", q(&fields.deleted)));
            let columns = mapping.names().zip(mapping.types());
            lines.extend(columns.map(|(name, kind)| {
                format!("{} {}", q(name), column_sql(dialect, kind, mapping.labels(name)))
            }));
        }
    }
    Ok(create(dialect, table, lines, &primary))
}

/// [`create_table_sql`] with keys of these types. `None`: they are texts, or this server has no others as keys.
#[cfg(feature = "spec")]
pub fn create_typed_sql(
    dialect: Dialect,
    table: &SqlTable,
    kinds: [KeyHolds; 2],
) -> Result<Option<String>, NameError> {
    let kind = |kind| match (kind, dialect) {
        (KeyHolds::Numbers, _) => "BIGINT",
        (KeyHolds::Uuids, Dialect::Postgres) => "UUID",
        (KeyHolds::Uuids, _) => "BINARY(16)",
        _ => "",
    };
    let kinds = kinds.map(kind);
    if dialect == Dialect::Sqlite || kinds == ["", ""] {
        return Ok(None);
    }
    create_table(dialect, &table.name, &table.fields, table.mapping.as_ref(), kinds).map(Some)
}

/// The statement that creates a table's ledger, if it has one, whose tenant and key have these types; empty: the usual
/// ones.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(crate) fn create_ledger_sql(
    dialect: Dialect,
    table: &SqlTable,
    kinds: [&str; 2],
) -> Result<Option<String>, NameError> {
    let Some(entries) = table.entries(dialect) else { return Ok(None) };
    create_table(dialect, &entries.name, &entries.fields, entries.mapping.as_ref(), kinds).map(Some)
}

/// The statements that create a table, and its ledger if it has one. With a ledger the table has no columns of
/// Cutover's own; NOT NULL and other constraints are up to whoever creates it.
pub fn create_sql(dialect: Dialect, table: &SqlTable) -> Result<Vec<String>, NameError> {
    let Some(entries) = table.entries(dialect) else {
        return Ok(vec![create_table_sql(dialect, &table.name, &table.fields, table.mapping.as_ref())?]);
    };
    check_name(&table.name)?;
    let names = || table.mapping.iter().flat_map(Mapping::names);
    table.fields.check_table(table.mapping.is_some(), names())?;
    let q = |name: &str| quoted(dialect, name);
    let ids = table.ids().into_iter().zip([256, 1024]);
    let mut lines: Vec<String> =
        ids.map(|(name, most)| format!("{} {} NOT NULL", q(name), id_type(dialect, most))).collect();
    // A whole record is never NULL: deleted ones are gone.
    let null = if table.mapping.is_none() { " NOT NULL" } else { "" };
    let content = table.own_content().into_iter();
    lines.extend(
        content.map(|(name, kind)| {
            format!("{} {}{null}", q(name), column_sql(dialect, kind, table.labels(name)))
        }),
    );
    let primary: Vec<String> = table.ids().into_iter().map(q).collect();
    Ok(vec![
        create(dialect, &table.name, lines, &primary.join(", ")),
        create_table_sql(dialect, &entries.name, &entries.fields, entries.mapping.as_ref())?,
    ])
}

/// The statement that creates a child table, whose tenant and key have these types; empty: the usual ones. If a program
/// deletes a record outright, its rows go with it.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(crate) fn create_child_sql(
    dialect: Dialect,
    table: &SqlTable,
    child: &Child,
    kinds: [&str; 2],
) -> Result<String, NameError> {
    let q = |name: &str| quoted(dialect, name);
    let list = |names: Vec<&str>| names.into_iter().map(q).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    for ((name, most), kind) in child.ids().into_iter().zip([256, 1024]).zip(kinds) {
        check_name(name)?;
        let kind = if kind.is_empty() { id_type(dialect, most) } else { kind.to_owned() };
        lines.push(format!("{} {kind} NOT NULL", q(name)));
    }
    lines.push(format!("{} INTEGER NOT NULL", q(&child.position)));
    let columns = child.elements.names().zip(child.elements.types());
    lines.extend(columns.map(|(name, kind)| {
        format!("{} {}", q(name), column_sql(dialect, kind, child.elements.labels(name)))
    }));
    lines.push(format!("PRIMARY KEY ({})", list(child.primary())));
    lines.push(foreign_key_sql(dialect, table, child));
    Ok(create_with(dialect, &child.table, &lines))
}

/// The foreign key of a child table to its records' table.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(crate) fn foreign_key_sql(dialect: Dialect, table: &SqlTable, child: &Child) -> String {
    let list =
        |names: Vec<&str>| names.into_iter().map(|name| quoted(dialect, name)).collect::<Vec<_>>().join(", ");
    // Otherwise MySQL makes a name by adding to that of the table, and refuses it if it gets longer than 64.
    let name = match &child.table {
        of if dialect == Dialect::MySql && of.len() > 56 => {
            format!("CONSTRAINT `{of:.48}_{:08x}` ", crc32fast::hash(of.as_bytes()))
        }
        _ => String::new(),
    };
    format!(
        "{name}FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE CASCADE",
        list(child.ids()),
        quoted(dialect, &table.name),
        list(table.ids())
    )
}

fn create(dialect: Dialect, table: &str, mut lines: Vec<String>, primary: &str) -> String {
    lines.push(format!("PRIMARY KEY ({primary})"));
    create_with(dialect, table, &lines)
}

fn create_with(dialect: Dialect, table: &str, lines: &[String]) -> String {
    let options = match dialect {
        Dialect::Sqlite => " WITHOUT ROWID",
        Dialect::MySql => " ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
        Dialect::Postgres => "",
    };
    let table = quoted(dialect, table);
    format!("CREATE TABLE IF NOT EXISTS {table} (\n  {}\n){options}", lines.join(",\n  "))
}

/// The name was checked: it has no quotes.
pub(in super::super) fn quoted(dialect: Dialect, name: &str) -> String {
    if dialect == Dialect::MySql { format!("`{name}`") } else { format!("\"{name}\"") }
}

fn id_type(dialect: Dialect, most_bytes: u32) -> String {
    match dialect {
        Dialect::Sqlite => "TEXT COLLATE BINARY".to_owned(),
        Dialect::MySql => format!("VARBINARY({most_bytes})"),
        Dialect::Postgres => "TEXT COLLATE \"C\"".to_owned(),
    }
}

/// The same as [`sql_type`], with the labels of an `enum` column. In PostgreSQL that would need a type of its own, so it
/// is text there.
pub(crate) fn column_sql(dialect: Dialect, kind: ColumnType, labels: &[String]) -> String {
    if (dialect, kind) != (Dialect::MySql, ColumnType::Enum) {
        return sql_type(dialect, kind);
    }
    let quoted: Vec<String> =
        labels.iter().map(|label| format!("'{}'", label.replace('\\', "\\\\").replace('\'', "''"))).collect();
    format!("ENUM({}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", quoted.join(","))
}

/// A type that holds every value of the column unchanged.
pub(crate) fn sql_type(dialect: Dialect, kind: ColumnType) -> String {
    const MYSQL_TEXT: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
    match (dialect, kind.of(dialect)) {
        // NUMERIC would convert numbers with more than 15 digits to floats.
        (
            Dialect::Sqlite,
            ColumnType::Decimal { .. } | ColumnType::Integer { bits: 64, .. } | ColumnType::Bit(64),
        ) => "TEXT".to_owned(),
        (
            Dialect::Sqlite,
            ColumnType::Bigint | ColumnType::Integer { .. } | ColumnType::Bit(_) | ColumnType::Boolean,
        ) => "INTEGER".to_owned(),
        (Dialect::Sqlite, ColumnType::Real | ColumnType::Double) => "REAL".to_owned(),
        (Dialect::Sqlite, ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes) => {
            "BLOB".to_owned()
        }
        (Dialect::Sqlite, _) => "TEXT".to_owned(),
        // Not JSON: MariaDB's allows 32 levels, and MySQL's rewrites the text, and some numbers in it.
        (Dialect::MySql, ColumnType::Text | ColumnType::Json | ColumnType::Jsonb) => {
            format!("LONGTEXT {MYSQL_TEXT}")
        }
        (Dialect::MySql, ColumnType::Varchar(most)) => format!("VARCHAR({most}) {MYSQL_TEXT}"),
        (Dialect::MySql, ColumnType::Char(most)) => format!("CHAR({most}) {MYSQL_TEXT}"),
        (Dialect::MySql, ColumnType::Integer { .. }) => kind.to_string().to_ascii_uppercase(),
        (Dialect::MySql, ColumnType::Real) => "FLOAT".to_owned(),
        (Dialect::MySql, ColumnType::Double) => "DOUBLE".to_owned(),
        (Dialect::MySql, ColumnType::Blob) => "LONGBLOB".to_owned(),
        (Dialect::MySql, ColumnType::Varbinary(most)) => format!("VARBINARY({most})"),
        (Dialect::MySql, ColumnType::Enum) => "ENUM".to_owned(),
        // Only MariaDB has UUID.
        (Dialect::MySql, ColumnType::Uuid) => "CHAR(36) CHARACTER SET ascii".to_owned(),
        (Dialect::MySql, ColumnType::UuidBytes) => "BINARY(16)".to_owned(),
        (Dialect::MySql, ColumnType::Datetime(digits)) => format!("DATETIME({digits})"),
        // Without NULL, some servers make it NOT NULL and set it to the present time at each update.
        (Dialect::MySql, ColumnType::Timestamptz(digits)) => format!("TIMESTAMP({digits}) NULL"),
        // Not JSONB: it refuses an escaped NUL.
        (Dialect::Postgres, ColumnType::Text | ColumnType::Json | ColumnType::Enum) => "TEXT".to_owned(),
        (Dialect::Postgres, ColumnType::Jsonb) => "JSONB".to_owned(),
        (_, ColumnType::Array(element)) => format!("{}[]", sql_type(dialect, element.column())),
        (_, ColumnType::Bit(bits)) => format!("BIT({bits})"),
        (Dialect::Postgres, ColumnType::Varchar(most)) => format!("VARCHAR({most})"),
        (Dialect::Postgres, ColumnType::Char(most)) => format!("CHAR({most})"),
        (Dialect::Postgres, ColumnType::Integer { bits, unsigned }) => match (bits, unsigned) {
            (8, _) | (16, false) => "SMALLINT",
            (16, true) | (24, _) | (32, false) => "INTEGER",
            (32, true) => "BIGINT",
            _ => "NUMERIC(20,0)",
        }
        .to_owned(),
        (Dialect::Postgres, ColumnType::Real) => "REAL".to_owned(),
        (Dialect::Postgres, ColumnType::Double) => "DOUBLE PRECISION".to_owned(),
        (Dialect::Postgres, ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes) => {
            "BYTEA".to_owned()
        }
        (Dialect::Postgres, ColumnType::Uuid) => "UUID".to_owned(),
        (Dialect::Postgres, ColumnType::Timestamptz(digits)) => format!("TIMESTAMPTZ({digits})"),
        (_, ColumnType::Datetime(digits) | ColumnType::Timestamp(digits)) => format!("TIMESTAMP({digits})"),
        (_, ColumnType::Time(digits)) => format!("TIME({digits})"),
        (_, ColumnType::Date) => "DATE".to_owned(),
        (_, ColumnType::Bigint) => "BIGINT".to_owned(),
        (_, ColumnType::Boolean) => "BOOLEAN".to_owned(),
        (Dialect::Postgres, ColumnType::Decimal { digits, scale }) => format!("NUMERIC({digits},{scale})"),
        (_, ColumnType::Decimal { digits, scale }) => format!("DECIMAL({digits},{scale})"),
    }
}
