//! Checks, before anything is written, whether the table can hold what will be written.

mod children;
mod lookup;

use sqlx::{Postgres, Row, postgres::PgRow};

use super::{
    super::{
        StoreError,
        mapping::{ColumnType, Dialect, SqlTable},
        sql::{
            Calls, Faults, KeyKind, Keys, Statement, cascading, check_no_ledger, in_this_database,
            loose_with_ledger, no_ledger, of_both, versions_twice,
        },
    },
    column::{Column, holds, needed},
    id_columns::columns,
    ledger::regclass,
    server::text,
    warnings,
};
pub(super) use lookup::{exists, has_rows, schema_of};

/// What a key that can't be one has to be.
const ID: &str = "text COLLATE \"C\"";

/// Reports everything that is wrong with the table and its ledger, whose names were checked.
pub(super) async fn check(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
    keys: &Keys,
) -> Result<(), StoreError> {
    let mut checked = check_one(calls, schema, table, None).await;
    for child in table.children() {
        checked = of_both(checked, children::check(calls, schema, table, child, keys).await);
    }
    let Some(ledger) = table.entries(Dialect::Postgres) else {
        let ledger = table.ledger_name();
        return of_both(checked, check_no_ledger(&ledger, has_rows(calls, schema, &ledger).await?));
    };
    if checked.is_ok() && !exists(calls, schema, &ledger.name).await? {
        return Err(no_ledger(Dialect::Postgres, table, keys, &ledger.name));
    }
    of_both(checked, check_one(calls, schema, &ledger, Some(keys)).await)
}

/// The `enum` columns of a table and its child tables that have a type of their own: table, column and type.
pub(super) async fn enums(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
) -> Result<Vec<(String, String, String)>, StoreError> {
    let mut enums = enums_of(calls, schema, table).await?;
    for child in table.children() {
        enums.extend(enums_of(calls, schema, &table.of_child(child)).await?);
    }
    Ok(enums)
}

