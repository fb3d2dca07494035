//! Each mistake is named with its line, its column and what to do.

use super::{SMALL, refusal};

/// The small one with something else at its end, in `[target]` (line 8).
fn with(more: &str) -> String {
    refusal(&format!("{SMALL}{more}\n"))
}

/// The small one with a piece replaced.
fn instead(piece: &str, other: &str) -> String {
    assert!(SMALL.contains(piece), "{piece}");
    refusal(&SMALL.replacen(piece, other, 1))
}

#[test]
fn a_typo_names_its_place_and_what_was_meant() {
    assert_eq!(with("  tabel = 1"), "line 8, column 3: unknown \"tabel\": did you mean \"table\"?");
    let column = "[[target.columns]]\nname = \"a\"\ntype = \"text\"\nrequried = true";
    assert_eq!(with(column), "line 11, column 1: unknown \"requried\": did you mean \"required\"?");
    assert_eq!(with("[limit]"), "line 8, column 2: unknown \"limit\": did you mean \"limits\"?");
    let policy = "overflow = \"rest\"\non_misfit = \"quarantin\"";
    assert_eq!(with(policy), "line 9, column 13: unknown \"quarantin\": did you mean \"quarantine\"?");
    let none = with("[limits]\nxyz = 1");
    assert!(
        none.starts_with("line 9, column 1: unknown \"xyz\": use one of records_per_s, rows_per_s, "),
        "{none}"
    );
}

#[test]
fn what_is_no_toml_or_of_the_wrong_type_names_its_place() {
    for (more, begins) in [
        ("overflow = ", "line 8, column "),
        ("table = \"again\"", "line 8, column 1: "),
        ("overflow = 5", "line 8, column 12: overflow: give a text in quotes"),
        ("[limits]\nchunk_ms = -1", "line 9, column 12: "),
        ("[limits]\nchunk_ms = 2.5", "line 9, column 12: "),
        ("[[target.columns]]\ntype = \"text\"", "line 8, column 1: name: it is missing"),
        (
            "[[target.columns]]\nname = \"a\"\ntype = \"float\"",
            "line 10, column 8: \"float\" is no column type",
        ),
        ("[[target.columns]]\nname = \"a\"\ntype = \"text\"\nfrom = \"a..b\"", "line 11, column 8: no path"),
        ("[[target.columns]]\nname = \"a\"\ntype = \"text\"\nfrom = []", "line 11, column 8: no path"),
        ("[[target.columns]]\nname = \"a\"\ntype = \"text\"\nfrom = [0]", "line 11, column 8: no path"),
        ("[[target.columns]]\nname = \"a\"\ntype = \"text\"\nfrom = \"a[x]\"", "line 11, column 8: no path"),
        ("[[target.columns]]\nname = \"a\"\ntype = \"text\"\nfrom = [\"a\", true]", "line 11, column "),
    ] {
        assert!(with(more).starts_with(begins), "{}", with(more));
        assert!(!with(more).contains('\n'), "{}", with(more));
    }
    assert!(refusal("").contains("migration: it is missing"), "{}", refusal(""));
}

