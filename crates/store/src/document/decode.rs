//! Decodes typed JSON.

mod json;

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Attribute, DEPTH_MAX, Document, DocumentError, Fault, Number};
use json::Json;

pub(super) fn document(bytes: &[u8]) -> Result<Document, DocumentError> {
    map(parsed(bytes)?, 0).map(Document)
}

pub(super) fn attribute(bytes: &[u8]) -> Result<Attribute, DocumentError> {
    typed(parsed(bytes)?, 0)
}

fn parsed(bytes: &[u8]) -> Result<Json, DocumentError> {
    serde_json::from_slice(bytes).map_err(|error| Fault::NotJson(error.to_string()).into())
}

/// `depth`: number of enclosing lists and maps, not counting the document itself.
fn map(json: Json, depth: usize) -> Result<BTreeMap<String, Attribute>, DocumentError> {
    let Json::Object(entries) = json else { return Err(shape(&json, "an object of attributes")) };
    let mut attributes = BTreeMap::new();
    for (name, json) in entries {
        if attributes.contains_key(&name) {
            return Err(DocumentError::from(Fault::Twice).under(&name));
        }
        let attribute = typed(json, depth).map_err(|error| error.under(&name))?;
        attributes.insert(name, attribute);
    }
    Ok(attributes)
}

fn typed(json: Json, depth: usize) -> Result<Attribute, DocumentError> {
    let Json::Object(mut entries) = json else { return Err(shape(&json, "{\"type\": value}")) };
    let (tag, json) = match (entries.pop(), entries.len()) {
        (Some(entry), 0) => entry,
        _ => {
            let found = "an object without exactly one type";
            return Err(Fault::Shape { found, expected: "{\"type\": value}" }.into());
        }
    };
    Ok(match tag.as_str() {
        "S" => Attribute::S(text(json)?),
        "N" => Attribute::N(number(json)?),
        "B" => Attribute::B(binary(json)?),
        "BOOL" => match json {
            Json::Bool(it) => Attribute::Bool(it),
            other => return Err(shape(&other, "true or false")),
        },
        "NULL" => match json {
            Json::Bool(true) => Attribute::Null,
            other => return Err(shape(&other, "true")),
        },
        "L" | "M" if depth >= DEPTH_MAX => return Err(Fault::TooDeep.into()),
        "L" => {
            let elements = array(json)?.into_iter().enumerate();
            let each = |(index, it)| typed(it, depth + 1).map_err(|error| error.at(index));
            Attribute::L(elements.map(each).collect::<Result<_, _>>()?)
        }
        "M" => Attribute::M(map(json, depth + 1)?),
        "SS" => Attribute::Ss(set(json, text)?),
        "NS" => Attribute::Ns(set(json, number)?),
        "BS" => Attribute::Bs(set(json, binary)?),
        _ => return Err(Fault::UnknownType(tag).into()),
    })
}

fn set<T: Ord>(
    json: Json,
    each: impl Fn(Json) -> Result<T, DocumentError>,
) -> Result<BTreeSet<T>, DocumentError> {
    let mut elements = BTreeSet::new();
    for (index, json) in array(json)?.into_iter().enumerate() {
        if !elements.insert(each(json).map_err(|error| error.at(index))?) {
            return Err(DocumentError::from(Fault::Twice).at(index));
        }
    }
    if elements.is_empty() {
        return Err(Fault::EmptySet.into());
    }
    Ok(elements)
}

fn array(json: Json) -> Result<Vec<Json>, DocumentError> {
    match json {
        Json::Array(elements) => Ok(elements),
        other => Err(shape(&other, "an array")),
    }
}

fn text(json: Json) -> Result<String, DocumentError> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(shape(&other, "text in quotes")),
    }
}

fn number(json: Json) -> Result<Number, DocumentError> {
    text(json)?.parse().map_err(|error| Fault::Number(error).into())
}

fn binary(json: Json) -> Result<Vec<u8>, DocumentError> {
    STANDARD.decode(text(json)?).map_err(|_| Fault::NotBase64.into())
}

fn shape(found: &Json, expected: &'static str) -> DocumentError {
    Fault::Shape { found: found.kind(), expected }.into()
}