async fn enums_of(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
) -> Result<Vec<(String, String, String)>, StoreError> {
    if !table.content().iter().any(|(_, kind)| *kind == ColumnType::Enum) {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute JOIN pg_type AS t ON t.oid = atttypid \
         WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped AND typtype = 'e'",
        regclass(schema, &table.name)
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    Ok(rows.iter().map(|row| (table.name.clone(), text(row, 0), text(row, 1))).collect())
}

/// `of`: the keys of the table whose ledger this is.
async fn check_one(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
    of: Option<&Keys>,
) -> Result<(), StoreError> {
    let name = &table.name;
    let of_table = regclass(schema, name);
    let columns = columns(calls, &of_table).await?;
    let keys = unique_indexes(calls, &of_table).await?;
    let kinds = kinds(calls, &of_table).await?;
    if columns.is_empty() {
        let advice = in_this_database(warnings::other_case(calls, name).await);
        return Err(StoreError::no_table(name, &advice));
    }
    let mut faults = Faults::default();
    kinds.iter().filter_map(fault_of_kind).for_each(|fault| faults.add(fault));
    if kinds.iter().any(|row| !matches!(text(row, 0).as_str(), "r" | "p")) {
        return faults.end(&format!("{name:?}"));
    }
    for (id, definition) in table.ids().into_iter().zip(of.map_or([""; 2], Keys::definitions)) {
        need(&mut faults, &columns, table, id, Wanted::Id(definition, of.is_some()), Some(false));
    }
    if !table.has_ledger() {
        let version = Wanted::Content(ColumnType::Bigint);
        need(&mut faults, &columns, table, &table.fields.version, version, Some(false));
    }
    for (column, kind) in table.own_content() {
        need(&mut faults, &columns, table, column, Wanted::Content(kind), table.needs_null(column));
    }
    unfilled(&mut faults, &columns, name, |column| table.has(column));
    let ids = table.ids();
    // An index in another collation has another order than a scan, so every page would sort the table. Where different
    // texts are equal it would not keep them apart either, and a page that ends between two of them would lose one.
    let of_columns = |row: &PgRow| row.try_get(3).unwrap_or(false);
    if !keys.iter().any(|row| text(row, 0) == ids.join(",") && of_columns(row)) {
        faults.add(format!(
            "it has no primary key or unique index on ({ids}) in the collations of these columns. Run: CREATE UNIQUE \
             INDEX ON \"{name}\" ({ids})",
            ids = ids.join(", ")
        ));
    }
    // ON CONFLICT fails if one of the indexes that it may use, in any order, is checked later.
    let is_late = |row: &&PgRow| !row.try_get(1).unwrap_or(true);
    let of_ids =
        |key: &str| key.split(',').count() == ids.len() && key.split(',').all(|it| ids.contains(&it));
    // It also uses one in which other ids are equal, and would change another record.
    let is_loose = |row: &&PgRow| row.try_get(2).unwrap_or(false) && !of_columns(row);
    if let Some(loose) = keys.iter().filter(is_loose).map(|row| text(row, 0)).find(|key| of_ids(key)) {
        faults.add(format!(
            "a unique index on ({loose}) has a nondeterministic collation, in which different ids are equal: drop it"
        ));
    }
    if let Some(late) = keys.iter().filter(is_late).map(|row| text(row, 0)).find(|key| of_ids(key)) {
        faults.add(format!(
            "its key on ({late}) is DEFERRABLE and has to be NOT DEFERRABLE: create it again without"
        ));
    }
    let is_loose_id = |column: &&Column| column.is_loose() && ids.contains(&&*column.name);
    if let Some(column) = columns.iter().find(is_loose_id).filter(|_| table.has_ledger()) {
        faults.add(loose_with_ledger(&column.name, &format!("{}{}", column.kind, column.collation)));
    }
    if table.has_ledger() {
        let fields = [&table.fields.version, &table.fields.deleted];
        for column in columns.iter().filter(|column| fields.contains(&&column.name)) {
            faults.add(versions_twice(&column.name));
        }
        let children = format!(
            "SELECT conrelid::regclass::text, conname::text, CASE confdeltype WHEN 'c' THEN 'CASCADE' \
             WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END FROM pg_constraint \
             WHERE confrelid = {of_table} AND contype = 'f' AND confdeltype IN ('c', 'n', 'd'){} ORDER BY 1, 2",
            warnings::of_others(schema, table)
        );
        for row in &calls.rows(&Statement::text(children)).await? {
            faults.add(cascading(&text(row, 0), &text(row, 1), &text(row, 2)));
        }
    }
    for fault in rules_and_replicas(calls, &of_table, name, false).await? {
        faults.add(fault);
    }
    for (constraint, clause) in warnings::checks(calls, &of_table).await? {
        if !table.has_ledger() && refuses_tombstones(calls, table, &columns, &clause).await {
            faults.add(format!(
                "{constraint}, {clause}, refuses deleted records, whose columns are NULL: let it allow NULL, or \
                 run: ALTER TABLE \"{name}\" DROP CONSTRAINT \"{constraint}\""
            ));
        }
    }
    faults.end(&format!("{name:?}"))
}

/// The columns of each unique index, whether it is checked at once, whether one of its collations is nondeterministic, and
/// whether all are those of the columns.
async fn unique_indexes(calls: &Calls<Postgres>, of_table: &str) -> Result<Vec<PgRow>, StoreError> {
    let keys = format!(
        "SELECT (SELECT string_agg(attname, ',' ORDER BY at) FROM unnest(indkey) WITH ORDINALITY AS k (n, at) \
         JOIN pg_attribute ON attrelid = indrelid AND attnum = n WHERE at <= indnkeyatts), indimmediate, \
         EXISTS (SELECT FROM pg_collation WHERE oid = ANY (indcollation) AND NOT collisdeterministic), \
         NOT EXISTS (SELECT FROM unnest(indkey, indcollation) AS k (n, sorted) JOIN pg_attribute \
         ON attrelid = indrelid AND attnum = n WHERE attcollation <> sorted) \
         FROM pg_index WHERE indrelid = {of_table} AND indisunique AND indisvalid \
         AND indpred IS NULL AND indexprs IS NULL"
    );
    calls.rows(&Statement::text(keys)).await
}

/// What the table and each of its partitions is, whether it is logged, and its name.
async fn kinds(calls: &Calls<Postgres>, of_table: &str) -> Result<Vec<PgRow>, StoreError> {
    let kinds = format!(
        "SELECT relkind::text, relpersistence::text, oid::regclass::text, \
         relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = oid) FROM pg_class \
         WHERE oid = {of_table} OR oid IN (SELECT relid FROM pg_partition_tree({of_table}))"
    );
    calls.rows(&Statement::text(kinds)).await
}

/// The columns that need a value and get none.
fn unfilled(faults: &mut Faults, columns: &[Column], table: &str, has: impl Fn(&str) -> bool) {
    let unfilled = columns.iter().filter(|column| !column.nullable && !column.fills_itself);
    for Column { name, .. } in unfilled.filter(|column| !has(&column.name)) {
        faults.add(format!(
            "column {name} is NOT NULL and has no default: map it, or run: ALTER TABLE \"{table}\" ALTER \
             \"{name}\" DROP NOT NULL"
        ));
    }
}

/// What a column has to hold.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// Tenant or key. In a ledger it has this type; empty: byte by byte.
    Id(&'a str, bool),
    Content(ColumnType),
}

/// One of the columns that are written.
fn need(
    faults: &mut Faults,
    columns: &[Column],
    table: &SqlTable,
    name: &str,
    wanted: Wanted<'_>,
    nullable: Option<bool>,
) {
    let of = &table.name;
    let (kind, needed) = match wanted {
        Wanted::Content(kind) => (Some(kind), needed(kind)),
        Wanted::Id("", _) => (None, ID.to_owned()),
        Wanted::Id(definition, _) => (None, definition.to_owned()),
    };
    let Some(column) = columns.iter().find(|column| column.name == name) else {
        let other = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        let null = match kind {
            _ if nullable != Some(false) => "",
            Some(ColumnType::Boolean) => " NOT NULL DEFAULT false",
            _ => " NOT NULL DEFAULT 0",
        };
        faults.add(match other {
            Some(Column { name: other, .. }) => {
                format!("it has no column {name}, but {other}: write it like that in the spec")
            }
            None => format!(
                "it has no column {name}. Run: ALTER TABLE \"{of}\" ADD COLUMN \"{name}\" {needed}{null}"
            ),
        });
        return;
    };
    let alter = |what: &str| format!("Run: ALTER TABLE \"{of}\" ALTER \"{name}\" {what}");
    let (is, holds) = match wanted {
        Wanted::Id(definition, is_of_ledger) => {
            let fits = column.key().is_some_and(|key| match definition {
                "" => !is_of_ledger || key.kind == KeyKind::Bytes,
                _ => key.definition == definition,
            });
            (format!("{}{}", column.kind, column.collation), fits)
        }
        Wanted::Content(kind) => {
            let labels = table.labels(name);
            (column.kind.clone(), holds(&column.kind, kind) || column.has_labels(kind, labels))
        }
    };
    if !column.generated_by.is_empty() {
        faults.add(format!(
            "column {name} is generated and takes no value: remove it from the mapping, or make it an ordinary \
             column. {}",
            alter(&format!("DROP {}", column.generated_by))
        ));
    } else if let (Some(ColumnType::Enum), false, true) = (kind, holds, !column.labels.is_empty()) {
        let lacks = table.labels(name).iter().find(|label| !column.labels.contains(label));
        let label = lacks.map(String::as_str).unwrap_or_default().replace('\'', "''");
        faults.add(format!(
            "column {name} is {is} and lacks the label '{label}'. Run: ALTER TYPE {is} ADD VALUE '{label}'"
        ));
    } else if !holds {
        faults.add(format!(
            "column {name} is {is} and has to be {needed}. {}",
            alter(&format!("TYPE {needed}"))
        ));
    } else if let Some(nullable) = nullable.filter(|nullable| *nullable != column.nullable) {
        let (has, what) = match nullable {
            true => ("allow NULL: deleted records have no content", "DROP NOT NULL"),
            false => ("be NOT NULL", "SET NOT NULL"),
        };
        faults.add(format!("column {name} has to {has}. {}", alter(what)));
    }
}

/// Rules, with which ON CONFLICT is not possible; and a publication of updates for which there is no replica identity. A
/// child table's rows are deleted and never updated.
async fn rules_and_replicas(
    calls: &Calls<Postgres>,
    of_table: &str,
    name: &str,
    is_child: bool,
) -> Result<Vec<String>, StoreError> {
    let (events, published, changes, statement) = match is_child {
        true => ("'3', '4'", "pubdelete", "deletions", "INSERT or DELETE in a WITH query"),
        false => ("'2', '3'", "pubupdate", "updates", "INSERT ... ON CONFLICT"),
    };
    let sql = format!(
        "WITH it AS (SELECT c.oid, c.relreplident, c.relname, n.nspname FROM pg_class AS c \
         JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = {of_table}) \
         SELECT 'rule', rulename::text FROM pg_rewrite JOIN it ON ev_class = it.oid WHERE ev_type IN ({events}) \
         UNION ALL SELECT 'published', p.pubname::text FROM pg_publication AS p CROSS JOIN it \
         WHERE p.{published} AND EXISTS (SELECT 1 FROM pg_publication_tables AS t WHERE t.pubname = p.pubname \
         AND t.schemaname = it.nspname AND t.tablename = it.relname) \
         AND NOT CASE it.relreplident WHEN 'f' THEN true WHEN 'n' THEN false \
         ELSE EXISTS (SELECT 1 FROM pg_index WHERE indrelid = it.oid \
         AND CASE it.relreplident WHEN 'd' THEN indisprimary ELSE indisreplident END) END"
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    let fault = |row: &PgRow| match (text(row, 0).as_str(), text(row, 1)) {
        ("rule", rule) => format!(
            "it has the rule {rule}, and PostgreSQL allows no {statement} then. Run: DROP RULE \
             \"{rule}\" ON \"{name}\""
        ),
        (_, publication) => format!(
            "the publication {publication} publishes its {changes}, for which it has no replica identity: \
             give it a primary key, or run: ALTER TABLE \"{name}\" REPLICA IDENTITY FULL"
        ),
    };
    Ok(rows.iter().map(fault).collect())
}

/// Evaluates a CHECK for a tombstone's row. A clause that can't be evaluated says nothing.
async fn refuses_tombstones(
    calls: &Calls<Postgres>,
    table: &SqlTable,
    columns: &[Column],
    clause: &str,
) -> bool {
    let value = |column: &Column| {
        let Column { name, kind, .. } = column;
        let value = if table.ids().contains(&name.as_str()) {
            match column.key().unwrap_or_default().kind {
                KeyKind::Integer { .. } => "'1'",
                KeyKind::Uuid => "'ffffffff-ffff-4fff-8fff-ffffffffffff'",
                _ => "'t'",
            }
        } else if *name == table.fields.version {
            "1"
        } else if table.has(name) && !table.is_nullable(name) {
            "true"
        } else {
            "NULL"
        };
        format!("{value}::{kind} AS \"{name}\"")
    };
    let row: Vec<String> = columns.iter().map(value).collect();
    let clause = clause.trim_start_matches("CHECK").trim_end_matches("NOT VALID");
    let asked = format!("SELECT {clause} FROM (SELECT {}) AS tombstone", row.join(", "));
    let answer = calls.rows(&Statement::text(asked)).await.unwrap_or_default();
    answer.first().and_then(|row| row.try_get::<Option<bool>, _>(0).ok()).flatten() == Some(false)
}

/// For the table or one of its partitions: whether its acknowledged writes are durable.
fn fault_of_kind(row: &PgRow) -> Option<String> {
    let part = text(row, 2);
    let kind = match text(row, 0).as_str() {
        "r" | "p" => {
            if row.try_get(3).unwrap_or(false) {
                return Some(format!(
                    "other tables inherit from {part}, and their rows would be read as its own. Move them into {part}, or \
                     into partitions of it"
                ));
            }
            return match text(row, 1).as_str() {
                "u" => Some(format!(
                    "{part} is UNLOGGED, and a crash empties it. Run: ALTER TABLE {part} SET LOGGED"
                )),
                "t" => Some(format!("{part} is temporary. Name a lasting table")),
                _ => None,
            };
        }
        "v" => "a view",
        "m" => "a materialized view",
        "f" => "a foreign table, which another server holds",
        _ => "no table",
    };
    Some(format!("{part} is {kind}. Name a table of this server"))
}