#[test]
fn what_a_column_is_filled_with_is_checked() {
    let column = |more: &str| with(&format!("[[target.columns]]\nname = \"a\"\n{more}"));
    for (more, told) in [
        (
            "type = \"bigint\"\ndefault = \"x\"",
            "line 8, column 1: columns: column a: its default does not fit",
        ),
        ("type = \"bigint\"\ndefault = [1]", "line 11, column 11: default: give a text in quotes, a number"),
        (
            "type = \"bigint\"\nconstant = 1\ndefault = 1",
            "line 11, column 12: constant: a constant column takes no",
        ),
        (
            "type = \"bigint\"\nconstant = 1\nfrom = \"b\"",
            "line 11, column 12: constant: a constant column takes",
        ),
        ("type = \"double\"\ndefault = nan", "line 11, column 11: default: give a text"),
        ("type = \"enum\"", "line 8, column 1: columns: column a: an enum column needs its labels"),
        (
            "type = \"text\"\nlabels = [\"b\"]",
            "line 8, column 1: columns: column a: a text column has no labels",
        ),
        (
            "type = \"text\"\ncomputed = \"{b}{c}\"",
            "line 11, column 12: computed: nothing separates {b} from {c}",
        ),
        (
            "type = \"int\"\ncomputed = \"{b}\"",
            "line 8, column 1: columns: column a: it is computed, so it can't be int",
        ),
        (
            "type = \"text\"\ncomputed = \"{b}\"\nfrom = \"b\"",
            "line 11, column 12: computed: a computed column names its attributes",
        ),
    ] {
        let error = column(more);
        assert!(error.starts_with(told), "{error}");
    }
    let fine = [
        "type = \"double\"\ndefault = 0.1",
        "type = \"boolean\"\nconstant = false",
        "type = \"text\"\ncomputed = \"{a}#{b:N}\"",
    ];
    for more in fine {
        super::read(&format!("{SMALL}[[target.columns]]\nname = \"a\"\n{more}\n"));
    }
}

#[test]
fn a_store_that_can_not_be_names_its_place() {
    for (piece, other, message) in [
        ("sqlite:a.db", "mongodb://a", "line 3, column 7: url: unknown store \"mongodb:\": begin it with"),
        ("sqlite:a.db", "a.db", "line 3, column 7: url: not the url of a store: begin it with"),
        ("sqlite:a.db", "sqlite:", "line 3, column 7: url: it names no file"),
        (
            "sqlite:a.db",
            "sqlite:a.db?tabel=x",
            "line 3, column 7: url: unknown parameter \"tabel\": did you mean",
        ),
        ("sqlite:a.db", "dynamodb://Orders", "line 4, column 9: table: the url names the table already"),
        ("postgres://u@db/shop", "postgres://u@db", "line 6, column 7: url: it names no database"),
        ("postgres://u@db/shop", "postgres:///shop", "line 6, column 7: url: it names no host"),
        ("postgres://u@db/shop", "postgres://u@db:99999/shop", "line 6, column 7: url: not a url"),
        (
            "postgres://u@db/shop",
            "mysql://u@db/shop?charset=latin1",
            "line 6, column 7: url: unknown parameter",
        ),
        (
            "postgres://u@db/shop",
            "postgres://u@db/shop?password=x",
            "line 6, column 7: url: a password after",
        ),
        (
            "postgres://u@db/shop\"\ntable = \"orders\"",
            "dynamodb://ab\"",
            "line 6, column 7: table: \"ab\" is no",
        ),
        ("table = \"orders\"", "table = \"my orders\"", "line 4, column 9: table: \"my orders\" is no name"),
        ("table = \"orders\"", "", "line 3, column 7: table: it is missing"),
        ("\"orders\"", "\"Orders\"", "line 1, column 13: migration: \"Orders\" is not a valid key"),
        ("[source]", "server = \"localhost\"\n[source]", "line 2, column 10: server: it has no scheme"),
        ("[source]", "quarantine_table = \"orders\"\n[source]", "line 2, column 20: quarantine_table: it is"),
        (
            "[source]",
            "[source]\npassword_env = \"P\"",
            "line 3, column 16: password_env: this store takes no",
        ),
        ("[source]", "[source]\ntenant = \"value\"", "line 3, column 10: fields: \"value\" names two"),
        ("postgres://u@db/shop", "sqlite:a.db", "line 6, column 7: url: source and target are the same"),
        (
            "[target]",
            "key_type = \"N\"\n[target]",
            "line 5, column 12: key_type: in SQL tenant and key are text",
        ),
        ("[target]", "tenant_type = \"S\"\n[target]", "line 5, column 15: tenant_type: in SQL"),
        (
            "postgres://u@db/shop\"\ntable = \"orders\"",
            "dynamodb://Orders\"\nkey_type = \"NS\"",
            "line 7, column 12: unknown \"NS\"",
        ),
        (
            "postgres://u@db/shop\"\ntable = \"orders\"",
            "dynamodb://Orders\"\ntenant = \"id\"\nkey = \"id\"\ntenant_type = \"B\"\nkey_type = \"N\"",
            "line 8, column 7: fields: \"id\" is both tenant and key",
        ),
    ] {
        let refusal = instead(piece, other);
        assert!(refusal.starts_with(message), "{refusal}");
    }
}

