//! A first draft of a spec, from a DynamoDB table's key and a sample of its items.

mod decide;
mod seen;

use std::{collections::BTreeSet, fmt::Write as _};

use decide::Decision;
pub use seen::Sample;

use super::StoreUrl;
use crate::mapping::{Dialect, Fields, KeyType, check_name};

/// MySQL's rows have at most 65,535 bytes without texts and blobs; keys and other columns need some of them.
const ROW_BYTES_MAX: usize = 40_000;

/// What a spec is drafted from.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The migration's key.
    pub migration: &'a str,
    /// Where the records are, with the table's name as a DynamoDB url has it.
    pub source: &'a str,
    /// The key attributes of the source: partition key and, if there is one, sort key.
    pub keys: &'a [(String, KeyType)],
    /// Where the records go.
    pub target: &'a StoreUrl,
    /// The target's table.
    pub table: &'a str,
    /// The environment variable that holds the target's password; `None`: it needs none.
    pub password_env: Option<&'a str>,
    /// Records of the source.
    pub sample: &'a Sample,
}

impl Draft<'_> {
    /// The text of the spec, with a comment on each column, and how many attributes nobody could decide.
    pub fn text(&self) -> (String, usize) {
        let mut text =
            format!("migration = {}\n\n[source]\nurl = {}\n", quoted(self.migration), quoted(self.source));
        let (tenant, key) = match self.keys {
            [(tenant, kind), (key, other)] => ((tenant, *kind), (key, *other)),
            [(both, kind), ..] => ((both, *kind), (both, *kind)),
            [] => return (text, 0),
        };
        for (name, (attribute, kind)) in [("tenant", tenant), ("key", key)] {
            line(&mut text, &format!("{name} = {}", quoted(attribute)));
            if kind != KeyType::S {
                line(&mut text, &format!("{name}_type = \"{}\"", kind.name()));
            }
        }
        line(&mut text, &format!("\n[target]\nurl = {}", quoted(&self.target_url())));
        if let Some(name) = self.password_env {
            line(&mut text, &format!("password_env = {}", quoted(name)));
        }
        let Some(dialect) = self.target.dialect() else {
            for (name, (attribute, kind)) in [("tenant", tenant), ("key", key)] {
                line(&mut text, &format!("{name} = {}", quoted(attribute)));
                if kind != KeyType::S {
                    line(&mut text, &format!("{name}_type = \"{}\"", kind.name()));
                }
            }
            return (text, 0);
        };
        line(&mut text, &format!("table = {}", quoted(self.table)));
        let fields = Fields::default();
        let mut names = Names::default();
        [&fields.version, &fields.deleted, "rest"].into_iter().for_each(|name| drop(names.take(name)));
        let columns = [tenant.0, key.0].map(|attribute| column_name(std::slice::from_ref(attribute)));
        let of_tenant = names.take(&columns[0]);
        let of_key = if tenant.0 == key.0 { of_tenant.clone() } else { names.take(&columns[1]) };
        line(
            &mut text,
            &format!("tenant = {}\nkey = {}\noverflow = \"rest\"", quoted(&of_tenant), quoted(&of_key)),
        );
        let decided = decide::all(self.sample, &[tenant.0, key.0, &fields.version, &fields.deleted], dialect);
        let undecided = decided.iter().filter(|it| it.comment.contains("NOT DECIDED")).count();
        self.columns(&mut text, &decided, &mut names, dialect);
        (text, undecided)
    }

    fn columns(&self, text: &mut String, decided: &[Decision], names: &mut Names, dialect: Dialect) {
        let mut bytes = 0;
        line(text, "columns = [");
        for it in decided {
            let Some(kind) = &it.kind else { continue };
            let name = names.take(&column_name(&it.path));
            let from = match it.path.as_slice() {
                [only] if *only == name => String::new(),
                path if path.iter().any(|part| part.contains(['.', '[', ']'])) => {
                    format!(
                        "from = [{}], ",
                        path.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(", ")
                    )
                }
                path => format!("from = {}, ", quoted(&path.join("."))),
            };
            let length = kind.strip_prefix("varchar(").and_then(|size| size.strip_suffix(')')?.parse().ok());
            bytes += length.map_or(16, |length: usize| 4 * length);
            let is_full = dialect == Dialect::MySql && length.is_some() && bytes > ROW_BYTES_MAX;
            let kind = if is_full { "text" } else { kind.as_str() };
            line(
                text,
                &format!(
                    "    # {}\n    {{ name = {}, {from}type = \"{kind}\" }},",
                    it.comment,
                    quoted(&name)
                ),
            );
        }
        line(text, "]");
        let rest: Vec<&Decision> = decided.iter().filter(|it| it.kind.is_none()).collect();
        if !rest.is_empty() || self.sample.has_more {
            line(text, "# These have no column, so they stay in the column \"rest\":");
        }
        for it in rest {
            line(text, &format!("#   {}: {}", shown(&it.path.join(".")), it.comment));
        }
        if self.sample.has_more {
            line(text, "#   and more: the records have too many names for columns");
        }
    }

    /// The url without a table, which has a key of its own.
    fn target_url(&self) -> String {
        match self.target {
            StoreUrl::DynamoDb { .. } => {
                self.target.to_string().replacen("dynamodb:", &format!("dynamodb://{}", self.table), 1)
            }
            other => other.to_string(),
        }
    }
}

/// Names of columns that are in use, ignoring case as SQL does.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// The name, or one like it that is free.
    fn take(&mut self, name: &str) -> String {
        let free = (2..).map(|n| format!("{name:.58}_{n}"));
        let mut all = std::iter::once(name.to_owned()).chain(free);
        all.find(|name| self.0.insert(name.to_ascii_lowercase())).unwrap_or_default()
    }
}

/// A name for a column, from the attribute's.
pub fn column_name(path: &[String]) -> String {
    let joined = path.join("_");
    let plain: String =
        joined.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).take(63).collect();
    match check_name(&plain) {
        Ok(()) => plain,
        Err(_) => format!("c_{plain:.61}"),
    }
}

/// A basic string of TOML, which JSON's are, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// For a comment, in which a line must not end.
fn shown(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    fn drafted(target: &str, documents: &[&str]) -> (String, usize) {
        let mut sample = Sample::default();
        documents.iter().for_each(|document| sample.take(document.as_bytes()));
        let (target, _) = StoreUrl::parse(target).expect("a url");
        let keys = [("customer".to_owned(), KeyType::S), ("order-id".to_owned(), KeyType::N)];
        let draft = Draft {
            migration: "orders",
            source: "dynamodb://Orders?region=eu-west-1",
            keys: &keys,
            target: &target,
            table: "orders",
            password_env: None,
            sample: &sample,
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
                    crate::document::Document::decode(&value)
                        .expect("typed JSON")
                        .encode()
                        .expect("a document")
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
}
