//! Spec files, as any text, and made of what their keys and values are.

use std::fmt::Write as _;

use cutover_store::spec::{Spec, SpecError};

use crate::{
    Target,
    draw::{self, Draw},
    seeds,
};

pub(crate) const TEXT: Target = Target { name: "spec", check: check_text, seeds: examples, words: WORDS };
pub(crate) const DRAWN: Target =
    Target { name: "spec-drawn", check: check_drawn, seeds: || seeds::noise(60, 512), words: &[] };

const WORDS: &[&str] = &[
    "migration = ",
    "[source]\n",
    "[target]\n",
    "[[target.columns]]\n",
    "[[target.types]]\n",
    "[limits]\n",
    "url = ",
    "password_env = ",
    "key_prefix = ",
    "columns = [",
    "{ name = \"a\", type = \"text\" }",
    "\"sqlite:a.db\"",
    "\"mysql://u:p@h/d\"",
    "\"postgres://u@h/d\"",
    "\"dynamodb://T?region=r\"",
    "'''",
    "\"\"\"",
    "\\u0000",
];

/// Is in urls as the password. No message may show it.
const PASSWORD: &str = "pa5sw0rd-marker";

const TYPES: &[&str] = &[
    "text",
    "varchar(3)",
    "varchar(40)",
    "char(5)",
    "tinyint",
    "smallint unsigned",
    "int",
    "bigint",
    "bigint unsigned",
    "bit(5)",
    "bit(64)",
    "decimal(10,2)",
    "decimal(38,30)",
    "real",
    "double",
    "boolean",
    "enum",
    "blob",
    "varbinary(3)",
    "json",
    "jsonb",
    "uuid",
    "uuid_bytes",
    "date",
    "time(0)",
    "time(6)",
    "datetime(0)",
    "datetime(3)",
    "timestamp(6)",
    "timestamptz(0)",
    "timestamptz(6)",
    "text[]",
    "bigint[]",
    "smallint[]",
    "double[]",
    "real[]",
    "boolean[]",
    "uuid[]",
];

fn check_text(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        check(text);
    }
}

fn check_drawn(bytes: &[u8]) {
    check(&file(&mut Draw::new(bytes), true));
}

fn check(text: &str) {
    let read = Spec::read(text);
    match &read {
        Ok(spec) => {
            assert_eq!(spec.fingerprint().len(), 32);
            // A column may have the name of a url, and then it is no password.
            let is_of_url = |line: &str| !line.contains(PASSWORD) || line.trim_start().starts_with("url");
            if text.lines().all(is_of_url) {
                assert_silent(&format!("{spec:?}"), text);
            }
            for store in [&spec.source, &spec.target] {
                assert_silent(&format!("{} {:?}", store.url, store.connect_url(|_| None)), text);
                assert!(store.tables().count() > 0);
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                let told = mistake.to_string();
                assert_silent(&told, text);
                assert!(!told.contains('\n'), "several lines: {told:?}");
                let (line, column) = place(mistake);
                let line_text =
                    text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("no such line: {told}"));
                assert!((1..=line_text.chars().count() + 1).contains(&column), "no such column: {told}");
            }
            assert!(mistakes.is_sorted_by_key(place), "in the order of lines: {mistakes:?}");
        }
    }
    if text.starts_with('\u{feff}') {
        return;
    }
    match (read, Spec::read(&format!("# why\n{text}"))) {
        (Ok(spec), Ok(later)) => {
            assert_eq!(spec, later, "a comment changes nothing");
            assert_eq!(spec.fingerprint(), later.fingerprint());
        }
        // What is missing in the file is told at its first line, unless that can't be read.
        (Err(mistakes), Err(_))
            if mistakes.iter().any(|it| place(it).0 == 1 && matches!(it, SpecError::Toml { .. })) => {}
        (Err(mistakes), Err(later)) => {
            let places = |mistakes: &[SpecError], by: usize| -> Vec<_> {
                let all = mistakes.iter().map(place).map(|(line, column)| (line + by, column));
                all.filter(|place| *place != (1 + by, 1)).collect()
            };
            assert_eq!(mistakes.len(), later.len(), "a comment hides mistakes: {mistakes:?}, {later:?}");
            // A mistake at the file's first place may be about the file as a whole, and stay there.
            let (one, other) = (places(&mistakes, 1), places(&later, 0));
            let of_file = |places: &[_]| places.iter().filter(|place| **place == (2, 1)).count();
            assert_eq!(one.len(), other.len() - of_file(&other), "a comment moves every mistake by a line");
            assert!(one.iter().eq(other.iter().filter(|place| **place != (2, 1))), "{one:?}, {other:?}");
        }
        (one, other) => panic!("a comment changes {one:?} into {other:?}"),
    }
}

