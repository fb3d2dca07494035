//! SQL tables, by plain statements.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    super::{
        super::draft_sql::Admin,
        sets::{At, Set},
    },
    items::untyped,
};

/// The type that a person could have given a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Whole,
    Number,
    Text,
    Json,
}

impl Kind {
    fn of(set: &Set, name: &str) -> Self {
        let values =
            || set.records.iter().filter_map(|(_, record)| record.get(name)).filter(|it| !it.is_null());
        match () {
            () if values().all(Value::is_boolean) => Self::Boolean,
            () if values().all(Value::is_i64) => Self::Whole,
            () if values().all(Value::is_number) => Self::Number,
            () if values().all(Value::is_string) => Self::Text,
            () => Self::Json,
        }
    }

    const fn sql(self, admin: &Admin) -> &'static str {
        let [boolean, whole, number, text, json] = match admin {
            Admin::Sqlite(_) => ["BOOLEAN", "INTEGER", "REAL", "TEXT", "TEXT"],
            Admin::MySql(_) => ["TINYINT(1)", "BIGINT", "DOUBLE", "LONGTEXT CHARACTER SET utf8mb4", "JSON"],
            Admin::Postgres(_) => ["BOOLEAN", "BIGINT", "DOUBLE PRECISION", "TEXT", "JSONB"],
        };
        match self {
            Self::Boolean => boolean,
            Self::Whole => whole,
            Self::Number => number,
            Self::Text => text,
            Self::Json => json,
        }
    }
}

/// A name that SQL takes.
fn column_of(name: &str) -> String {
    name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect()
}

fn text_literal(admin: &Admin, text: &str) -> String {
    let text = text.replace('\'', "''");
    let text = if matches!(admin, Admin::MySql(_)) { text.replace('\\', "\\\\") } else { text };
    format!("'{text}'")
}

fn literal(admin: &Admin, kind: Kind, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        value if kind == Kind::Json => text_literal(admin, &value.to_string()),
        Value::Bool(is) => if *is { "TRUE" } else { "FALSE" }.to_owned(),
        Value::String(text) => text_literal(admin, text),
        other => other.to_string(),
    }
}

pub async fn fill(admin: &Admin, table: &str, set: &Set) -> BTreeMap<At, Map<String, Value>> {
    let names: BTreeSet<&String> = set.records.iter().flat_map(|(_, record)| record.keys()).collect();
    let kinds: Vec<(&String, Kind)> = names.into_iter().map(|name| (name, Kind::of(set, name))).collect();
    let id = match admin {
        Admin::Sqlite(_) => "TEXT NOT NULL",
        Admin::MySql(_) => "VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL",
        Admin::Postgres(_) => "VARCHAR(100) COLLATE \"C\" NOT NULL",
    };
    let column =
        |(name, kind): &(&String, Kind)| format!(", {} {}", admin.quoted(&column_of(name)), kind.sql(admin));
    let columns: String = kinds.iter().map(column).collect();
    admin.sql(format!("CREATE TABLE {table} (owner {id}, no {id}{columns}, PRIMARY KEY (owner, no))")).await;
    let mut expected = BTreeMap::new();
    for records in set.records.chunks(50) {
        let mut rows = Vec::new();
        for ((tenant, key), record) in records {
            let mut row = vec![text_literal(admin, tenant), text_literal(admin, key)];
            let mut kept = Map::new();
            for (name, kind) in &kinds {
                let value = record.get(*name).unwrap_or(&Value::Null);
                row.push(literal(admin, *kind, value));
                // A file has no JSON: for its readers it is a text.
                let is_text = *kind == Kind::Json && matches!(admin, Admin::Sqlite(_));
                let there = if is_text { value.to_string().into() } else { value.clone() };
                if !value.is_null() {
                    kept.insert(column_of(name), there);
                }
            }
            rows.push(format!("({})", row.join(", ")));
            expected.insert((tenant.clone(), key.clone()), kept);
        }
        admin.sql(format!("INSERT INTO {table} VALUES {}", rows.join(", "))).await;
    }
    expected
}

pub async fn read(admin: &Admin, table: &str, spec: &toml::Value) -> BTreeMap<At, Map<String, Value>> {
    let columns = spec["columns"].as_array().unwrap();
    let name_of = |column: &toml::Value| column["name"].as_str().unwrap().to_owned();
    let [tenant, key] = ["tenant", "key"].map(|name| spec[name].as_str().unwrap().to_owned());
    let overflow = spec.get("overflow").map(|it| it.as_str().unwrap().to_owned());
    let names: Vec<String> = columns.iter().map(name_of).chain(overflow.clone()).collect();
    let mut records = BTreeMap::new();
    for mut row in admin.json_rows(table, [&tenant, &key], &names).await {
        let mut record = match overflow.as_ref().and_then(|name| row.remove(name)) {
            Some(Value::String(rest)) => {
                let rest: Map<String, Value> = serde_json::from_str(&rest).unwrap();
                rest.iter().map(|(name, value)| (name.clone(), untyped(value))).collect()
            }
            _ => Map::new(),
        };
        for column in columns {
            let value = row.remove(&name_of(column)).unwrap_or_default();
            if !value.is_null() {
                put(&mut record, &path_of(column), of_column(admin, column["type"].as_str().unwrap(), value));
            }
        }
        let mut id = |name: &str| row.remove(name).unwrap().as_str().unwrap().to_owned();
        records.insert((id(&tenant), id(&key)), record);
    }
    records
}

fn path_of(column: &toml::Value) -> Vec<String> {
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    match column.get("from") {
        None => vec![text(&column["name"])],
        Some(toml::Value::String(path)) => path.split('.').map(str::to_owned).collect(),
        Some(path) => path.as_array().unwrap().iter().map(text).collect(),
    }
}

/// What the text or number of a column means.
fn of_column(admin: &Admin, kind: &str, value: Value) -> Value {
    match (kind, value) {
        ("boolean", Value::Number(is)) => Value::Bool(is.as_i64() == Some(1)),
        ("json", Value::String(text)) => untyped(&serde_json::from_str(&text).unwrap()),
        // Where it is a text, it is one of JSON.
        ("jsonb", Value::String(text)) if !matches!(admin, Admin::Postgres(_)) => {
            serde_json::from_str(&text).unwrap()
        }
        (kind, Value::String(text)) if kind.starts_with("decimal") => serde_json::from_str(&text).unwrap(),
        (_, value) => value,
    }
}

fn put(record: &mut Map<String, Value>, path: &[String], value: Value) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        record.insert(first.clone(), value);
        return;
    }
    let inner = record.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
    put(inner.as_object_mut().unwrap(), rest, value);
}
