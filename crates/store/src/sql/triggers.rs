//! Triggers with which a program without the SDK takes part beside a ledger:
//! docs/adr/0097-triggers-stamp-what-others-write.md. They are printed, and never created here.

use super::{
    super::{
        EPOCH_UNIX_MS, Leftover, Trigger, Version,
        mapping::{Dialect, SqlTable, quoted},
    },
    Keys,
};

/// What a session of the SDK has in MySQL and MariaDB. There a trigger can't tell who wrote the entry.
pub(in super::super) const OWN_SESSION: &str = "@cutover_stamps";

/// What the names of triggers and functions begin with.
const PREFIX: &str = "cutover_stamp_";

/// Whether a trigger is one of these.
pub(in super::super) fn is_own(trigger: &str) -> bool {
    trigger.starts_with(PREFIX)
}

/// A table whose rows are a record's: its own table, or a child table of it.
struct Of<'a> {
    table: &'a str,
    ids: [&'a String; 2],
    /// What the names of its triggers end with.
    name: String,
    is_child: bool,
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
    let suffix = ledger.trim_start_matches("cutover_ledger_");
    let writes = Writes {
        dialect,
        ledger: named(&ledger),
        table: named(&table.name),
        ids: [&table.fields.tenant, &table.fields.key].map(|name| quoted(dialect, name)),
        reserved: keys.reserved_sql(dialect),
    };
    let own = Of {
        table: &table.name,
        ids: [&table.fields.tenant, &table.fields.key],
        name: suffix.to_owned(),
        is_child: false,
    };
    let children = table.children().iter().enumerate().map(|(at, child)| Of {
        table: &child.table,
        ids: [&child.tenant, &child.key],
        name: format!("{suffix}_{at}"),
        is_child: true,
    });
    std::iter::once(own).chain(children).flat_map(|of| writes.of(&of, &named)).collect()
}

/// What all triggers of a record do.
struct Writes {
    dialect: Dialect,
    ledger: String,
    table: String,
    /// Of the record's table, quoted.
    ids: [String; 2],
    reserved: [String; 2],
}

impl Writes {
    fn of(&self, of: &Of<'_>, named: impl Fn(&str) -> String) -> Vec<Trigger> {
        let table = named(of.table);
        if self.dialect == Dialect::Postgres {
            return self.postgres(of, &table, &named(&format!("{PREFIX}{}", of.name)));
        }
        let [tenant, key] = of.ids.map(|name| quoted(self.dialect, name));
        let moved = match self.dialect {
            Dialect::Sqlite => format!("(OLD.{tenant} IS NOT NEW.{tenant} OR OLD.{key} IS NOT NEW.{key})"),
            _ => format!("NOT (OLD.{tenant} <=> NEW.{tenant} AND OLD.{key} <=> NEW.{key})"),
        };
        // One for each statement that it has to run: a body of several would need another delimiter in MySQL's client.
        [("insert", "INSERT", "NEW", ""), ("update", "UPDATE", "NEW", ""), ("moved", "UPDATE", "OLD", &moved), ("delete", "DELETE", "OLD", "")]
            .into_iter()
            .map(|(name, event, row, condition)| {
                let name = quoted(self.dialect, &format!("{PREFIX}{}_{name}", of.name));
                let is_gone = match (of.is_child, row) {
                    (true, _) => self.is_gone(&format!("{row}.{tenant}"), &format!("{row}.{key}")),
                    (false, "OLD") => self.boolean(true).to_owned(),
                    (false, _) => self.boolean(false).to_owned(),
                };
                let drop = format!("DROP TRIGGER IF EXISTS {name}");
                let stamp = self.stamp(&format!("{row}.{tenant}"), &format!("{row}.{key}"), &is_gone, condition);
                let create = match self.dialect {
                    Dialect::Sqlite => {
                        format!("CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON {table}\nBEGIN\n    {stamp};\nEND")
                    }
                    _ => format!("CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW\n    {stamp}"),
                };
                Trigger { create, drop }
            })
            .collect()
    }