fn place(mistake: &SpecError) -> (usize, usize) {
    match mistake {
        SpecError::Unknown { at, .. } | SpecError::Toml { at, .. } | SpecError::Invalid { at, .. } => {
            (at.line, at.column)
        }
        other => panic!("no place: {other}"),
    }
}

/// A url's password is not shown. In other places the text is no password.
fn assert_silent(told: &str, text: &str) {
    let is_password =
        |at: usize| text[..at].ends_with("://u:") && text[at + PASSWORD.len()..].starts_with('@');
    if text.match_indices(PASSWORD).all(|(at, _)| is_password(at)) {
        assert!(!told.contains(PASSWORD), "shows a password: {told}");
    }
}

/// A spec; with `mistakes` also many that can't be.
pub(crate) fn file(draw: &mut Draw<'_>, mistakes: bool) -> String {
    let mut text = "migration = \"orders\"\n".to_owned();
    mistake(&mut text, draw, mistakes);
    let source = draw.pick(&["sqlite:a.db", "dynamodb://Orders?region=eu-west-1", "mysql://u:PW@a/shop"]);
    let target = draw.pick(&["postgres://u:PW@db/shop", "mysql://u:PW@db:3306/shop", "sqlite:b.db"]);
    for (name, url) in [("source", source), ("target", target)] {
        let url = url.replace("PW", PASSWORD);
        let _ = writeln!(text, "[{name}]\nurl = \"{url}\"");
        if !url.starts_with("dynamodb") {
            text.push_str("table = \"orders\"\n");
        }
        mistake(&mut text, draw, mistakes);
        if name == "target" {
            content(&mut text, draw, mistakes);
        }
    }
    if mistakes {
        text.push_str(draw.pick(&[
            "",
            "[limits]\nsegments = 3\n",
            "[limits]\nsegments = 0\nrows_per_s = -1\n",
        ]));
        mistake(&mut text, draw, mistakes);
    }
    text
}

fn content(text: &mut String, draw: &mut Draw<'_>, mistakes: bool) {
    if !draw.one_in(5) {
        text.push_str("overflow = \"rest\"\n");
        text.push_str(draw.pick(&["on_misfit = \"quarantine\"\n", "on_misfit = \"overflow\"\n"]));
    }
    let columns = draw.some(6, |draw| column(draw, mistakes)).into_iter().enumerate();
    for (at, column) in columns {
        let _ = writeln!(text, "[[target.columns]]\nname = \"c{at}\"\n{column}");
    }
    if draw.one_in(3) {
        let from = draw.pick(draw::NAMES);
        let _ = writeln!(text, "[[target.children]]\nfrom = [\"{from}\"]\ntable = \"order_lines\"");
        text.push_str(draw.pick(&[
            "",
            "overflow = \"rest\"\n",
            "overflow = \"rest\"\non_misfit = \"overflow\"\n",
        ]));
        mistake(text, draw, mistakes);
        for (at, column) in draw.some(3, |draw| column(draw, mistakes)).into_iter().enumerate() {
            let _ = writeln!(text, "[[target.children.columns]]\nname = \"c{at}\"\n{column}");
        }
    }
}

