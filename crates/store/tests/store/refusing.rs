//! Tables of real servers that refuse one of 200 records, each for another reason.

use cutover_store::{
    Id, Record, Version,
    document::Document,
    mapping::{Column, ColumnPath, Dialect, Fields, Mapping, OnMisfit, SqlTable, Versions},
};

/// The record that is refused.
pub(crate) const REFUSED: u64 = 77;

/// A way to refuse it.
pub(crate) struct Case {
    /// The reason, also a part of the table's name.
    pub(crate) name: &'static str,
    /// What the server says, or a part of it.
    pub(crate) says: &'static str,
    /// The statements that make the table.
    pub(crate) create: String,
    /// The statements that remove everything.
    pub(crate) drop: String,
}

impl Case {
    /// Whether the write fails without an error of the server.
    pub(crate) fn is_silent(&self) -> bool {
        self.name == "swallowed"
    }
}

/// `n` has a column, the rest goes to the overflow.
pub(crate) fn table(dialect: Dialect, name: &str) -> SqlTable {
    let path = ColumnPath::dotted("n").expect("a path");
    let column = Column {
        name: "n".to_owned(),
        path,
        kind: "bigint".parse().expect("a type"),
        required: false,
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    };
    let mapping = Mapping::new(dialect, vec![column], Some("rest".to_owned()), OnMisfit::Quarantine);
    SqlTable {
        name: name.to_owned(),
        fields: Fields::default(),
        mapping: Some(mapping.expect("a mapping")),
        versions: Versions::default(),
    }
}

/// 200 records. The one to be refused has a tenant of its own.
pub(crate) fn records() -> Vec<(Id, Record)> {
    let record = |n: u64| {
        let json = format!(r#"{{"n":{{"N":"{n}"}},"note":{{"S":"of {n}"}}}}"#);
        let document = Document::decode(json.as_bytes()).expect("typed JSON");
        let tenant = if n == REFUSED { "u" } else { "t" };
        let id = Id::new(tenant, &format!("key-{n:03}")).expect("valid");
        (id, Record { version: Version(n + 1), value: Some(document.encode().expect("a document")) })
    };
    (0..200).map(record).collect()
}

/// Rows for the table that the foreign key refers to.
fn parents() -> String {
    let rows = (0..200).filter(|n| *n != REFUSED).map(|n| format!("({n})"));
    rows.collect::<Vec<_>>().join(",")
}

/// `name` returns a table's name for a reason.
pub(crate) fn of_mariadb(name: impl Fn(&str) -> String) -> Vec<Case> {
    let case = |reason: &'static str, says, more: &str, after: &str| {
        let table = name(reason);
        let create = format!(
            "CREATE TABLE {table}_p (n BIGINT PRIMARY KEY); INSERT INTO {table}_p VALUES {}; \
             CREATE TABLE {table} (tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, \
             cutover_version BIGINT NOT NULL, cutover_deleted BOOLEAN NOT NULL, n BIGINT, \
             rest LONGTEXT CHARACTER SET utf8mb4, PRIMARY KEY (tenant, `key`){}) {}",
            parents(),
            more.replace('@', &table),
            after.replace('@', &table)
        );
        Case { name: reason, says, create, drop: format!("DROP TABLE {table}; DROP TABLE {table}_p") }
    };
    let trigger = |signal: &str| {
        format!(
            "; CREATE TRIGGER @_t BEFORE INSERT ON @ FOR EACH ROW \
             IF NEW.n = {REFUSED} THEN SIGNAL {signal}, MESSAGE_TEXT = 'not this one'; END IF"
        )
    };
    // With the numbers of errors that a wrong table has.
    let sets_off = |body: &str| {
        let condition = format!("FOR EACH ROW IF NEW.n = {REFUSED} THEN");
        format!("; CREATE TRIGGER @_t BEFORE INSERT ON @ {condition} {body}; END IF")
    };
    vec![
        case("trigger", "not this one", "", &trigger("SQLSTATE '45000' SET MYSQL_ERRNO = 1644")),
        case("unknown", "not this one", "", &trigger("SQLSTATE 'HY000' SET MYSQL_ERRNO = 6543")),
        case("sets_off_1146", "doesn't exist", "", &sets_off("INSERT INTO @_gone VALUES (1)")),
        case("sets_off_1136", "Column count", "", &sets_off("INSERT INTO @_p VALUES (1, 2)")),
        case("sets_off_1054", "Unknown column", "", &sets_off("UPDATE @_p SET gone = 1")),
        case(
            "partition",
            "no partition",
            "",
            "PARTITION BY LIST COLUMNS (tenant) (PARTITION t VALUES IN ('t'))",
        ),
        case("generated", "Out of range", ", g TINYINT AS (IF(n = 77, 1000, 1)) STORED", ""),
        case("foreign_key", "foreign key", ", FOREIGN KEY (n) REFERENCES @_p (n)", ""),
        case("checked", "CONSTRAINT", ", CHECK (n <> 77)", ""),
    ]
}