    /// A function and its triggers. It runs with its owner's rights, so the programs need none on the ledger.
    fn postgres(&self, of: &Of<'_>, table: &str, function: &str) -> Vec<Trigger> {
        let [tenant, key] = of.ids.map(|name| quoted(self.dialect, name));
        let name = quoted(self.dialect, &format!("{PREFIX}{}", of.name));
        let stamp = |row: &str| {
            let (tenant, key) = (format!("{row}.{tenant}"), format!("{row}.{key}"));
            let stamp = self.stamp(&tenant, &key, &self.is_gone(&tenant, &key), "");
            // The SDK deletes the rows of a child table before the record's, and after its entry.
            let or_not = if of.is_child { "" } else { " OR l.deleted <> excluded.deleted" };
            format!("{stamp}\n    WHERE l.xmin <> pg_current_xact_id()::xid{or_not}")
        };
        let moved = format!("(OLD.{tenant}, OLD.{key}) IS DISTINCT FROM (NEW.{tenant}, NEW.{key})");
        let function_sql = format!(
            "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = pg_catalog, pg_temp AS $cutover$\nBEGIN\n    \
             IF TG_OP = 'TRUNCATE' THEN\n        \
             RAISE EXCEPTION 'TRUNCATE would leave no tombstones: use DELETE';\n    END IF;\n    \
             IF TG_OP IN ('DELETE', 'UPDATE') THEN\n        {};\n    END IF;\n    \
             IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND {moved} THEN\n        {};\n    END IF;\n    \
             RETURN NULL;\nEND $cutover$",
            stamp("OLD"),
            stamp("NEW"),
        );
        let truncate = quoted(self.dialect, &format!("{PREFIX}{}_trunc", of.name));
        let trigger = |create: String| Trigger { create, drop: String::new() };
        vec![
            Trigger { create: function_sql, drop: format!("DROP FUNCTION IF EXISTS {function}() CASCADE") },
            trigger(format!(
                "CREATE OR REPLACE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW \
                 EXECUTE FUNCTION {function}()"
            )),
            trigger(format!(
                "CREATE OR REPLACE TRIGGER {truncate} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT \
                 EXECUTE FUNCTION {function}()"
            )),
        ]
    }

    /// The statement that gives a record's entry a version above the one that is there.
    fn stamp(&self, tenant: &str, key: &str, is_gone: &str, condition: &str) -> String {
        let [no_tenant, no_key] = &self.reserved;
        let of_key = quoted(self.dialect, "key");
        let mut when = format!("NOT ({tenant} = {no_tenant} AND {key} = {no_key})");
        if !condition.is_empty() {
            when = format!("{condition} AND {when}");
        }
        let slot = Version::TRIGGER_SLOT;
        let (now, ledger) = (self.now(), &self.ledger);
        let insert = format!("INSERT INTO {ledger} ");
        let columns = format!("(tenant, {of_key}, version, deleted)\n    ");
        let next = |version: &str| format!("((({version} >> 12) + 1) << 12) | {slot}");
        match self.dialect {
            Dialect::MySql => format!(
                "{insert}{columns}SELECT {tenant}, {key}, {now}, {is_gone} FROM DUAL \
                 WHERE {OWN_SESSION} IS NULL AND {when}\n    \
                 ON DUPLICATE KEY UPDATE version = GREATEST(VALUES(version), {}), deleted = VALUES(deleted)",
                next("version")
            ),
            Dialect::Sqlite => format!(
                "{insert}{columns}SELECT {tenant}, {key}, {now}, {is_gone} WHERE {when}\n    \
                 ON CONFLICT (tenant, key) DO UPDATE SET version = max(excluded.version, {}), deleted = excluded.deleted",
                next("version")
            ),
            Dialect::Postgres => format!(
                "{insert}AS l {columns}SELECT {tenant}, {key}, {now}, {is_gone} WHERE {when}\n    \
                 ON CONFLICT (tenant, key) DO UPDATE SET version = greatest(excluded.version, {}), deleted = excluded.deleted",
                next("l.version")
            ),
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
        format!("({ms} << 22) | {slot}")
    }

    /// Whether the record's row is not there.
    fn is_gone(&self, tenant: &str, key: &str) -> String {
        let Self { table, ids: [own_tenant, own_key], .. } = self;
        format!(
            "NOT EXISTS (SELECT 1 FROM {table} AS t WHERE t.{own_tenant} = {tenant} AND t.{own_key} = {key})"
        )
    }

    const fn boolean(&self, is: bool) -> &'static str {
        match (self.dialect, is) {
            (Dialect::Sqlite, true) => "1",
            (Dialect::Sqlite, false) => "0",
            (_, true) => "TRUE",
            (_, false) => "FALSE",
        }
    }
}

/// The statements that remove what only Cutover uses. The triggers come first: without its ledger each of them fails, and so
/// does the program's statement. `named`: as [`triggers`].
pub(in super::super) fn removal(
    dialect: Dialect,
    table: &SqlTable,
    what: Leftover,
    named: impl Fn(&str) -> String,
) -> Vec<String> {
    match what {
        Leftover::Table => vec![format!("DROP TABLE {}", named(&table.name))],
        Leftover::Beside => {
            let drops = triggers(dialect, table, &Keys::default(), &named).into_iter().map(|it| it.drop);
            let ledger = table.ledger().map(|ledger| format!("DROP TABLE {}", named(&ledger)));
            drops.filter(|drop| !drop.is_empty()).chain(ledger).collect()
        }
    }
}
