//! Items: texts and numbers under a key of two texts.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::store::{Error, entry::unreadable};

/// The attributes of the table's key.
pub(super) const PARTITION: &str = "pk";
pub(super) const SORT: &str = "sk";

/// Partition and place in it.
pub(super) type Key = (String, String);

/// The key of the only item of its kind.
pub(super) fn key(partition: impl Into<String>, sort: impl Into<String>) -> Key {
    (partition.into(), sort.into())
}

/// A number as a sort key.
pub(super) fn sorted(number: u64) -> String {
    format!("{number:020}")
}

/// The number of a sort key.
pub(super) fn number_of(sort: &str) -> Result<u64, Error> {
    sort.parse().map_err(|error| unreadable(&format!("the sort key {sort:?}"), error))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Attribute {
    Number(u64),
    Text(String),
}

impl Attribute {
    pub(super) fn value(&self) -> AttributeValue {
        match self {
            Self::Number(number) => AttributeValue::N(number.to_string()),
            Self::Text(text) => AttributeValue::S(text.clone()),
        }
    }

    fn of(value: AttributeValue) -> Option<Self> {
        match value {
            AttributeValue::N(number) => number.parse().ok().map(Self::Number),
            AttributeValue::S(text) => Some(Self::Text(text)),
            _ => None,
        }
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The attributes of an item besides its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item(BTreeMap<String, Attribute>);

impl Item {
    pub(super) fn with(mut self, name: &str, value: impl Into<Attribute>) -> Self {
        self.set(name, value);
        self
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Attribute>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, Error> {
        self.find_text(name).ok_or_else(|| unreadable(name, "no text"))
    }

    pub(super) fn find_text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Attribute::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, Error> {
        self.find_number(name).ok_or_else(|| unreadable(name, "no number"))
    }

    pub(super) fn find_number(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Attribute::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Reads JSON. `what` is the place, for a message.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        what: impl Fn() -> String,
    ) -> Result<T, Error> {
        let text = self.find_text(name).ok_or_else(|| unreadable(&what(), format!("no {name}")))?;
        serde_json::from_str(text).map_err(|error| unreadable(&what(), error))
    }

    /// Whether these attributes have these values.
    pub(super) fn has(&self, expected: &[(&str, Attribute)]) -> bool {
        expected.iter().all(|(name, value)| self.0.get(*name) == Some(value))
    }

    /// About what it adds to a request.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |(name, value): (&String, &Attribute)| match value {
            Attribute::Number(_) => name.len() + 20,
            Attribute::Text(text) => name.len() + text.len(),
        };
        self.0.iter().map(bytes).sum()
    }

    pub(super) fn attributes(&self, key: &Key) -> HashMap<String, AttributeValue> {
        let own = self.0.iter().map(|(name, value)| (name.clone(), value.value()));
        own.chain(key_attributes(key)).collect()
    }

    /// An item as it was read, with its sort key.
    pub(super) fn of(read: HashMap<String, AttributeValue>) -> (String, Self) {
        let (mut sort, mut item) = (String::new(), Self::default());
        for (name, value) in read {
            match Attribute::of(value) {
                Some(Attribute::Text(text)) if name == SORT => sort = text,
                Some(value) if name != PARTITION => _ = item.0.insert(name, value),
                // What is of another type is reported as missing.
                _ => {}
            }
        }
        (sort, item)
    }
}

pub(super) fn key_attributes((partition, sort): &Key) -> HashMap<String, AttributeValue> {
    let pair = |name: &str, value: &String| (name.to_owned(), AttributeValue::S(value.clone()));
    HashMap::from([pair(PARTITION, partition), pair(SORT, sort)])
}

/// Attributes that an item must have, for a write of it.
pub(super) type Expected = Vec<(&'static str, Attribute)>;

/// What an item must be before a write of it.
#[derive(Clone, Debug, Default)]
pub(super) enum Before {
    #[default]
    Any,
    Absent,
    Present,
    Has(Expected),
    /// All attributes of it are there, with these values.
    Is(Item),
}

impl Before {
    /// As it was read.
    pub(super) fn read(item: Option<&Item>) -> Self {
        item.map_or(Self::Absent, |item| Self::Is(item.clone()))
    }
}

/// A condition in DynamoDB's words.
pub(super) struct Condition {
    pub(super) text: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    /// `None`: there is nothing to expect.
    pub(super) fn of(expected: &Expected) -> Option<Self> {
        Self::equal(expected.iter().map(|(name, value)| (*name, value)))
    }

    pub(super) fn before(before: &Before) -> Option<Self> {
        let exists = |function: &str| {
            let names = HashMap::from([("#p".to_owned(), PARTITION.to_owned())]);
            Some(Self { text: format!("{function}(#p)"), names, values: None })
        };
        match before {
            Before::Any => None,
            Before::Absent => exists("attribute_not_exists"),
            Before::Has(expected) => Self::of(expected),
            Before::Is(item) if !item.0.is_empty() => {
                Self::equal(item.0.iter().map(|(name, value)| (&**name, value)))
            }
            Before::Present | Before::Is(_) => exists("attribute_exists"),
        }
    }

    fn equal<'a>(expected: impl Iterator<Item = (&'a str, &'a Attribute)>) -> Option<Self> {
        let (mut text, mut names, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
        for (at, (name, value)) in expected.enumerate() {
            text.push(format!("#c{at} = :c{at}"));
            names.insert(format!("#c{at}"), name.to_owned());
            values.insert(format!(":c{at}"), value.value());
        }
        (!text.is_empty()).then(|| Self { text: text.join(" AND "), names, values: Some(values) })
    }
}