#[test]
fn parameters_of_a_url_are_checked_when_it_is_read() {
    for (url, message) in [
        (
            "postgres://u@db/shop?sslmode=on",
            "sslmode: use one of disable, allow, prefer, require, verify-ca, verify",
        ),
        (
            "mysql://u@db/shop?ssl-mode=strict",
            "ssl-mode: use one of disabled, preferred, required, verify_ca, ver",
        ),
        (
            "postgres://u@db/shop?sslrootcert=ca.pem",
            "sslrootcert: it is used only with sslmode=verify-full: add that",
        ),
        (
            "mysql://u@db/shop?ssl-mode=REQUIRED&ssl-ca=ca.pem",
            "ssl-ca: it is used only with ssl-mode=verify_identity",
        ),
        ("postgres://u@db/shop?sslcert=c.pem", "sslcert: it needs sslkey, too"),
        ("mysql://u@db/shop?ssl-key=k.pem", "ssl-key: it needs ssl-cert, too"),
        ("mysql://u@db/shop?socket=mysql.sock", "socket: give its whole path, which begins with /"),
        ("postgres://u@/shop?host=/a,/b", "host: give one name, or the directory of a socket"),
        ("postgres://u@db/shop?port=0", "port: give a number from 1 to 65535"),
        ("postgres://u@/shop", "it names no host"),
        ("mysql://u:p@/shop?sslmode=require", "unknown parameter \"sslmode\": did you mean \"ssl-mode\"?"),
    ] {
        let told = instead("postgres://u@db/shop", url);
        assert!(told.starts_with("line 6, column 7: url: ") && told.contains(message), "{url}: {told}");
    }
    let text = SMALL.replacen("postgres://u@db/shop", "postgres://u@?sslmode=on&no=1&port=x", 1);
    let told = cutover_store::spec::Spec::read(&text).expect_err("mistakes");
    assert_eq!(told.len(), 5, "each: {told:#?}");
    for (more, message) in [
        ("connections = 1", "line 8, column 15: connections: 1 is out of range: give 2 to 1000"),
        ("connections = \"8\"", "line 8, column 15: connections: give a number without quotes"),
    ] {
        assert!(with(more).starts_with(message), "{}", with(more));
    }
    let told = instead("[target]", "connections = 8\n[target]");
    assert!(told.starts_with("line 5, column 15: connections: only a database server has"), "{told}");
}

#[test]
fn columns_that_can_not_be_name_their_place() {
    let columns = |names: &[&str]| {
        let each =
            names.iter().map(|name| format!("[[target.columns]]\nname = \"{name}\"\ntype = \"text\"\n"));
        each.collect::<String>()
    };
    let twice = with(&columns(&["a", "b", "a"]));
    assert_eq!(
        twice, "line 14, column 1: columns: column \"a\" is there twice: rename one",
        "and nothing else"
    );
    let invalid = with(&columns(&["a", "b c"]));
    assert!(invalid.starts_with("line 11, column 1: columns: \"b c\" is no name"), "{invalid}");
    let overlap = with(
        "[[target.columns]]\nname=\"a\"\ntype=\"json\"\n[[target.columns]]\nname=\"b\"\nfrom=\"a.x\"\ntype=\"text\"",
    );
    assert!(overlap.starts_with("line 11, column 1: columns: columns \"a\" and \"b\" take"), "{overlap}");
    let clash = with(&columns(&["cutover_version"]));
    assert!(clash.contains("fields: \"cutover_version\" names two different things"), "{clash}");
    let nowhere = with(&format!("on_misfit = \"overflow\"\n{}", columns(&["a"])));
    assert!(nowhere.starts_with("line 8, column 13: columns: on_misfit = \"overflow\" needs"), "{nowhere}");
    let whole = with(&format!("value = \"body\"\n{}", columns(&["a"])));
    assert!(whole.contains("value: value is the column of whole records"), "{whole}");
    let dynamodb = SMALL.replace("postgres://u@db/shop\"\ntable = \"orders\"", "dynamodb://Orders\"");
    let refused = refusal(&format!("{dynamodb}{}", columns(&["a"])));
    assert!(refused.starts_with("line 7, column 1: columns: a DynamoDB table has"), "{refused}");
}

