//! Triggers that stamp what a program without the SDK writes, in the ledger:
//! docs/adr/0097-triggers-stamp-what-others-write.md. They are printed, and never created here.

mod created;

use super::{
    super::{
        EPOCH_UNIX_MS, KEY_MAX_BYTES, Trigger, Version,
        mapping::{Dialect, SqlTable, quoted},
        version::SLOT_BITS,
    },
    KeyColumn, KeyKind, Keys,
};
use cutover_core::routing;

pub(in super::super) use created::{incomplete, names_sql};

/// In MySQL and MariaDB, the variable that names the ledger for which the SDK writes in this transaction. There a trigger
/// can't tell who wrote the entry.
pub(in super::super) const OWN_LEDGER: &str = "@cutover_stamps";

/// The value of [`OWN_LEDGER`] for a ledger of this database.
pub(in super::super) fn own_ledger(ledger: &str) -> String {
    format!("CONCAT(DATABASE(), '.{ledger}')")
}

/// Digits of bytes that are UTF-8.
const UTF8: &str = "^([0-7].|(C[2-9A-F]|D.)[89AB].|(E0[AB].|E[1-9A-CEF][89AB].|ED[89].)[89AB].|(F0[9AB].|F[1-3][89AB].|F48.)([89AB].){2})*$";

/// What the names of triggers and functions begin with.
const PREFIX: &str = "cutover_stamp_";

/// Whether a trigger is one of these.
pub(in super::super) fn is_stamping(trigger: &str) -> bool {
    trigger.starts_with(PREFIX)
}

/// A table whose rows are a record's: its own table, or a child table of it.
struct Stamped<'a> {
    table: &'a str,
    ids: [&'a String; 2],
    /// What the names of its triggers and functions begin with.
    name: String,
    is_child: bool,
}

/// By ledger and table: a name made of the tables' names alone could be that of another table's triggers.
fn name(ledger: &str, table: &str) -> String {
    format!("{PREFIX}{table:.20}_{:08x}", crc32fast::hash(format!("{ledger}/{table}").as_bytes()))
}

/// The triggers of a table with a ledger and of its child tables.
///
/// `named`: a table as a statement names it.
pub(in super::super) fn triggers(
    dialect: Dialect,
    table: &SqlTable,
    keys: &Keys,
    named: impl Fn(&str) -> String,
) -> Vec<Trigger> {
    let Some(ledger) = table.ledger() else { return Vec::new() };
    let writes = Writes {
        dialect,
        ledger: named(&ledger),
        ledger_name: ledger.clone(),
        table: named(&table.name),
        ids: [&table.fields.tenant, &table.fields.key].map(|name| quoted(dialect, name)),
        reserved: keys.reserved_sql(dialect),
        keys: [keys.tenant.clone(), keys.key.clone()],
    };
    let own = Stamped {
        table: &table.name,
        ids: [&table.fields.tenant, &table.fields.key],
        name: name(&ledger, &table.name),
        is_child: false,
    };
    let children = table.children().iter().map(|child| Stamped {
        table: &child.table,
        ids: [&child.tenant, &child.key],
        name: name(&ledger, &child.table),
        is_child: true,
    });
    std::iter::once(own).chain(children).flat_map(|of| writes.of(&of, &named)).collect()
}

/// What all triggers of a record do.
struct Writes {
    dialect: Dialect,
    ledger: String,
    ledger_name: String,
    table: String,
    /// Of the record's table, quoted.
    ids: [String; 2],
    reserved: [String; 2],
    keys: [KeyColumn; 2],
}

impl Writes {
    fn of(&self, of: &Stamped<'_>, named: impl Fn(&str) -> String) -> Vec<Trigger> {
        let table = named(of.table);
        if self.dialect == Dialect::Postgres {
            return self.postgres(of, &table, &named(&of.name));
        }
        let [tenant, key] = of.ids.map(|name| quoted(self.dialect, name));
        let moved = match self.dialect {
            Dialect::Sqlite => format!("(OLD.{tenant} IS NOT NEW.{tenant} OR OLD.{key} IS NOT NEW.{key})"),
            _ => format!("NOT (OLD.{tenant} <=> NEW.{tenant} AND OLD.{key} <=> NEW.{key})"),
        };
        // One for each statement that it has to run: a body of several would need another delimiter in MySQL's client.
        [
            ("insert", "INSERT", "NEW", ""),
            ("update", "UPDATE", "NEW", ""),
            ("moved", "UPDATE", "OLD", &moved),
            ("delete", "DELETE", "OLD", ""),
        ]
        .into_iter()
        .map(|(name, event, row, condition)| {
            let trigger = format!("{}_{name}", of.name);
            let name = quoted(self.dialect, &trigger);
            // In SQLite a trigger of the application may have deleted the row, or put it back, by now. Triggers of MySQL can't
            // change the table of the statement.
            let is_gone = match of.is_child || self.dialect == Dialect::Sqlite {
                true => self.is_gone(&format!("{row}.{tenant}"), &format!("{row}.{key}")),
                false => if row == "OLD" { "TRUE" } else { "FALSE" }.to_owned(),
            };
            let drop = format!("DROP TRIGGER IF EXISTS {name}");
            let stamp = self.stamp(&format!("{row}.{tenant}"), &format!("{row}.{key}"), &is_gone, condition);
            let create = match self.dialect {
                Dialect::Sqlite => {
                    format!("CREATE TRIGGER {name} AFTER {event} ON {table}\nBEGIN\n    {stamp};\nEND")
                }
                _ => format!("CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW\n    {stamp}"),
            };
            Trigger { name: trigger, create, drop }
        })
        .collect()
    }

