//! The data sets, as their packages have them.

use serde_json::{Map, Value};

/// Records of a set that are moved.
const RECORDS_MAX: usize = 250;

/// Tenant and key.
pub type At = (String, String);

pub struct Set {
    pub name: &'static str,
    pub records: Vec<(At, Map<String, Value>)>,
}

/// All sets of the packages in this directory.
pub fn all(packages: &str) -> Vec<Set> {
    let read = |path: &str| -> Value {
        let path = format!("{packages}/node_modules/{path}");
        serde_json::from_str(
            &std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")),
        )
        .unwrap()
    };
    let list = |value: Value| -> Vec<Value> {
        match value {
            Value::Array(list) => list,
            other => panic!("a list was expected: {other}"),
        }
    };
    let by_name = |value: Value, name: &str| -> Vec<Value> {
        let Value::Object(all) = value else { panic!("an object was expected") };
        let with_name = all.into_iter().map(|(key, mut value)| {
            value[name] = Value::from(key);
            value
        });
        with_name.collect()
    };
    let features = read("vega-datasets/data/earthquakes.json")["features"].take();
    let quakes = list(features).into_iter().map(|mut feature| {
        let mut record = feature["properties"].take();
        (record["id"], record["geometry"]) = (feature["id"].take(), feature["geometry"].take());
        record
    });
    vec![
        set("movies", list(read("vega-datasets/data/movies.json")), "Major Genre", ""),
        set("countries", list(read("world-countries/countries.json")), "region", "cca3"),
        set("mime", by_name(read("mime-db/db.json"), "type"), "source", "type"),
        set("cars", list(read("vega-datasets/data/cars.json")), "Origin", ""),
        set("emoji", by_name(read("unicode-emoji-json/data-by-emoji.json"), "emoji"), "group", "emoji"),
        set("quakes", quakes.collect(), "net", "id"),
    ]
}

/// `tenant`, `key`: the attributes that have them, which are then no attributes any more. Without a key it is a number.
fn set(name: &'static str, all: Vec<Value>, tenant: &str, key: &str) -> Set {
    let step = (all.len() / RECORDS_MAX).max(1);
    let record = |(at, value): (usize, Value)| {
        let Value::Object(mut record) = value else { panic!("an object was expected: {value}") };
        let mut taken = |name: &str| match record.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let tenant = taken(tenant).unwrap_or_else(|| "none".to_owned());
        let key = taken(key).unwrap_or_else(|| format!("{at:05}"));
        ((tenant, key), record)
    };
    let records = all.into_iter().enumerate().step_by(step).take(RECORDS_MAX).map(record).collect();
    Set { name, records }
}

/// Whether both are equal; numbers however they are written.
pub fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        // Whole numbers exactly, also those that a float can't hold.
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there =
                |(name, one): (&String, &Value)| other.get(name).is_some_and(|other| is_same(one, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}
