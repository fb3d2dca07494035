//! What a table has, for a draft of a spec.

use super::{
    super::{
        StoreError,
        described::{Described, DescribedColumn, Referencing},
        mapping::{Charset, ColumnType, SqlTable},
        sql::{ServerOptions, Statement},
    },
    MySqlStore,
    column::Column,
    id_columns::{columns, of_table},
    schema::has_rows,
    server::text,
    warnings,
};
use cutover_core::routing::TENANT_MAX_BYTES;

impl MySqlStore {
    /// Reads what a table has; `None`: there is no such table. Nothing is checked.
    pub async fn describe(
        url: &str,
        table: &str,
        options: ServerOptions,
    ) -> Result<Option<Described>, StoreError> {
        let sql_table = SqlTable::from(table);
        let ledger = sql_table.ledger_name();
        let store = Self::connect(url, sql_table, options).await?;
        let all = columns(&store.calls, table).await?;
        if all.is_empty() {
            return Ok(None);
        }
        let of_table = of_table(table);
        let rows = async |sql: String| store.calls.rows(&Statement::text(sql)).await;
        let primary = format!(
            "SELECT column_name FROM information_schema.statistics {of_table} AND index_name = 'PRIMARY' \
             ORDER BY seq_in_index"
        );
        let foreign = format!(
            "SELECT table_name, GROUP_CONCAT(column_name ORDER BY ordinal_position SEPARATOR ', '), \
             referenced_table_name, GROUP_CONCAT(referenced_column_name ORDER BY ordinal_position SEPARATOR ', ') \
             FROM information_schema.key_column_usage WHERE table_schema = DATABASE() \
             AND referenced_table_schema = DATABASE() AND '{table}' IN (table_name, referenced_table_name) \
             GROUP BY constraint_name, table_name, referenced_table_name ORDER BY table_name, constraint_name"
        );
        let of_ledger = format!("SELECT 1 FROM information_schema.tables {}", self::of_table(&ledger));
        let checks = warnings::checks(&store.calls, table).await;
        let is_json =
            |column: &Column| checks.iter().any(|(_, clause)| warnings::is_json_check(clause, &column.name));
        let foreign = rows(foreign).await?;
        let foreign: Vec<_> = foreign.iter().map(|row| [0, 1, 2, 3].map(|at| text(row, at))).collect();
        let refers =
            |[of, _, to, _]: &&[String; 4]| to.eq_ignore_ascii_case(table) && !of.eq_ignore_ascii_case(table);
        let names = |columns: &str| columns.split(", ").map(str::to_owned).collect();
        let referencing = |[of, columns, _, to]: &[String; 4]| Referencing {
            table: of.clone(),
            columns: names(columns),
            to: names(to),
        };
        let described = Described {
            primary: rows(primary).await?.iter().map(|row| text(row, 0)).collect(),
            referencing: foreign.iter().filter(refers).map(referencing).collect(),
            foreign: (foreign.iter())
                .map(|[of, columns, to, others]| format!("{of} ({columns}) references {to} ({others})"))
                .collect(),
            has_rows: matches!(has_rows(&store.calls, table).await, Ok(Some(true))),
            has_ledger: !rows(of_ledger).await?.is_empty(),
            columns: all.iter().map(|column| described(column, is_json(column))).collect(),
        };
        store.close().await;
        Ok(Some(described))
    }
}

fn described(column: &Column, is_json: bool) -> DescribedColumn {
    let Column { name, nullable, fills_itself, is_generated, .. } = column;
    let holds = column.clone();
    let kind = kind(column).filter(|kind| {
        let of_labels = column.has_labels(*kind, &column.labels());
        column.holds(*kind) || of_labels || column.narrow(*kind).is_some()
    });
    let kinds = if is_json { vec![ColumnType::Jsonb] } else { kind.into_iter().collect() };
    let shown = match column.collation.as_str() {
        "" => column.full_kind.clone(),
        collation => format!("{} COLLATE {collation}", column.full_kind),
    };
    let has = move |kind, labels: &[String]| {
        holds.holds(kind) || holds.has_labels(kind, labels) || holds.narrow(kind).is_some()
    };
    DescribedColumn {
        labels: column.labels(),
        nullable: *nullable,
        fills_itself: *fills_itself,
        generated: *is_generated,
        key: column.key(TENANT_MAX_BYTES as u64).map(|key| key.kind.into()),
        ..DescribedColumn::new(name, shown, kinds, has)
    }
}

/// The type that holds the most of it.
fn kind(column: &Column) -> Option<ColumnType> {
    let unsigned = column.full_kind.contains("unsigned");
    let number = |most: u64| u32::try_from(most).unwrap_or(u32::MAX);
    let integer = |bits| Some(ColumnType::Integer { bits, unsigned });
    match column.kind.as_str() {
        "tinyint" if column.full_kind.starts_with("tinyint(1)") && !unsigned => Some(ColumnType::Boolean),
        "tinyint" => integer(8),
        "smallint" => integer(16),
        "mediumint" => integer(24),
        "int" => integer(32),
        "bigint" if unsigned => integer(64),
        "bigint" => Some(ColumnType::Bigint),
        "float" if !column.full_kind.contains(',') => Some(ColumnType::Real),
        "double" if !column.full_kind.contains(',') => Some(ColumnType::Double),
        "decimal" | "float" | "double" => {
            Some(ColumnType::Decimal { digits: number(column.digits), scale: number(column.scale) })
        }
        "varchar" => Some(ColumnType::Varchar(number(column.most).clamp(1, 16_383))),
        "char" => Some(ColumnType::Char(number(column.most).clamp(1, 255))),
        // Each character may have four bytes.
        "tinytext" | "text" => {
            let bytes = Charset::named(&column.character_set).map_or(4, Charset::bytes);
            Some(ColumnType::Varchar((number(column.most) / number(bytes)).min(16_383)))
        }
        "mediumtext" | "longtext" => Some(ColumnType::Text),
        "enum" => Some(ColumnType::Enum),
        "binary" if column.most == 16 => Some(ColumnType::UuidBytes),
        "binary" => Some(ColumnType::Varbinary(number(column.most).clamp(1, 65_535))),
        "year" => Some(ColumnType::Integer { bits: 16, unsigned: false }),
        "set" => Some(ColumnType::Varchar(number(column.most).clamp(1, 16_383))),
        "varbinary" | "tinyblob" | "blob" => {
            Some(ColumnType::Varbinary(number(column.most).clamp(1, 65_535)))
        }
        "mediumblob" | "longblob" => Some(ColumnType::Blob),
        "bit" if column.digits == 1 => Some(ColumnType::Boolean),
        "bit" => u8::try_from(column.digits).ok().map(ColumnType::Bit),
        "uuid" => Some(ColumnType::Uuid),
        "date" => Some(ColumnType::Date),
        "time" => Some(ColumnType::Time(column.of_second())),
        "datetime" => Some(ColumnType::Datetime(column.of_second())),
        "timestamp" => Some(ColumnType::Timestamptz(column.of_second())),
        _ => None,
    }
}
