//! What each type of column holds, its limits, and where the rest goes.

use cutover_store::{
    Id, Record, Version,
    document::{Attribute, Document},
    mapping::{Cell, ColumnPath, ColumnType, Dialect, Fields, KeyType, Mapping, MappingError, OnMisfit},
};

use super::given::{column, document, map, mapping, number, text};

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

/// The cell of a column of this type, or why there is none.
fn cell(kind: &str, attribute: Attribute) -> Result<Cell, String> {
    let mapping = mapping(&[("a", kind)], false, OnMisfit::Quarantine);
    let row = mapping.to_row(&document([("a", attribute)])).map_err(|misfit| misfit.to_string())?;
    Ok(row.into_iter().next().expect("one column"))
}

/// What is read from a column of this type, or why nothing is.
fn read(kind: &str, cell: Cell) -> Result<Attribute, String> {
    let mapping = mapping(&[("a", kind)], false, OnMisfit::Quarantine);
    let document = mapping.from_row(&[cell]).map_err(|misfit| misfit.to_string())?;
    Ok(document.0.into_values().next().expect("one attribute"))
}

#[test]
fn each_type_holds_its_edges() {
    assert_eq!(cell("text", text("")), Ok(Cell::Text(String::new())));
    assert_eq!(cell("varchar(3)", text("äöü")), Ok(Cell::Text("äöü".to_owned())));
    assert_eq!(cell("varchar(3)", text("a  ")), Ok(Cell::Text("a  ".to_owned())));
    assert_eq!(cell("bigint", n("9223372036854775807")), Ok(Cell::Int(i64::MAX)));
    assert_eq!(cell("bigint", n("-9223372036854775808")), Ok(Cell::Int(i64::MIN)));
    assert_eq!(cell("bigint", n("1.0e3")), Ok(Cell::Int(1000)));
    assert_eq!(cell("decimal(4,2)", n("-99.99")), Ok(Cell::Decimal("-99.99".to_owned())));
    assert_eq!(cell("decimal(2,2)", n("0.10")), Ok(Cell::Decimal("0.1".to_owned())));
    let most = "9".repeat(38);
    assert_eq!(cell("decimal(38,0)", n(&most)), Ok(Cell::Decimal(most)));
    assert_eq!(cell("boolean", Attribute::Bool(true)), Ok(Cell::Bool(true)));
    assert_eq!(cell("blob", Attribute::B(vec![])), Ok(Cell::Bytes(vec![])));
    assert_eq!(cell("varbinary(2)", Attribute::B(vec![0, 255])), Ok(Cell::Bytes(vec![0, 255])));
    assert_eq!(cell("json", text("a\0")), Ok(Cell::Json(r#"{"S":"a\u0000"}"#.to_owned())));
    let whole = |kind, digits: &str| cell(kind, n(digits));
    for (kind, least, most) in [
        ("tinyint", "-128", "127"),
        ("tinyint unsigned", "0", "255"),
        ("smallint", "-32768", "32767"),
        ("smallint unsigned", "0", "65535"),
        ("int", "-2147483648", "2147483647"),
        ("int unsigned", "0", "4294967295"),
    ] {
        assert_eq!(whole(kind, least), Ok(Cell::Int(least.parse().expect("whole"))));
        assert_eq!(whole(kind, most), Ok(Cell::Int(most.parse().expect("whole"))));
    }
    let most = u64::MAX.to_string();
    assert_eq!(whole("bigint unsigned", &most), Ok(Cell::Decimal(most)));
    assert_eq!(whole("double", "0.1"), Ok(Cell::Decimal("1e-1".to_owned())));
    // The double that is this float, so that nobody rounds twice.
    assert_eq!(whole("real", "0.1"), Ok(Cell::Decimal("1.0000000149011612e-1".to_owned())));
    assert_eq!(whole("real", "16777216"), Ok(Cell::Decimal("1.6777216e7".to_owned())));
    assert_eq!(whole("double", "0"), Ok(Cell::Decimal("0e0".to_owned())));
    assert_eq!(cell("char(2)", text(" a")), Ok(Cell::Text(" a".to_owned())));
    assert_eq!(cell("json", Attribute::Null), Ok(Cell::Json(r#"{"NULL":true}"#.to_owned())));
}

#[test]
fn each_type_refuses_what_it_would_change() {
    let refused = [
        ("varchar(3)", text("äöüß"), "a (column a): 4 characters where varchar(3) takes 3"),
        ("varbinary(1)", Attribute::B(vec![1, 2]), "a (column a): 2 bytes where varbinary(1) takes 1"),
        ("text", text("a\0b"), "a (column a): text with a NUL character"),
        (
            "bigint",
            n("9223372036854775808"),
            "a (column a): 19 digits before the point and 0 after it: bigint",
        ),
        ("bigint", n("0.5"), "a (column a): 1 digits before the point and 1 after it: bigint would change"),
        ("decimal(10,2)", n(&"1".repeat(38)), "a (column a): 38 digits before the point"),
        (
            "decimal(10,2)",
            n("0.001"),
            "a (column a): 1 digits before the point and 3 after it: decimal(10,2)",
        ),
        ("decimal(2,2)", n("1"), "a (column a): 1 digits before the point"),
        ("decimal(10,2)", Attribute::M(map([])), "a (column a): a map (M) where decimal(10,2) is mapped"),
        ("bigint", text("1"), "a (column a): text (S) where bigint is mapped"),
        ("boolean", Attribute::Null, "a (column a): null (NULL) where boolean is mapped"),
        ("json", Attribute::L(vec![Attribute::Ss([].into())]), "a[0] (column a): an empty set"),
        ("tinyint", n("128"), "a (column a): 3 digits before the point and 0 after it: tinyint would change"),
        ("tinyint unsigned", n("-1"), "a (column a): 1 digits before the point"),
        ("bigint unsigned", n("18446744073709551616"), "a (column a): 20 digits before the point"),
        ("int", n("0.5"), "a (column a): 1 digits before the point and 1 after it: int would change"),
        ("double", n("0.1000000000000000055511151231257827"), "a (column a): 1 digits before the point"),
        ("double", n("9007199254740993"), "a (column a): 16 digits before the point"),
        ("real", n("16777217"), "a (column a): 8 digits before the point"),
        ("real", n("0.10000000149011612"), "a (column a): 1 digits before the point"),
        ("real", n("1e39"), "a (column a): 40 digits before the point"),
        ("char(3)", text("a "), "a (column a): text that ends with a blank"),
        ("uuid", text("no"), "a (column a): not written as the format of the uuid column says"),
    ];
    for (kind, attribute, message) in refused {
        let error = cell(kind, attribute).expect_err(kind);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn only_postgresql_refuses_nul() {
    for dialect in [Dialect::Sqlite, Dialect::MySql] {
        let mapping = Mapping::new(dialect, vec![column("a", "text")], None, OnMisfit::Quarantine);
        let row = mapping.expect("a mapping").to_row(&document([("a", text("\0"))]));
        assert_eq!(row, Ok(vec![Cell::Text("\0".to_owned())]));
    }
}

#[test]
fn rows_of_strangers_are_read_if_that_is_exact() {
    assert_eq!(read("decimal(10,2)", Cell::Decimal("9.90".to_owned())), Ok(n("9.9")));
    assert_eq!(read("decimal(10,2)", Cell::Text("9.90".to_owned())), Ok(n("9.9")));
    assert_eq!(read("bigint", Cell::Bytes(b"12".to_vec())), Ok(n("12")));
    assert_eq!(read("boolean", Cell::Int(0)), Ok(Attribute::Bool(false)));
    assert_eq!(read("text", Cell::Bytes(b"x".to_vec())), Ok(text("x")));
    assert_eq!(read("char(3)", Cell::Text("a  ".to_owned())), Ok(text("a")));
    assert_eq!(read("double", Cell::Text("1.5".to_owned())), Ok(n("1.5")));
    assert_eq!(read("real", Cell::Text("0.10000000149011612".to_owned())), Ok(n("0.1")));
    assert_eq!(read("real", Cell::Text("0.10000000000000001".to_owned())), Ok(n("0.1")), "of another column");
    assert_eq!(read("date", Cell::Text("0000-00-00".to_owned())), Ok(text("0000-00-00")), "as MySQL has it");
    let refused = [
        ("boolean", Cell::Int(2), "a (column a): the row has a whole number that can't be read as boolean"),
        ("decimal(10,2)", Cell::Decimal("NaN".to_owned()), "a (column a): the row has a decimal number that"),
        ("text", Cell::Bytes(vec![0xff]), "a (column a): not valid UTF-8"),
        ("blob", Cell::Text("x".to_owned()), "a (column a): the row has text that can't be read as blob"),
        ("json", Cell::Json("{".to_owned()), "a (column a): no typed JSON"),
        (
            "double",
            Cell::Text("NaN".to_owned()),
            "a (column a): the row has text that can't be read as double",
        ),
        (
            "double",
            Cell::Text("1e300".to_owned()),
            "a (column a): the row has text that can't be read as double",
        ),
        (
            "date",
            Cell::Text("0000-00-00 00:00:00".to_owned()),
            "a (column a): the row has text that can't be read as date",
        ),
        ("timestamptz", Cell::Text("infinity".to_owned()), "a (column a): the row has text"),
        (
            "uuid_bytes",
            Cell::Bytes(vec![1]),
            "a (column a): the row has bytes that can't be read as uuid_bytes",
        ),
        ("json", Cell::Json(r#"{"L":[{"N":"x"}]}"#.to_owned()), "a[0] (column a): not a decimal number"),
    ];
    for (kind, cell, message) in refused {
        let error = read(kind, cell).expect_err(kind);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn null_is_not_absent() {
    let mapping = mapping(&[("a", "text")], true, OnMisfit::Quarantine);
    let absent = mapping.to_row(&Document::default()).expect("a row");
    assert_eq!(absent, [Cell::Null, Cell::Null]);
    let null = mapping.to_row(&document([("a", Attribute::Null)])).expect("a row");
    assert_eq!(null, [Cell::Null, Cell::Json(r#"{"a":{"NULL":true}}"#.to_owned())]);
    assert_eq!(mapping.from_row(&null), Ok(document([("a", Attribute::Null)])));
}

#[test]
fn what_no_column_takes_lies_in_the_overflow_or_is_refused() {
    let more = document([("a", text("x")), ("b", n("1"))]);
    let with = mapping(&[("a", "text")], true, OnMisfit::Quarantine);
    let row = with.to_row(&more).expect("a row");
    assert_eq!(row, [Cell::Text("x".to_owned()), Cell::Json(r#"{"b":{"N":"1"}}"#.to_owned())]);
    let without = mapping(&[("a", "text")], false, OnMisfit::Quarantine);
    let misfit = without.to_row(&more).expect_err("b has no place");
    assert!(misfit.to_string().starts_with("b: no column takes it"), "{misfit}");
}

#[test]
fn a_misfit_goes_to_the_overflow_only_where_that_is_asked_for() {
    let long = document([("a", text("too long"))]);
    let strict = mapping(&[("a", "varchar(3)")], true, OnMisfit::Quarantine);
    assert!(strict.to_row(&long).is_err());
    assert_eq!(strict.check(&[Document::default(), long.clone()])[0].0, 1);
    let lenient = mapping(&[("a", "varchar(3)")], true, OnMisfit::Overflow);
    let row = lenient.to_row(&long).expect("a row");
    assert_eq!(row[0], Cell::Null);
    assert_eq!(lenient.from_row(&row), Ok(long));
}

#[test]
fn a_required_attribute_can_neither_be_missing_nor_go_elsewhere() {
    let required = |kind| {
        let columns = vec![cutover_store::mapping::Column { required: true, ..column("a", kind) }];
        Mapping::new(Dialect::MySql, columns, Some("rest".to_owned()), OnMisfit::Overflow).expect("a mapping")
    };
    let mapping = required("varchar(3)");
    for misfit in [Document::default(), document([("a", Attribute::Null)]), document([("a", text("long"))])] {
        assert!(mapping.to_row(&misfit).is_err(), "{misfit:?}");
    }
    let misfit = mapping.from_row(&[Cell::Null, Cell::Null]).expect_err("it is required");
    assert!(misfit.to_string().contains("missing"), "{misfit}");
}

#[test]
fn a_path_leads_into_maps_and_what_is_beside_it_stays_beside_it() {
    let mapping = mapping(&[("at.city", "text"), ("at.pos.x", "bigint")], true, OnMisfit::Overflow);
    let at = |entries| document([("at", Attribute::M(entries))]);
    let whole = at(map([("city", text("Bonn")), ("pos", Attribute::M(map([("x", n("1"))])))]));
    let row = mapping.to_row(&whole).expect("a row");
    assert_eq!(row, [Cell::Text("Bonn".to_owned()), Cell::Int(1), Cell::Null]);
    let others = [
        at(map([])),
        at(map([("pos", Attribute::M(map([])))])),
        at(map([("city", n("5")), ("pos", Attribute::M(map([("x", n("1")), ("y", n("2"))])))])),
        at(map([("city", text("Bonn")), ("pos", text("here"))])),
        document([("at", text("home"))]),
        document([("at.city", text("one name"))]),
    ];
    for document in [vec![whole], others.to_vec()].concat() {
        let row = mapping.to_row(&document).expect("a row");
        assert_eq!(mapping.from_row(&row), Ok(document));
    }
}

#[test]
fn a_column_and_an_overflow_that_both_claim_an_attribute_are_not_guessed_at() {
    let mapping = mapping(&[("a.b", "text")], true, OnMisfit::Quarantine);
    for overflow in [r#"{"a":{"M":{"b":{"S":"y"}}}}"#, r#"{"a":{"S":"y"}}"#] {
        let row = [Cell::Text("x".to_owned()), Cell::Json(overflow.to_owned())];
        let misfit = mapping.from_row(&row).expect_err("two claims");
        assert!(
            misfit.to_string().starts_with("a.b (column a_b): both its column and the overflow"),
            "{misfit}"
        );
    }
}

#[test]
fn an_attribute_does_not_overwrite_a_field_of_an_item() {
    let (fields, id) = (Fields::default(), Id::new("t", "k").expect("valid"));
    let record = |document: Document| Record {
        version: Version(1),
        value: Some(document.encode().expect("no empty set")),
    };
    let item = fields.item(&id, &record(document([("name", text("x")), ("value", text("y"))])));
    assert_eq!(
        item,
        Ok(document([
            ("tenant", text("t")),
            ("key", text("k")),
            ("cutover_version", n("1")),
            ("name", text("x")),
            ("value", text("y")),
        ]))
    );
    let misfit = fields
        .item(&id, &record(document([("cutover_version", n("1")), ("version", text("theirs"))])))
        .expect_err("two of a name");
    assert!(
        misfit.to_string().starts_with("cutover_version: a field of the store has the same name"),
        "{misfit}"
    );
}

#[test]
fn an_attribute_of_a_key_has_one_text() {
    let fields = Fields { tenant_type: KeyType::N, key_type: KeyType::B, ..Fields::default() };
    let (number, bytes) = (n("-1.5"), Attribute::B(vec![0xfb, 0xff]));
    assert_eq!(fields.place("-1.5", "+/8="), Ok(document([("tenant", number), ("key", bytes)])));
    for (tenant, key, told) in [
        ("01", "+/8=", "tenant: its table has a number (N)"),
        ("1.0", "+/8=", "tenant: its table has a number (N)"),
        ("1e3", "+/8=", "tenant: "),
        ("-0", "+/8=", "tenant: "),
        ("one", "+/8=", "tenant: "),
        ("1", "+/8", "key: its table has bytes (B)"),
        // The same bytes, with meaningless bits in the last digit.
        ("1", "+/9=", "key: "),
        ("1", "-_8=", "key: "),
        ("1", "+/8=\n", "key: "),
    ] {
        let error = fields.place(tenant, key).expect_err(told).to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn columns_that_can_make_no_mapping_are_refused() {
    let make = |columns: Vec<_>, overflow: Option<&str>, on_misfit| {
        Mapping::new(Dialect::MySql, columns, overflow.map(str::to_owned), on_misfit)
    };
    let (strict, lenient) = (OnMisfit::Quarantine, OnMisfit::Overflow);
    assert_eq!(make(vec![], None, strict), Err(MappingError::Empty));
    assert_eq!(make(vec![column("a", "text")], None, lenient), Err(MappingError::NoOverflow));
    let twice = make(vec![column("rest", "text")], Some("REST"), strict);
    assert_eq!(twice, Err(MappingError::Twice("REST".to_owned())));
    let overlap = make(vec![column("a", "json"), column("a.b", "text")], None, strict);
    assert_eq!(overlap, Err(MappingError::Overlap("a".to_owned(), "a_b".to_owned())));
    assert!(matches!(make(vec![column("a\"b", "text")], None, strict), Err(MappingError::Name(_))));
    assert_eq!(ColumnPath::dotted("a..b"), None);
    assert_eq!(ColumnPath::dotted(""), None);
    assert_eq!(ColumnPath::dotted(&"a.".repeat(32)), None);
}

#[test]
fn types_are_written_as_they_are_read() {
    let fine = [
        "text",
        "varchar(1)",
        "char(255)",
        "tinyint",
        "tinyint unsigned",
        "smallint",
        "int unsigned",
        "bigint",
        "bigint unsigned",
        "decimal(65,30)",
        "real",
        "double",
        "boolean",
        "blob",
        "varbinary(65535)",
        "json",
        "uuid",
        "uuid_bytes",
        "date",
        "time(6)",
        "datetime(0)",
        "timestamp(3)",
        "timestamptz(6)",
        "bit(64)",
        "enum",
        "jsonb",
        "text[]",
        "smallint[]",
        "int[]",
        "bigint[]",
        "real[]",
        "double[]",
        "boolean[]",
        "uuid[]",
    ];
    for name in fine {
        assert_eq!(name.parse::<ColumnType>().map(|kind| kind.to_string()), Ok(name.to_owned()));
    }
    for range in [
        "varchar(0)",
        "varchar(16384)",
        "decimal(66,0)",
        "decimal(0,0)",
        "decimal(2,3)",
        "decimal(40,31)",
        "char(256)",
        "time(7)",
        "bit(0)",
        "bit(65)",
        "bit(256)",
    ] {
        let error = range.parse::<ColumnType>().expect_err(range).to_string();
        assert!(error.starts_with(range), "{error}");
    }
    for unknown in [
        "",
        "int signed",
        "float unsigned",
        "date(3)",
        "TEXT",
        "varchar",
        "varchar()",
        "varchar(3",
        "decimal(3)",
        "text(3)",
        "varchar(-1)",
        "bit",
        "jsonb[]",
        "text[][]",
    ] {
        let error = unknown.parse::<ColumnType>().expect_err(unknown).to_string();
        assert!(error.contains("is no column type"), "{error}");
    }
}
