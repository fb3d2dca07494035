//! Prefixes that the columns of tenant and key leave out.

use cutover_store::{
    Id, Record, Version,
    spec::{Spec, StripPrefixes},
};

use super::{SMALL, read, refusal};

fn prefixes(tenant: &str, key: &str) -> StripPrefixes {
    StripPrefixes { tenant: tenant.to_owned(), key: key.to_owned() }
}

fn with(more: &str) -> String {
    SMALL.to_owned() + more
}

fn typed(more: &str) -> String {
    let orders = format!("[[target.types]]\nkey_prefix = \"ORDER#\"\ntable = \"orders\"\n{more}");
    SMALL.replacen("postgres://u@db/shop\"\ntable = \"orders\"", "postgres://u@db/shop\"", 1) + &orders
}

#[test]
fn a_table_leaves_out_what_its_spec_says() {
    let strip = |text: &str| read(text).target.strip_prefixes;
    assert_eq!(strip(SMALL), StripPrefixes::default());
    assert_eq!(strip(&with("strip_prefix = \"ORG#\"\n")), prefixes("", "ORG#"));
    assert_eq!(strip(&with("strip_tenant_prefix = \"T-\"\n")), prefixes("T-", ""));
    let own = "tenant = \"id\"\nkey = \"id\"\nstrip_prefix = \"ORG#\"\n";
    assert_eq!(strip(&with(own)), prefixes("ORG#", "ORG#"), "one column is both");
    let of_type = |more: &str| read(&typed(more)).target.types[0].store.strip_prefixes.clone();
    assert_eq!(of_type("strip_prefix = \"ORDER#\"\n"), prefixes("", "ORDER#"));
    assert_eq!(of_type("strip_prefix = \"ORD\"\nstrip_tenant_prefix = \"T\"\n"), prefixes("T", "ORD"));
}

#[test]
fn what_no_id_can_begin_with_is_refused_with_its_line() {
    for (text, told) in [
        (with("strip_prefix = \"\"\n"), "line 8, column 16: strip_prefix: it is empty"),
        (with("strip_prefix = 7\n"), "line 8, column 16: strip_prefix: "),
        (
            with("strip_prefix = \"a\\u0000\"\n"),
            "line 8, column 16: strip_prefix: no id can begin with it: key has a NUL",
        ),
        (
            with("strip_tenant_prefix = \"a\\n\"\n"),
            "line 8, column 23: strip_tenant_prefix: no id can begin with it: ",
        ),
        (
            with(&format!("strip_prefix = {:?}\n", "x".repeat(1024))),
            "line 8, column 16: strip_prefix: no id can begin with it: key has 1025",
        ),
        (
            with(&format!("strip_tenant_prefix = {:?}\n", "x".repeat(256))),
            "line 8, column 23: strip_tenant_prefix: no id can",
        ),
        (
            with("tenant = \"id\"\nkey = \"id\"\nstrip_tenant_prefix = \"T\"\n"),
            "line 10, column 23: strip_tenant_prefix: one column is tenant and key: strip_prefix is enough",
        ),
        (
            typed("strip_prefix = \"USER#\"\n"),
            "line 10, column 16: strip_prefix: the keys of this type begin with \"ORDER#\"",
        ),
        (
            typed("strip_prefix = \"ORDER#1\"\n"),
            "line 10, column 16: strip_prefix: the keys of this type begin with",
        ),
        (
            SMALL.replacen(
                "sqlite:a.db\"\ntable = \"orders\"",
                "dynamodb://Orders\"\nstrip_prefix = \"ORG#\"",
                1,
            ),
            "line 4, column 16: strip_prefix: a DynamoDB table has the whole ids",
        ),
        (
            typed("").replacen("[[target.types]]", "strip_prefix = \"ORDER#\"\n[[target.types]]", 1),
            "line 7, column 1: unknown \"strip_prefix\"",
        ),
    ] {
        let error = refusal(&text);
        assert!(error.starts_with(told), "{error}\n{told}");
    }
}

/// A process with another spec sees other records in the same rows.
#[test]
fn every_prefix_has_a_fingerprint_of_its_own() {
    let own = "tenant = \"id\"\nkey = \"id\"\n";
    let texts = [
        SMALL.to_owned(),
        with("strip_prefix = \"ORG#\"\n"),
        with("strip_prefix = \"ORG\"\n"),
        with("strip_tenant_prefix = \"ORG#\"\n"),
        with("strip_prefix = \"ORG#\"\nstrip_tenant_prefix = \"ORG#\"\n"),
        with(own),
        with(&format!("{own}strip_prefix = \"ORG#\"\n")),
        typed(""),
        typed("strip_prefix = \"ORDER#\"\n"),
        SMALL.replacen("[target]", "strip_prefix = \"ORG#\"\n[target]", 1),
    ];
    let mut fingerprints: Vec<String> = texts.iter().map(|text| read(text).fingerprint()).collect();
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), texts.len());
}

/// Also before any table is there.
#[test]
fn a_record_without_the_prefix_does_not_fit() {
    let fit = |spec: &Spec, key: &str| {
        let record = Record { version: Version(1), value: Some(b"{}".to_vec()) };
        spec.target.fit(&Id::new("t", key).expect("valid"), &record).map_err(|error| error.to_string())
    };
    let whole = read(&with("strip_prefix = \"ORG#\"\n"));
    let of_type = read(&typed("strip_prefix = \"ORDER#\"\n"));
    assert_eq!((fit(&whole, "ORG#1"), fit(&of_type, "ORDER#1")), (Ok(()), Ok(())));
    for (spec, key, told) in [
        (&whole, "1", "key: \"1\" does not begin with \"ORG#\""),
        (&whole, "ORG#", "key: \"ORG#\" has nothing after \"ORG#\""),
        (&of_type, "ORDER#", "key: \"ORDER#\" has nothing after"),
        (&of_type, "USER#1", "key: no record type takes it"),
    ] {
        let error = fit(spec, key).expect_err("it does not fit");
        assert!(error.starts_with(told), "{error}");
    }
}
