//! What may happen to single records in a table: told before anything moves, and no reason not to use it.

use sqlx::Postgres;

use super::{
    super::{
        CreatedTrigger, StoreError, Trigger,
        mapping::{Dialect, SqlTable, Versions},
        sql::{Calls, Statement, is_stamping, names_sql, no_foreign_key, referred, referring},
    },
    ledger::regclass,
    server::text,
};

/// A condition that leaves out the constraints of a table's own child tables.
pub(super) fn of_others(schema: &str, table: &SqlTable) -> String {
    let own: Vec<String> = table.children().iter().map(|child| regclass(schema, &child.table)).collect();
    format!(
        " AND NOT EXISTS (SELECT FROM unnest(ARRAY[{}]::regclass[]) AS own WHERE own = conrelid)",
        own.join(", ")
    )
}

/// One line each.
pub(super) async fn warnings(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
) -> Result<Vec<String>, StoreError> {
    let mut told = warnings_of(calls, schema, table, None).await?;
    let of_table = regclass(schema, &table.name);
    for child in table.children() {
        let of_child = regclass(schema, &child.table);
        let foreign = format!(
            "SELECT conname::text || ', ' || pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE conrelid = {of_child} AND confrelid = {of_table} AND contype = 'f'"
        );
        let foreign = calls.rows(&Statement::text(foreign)).await?;
        if foreign.is_empty() {
            told.push(no_foreign_key(Dialect::Postgres, table, child));
        }
        // A row is written after its record's.
        let is_own = |warning: &String| foreign.iter().any(|row| warning.starts_with(&text(row, 0)));
        let table = SqlTable { versions: Versions::Columns, ..table.of_child(child) };
        let of_rows =
            warnings_of(calls, schema, &table, Some(&of_table)).await?.into_iter().filter(|it| !is_own(it));
        told.extend(of_rows.map(|warning| format!("{}: {warning}", child.table)));
    }
    Ok(told)
}