    /// A function and its triggers. It runs with its owner's rights, so the programs need none on the ledger.
    fn postgres(&self, of: &Stamped<'_>, table: &str, function: &str) -> Vec<Trigger> {
        let [tenant, key] = of.ids.map(|name| quoted(self.dialect, name));
        let name = quoted(self.dialect, &of.name);
        let moved = format!("(OLD.{tenant}, OLD.{key}) IS DISTINCT FROM (NEW.{tenant}, NEW.{key})");
        let stamp = |row: &str| {
            let (tenant, key) = (format!("{row}.{tenant}"), format!("{row}.{key}"));
            let is_gone = self.is_gone(&tenant, &key);
            let others = "WHERE l.xmin <> pg_current_xact_id()::xid";
            if !of.is_child {
                let stamp = self.stamp(&tenant, &key, &is_gone, "");
                // An UPDATE neither makes nor removes a row: an entry of this transaction that says deleted is of a
                // deletion that is under way, in which another trigger has written the row.
                return format!(
                    "{stamp}\n    {others} OR l.deleted <> excluded.deleted AND (TG_OP <> 'UPDATE' OR {moved})"
                );
            }
            // The record's row may be somebody else's: it is looked up in a statement of its own, once the entry is locked.
            let stamp = self.stamp(&tenant, &key, "FALSE", "");
            format!(
                "{stamp}\n    {others};\n    IF FOUND THEN\n        \
                 INSERT INTO {} AS l (tenant, key, version, deleted) SELECT {tenant}, {key}, 0, {is_gone}\n        \
                 ON CONFLICT (tenant, key) DO UPDATE SET deleted = excluded.deleted;\n    END IF",
                self.ledger
            )
        };
        let function_sql = format!(
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = pg_catalog, pg_temp AS $cutover$\nBEGIN\n    \
             IF TG_OP = 'TRUNCATE' THEN\n        \
             RAISE EXCEPTION 'TRUNCATE would leave no tombstones: use DELETE';\n    END IF;\n    \
             IF TG_OP IN ('DELETE', 'UPDATE') THEN\n        {};\n    END IF;\n    \
             IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND {moved} THEN\n        {};\n    END IF;\n    \
             RETURN NULL;\nEND $cutover$",
            stamp("OLD"),
            stamp("NEW"),
        );
        let truncate = format!("{}_trunc", of.name);
        // The first statement to drop takes the rest along.
        let drop = format!("DROP FUNCTION IF EXISTS {function}() CASCADE");
        let trigger =
            |name: &str, create: String| Trigger { name: name.to_owned(), create, drop: String::new() };
        vec![
            Trigger { drop, ..trigger("", function_sql) },
            trigger(
                &of.name,
                format!(
                    "CREATE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW \
                 EXECUTE FUNCTION {function}()"
                ),
            ),
            trigger(
                &truncate,
                format!(
                    "CREATE TRIGGER {} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT \
                 EXECUTE FUNCTION {function}()",
                    quoted(self.dialect, &truncate)
                ),
            ),
            // To fire it needs no privilege. Otherwise anybody could call it from a table of theirs.
            trigger("", format!("REVOKE ALL ON FUNCTION {function}() FROM PUBLIC")),
        ]
    }