/// `role` is a user whom row-level security concerns.
pub(crate) fn of_postgres(name: impl Fn(&str) -> String, role: &str) -> Vec<Case> {
    let case = |reason: &'static str, says, more: &str, after: &str| {
        let table = name(reason);
        let create = format!(
            "CREATE TABLE {table}_p (n bigint PRIMARY KEY); INSERT INTO {table}_p VALUES {}; \
             CREATE TABLE {table} (tenant text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL, \
             cutover_version bigint NOT NULL, cutover_deleted boolean NOT NULL, n bigint, rest text, \
             PRIMARY KEY (tenant, key){}) {}; GRANT SELECT, INSERT, UPDATE ON {table}, {table}_p TO {role}",
            parents(),
            more.replace('@', &table),
            after.replace('@', &table)
        );
        let drop = format!("DROP TABLE {table}, {table}_p; DROP FUNCTION IF EXISTS {table}_f");
        Case { name: reason, says, create, drop }
    };
    let trigger = |body: &str| {
        format!(
            "; CREATE FUNCTION @_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.n = {REFUSED} THEN {body}; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER t BEFORE INSERT ON @ FOR EACH ROW EXECUTE FUNCTION @_f()"
        )
    };
    vec![
        case("trigger", "not this one", "", &trigger("RAISE EXCEPTION 'not this one'")),
        case("unknown", "ABC12", "", &trigger("RAISE EXCEPTION 'not this one' USING ERRCODE = 'ABC12'")),
        case("swallowed", "wrote nothing", "", &trigger("RETURN NULL")),
        // With the codes of errors that a wrong table has.
        case("sets_off_42p01", "does not exist", "", &trigger("INSERT INTO @_gone VALUES (1)")),
        case("sets_off_42501", "permission denied", "", &trigger("DELETE FROM @_p")),
        case("sets_off_42703", "does not exist", "", &trigger("UPDATE @_p SET gone = 1")),
        case("sets_off_42804", "is of type", "", &trigger("INSERT INTO @_p VALUES (DATE '2026-01-01')")),
        case(
            "partition",
            "no partition of relation",
            "",
            "PARTITION BY LIST (tenant); CREATE TABLE @_1 PARTITION OF @ FOR VALUES IN ('t')",
        ),
        case(
            "generated",
            "division by zero",
            &format!(", g bigint GENERATED ALWAYS AS (1 / (n - {REFUSED})) STORED"),
            "",
        ),
        case("foreign_key", "foreign key", ", FOREIGN KEY (n) REFERENCES @_p (n)", ""),
        case("checked", "check constraint", &format!(", CHECK (n <> {REFUSED})"), ""),
        case(
            "row_security",
            "row-level security policy",
            "",
            &format!(
                "; ALTER TABLE @ ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY p ON @ USING (true) WITH CHECK (n <> {REFUSED})"
            ),
        ),
    ]
}

/// `name` returns a table's name for a reason.
pub(crate) fn of_sqlite(name: impl Fn(&str) -> String) -> Vec<Case> {
    let case = |reason: &'static str, says, more: &str, after: &str| {
        let table = name(reason);
        let create = format!(
            "CREATE TABLE {table}_p (n INTEGER PRIMARY KEY); \
             CREATE TABLE {table} (tenant TEXT NOT NULL, key TEXT NOT NULL, cutover_version INTEGER NOT NULL, \
             cutover_deleted INTEGER NOT NULL, n INTEGER, rest TEXT, PRIMARY KEY (tenant, key){}){}",
            more.replace('@', &table),
            after.replace('@', &table)
        );
        Case { name: reason, says, create, drop: format!("DROP TABLE {table}; DROP TABLE {table}_p") }
    };
    let trigger = |body: &str| {
        format!("; CREATE TRIGGER @_t BEFORE INSERT ON @ WHEN NEW.n = {REFUSED} BEGIN {body}; END")
    };
    let json = format!("json_extract(iif(n = {REFUSED}, '{{', '{{}}'), '$.a')");
    vec![
        case("trigger", "not this one", "", &trigger("SELECT RAISE(ABORT, 'not this one')")),
        case("ignored", "wrote nothing", "", &trigger("SELECT RAISE(IGNORE)")),
        case("mismatch", "datatype mismatch", "", &trigger("INSERT INTO @_p VALUES ('a')")),
        case("json_in_trigger", "malformed JSON", "", &trigger("SELECT json('{')")),
        case("json_in_index", "malformed JSON", "", &format!("; CREATE INDEX @_i ON @ ({json})")),
        case("json_in_check", "malformed JSON", &format!(", CHECK ({json} IS NULL)"), ""),
        case(
            "overflow",
            "integer overflow",
            &format!(", CHECK (abs(iif(n = {REFUSED}, 1 << 63, 1)) > 0)"),
            "",
        ),
    ]
}
