//! Checks, before anything is written, whether the table can hold what will be written.

use sqlx::{MySql, Row, mysql::MySqlRow};

use super::{
    super::{
        KEY_MAX_BYTES, StoreError,
        mapping::{ColumnType, SqlTable},
        sql::{Calls, Statement},
    },
    permanent,
};
use cutover_core::{outcome::ErrorClass, routing::TENANT_MAX_BYTES};

/// A column as `information_schema` describes it.
struct Column {
    name: String,
    /// The type without sizes.
    kind: String,
    /// In characters for VARCHAR, in bytes for everything else; unlimited if the type has no size.
    most: u64,
    nullable: bool,
    /// The type with sizes.
    full_kind: String,
    fills_itself: bool,
    digits: u64,
    scale: u64,
    character_set: String,
}

/// Reports everything that is wrong with the table, whose names were checked.
pub(super) async fn check(calls: &Calls<MySql>, table: &SqlTable) -> Result<(), StoreError> {
    let name = &table.name;
    let of_table = format!("WHERE table_schema = DATABASE() AND table_name = '{name}'");
    let columns = format!(
        "SELECT column_name, data_type, CAST(character_maximum_length AS CHAR), is_nullable, column_type, \
         column_default IS NOT NULL OR extra <> '', CAST(numeric_precision AS CHAR), \
         CAST(numeric_scale AS CHAR), character_set_name FROM information_schema.columns {of_table}"
    );
    let columns: Vec<Column> = calls.rows(&Statement::text(columns)).await?.iter().map(Column::of).collect();
    let keys = format!(
        "SELECT index_name, GROUP_CONCAT(CONCAT(column_name, IF(sub_part IS NULL, '', '(..)')) \
         ORDER BY seq_in_index) FROM information_schema.statistics {of_table} AND non_unique = 0 \
         GROUP BY index_name"
    );
    let keys = calls.rows(&Statement::text(keys)).await?;
    let engine = format!(
        "SELECT t.table_type, t.engine, e.transactions FROM information_schema.tables AS t \
         LEFT JOIN information_schema.engines AS e ON e.engine = t.engine {}",
        of_table.replace("table_", "t.table_")
    );
    let engine = calls.rows(&Statement::text(engine)).await?;
    let wrong = |what| Err(permanent(ErrorClass::Other, "table", what));
    if columns.is_empty() {
        return Err(StoreError::no_table(name, "in this database: create it, or name another one"));
    }
    let find = |name: &str| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    if let Some(fault) = engine.first().and_then(|row| fault_of_engine(name, row)) {
        return wrong(fault);
    }
    let mut faults = Vec::new();
    let mut need =
        |name: &str, holds: &dyn Fn(&Column) -> bool, needed: String, nullable: bool| match find(name) {
            None => faults.push(format!("it has no column {name}")),
            Some(column) if !holds(column) => {
                faults.push(format!("column {name} is {} and has to be {needed}", column.shown()));
            }
            Some(column) if column.nullable != nullable => {
                let has = if nullable { "NULL (a tombstone has it)" } else { "NOT NULL" };
                faults.push(format!("column {name} has to be {has}"));
            }
            Some(_) => {}
        };
    // Ids must be compared byte by byte, including trailing blanks: most collations do neither, and MariaDB's
    // `utf8mb4_bin` not the second.
    for (id, bytes) in table.ids().into_iter().zip([TENANT_MAX_BYTES, KEY_MAX_BYTES]) {
        let holds = |column: &Column| column.kind == "varbinary" && column.most >= bytes as u64;
        need(id, &holds, format!("varbinary({bytes})"), false);
    }
    need(&table.fields.version, &|column| column.holds(ColumnType::Bigint), "bigint".to_owned(), false);
    for (name, kind) in table.content() {
        need(name, &|column| column.holds(kind), needed(kind), table.is_nullable(name));
    }
    for column in columns.iter().filter(|column| !column.nullable && !column.fills_itself) {
        if !table.has(&column.name) {
            faults.push(format!("column {} is NOT NULL and has no default", column.name));
        }
    }
    let keys: Vec<_> = keys.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    let ids = table.ids().join(",");
    if !keys.iter().any(|(name, columns)| name == "PRIMARY" && columns.eq_ignore_ascii_case(&ids)) {
        faults.push(format!("its primary key is not ({ids})"));
    }
    for (name, _) in keys.iter().filter(|(name, _)| name != "PRIMARY") {
        // An upsert would replace a record that is equal in that index instead of the intended one.
        faults.push(format!("{name} is a second unique index"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    wrong(format!("{name:?} can't be used: {}; change it, or name another one", faults.join(", ")))
}

/// Only an engine with transactions executes a batch as a whole or not at all. Partitions use their table's
/// engine.
fn fault_of_engine(table: &str, row: &MySqlRow) -> Option<String> {
    let (kind, engine, transactions) = (text(row, 0), text(row, 1), text(row, 2));
    if kind != "BASE TABLE" {
        return Some(format!("{table:?} is a {}: name the table behind it", kind.to_ascii_lowercase()));
    }
    (transactions != "YES").then(|| {
        format!(
            "{table:?} has the engine {engine}, which has no transactions: an interrupted write may be half \
             done. Run: ALTER TABLE `{table}` ENGINE = InnoDB"
        )
    })
}

impl Column {
    fn of(row: &MySqlRow) -> Self {
        let number = |at, none| text(row, at).parse().unwrap_or(none);
        Self {
            name: text(row, 0),
            kind: text(row, 1),
            most: number(2, u64::MAX),
            nullable: text(row, 3) == "YES",
            full_kind: text(row, 4),
            fills_itself: row.try_get::<i64, _>(5).is_ok_and(|is| is != 0),
            digits: number(6, 0),
            scale: number(7, 0),
            character_set: text(row, 8),
        }
    }

    /// Whether the column holds every value of this type exactly.
    fn holds(&self, kind: ColumnType) -> bool {
        let (is, signed) = (self.kind.as_str(), !self.full_kind.contains("unsigned"));
        let is_text = is.ends_with("text") && self.character_set == "utf8mb4";
        match kind {
            ColumnType::Text | ColumnType::Json => is_text && self.most >= LONG_BYTES,
            ColumnType::Varchar(most) => {
                let of_text = is_text && self.most >= u64::from(most) * 4;
                is == "varchar" && self.character_set == "utf8mb4" && self.most >= u64::from(most) || of_text
            }
            ColumnType::Bigint => is == "bigint" && signed,
            ColumnType::Decimal { digits, scale } => {
                let (scale, whole) = (u64::from(scale), u64::from(digits - scale));
                is == "decimal"
                    && signed
                    && self.scale >= scale
                    && self.digits.saturating_sub(self.scale) >= whole
            }
            ColumnType::Boolean => is == "tinyint",
            ColumnType::Blob => is.ends_with("blob") && self.most >= LONG_BYTES,
            ColumnType::Varbinary(most) => {
                (is == "varbinary" || is.ends_with("blob")) && self.most >= u64::from(most)
            }
        }
    }

    fn shown(&self) -> String {
        match self.character_set.as_str() {
            "" | "utf8mb4" => self.full_kind.clone(),
            set => format!("{} CHARACTER SET {set}", self.full_kind),
        }
    }
}

/// MEDIUMTEXT and MEDIUMBLOB: larger than DynamoDB's items.
const LONG_BYTES: u64 = (1 << 24) - 1;

fn needed(kind: ColumnType) -> String {
    match kind {
        ColumnType::Text | ColumnType::Json => "longtext CHARACTER SET utf8mb4".to_owned(),
        ColumnType::Varchar(most) => format!("varchar({most}) CHARACTER SET utf8mb4"),
        ColumnType::Blob => "longblob".to_owned(),
        other => other.to_string(),
    }
}

/// MySQL 8 returns some of these as text and others as bytes.
pub(super) fn text(row: &MySqlRow, at: usize) -> String {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap_or_default();
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}
