//! What a table has, for a draft of a spec.

use super::{
    super::{
        StoreError,
        described::{Described, DescribedColumn, Referencing},
        mapping::{ColumnType, Element, SqlTable},
        sql::{ServerOptions, Statement},
    },
    PostgresStore,
    column::{Column, holds},
    id_columns::columns,
    ledger::regclass,
    schema,
    server::text,
};

/// PostgreSQL's NUMERIC without a size takes more digits than any type of a spec.
const ANY_DECIMAL: ColumnType = ColumnType::Decimal { digits: 65, scale: 30 };

impl PostgresStore {
    /// Reads what a table has; `None`: there is no such table. Nothing is checked.
    pub async fn describe(
        url: &str,
        table: &str,
        options: ServerOptions,
    ) -> Result<Option<Described>, StoreError> {
        let sql_table = SqlTable::from(table);
        let ledger = sql_table.ledger_name();
        let store = Self::connect(url, sql_table, options).await?;
        let of_table = regclass(&store.schema, table);
        let all = columns(&store.calls, &of_table).await?;
        if all.is_empty() {
            return Ok(None);
        }
        let rows = async |sql: String| store.calls.rows(&Statement::text(sql)).await;
        let primary = format!(
            "SELECT attname::text FROM pg_index CROSS JOIN unnest(indkey) WITH ORDINALITY AS k (n, at) \
             JOIN pg_attribute ON attrelid = indrelid AND attnum = n \
             WHERE indrelid = {of_table} AND indisprimary ORDER BY at"
        );
        let foreign = format!(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE contype = 'f' AND {of_table} IN (conrelid, confrelid) AND conparentid = 0 ORDER BY 1, conname"
        );
        let columns_of = |keys: &str, table: &str| {
            format!(
                "(SELECT string_agg(attname::text, ', ' ORDER BY at) FROM unnest({keys}) WITH ORDINALITY AS k (n, at) \
                 JOIN pg_attribute ON attrelid = {table} AND attnum = n)"
            )
        };
        let referencing = format!(
            "SELECT relname::text, {}, {} FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = conrelid \
             WHERE contype = 'f' AND confrelid = {of_table} AND conrelid <> confrelid AND conparentid = 0 \
             AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = {of_table}) ORDER BY 1, conname",
            columns_of("conkey", "conrelid"),
            columns_of("confkey", "confrelid")
        );
        let names = |columns: String| columns.split(", ").map(str::to_owned).collect();
        let described = Described {
            referencing: (rows(referencing).await?.iter())
                .map(|row| Referencing {
                    table: text(row, 0),
                    columns: names(text(row, 1)),
                    to: names(text(row, 2)),
                })
                .collect(),
            primary: rows(primary).await?.iter().map(|row| text(row, 0)).collect(),
            foreign: (rows(foreign).await?.iter())
                .map(|row| {
                    let rest =
                        text(row, 1).replacen("FOREIGN KEY ", "", 1).replacen("REFERENCES", "references", 1);
                    format!("{} {rest}", text(row, 0))
                })
                .collect(),
            has_rows: matches!(schema::has_rows(&store.calls, &store.schema, table).await, Ok(Some(true))),
            has_ledger: schema::exists(&store.calls, &store.schema, &ledger).await?,
            columns: all.iter().map(described).collect(),
        };
        store.close().await;
        Ok(Some(described))
    }
}

fn described(column: &Column) -> DescribedColumn {
    let Column { name, nullable, fills_itself, generated_by, labels, .. } = column;
    let (is, own) = (column.kind.clone(), labels.clone());
    let has = move |kind, labels: &[String]| {
        holds(&is, kind) || kind == ColumnType::Enum && labels.iter().all(|label| own.contains(label))
    };
    let kinds = if labels.is_empty() { kind(&column.kind) } else { Some(ColumnType::Enum) };
    let shown = format!("{}{}", column.kind, column.collation);
    DescribedColumn {
        labels: labels.clone(),
        nullable: *nullable,
        fills_itself: *fills_itself,
        generated: !generated_by.is_empty(),
        key: column.key().map(|key| key.kind.into()),
        ..DescribedColumn::new(name, shown, kinds.into_iter().collect(), has)
    }
}

/// The type that holds the most of it.
fn kind(is: &str) -> Option<ColumnType> {
    if is.ends_with("[]") {
        let element = Element::ALL.into_iter().find(|(element, _)| element.array() == is);
        let texts = (is == "character varying[]").then_some(Element::Text);
        return element.map(|(element, _)| element).or(texts).map(ColumnType::Array);
    }
    let (name, rest) = is.split_once('(').unwrap_or((is, ""));
    let (sizes, after) = rest.split_once(')').unwrap_or(("", ""));
    let sizes: Vec<u32> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
    let of_second = || sizes.first().map_or(Some(6), |size| u8::try_from(*size).ok());
    Some(match (format!("{name}{after}").as_str(), sizes.as_slice()) {
        ("smallint", []) => ColumnType::Integer { bits: 16, unsigned: false },
        ("integer", []) => ColumnType::Integer { bits: 32, unsigned: false },
        ("bigint", []) => ColumnType::Bigint,
        ("numeric", []) => ANY_DECIMAL,
        ("numeric", [digits @ 1..=65, scale @ 0..=30]) if scale <= digits => {
            ColumnType::Decimal { digits: *digits, scale: *scale }
        }
        ("real", []) => ColumnType::Real,
        ("double precision", []) => ColumnType::Double,
        ("boolean", []) => ColumnType::Boolean,
        ("text" | "character varying", []) => ColumnType::Text,
        ("character varying", [most @ 1..=16_383]) => ColumnType::Varchar(*most),
        ("character", [most @ 1..=255]) => ColumnType::Char(*most),
        ("bytea", []) => ColumnType::Blob,
        ("uuid", []) => ColumnType::Uuid,
        ("json" | "jsonb", []) => ColumnType::Jsonb,
        ("bit", [bits @ 1..=64]) => ColumnType::Bit(u8::try_from(*bits).ok()?),
        ("date", []) => ColumnType::Date,
        ("time without time zone", _) => ColumnType::Time(of_second()?),
        ("timestamp without time zone", _) => ColumnType::Datetime(of_second()?),
        ("timestamp with time zone", _) => ColumnType::Timestamptz(of_second()?),
        _ => return None,
    })
}
