//! Types that servers have and documents don't: bits, enums, plain JSON and arrays.

use cutover_store::{
    document::{Attribute, Document},
    mapping::{Cell, Column, Dialect, Mapping, MappingError, OnMisfit, create_table_sql},
};

use super::given::{column, document, map, number, text};

const DIALECTS: [Dialect; 3] = [Dialect::Sqlite, Dialect::MySql, Dialect::Postgres];

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

fn of(dialect: Dialect, column: Column, overflow: bool) -> Result<Mapping, MappingError> {
    let overflow = overflow.then(|| "rest".to_owned());
    Mapping::new(dialect, vec![column], overflow, OnMisfit::Quarantine)
}

fn labels(names: &[&str]) -> Column {
    let labels = names.iter().map(|name| (*name).to_owned()).collect();
    Column { labels, ..column("a", "enum") }
}

fn list(elements: &[Attribute]) -> Attribute {
    Attribute::L(elements.to_vec())
}

/// It has this cell, and comes back.
fn holds(dialect: Dialect, kind: &str, attribute: Attribute, cell: &Cell) {
    let mapping = of(dialect, column("a", kind), false).expect("a mapping");
    let given = document([("a", attribute)]);
    let row = mapping.to_row(&given).unwrap_or_else(|misfit| panic!("{kind}: {misfit}"));
    let spelled = |cell: &Cell| match cell {
        Cell::Text(it) | Cell::Json(it) | Cell::Decimal(it) => it.clone(),
        Cell::Int(it) => it.to_string(),
        other => other.kind().to_owned(),
    };
    let cells = std::slice::from_ref(cell);
    assert_eq!(row, cells, "{kind}: {} and not {}", spelled(&row[0]), spelled(cell));
    assert_eq!(mapping.from_row(&row), Ok(given), "{kind}");
}

fn refused(dialect: Dialect, column: Column, attribute: Attribute) -> String {
    let mapping = of(dialect, column, false).expect("a mapping");
    mapping.to_row(&document([("a", attribute)])).expect_err("it would change").to_string()
}

#[test]
fn bits_are_a_number_without_sign() {
    for dialect in DIALECTS {
        holds(dialect, "bit(1)", n("1"), &Cell::Int(1));
        holds(dialect, "bit(10)", n("1023"), &Cell::Int(1023));
        holds(dialect, "bit(63)", n(&i64::MAX.to_string()), &Cell::Int(i64::MAX));
        holds(dialect, "bit(64)", n(&u64::MAX.to_string()), &Cell::Decimal(u64::MAX.to_string()));
        for wrong in [n("1024"), n("-1"), n("0.5")] {
            assert!(refused(dialect, column("a", "bit(10)"), wrong).contains("bit(10) would change"));
        }
    }
    // PostgreSQL returns 64 bits as a signed number.
    let mapping = of(Dialect::Postgres, column("a", "bit(64)"), false).expect("a mapping");
    assert_eq!(mapping.from_row(&[Cell::Int(-1)]), Ok(document([("a", n(&u64::MAX.to_string()))])));
}

#[test]
fn an_enum_takes_its_labels_as_they_are_spelled() {
    for dialect in DIALECTS {
        let mapping = of(dialect, labels(&["paid", "1", "it's"]), false).expect("a mapping");
        for label in ["paid", "1", "it's"] {
            let given = document([("a", text(label))]);
            let row = mapping.to_row(&given).expect("a label");
            assert_eq!(row, [Cell::Text(label.to_owned())]);
            assert_eq!(mapping.from_row(&row), Ok(given));
        }
        // MySQL would take the first for `paid`, and the second for the second label.
        for other in [text("PAID"), text("2"), text(""), n("1")] {
            let told = refused(dialect, labels(&["paid", "1"]), other);
            assert!(told.contains("has no such label") || told.contains("where enum is mapped"), "{told}");
        }
        // What MySQL has where it could not store a label.
        assert!(mapping.from_row(&[Cell::Text(String::new())]).is_err());
        let with_empty = of(dialect, labels(&["", "x"]), false).expect("a mapping");
        assert_eq!(with_empty.from_row(&[Cell::Text(String::new())]), Ok(document([("a", text(""))])));
    }
    let fault = |column| of(Dialect::Sqlite, column, false).expect_err("no mapping").to_string();
    assert!(fault(labels(&[])).contains("needs its labels"));
    assert!(fault(labels(&["a", "b", "a"])).contains("label \"a\" is there twice"));
    assert!(fault(labels(&["a "])).contains("ends with a blank"));
    assert!(
        fault(Column { kind: "text".parse().expect("a type"), ..labels(&["a"]) }).contains("has no labels")
    );
}

#[test]
fn the_labels_of_an_enum_are_in_its_table() {
    let create = |dialect| {
        let mapping = of(dialect, labels(&["it's", "a\\b"]), false).expect("a mapping");
        create_table_sql(dialect, "orders", &Default::default(), Some(&mapping)).expect("names")
    };
    let sql = create(Dialect::MySql);
    assert!(sql.contains("`a` ENUM('it''s','a\\\\b') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"), "{sql}");
    assert!(create(Dialect::Postgres).contains("\"a\" TEXT"));
}