#[test]
fn formats_that_can_not_be_name_their_place() {
    let column = |lines: &str| with(&format!("[[target.columns]]\nname = \"a\"\n{lines}"));
    for (lines, told) in [
        (
            "type = \"text\"\nformat = \"rfc3339\"",
            "line 11, column 10: format: a text column has no dates or times",
        ),
        (
            "type = \"date\"\nformat = \"iso\"",
            "line 11, column 10: format: \"iso\" is no format: use rfc3339",
        ),
        (
            "type = \"date\"\nzone = \"Mars\"",
            "line 11, column 8: zone: \"Mars\" is no time zone: write it like",
        ),
        (
            "type = \"date\"\nformat = \"epoch_s\"",
            "line 8, column 1: columns: column a: a date column has no seconds",
        ),
        (
            "type = \"datetime(0)\"\nformat = \"%Y\"",
            "line 8, column 1: columns: column a: format \"%Y\" does not spell",
        ),
        ("type = \"float\"", "line 10, column 8: \"float\" is no column type: use text, varchar(N), char(N)"),
        (
            "type = \"varchar20\"",
            "line 10, column 8: \"varchar20\" is no column type, did you mean varchar(20)?",
        ),
        (
            "type = \"decimal(2,12)\"",
            "line 10, column 8: decimal(2,12) is out of range: the scale 12 is more than the digits 2",
        ),
        ("type = \"text", "line 10, column 13: the text has no \" at its end"),
    ] {
        let told_there = column(lines);
        assert!(told_there.starts_with(told), "{told_there}");
    }
}

#[test]
fn numbers_out_of_range_name_the_range() {
    for (key, value, range) in [
        ("chunk_ms", "9", "10 to 60000"),
        ("chunk_bytes", "64000001", "1000 to 64000000"),
        ("segments", "0", "1 to 4096"),
        ("workers", "257", "1 to 256"),
        ("latency_ms", "60001", "0 to 60000"),
    ] {
        let refused = with(&format!("[limits]\n{key} = {value}"));
        let message = format!(": {key}: {value} is out of range: give {range}");
        assert!(refused.starts_with("line 9, column ") && refused.ends_with(&message), "{refused}");
    }
}

#[test]
fn a_ledger_is_refused_where_there_is_none() {
    let dynamo = SMALL.replacen("sqlite:a.db\"\ntable = \"orders\"", "dynamodb://Orders\"", 1);
    let told = refusal(&dynamo.replacen("[target]", "versions = \"ledger\"\n[target]", 1));
    assert!(told.contains("a DynamoDB table has no ledger"), "{told}");
    let one = SMALL.replacen("postgres://u@db/shop\"\ntable = \"orders", "sqlite:a.db\"\ntable = \"old", 1);
    let two = super::read(&one.replace("table = ", "versions = \"ledger\"\ntable = "));
    let ledger = |store: &cutover_store::spec::StoreSpec| store.sql_table().and_then(|table| table.ledger());
    assert_ne!(ledger(&two.source), ledger(&two.target));
    let told = with("versions = \"legder\"");
    assert!(told.contains("did you mean \"ledger\"?"), "{told}");
}