    /// The statement that gives a record's entry a version above the one that is there.
    fn stamp(&self, tenant: &str, key: &str, is_gone: &str, condition: &str) -> String {
        let [no_tenant, no_key] = &self.reserved;
        let of_key = quoted(self.dialect, "key");
        let mut when = format!("NOT ({tenant} = {no_tenant} AND {key} = {no_key})");
        let [of_tenant, of_id] = &self.keys;
        for (of, column, most) in
            [(of_tenant, tenant, routing::TENANT_MAX_BYTES), (of_id, key, KEY_MAX_BYTES)]
        {
            if let Some(is_id) = self.is_id(of, column, most) {
                when.push_str(&format!("\n    AND {is_id}"));
            }
        }
        if !condition.is_empty() {
            when = format!("{condition} AND {when}");
        }
        let (slot, bits) = (Version::TRIGGER_SLOT, SLOT_BITS);
        let (now, ledger) = (self.now(), &self.ledger);
        let insert = format!("INSERT INTO {ledger} ");
        let columns = format!("(tenant, {of_key}, version, deleted)\n    ");
        let next = |version: &str| format!("((({version} >> {bits}) + 1) << {bits}) | {slot}");
        match self.dialect {
            Dialect::MySql => {
                // Evaluated once the entry is locked.
                let deleted = if is_gone.starts_with("NOT") { is_gone } else { "VALUES(deleted)" };
                let own = own_ledger(&self.ledger_name);
                format!(
                    "{insert}{columns}SELECT {tenant}, {key}, {now}, {is_gone} FROM DUAL\n    \
                     WHERE NOT (CAST({OWN_LEDGER} AS BINARY) <=> CAST({own} AS BINARY)) AND {when}\n    \
                     ON DUPLICATE KEY UPDATE version = GREATEST(VALUES(version), {}), deleted = {deleted}",
                    next("version")
                )
            }
            Dialect::Sqlite => format!(
                "{insert}{columns}SELECT {tenant}, {key}, {now}, {is_gone} WHERE {when}\n    \
                 ON CONFLICT (tenant, key) DO UPDATE SET version = max(excluded.version, version, {}), deleted = excluded.deleted",
                next("version")
            ),
            Dialect::Postgres => format!(
                "{insert}AS l {columns}SELECT {tenant}, {key}, {now}, {is_gone} WHERE {when}\n    \
                 ON CONFLICT (tenant, key) DO UPDATE SET version = greatest(excluded.version, l.version, {}), deleted = excluded.deleted",
                next("l.version")
            ),
        }
    }

    /// Whether a value is one that an id may have. An entry with another one could never be read, nor removed by the SDK.
    /// `None`: each value of the column is.
    fn is_id(&self, of: &KeyColumn, column: &str, most: usize) -> Option<String> {
        let KeyColumn { kind, collation, .. } = of;
        let is_text = matches!(kind, KeyKind::Bytes | KeyKind::Sorted | KeyKind::Loose);
        match self.dialect {
            Dialect::Sqlite if !is_text => Some(format!("typeof({column}) = 'integer'")),
            _ if !is_text => None,
            Dialect::MySql => {
                let mut is_id =
                    format!("OCTET_LENGTH({column}) BETWEEN 1 AND {most} AND INSTR({column}, CHAR(0)) = 0");
                // A conversion of bytes that are no text would fail, and the program's statement with it.
                if *kind == KeyKind::Bytes && collation.is_empty() {
                    is_id.push_str(&format!("\n    AND HEX({column}) REGEXP '{UTF8}'"));
                }
                Some(is_id)
            }
            Dialect::Sqlite => Some(format!(
                "typeof({column}) = 'text' AND length(CAST({column} AS BLOB)) BETWEEN 1 AND {most} \
                 AND instr(CAST({column} AS BLOB), x'00') = 0"
            )),
            Dialect::Postgres => Some(format!("octet_length({column}) BETWEEN 1 AND {most}")),
        }
    }

    /// The server's clock as a version.
    fn now(&self) -> String {
        let (slot, epoch_ms) = (Version::TRIGGER_SLOT, EPOCH_UNIX_MS);
        let ms = match self.dialect {
            // Whatever the session's time zone is.
            Dialect::MySql => {
                "GREATEST(TIMESTAMPDIFF(MICROSECOND, '2025-01-01', UTC_TIMESTAMP(3)) DIV 1000, 1)".to_owned()
            }
            Dialect::Postgres => {
                format!(
                    "greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - {epoch_ms}, 1)"
                )
            }
            // The Julian day number of 2025-01-01.
            Dialect::Sqlite => {
                "max(CAST((julianday('now') - 2460676.5) * 86400000 AS INTEGER), 1)".to_owned()
            }
        };
        let bits = Version::new(1, 0, 0).map_or(0, |it| it.0.trailing_zeros());
        format!("({ms} << {bits}) | {slot}")
    }

    /// Whether the record's row is not there.
    fn is_gone(&self, tenant: &str, key: &str) -> String {
        let Self { table, ids: [own_tenant, own_key], .. } = self;
        // What is committed now, and not when the statement began.
        let lock = if self.dialect == Dialect::MySql { " LOCK IN SHARE MODE" } else { "" };
        format!(
            "NOT EXISTS (SELECT 1 FROM {table} AS t WHERE t.{own_tenant} = {tenant} AND t.{own_key} = {key}{lock})"
        )
    }
}