#[test]
fn plain_json_has_all_digits_and_no_types() {
    let whole = Attribute::M(map([
        ("list", list(&[n("1"), text("ä\"\\\n"), Attribute::Null, list(&[])])),
        ("n", n("0.1")),
        ("t", Attribute::Bool(true)),
        ("é", Attribute::M(map([]))),
    ]));
    let json = r#"{"list":[1,"ä\"\\\n",null,[]],"n":0.1,"t":true,"é":{}}"#;
    for dialect in DIALECTS {
        holds(dialect, "jsonb", whole.clone(), &Cell::Json(json.to_owned()));
        holds(dialect, "jsonb", Attribute::Null, &Cell::Json("null".to_owned()));
        holds(dialect, "jsonb", text(""), &Cell::Json("\"\"".to_owned()));
        holds(dialect, "jsonb", n(&u64::MAX.to_string()), &Cell::Json(u64::MAX.to_string()));
        // More than a double has.
        let long = n("0.12345678901234567890123456789012345678");
        holds(dialect, "jsonb", long.clone(), &Cell::Json(number_of(&long)));
        for other in [Attribute::B(vec![1]), Attribute::Ss(["x".to_owned()].into())] {
            let told = refused(dialect, column("a", "jsonb"), Attribute::L(vec![other]));
            assert!(told.contains("where jsonb is mapped"), "{told}");
        }
    }
    let nul = map([("a\0", n("1"))]);
    assert!(refused(Dialect::Postgres, column("a", "jsonb"), Attribute::M(nul)).contains("NUL"));
    holds(Dialect::MySql, "jsonb", text("\0"), &Cell::Json("\"\\u0000\"".to_owned()));
}

fn number_of(attribute: &Attribute) -> String {
    let Attribute::N(number) = attribute else { panic!("a number") };
    number.as_str().to_owned()
}

#[test]
fn json_of_a_server_is_read_as_it_stands() {
    let mapping = of(Dialect::Postgres, column("a", "jsonb"), false).expect("a mapping");
    let read = |json: &str| mapping.from_row(&[Cell::Text(json.to_owned())]).map(|it| it.0["a"].clone());
    assert_eq!(
        read(" { \"b\" : [ 1.50, 1E2 ] } "),
        Ok(Attribute::M(map([("b", list(&[n("1.5"), n("100")]))])))
    );
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    for wrong in ["", "{", "{\"a\":1,\"a\":2}", "[1,]", "nul", "01x", "1e999", "[NaN]", &deep] {
        let error = read(wrong).expect_err(wrong).to_string();
        assert!(error.contains("can't be read as jsonb"), "{wrong}: {error}");
    }
}

#[test]
fn a_list_of_one_type_is_an_array_of_postgresql() {
    let uuid = text("936da01f-9abd-4d9d-80c7-02af85c822a8");
    let arrays = [
        (
            "text[]",
            list(&[text(""), text("NULL"), text("a,\"\\{}"), Attribute::Null]),
            r#"{"","NULL","a,\"\\{}",NULL}"#,
        ),
        ("text[]", list(&[]), "{}"),
        ("smallint[]", list(&[n("-32768"), n("32767")]), r#"{"-32768","32767"}"#),
        ("bigint[]", list(&[n("9223372036854775807")]), r#"{"9223372036854775807"}"#),
        ("double[]", list(&[n("0.1")]), r#"{"1e-1"}"#),
        ("boolean[]", list(&[Attribute::Bool(true), Attribute::Bool(false)]), r#"{"t","f"}"#),
        ("uuid[]", list(std::slice::from_ref(&uuid)), r#"{"936da01f-9abd-4d9d-80c7-02af85c822a8"}"#),
    ];
    for (kind, attribute, cell) in arrays {
        holds(Dialect::Postgres, kind, attribute, &Cell::Text(cell.to_owned()));
    }
    for (kind, attribute, told) in [
        ("int[]", list(&[n("2147483648")]), "int would change"),
        ("int[]", list(&[text("1")]), "text (S) where int is mapped"),
        ("text[]", list(&[text("\0")]), "NUL"),
        ("text[]", list(&[list(&[])]), "a list (L) where text is mapped"),
        ("text[]", text("a"), "text (S) where text[] is mapped"),
        ("text[]", Attribute::Ss(["a".to_owned()].into()), "where text[] is mapped"),
    ] {
        let misfit = refused(Dialect::Postgres, column("a", kind), attribute);
        assert!(misfit.contains(told), "{kind}: {misfit}");
    }
    // Another spelling of one element: the overflow keeps the list.
    let given = document([("a", list(&[text("936DA01F-9ABD-4D9D-80C7-02AF85C822A8")]))]);
    let mapping = of(Dialect::Postgres, column("a", "uuid[]"), true).expect("a mapping");
    let row = mapping.to_row(&given).expect("a row");
    assert!(row.iter().all(|cell| *cell != Cell::Null));
    assert_eq!(mapping.from_row(&row), Ok(given));
    for dialect in [Dialect::Sqlite, Dialect::MySql] {
        let told = of(dialect, column("a", "text[]"), false).expect_err("no array").to_string();
        assert!(told.contains("only PostgreSQL has text[]: use jsonb"), "{told}");
    }
}

#[test]
fn arrays_that_are_no_list_are_unreadable() {
    let mapping = of(Dialect::Postgres, column("a", "boolean[]"), false).expect("a mapping");
    let read = |cell: &str| mapping.from_row(&[Cell::Text(cell.to_owned())]);
    assert_eq!(
        read("{t,f,NULL}"),
        Ok(Document(
            [("a".to_owned(), list(&[Attribute::Bool(true), Attribute::Bool(false), Attribute::Null,]))]
                .into()
        ))
    );
    for wrong in
        ["", "{", "{t", "{{t},{f}}", "[2:3]={t,f}", "{t,}", "{,t}", "{\"t}", "{t}x", "{maybe}", "{\"t\"x}"]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
