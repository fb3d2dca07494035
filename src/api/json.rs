//! Messages from and to JSON: protobuf's JSON mapping with the proto's field names, all fields written out, and
//! numbers for integers that JavaScript can hold.

use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
};
use serde_json::{Map, Value};

use super::failure::Failure;

/// JavaScript's numbers are exact up to here. Greater ones are strings.
const EXACT_MAX: u64 = 1 << 53;

const WRITE: SerializeOptions = SerializeOptions::new()
    .stringify_64_bit_integers(false)
    .use_proto_field_name(true)
    .skip_default_fields(false);

const READ: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(true);

/// A message as JSON.
pub(super) fn of(message: &DynamicMessage) -> Value {
    // Only a message with a broken `Any` can't be written, and the API has none.
    let mut value = message.serialize_with_options(serde_json::value::Serializer, &WRITE).unwrap_or_default();
    keep_exact(&mut value);
    value
}

fn keep_exact(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let is_inexact = number.as_u64().is_some_and(|it| it > EXACT_MAX)
                || number.as_i64().is_some_and(|it| it < 0 && it.unsigned_abs() > EXACT_MAX);
            if is_inexact {
                *value = Value::String(number.to_string());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(keep_exact),
        Value::Object(fields) => fields.values_mut().for_each(keep_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The message in a body. An empty body is an empty message.
pub(super) fn from_body(descriptor: &MessageDescriptor, body: &[u8]) -> Result<DynamicMessage, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(descriptor.clone()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let message = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut json, &READ);
    let message = message.and_then(|message| json.end().map(|()| message));
    message.map_err(|error| Failure::mistake(format!("{error}. {}", expected(descriptor))))
}

/// The message in a query: fields without fields of their own.
pub(super) fn from_query(descriptor: &MessageDescriptor, query: &str) -> Result<DynamicMessage, Failure> {
    let mut fields = Map::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |why: &str| Failure::mistake(format!("{name}: {why}. {}", expected(descriptor)));
        let field = descriptor.get_field_by_name(&name).ok_or_else(|| wrong("there is no such field"))?;
        let value = scalar(&field, &text).map_err(wrong)?;
        if field.is_list() {
            let list = fields.entry(name.to_string()).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
        } else if fields.insert(name.to_string(), value).is_some() {
            return Err(wrong("is given twice"));
        }
    }
    let message = DynamicMessage::deserialize_with_options(descriptor.clone(), Value::Object(fields), &READ);
    message.map_err(|error| Failure::mistake(format!("{error}. {}", expected(descriptor))))
}

fn scalar(field: &FieldDescriptor, text: &str) -> Result<Value, &'static str> {
    match field.kind() {
        Kind::Message(_) => Err("is an object: POST the request as JSON"),
        Kind::Bool => text.parse().map(Value::Bool).map_err(|_| "is true or false"),
        Kind::String | Kind::Bytes | Kind::Enum(_) => Ok(Value::String(text.to_owned())),
        _ => text.parse().map(Value::Number).map_err(|_| "is a number"),
    }
}

/// What a request may have.
fn expected(descriptor: &MessageDescriptor) -> String {
    let fields: Vec<String> = descriptor.fields().map(|field| field.name().to_owned()).collect();
    match fields.is_empty() {
        true => format!("{} has no fields", descriptor.name()),
        false => format!("{} has: {}", descriptor.name(), fields.join(", ")),
    }
}