/// Those of these triggers that the table and its child tables have, disabled ones first: a partition has its own. One that
/// fires only in a replica's sessions is as good as disabled.
pub(super) async fn created(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
    triggers: &[Trigger],
) -> Result<Vec<CreatedTrigger>, StoreError> {
    let Some(names) = names_sql(triggers) else { return Ok(Vec::new()) };
    let children = table.children().iter().map(|child| child.table.as_str());
    let tables = std::iter::once(table.name.as_str()).chain(children);
    let all: Vec<String> = tables
        .map(|table| regclass(schema, table))
        .map(|table| format!("SELECT {table}::oid UNION ALL SELECT relid FROM pg_partition_tree({table})"))
        .collect();
    let sql = format!(
        "SELECT tgname::text, CASE WHEN tgenabled IN ('O', 'A') THEN prosrc ELSE '' END FROM pg_trigger AS t \
         JOIN pg_proc AS p ON p.oid = tgfoid \
         WHERE tgrelid IN ({}) AND tgname IN ({names}) ORDER BY tgenabled IN ('O', 'A')",
        all.join(" UNION ALL ")
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    Ok(rows.iter().map(|row| CreatedTrigger { name: text(row, 0), text: text(row, 1) }).collect())
}

/// `of_record`: the records' table, if this is a child table, whose rows are inserted and deleted.
async fn warnings_of(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
    of_record: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let of_table = regclass(schema, &table.name);
    let sql = format!(
        "SELECT 'trigger', tgname::text, '' FROM pg_trigger WHERE tgrelid = {of_table} AND NOT tgisinternal \
         AND tgenabled <> 'D' AND (tgtype & {}) <> 0 \
         UNION ALL SELECT 'constraint', conname::text, pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE conrelid = {of_table} AND contype IN ('c', 'f', 'x') \
         UNION ALL SELECT 'partition', partrelid::regclass::text, '' FROM pg_partitioned_table \
         WHERE partrelid IN (SELECT relid FROM pg_partition_tree({of_table})) \
         AND partstrat IN ('l', 'r') AND partdefid = 0 \
         UNION ALL SELECT 'policy', '', '' WHERE row_security_active({of_table}){}{}",
        // Of INSERT and UPDATE, and of DELETE if there is one.
        if of_record.is_some() {
            12
        } else if table.has_ledger() {
            28
        } else {
            20
        },
        of_record.map_or_else(String::new, |of_record| format!(
            "{} AND confrelid <> {of_record}",
            acting(&of_table)
        )),
        table.ledger().map(|ledger| regclass(schema, &ledger)).map_or_else(String::new, |of_ledger| format!(
            " UNION ALL SELECT 'child', conrelid::regclass::text, '' FROM pg_constraint \
             WHERE confrelid = {of_table} AND contype = 'f'{} \
             {} UNION ALL SELECT 'policy of ledger', '', '' WHERE row_security_active({of_ledger})",
            of_others(schema, table),
            acting(&of_table)
        ))
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    let warning = |row| {
        let (kind, name, more) = (text(row, 0), text(row, 1), text(row, 2));
        match kind.as_str() {
            "trigger" => format!(
                "trigger {name} runs on Cutover's writes too: a record that it refuses or drops goes to the quarantine, \
                 and one that it changes differs in every comparison"
            ),
            "constraint" => format!("{name}, {more}: a record that it refuses goes to the quarantine"),
            "partition" => format!(
                "no partition of {name} takes everything, and a record that none takes goes to the quarantine. \
                 Add a DEFAULT partition"
            ),
            "policy" => "row-level security applies to this user: rows that a policy hides are missing from \
                         every pass, and a record that one refuses goes to the quarantine. Give a user with \
                         BYPASSRLS"
                .to_owned(),
            "child" => referring(&name),
            "parent" => referred(&name, &more, "an action ON DELETE or ON UPDATE"),
            _ => format!(
                "every version and deletion that a policy hides is missing: row-level security applies to this user on \
                 {}. Give a user with BYPASSRLS",
                table.ledger_name()
            ),
        }
    };
    let others = rows.iter().filter(|row| !(text(row, 0) == "trigger" && is_stamping(&text(row, 1))));
    Ok(others.map(warning).collect())
}

/// Asks for the foreign keys that may delete or change rows of the table.
fn acting(of_table: &str) -> String {
    format!(
        " UNION ALL SELECT 'parent', conname::text, confrelid::regclass::text FROM pg_constraint \
         WHERE conrelid = {of_table} AND contype = 'f' \
         AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))"
    )
}

/// A line for each kind of statement that the user may not run.
pub(super) async fn missing_privileges(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
) -> Result<Vec<String>, StoreError> {
    let of_table = regclass(schema, &table.name);
    let columns: Vec<String> = table.columns().map(|name| format!("'{name}'")).collect();
    // No statement gives a row another id.
    let ids: Vec<String> = table.ids().iter().map(|name| format!("'{name}'")).collect();
    let mut sql = format!(
        "SELECT p, string_agg(attname, ', ' ORDER BY attnum) \
         FROM pg_attribute CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p \
         WHERE attrelid = {of_table} AND attname IN ({}) AND NOT has_column_privilege(attrelid, attnum, p) \
         AND NOT (p = 'UPDATE' AND attname IN ({})) GROUP BY p",
        columns.join(", "),
        ids.join(", ")
    );
    let ledger = table.ledger();
    if let Some(ledger) = &ledger {
        let of_ledger = regclass(schema, ledger);
        sql = format!(
            "{sql} UNION ALL SELECT 'DELETE', {of_table}::text WHERE NOT has_table_privilege({of_table}, 'DELETE') \
             UNION ALL SELECT p, '' FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p \
             WHERE NOT has_table_privilege({of_ledger}, p)"
        );
    }
    let rows = calls.rows(&Statement::text(sql)).await?;
    let lacks = |row| {
        let (privilege, on) = (text(row, 0), text(row, 1));
        let (of, on, all) = match &ledger {
            Some(ledger) if on.is_empty() => (ledger, ledger.clone(), "SELECT, INSERT, UPDATE"),
            Some(_) => (&table.name, on, "SELECT, INSERT, UPDATE, DELETE"),
            None => (&table.name, on, "SELECT, INSERT, UPDATE"),
        };
        lacking(&privilege, &on, all, of)
    };
    let mut told: Vec<String> = rows.iter().map(lacks).collect();
    for child in table.children() {
        let sql = format!(
            "SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS p WHERE NOT has_table_privilege({}, p)",
            regclass(schema, &child.table)
        );
        let rows = calls.rows(&Statement::text(sql)).await?;
        let lacks = |row| lacking(&text(row, 0), &child.table, "SELECT, INSERT, DELETE", &child.table);
        told.extend(rows.iter().map(lacks));
    }
    Ok(told)
}

fn lacking(privilege: &str, on: &str, all: &str, of: &str) -> String {
    format!(
        "the user lacks {privilege} on {on}. Run: GRANT {all} ON \"{of}\" TO CURRENT_USER, as the table's owner and \
         with the user's name"
    )
}

/// Name and definition of each CHECK.
pub(super) async fn checks(
    calls: &Calls<Postgres>,
    of_table: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = format!(
        "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE conrelid = {of_table} AND contype = 'c' ORDER BY conname"
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1))).collect())
}

/// A table whose name differs only in case.
pub(super) async fn other_case(calls: &Calls<Postgres>, table: &str) -> Option<String> {
    let sql = format!(
        "SELECT relname::text FROM pg_class WHERE lower(relname) = lower('{table}') \
         AND relkind IN ('r', 'p') AND pg_table_is_visible(oid)"
    );
    Some(text(calls.rows(&Statement::text(sql)).await.ok()?.first()?, 0))
}
