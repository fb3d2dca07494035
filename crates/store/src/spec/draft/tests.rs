//! Drafts of a DynamoDB table.

use super::*;
use crate::spec::Spec;

fn drafted(target: &str, documents: &[&str]) -> (String, usize) {
    let mut sample = Sample::default();
    documents.iter().for_each(|document| sample.take(document.as_bytes()));
    let (target, _) = StoreUrl::parse(target).expect("a url");
    let keys = [("customer".to_owned(), KeyType::S), ("order-id".to_owned(), KeyType::N)];
    let (source, _) = StoreUrl::parse("dynamodb://Orders?region=eu-west-1").expect("a url");
    let passed = BTreeMap::new();
    let side = |url, table, has| DraftSide { url, table, password_env: None, has };
    let draft = Draft {
        migration: "orders",
        source: side(&source, "Orders", TableHas::Items(&keys)),
        target: side(&target, if target.dialect().is_some() { "orders" } else { "Other" }, TableHas::Nothing),
        sample: &sample,
        removes_by: None,
        passed: &passed,
    };
    draft.text()
}

#[test]
fn each_type_is_found_and_what_is_mixed_is_not_decided() {
    let of = |n: usize| {
        let mixed = if n == 0 { r#"{"N":"7"}"# } else { r#"{"S":"seven"}"# };
        let rare = if n == 0 { r#","rare":{"S":"x"}"# } else { "" };
        format!(
            r#"{{"at":{{"S":"2026-11-28T07:05:00.{n:03}Z"}},"born":{{"S":"2001-01-{:02}"}},"flag":{{"BOOL":true}},"lines":{{"L":[]}},"mixed":{mixed},"n":{{"N":"{n}"}},"a.b":{{"S":"x"}},"Order ID":{{"S":"x"}},"price":{{"N":"{n}.25"}},"made":{{"N":"{}"}},"raw":{{"B":"AAEC"}},"to":{{"M":{{"city":{{"S":"Ulm"}},"zip":{{"S":"89073"}}}}}},"id":{{"S":"936da01f-9abd-4d9d-80c7-{n:012}"}}{rare}}}"#,
            n % 28 + 1,
            1_700_000_000_000_u64 + n as u64,
        )
    };
    let documents: Vec<String> = (0..200).map(of).collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    for target in ["sqlite:t.db", "mysql://u@db/shop", "postgres://u@db/shop"] {
        let (text, undecided) = drafted(target, &documents);
        let spec = Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        assert_eq!(undecided, 1, "{text}");
        for part in [
            "{ name = \"at\", type = \"datetime(3)\" }",
            "{ name = \"born\", type = \"date\" }",
            "{ name = \"flag\", type = \"boolean\" }",
            "{ name = \"lines\", type = \"json\" }",
            "{ name = \"n\", type = \"bigint\" }",
            "{ name = \"a_b\", from = [\"a.b\"], type = \"varchar(16)\" }",
            "{ name = \"Order_ID_2\", from = \"Order ID\", type = \"varchar(16)\" }",
            "{ name = \"price\", type = \"decimal(9,2)\" }",
            "# in 100 % of 200; if these are points in time: type = \"datetime(3)\", format = \"epoch_ms\"",
            "{ name = \"raw\", type = \"varbinary(16)\" }",
            "{ name = \"to_city\", from = \"to.city\", type = \"varchar(16)\" }",
            "{ name = \"id\", type = \"uuid\" }",
            "#   mixed: in 100 % of 200; NOT DECIDED: it has several types: text (S) in 199, a number (N) in 1",
            "#   rare: in 0.5 % of 200; rare; text (S)",
            "key_type = \"N\"",
            "key = \"order_id\"",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let table = spec.target.sql_table().expect("SQL");
        let id = crate::Id::new("acme", "17").expect("valid");
        for document in &documents {
            let value = Some(document.as_bytes().to_vec());
            let canonical = value.map(|value| {
                crate::document::Document::decode(&value).expect("typed JSON").encode().expect("a document")
            });
            let record = crate::Record { version: crate::Version(1), value: canonical };
            table.fit(&id, &record).unwrap_or_else(|error| panic!("{error}\n{document}\n{text}"));
        }
    }
}

#[test]
fn whatever_records_have_the_draft_is_a_spec() {
    let long: String =
        (0..100).map(|n| format!(r#""text_{n:02}":{{"S":"{}"}},"#, "x".repeat(300))).collect::<String>();
    let odd = r#"{"tenant":{"S":"x"},"cutover_version":{"N":"1"},"rest":{"S":"x"},"REST":{"S":"x"},"9":{"S":"x"},"\"\\\n":{"S":"x"},"":{"S":"x"},"e":{"N":"1e100"},"z":{"NULL":true},"m":{"M":{}}}"#;
    for document in [odd.to_owned(), format!("{{{}\"n\":{{\"N\":\"1\"}}}}", long), "{}".to_owned()] {
        for target in ["mysql://u@db/shop", "dynamodb://Other?region=eu-west-1"] {
            let (text, _) = drafted(target, &[document.as_str()]);
            Spec::read(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        }
    }
}
