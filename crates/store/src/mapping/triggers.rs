//! Triggers with which programs without the SDK take part in a ledger: docs/adr/0059-triggers-write-the-ledger.md.

use super::{Dialect, Mapping, NameError, SqlTable, ddl::quoted, fields::check_name};
use crate::version::{COUNTER_BITS, EPOCH_UNIX_MS, SLOT_BITS, Version};

/// Statements that create the triggers of a table with a ledger; none without one. What another program writes gets a
/// version of this slot, above the one that was there. The SDK's own writes are left alone. Run them in the database
/// and, in PostgreSQL, with the search path that Cutover connects with.
pub fn triggers_sql(dialect: Dialect, table: &SqlTable, slot: u16) -> Result<Vec<String>, NameError> {
    let Some(ledger) = table.ledger() else { return Ok(Vec::new()) };
    check_name(&table.name)?;
    table.fields.check_table(table.mapping.is_some(), table.mapping.iter().flat_map(Mapping::names))?;
    let slot = slot % Version::SLOTS;
    let names = Names { dialect, table, ledger };
    Ok(match dialect {
        Dialect::MySql => names.mysql(slot),
        Dialect::Postgres => names.postgres(slot),
        Dialect::Sqlite => names.sqlite(slot),
    })
}

struct Names<'a> {
    dialect: Dialect,
    table: &'a SqlTable,
    ledger: String,
}

impl Names<'_> {
    fn q(&self, name: &str) -> String {
        quoted(self.dialect, name)
    }

    /// Of the triggers: as short as the ledger's, so every server takes it.
    fn trigger(&self, of: &str) -> String {
        self.q(&format!("{}_{of}", self.ledger))
    }

    /// Tenant and key of a row, `NEW` or `OLD`.
    fn ids(&self, row: &str) -> [String; 2] {
        let fields = &self.table.fields;
        [&fields.tenant, &fields.key].map(|name| format!("{row}.{}", self.q(name)))
    }

    fn mysql(&self, slot: u16) -> Vec<String> {
        let (table, ledger) = (self.q(&self.table.name), self.q(&self.ledger));
        let now = "TIMESTAMPDIFF(MICROSECOND, '2025-01-01', UTC_TIMESTAMP(3)) DIV 1000";
        let stamp = stamp(now, slot);
        let above = above("version", slot);
        let trigger = |name: &str, event: &str, row: &str, mark: &str, and: &str| {
            let [tenant, key] = self.ids(row);
            format!(
                "CREATE TRIGGER {} AFTER {event} ON {table} FOR EACH ROW INSERT INTO {ledger} \
                 (tenant, `key`, version, deleted) SELECT {tenant}, {key}, {stamp}, {mark} FROM DUAL \
                 WHERE @cutover_sdk IS NULL{and} ON DUPLICATE KEY UPDATE \
                 version = GREATEST(VALUES(version), {above}), deleted = {mark}",
                self.trigger(name)
            )
        };
        let ([was_tenant, was_key], [tenant, key]) = (self.ids("OLD"), self.ids("NEW"));
        let moved = format!(" AND NOT ({was_tenant} <=> {tenant} AND {was_key} <=> {key})");
        vec![
            trigger("insert", "INSERT", "NEW", "FALSE", ""),
            trigger("update", "UPDATE", "NEW", "FALSE", ""),
            trigger("moved", "UPDATE", "OLD", "TRUE", &moved),
            trigger("delete", "DELETE", "OLD", "TRUE", ""),
        ]
    }

    fn postgres(&self, slot: u16) -> Vec<String> {
        let now = format!("(extract(epoch FROM clock_timestamp()) * 1000)::bigint - {EPOCH_UNIX_MS}");
        let (stamp, above) = (stamp(&now, slot), above("l.version", slot));
        // The table's schema is that of the ledger, whatever the search path of the other program is.
        let write = |row: &str, mark: bool| {
            let [tenant, key] = self.ids(row);
            format!("EXECUTE entry USING {tenant}, {key}, {stamp}, {mark};")
        };
        let ([was_tenant, was_key], [tenant, key]) = (self.ids("OLD"), self.ids("NEW"));
        let (table, function) = (self.q(&self.table.name), self.trigger("write"));
        let function = format!(
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = pg_catalog, pg_temp AS $$\nDECLARE\n  entry text := format('INSERT INTO %I.%I AS l \
             (tenant, key, version, deleted) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, key) DO UPDATE \
             SET version = greatest(excluded.version, {above}), deleted = excluded.deleted', TG_TABLE_SCHEMA, \
             '{ledger}');\nBEGIN\n  IF current_setting('cutover.sdk', true) = 'on' THEN RETURN NULL; END IF;\n  \
             IF TG_OP = 'DELETE' THEN {removed} RETURN NULL; END IF;\n  \
             IF TG_OP = 'UPDATE' AND ({was_tenant}, {was_key}) IS DISTINCT FROM ({tenant}, {key}) THEN {removed} \
             END IF;\n  {written}\n  RETURN NULL;\nEND $$",
            ledger = self.ledger,
            removed = write("OLD", true),
            written = write("NEW", false),
        );
        let trigger = format!(
            "CREATE TRIGGER {} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {}()",
            self.trigger("write"),
            self.trigger("write")
        );
        vec![function, trigger]
    }

    fn sqlite(&self, slot: u16) -> Vec<String> {
        let (table, ledger) = (self.q(&self.table.name), self.q(&self.ledger));
        // 2025-01-01 is Julian day 2460676.5.
        let now = "CAST((julianday('now') - 2460676.5) * 86400000 AS INTEGER)";
        let (stamp, above) = (stamp(now, slot), above("version", slot));
        let write = |row: &str, mark: u8, and: &str| {
            let [tenant, key] = self.ids(row);
            format!(
                "INSERT INTO {ledger} (tenant, key, version, deleted) SELECT {tenant}, {key}, {stamp}, {mark} \
                 WHERE {and} ON CONFLICT (tenant, key) DO UPDATE SET version = max(excluded.version, {above}), \
                 deleted = {mark};"
            )
        };
        let trigger = |name: &str, event: &str, body: String| {
            format!(
                "CREATE TRIGGER {} AFTER {event} ON {table} WHEN NOT coalesce((SELECT deleted FROM {ledger} \
                 WHERE tenant = '' AND key = ''), 0) BEGIN {body} END",
                self.trigger(name)
            )
        };
        let ([was_tenant, was_key], [tenant, key]) = (self.ids("OLD"), self.ids("NEW"));
        let moved = write("OLD", 1, &format!("({was_tenant} IS NOT {tenant} OR {was_key} IS NOT {key})"));
        vec![
            trigger("insert", "INSERT", write("NEW", 0, "true")),
            trigger("update", "UPDATE", format!("{moved} {}", write("NEW", 0, "true"))),
            trigger("delete", "DELETE", write("OLD", 1, "true")),
        ]
    }
}

/// A version of now. `now`: milliseconds since 2025.
fn stamp(now: &str, slot: u16) -> String {
    format!("((({now}) << {}) | {slot})", COUNTER_BITS + SLOT_BITS)
}

/// The lowest version of the slot above another one.
fn above(version: &str, slot: u16) -> String {
    format!("((({version} >> {SLOT_BITS}) + 1 << {SLOT_BITS}) | {slot})")
}