fn column(draw: &mut Draw<'_>, mistakes: bool) -> String {
    let kind = draw.pick(TYPES);
    let mut text = format!("type = \"{kind}\"\n");
    let path = |draw: &mut Draw<'_>| {
        let [one, other] = [draw.pick(draw::NAMES), draw.pick(draw::NAMES)];
        match draw.below(6) {
            0 => format!("[\"{one}\", \"{other}\"]"),
            1 => format!("[\"{one}\", {}]", draw.below(3)),
            _ => format!("[\"{one}\"]"),
        }
    };
    match draw.below(8) {
        0 => text.push_str(draw.pick(&[
            "computed = \"{a}#{b}\"\n",
            "computed = \"ORG-{c:N}\"\n",
            "computed = \"{a}{b}\"\n",
            "computed = \"{d.e}/\"\n",
        ])),
        1 => text.push_str(draw.pick(&[
            "constant = 7\n",
            "constant = \"x\"\n",
            "constant = true\n",
            "constant = 1.5\n",
        ])),
        2 => {
            let _ = writeln!(text, "from = {}", path(draw));
            text.push_str(draw.pick(&[
                "default = 1\n",
                "default = \"open\"\n",
                "default = \"\"\n",
                "default = false\n",
            ]));
        }
        3 => {
            let _ = writeln!(text, "from = {}", path(draw));
            text.push_str(draw.pick(&["prefix = \"ORG#\"\n", "prefix = \"a\"\n", "prefix = \"0\"\n"]));
        }
        4 => {
            let _ = writeln!(text, "from = {}\nrequired = true", path(draw));
        }
        _ => {
            let _ = writeln!(text, "from = {}", path(draw));
        }
    }
    if kind == "enum" {
        text.push_str("labels = [\"open\", \"x\", \"\", \"ORG#42\"]\n");
    }
    if ["date", "time"].iter().any(|of| kind.starts_with(of)) {
        text.push_str(draw.pick(&[
            "",
            "",
            "format = \"epoch_s\"\n",
            "format = \"epoch_ms\"\n",
            "format = \"%Y-%m-%d %H:%M:%S\"\n",
            "format = \"%d.%m.%Y\"\n",
            "format = \"%H:%M:%S%.f\"\n",
            "format = \"%s\"\n",
            "format = \"%Y-%m-%dT%H:%M:%S%:z\"\n",
        ]));
        text.push_str(draw.pick(&["", "", "zone = \"Europe/Berlin\"\n", "zone = \"America/St_Johns\"\n"]));
    }
    mistake(&mut text, draw, mistakes);
    text
}

/// Often a key that is known, with a value that may suit it.
fn mistake(text: &mut String, draw: &mut Draw<'_>, mistakes: bool) {
    if !mistakes || !draw.one_in(3) {
        return;
    }
    let key = draw.pick(&[
        "migration",
        "server",
        "quarantine_table",
        "residual_ms",
        "url",
        "password_env",
        "table",
        "tenant",
        "key",
        "tenant_type",
        "version",
        "versions",
        "deleted",
        "value",
        "columns",
        "overflow",
        "on_misfit",
        "types",
        "connections",
        "name",
        "from",
        "type",
        "required",
        "labels",
        "colour",
        "key_prefix",
        "strip_prefix",
        "strip_tenant_prefix",
        "children",
        "position",
    ]);
    let value = draw.pick(&[
        "\"orders\"",
        "7",
        "-1",
        "true",
        "1.5",
        "nan",
        "[]",
        "[1, \"a\"]",
        "{}",
        "{ a = 1 }",
        "\"\"",
        "\"ledger\"",
        "\"N\"",
        "1979-05-27",
        "\"http://h:1\"",
        "unquoted",
        "\"mysql://u:pa5sw0rd-marker@:x/shop\"",
        "'''\na'''",
        "[{ key_prefix = \"A\", table = \"a\" }, { key_prefix = \"AB\", table = \"a\" }]",
        "[{ from = \"a\", table = \"b\", value = { name = \"c\", type = \"text\" } }]",
        "\"\\u0000\"",
        "",
    ]);
    let _ = writeln!(text, "{key} = {value}");
}

fn examples() -> Vec<Vec<u8>> {
    let documents = ["docs/spec.md", "docs/guides/aws.md", "README.md"];
    let blocks = documents.into_iter().flat_map(|path| seeds::blocks(path, "toml"));
    let mut texts: Vec<String> = blocks.chain([seeds::file("examples/orders/orders.toml")]).collect();
    texts.extend(seeds::noise(20, 256).iter().map(|noise| file(&mut Draw::new(noise), true)));
    texts.into_iter().map(String::into_bytes).collect()
}