#[test]
fn a_path_leads_into_lists_in_two_spellings() {
    let path = |from: &str| {
        let column = format!("[[target.columns]]\nname = \"a\"\ntype = \"text\"\nfrom = {from}\n");
        let spec = super::read(&format!("{SMALL}{column}"));
        (spec.fingerprint(), spec.target.mapping.expect("columns").columns()[0].path.to_string())
    };
    let (one, other) = (path("\"items[0].sku\""), path("[\"items\", 0, \"sku\"]"));
    assert_eq!((one.1.as_str(), &one), ("items[0].sku", &other));
    // A name that has brackets itself.
    assert_ne!(path("[\"items[0]\", \"sku\"]").0, one.0);
}

#[test]
fn record_types_are_told_apart_by_their_keys() {
    let typed = |types: &str| {
        SMALL.replacen("postgres://u@db/shop\"\ntable = \"orders\"", "postgres://u@db/shop\"", 1) + types
    };
    let of =
        |prefix: &str, table: &str| format!("[[target.types]]\nkey_prefix = {prefix:?}\ntable = {table:?}\n");
    let (orders, users) = (of("ORDER#", "orders"), of("USER#", "users"));
    let spec = super::read(&typed(&format!("{orders}{users}")));
    assert_eq!(spec.target.types.len(), 2);
    let swapped = super::read(&typed(&format!("{users}{orders}")));
    assert_eq!(spec.fingerprint(), swapped.fingerprint(), "their order means nothing");
    let other = super::read(&typed(&format!("{}{users}", of("ORDERS#", "orders"))));
    assert_ne!(spec.fingerprint(), other.fingerprint());
    let each = |text: &str| -> Vec<Option<u32>> {
        super::read(text).target.types.iter().map(|it| it.store.connections).collect()
    };
    assert_eq!(each(&typed(&format!("{orders}{users}"))), [Some(8); 2], "16 by default");
    assert_eq!(each(&typed(&format!("connections = 21\n{orders}{users}"))), [Some(10); 2]);
    let nine: String = (0..9).map(|n| of(&format!("{n}#"), &format!("table_{n}"))).collect();
    assert_eq!(each(&typed(&nine)), [Some(2); 9], "a store compares two");
    for (types, told) in [
        (
            format!("{orders}{}", of("ORDER#1", "users")),
            "line 11, column 14: key_prefix: a key can begin with \"ORDER#\"",
        ),
        (
            format!("{orders}{}", of("ORDER#", "users")),
            "line 11, column 14: key_prefix: a key can begin with",
        ),
        (format!("{orders}{}", of("", "users")), "line 11, column 14: key_prefix: it is empty"),
        (
            format!("{orders}{}", of("USER#", "Orders")),
            "line 10, column 1: table: two record types have the table",
        ),
        (
            format!("{orders}[[target.types]]\ntable = \"users\"\n"),
            "line 10, column 1: key_prefix: it is missing",
        ),
        ("types = []\n".to_owned(), "line 7, column 9: types: 0 record types: give 1 to 16"),
        (format!("table = \"orders\"\n{orders}"), "line 7, column 1: unknown \"table\""),
        (format!("{orders}nmae = \"x\"\n"), "line 10, column 1: unknown \"nmae\""),
    ] {
        let error = refusal(&typed(&types));
        assert!(error.starts_with(told), "{error}");
    }
    let same = typed(&orders).replacen("postgres://u@db/shop", "sqlite:a.db", 1);
    assert!(refusal(&same).contains("source and target are the same table"), "{}", refusal(&same));
    let quarantine = format!(
        "quarantine_table = \"orders\"\n{}",
        typed(&orders).replacen("table = \"orders\"\n[target]", "table = \"old\"\n[target]", 1)
    );
    assert!(refusal(&quarantine).contains("it is the table of a store"), "{}", refusal(&quarantine));
}
