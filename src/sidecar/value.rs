//! Records as JSON and from JSON, without changing a number.

use cutover_client::store::document::{Document, Number};
use serde_json::{Map, Value};
use tonic::Status;

use super::failure;

/// What to do about a record that JSON can't hold.
const RAW: &str = "use raw, where a record has typed JSON: {\"total\":{\"N\":\"12.50\"}}";

/// The record's bytes as a JSON object.
pub(super) fn to_json(bytes: &[u8]) -> Result<String, Status> {
    let value = Document::decode(bytes).and_then(Document::to_value::<Map<String, Value>>);
    let value =
        value.map_err(|error| failure::refused(format!("the record is not plain JSON: {error}; {RAW}")))?;
    Ok(Value::Object(value).to_string())
}

/// A record that is given as a JSON object.
pub(super) fn parse(json: &str) -> Result<Map<String, Value>, Status> {
    let value = serde_json::from_str(json)
        .map_err(|error| failure::invalid(format!("json: {error}; give a JSON object")))?;
    exact(json)?;
    Ok(value)
}

/// The bytes of a record that is given as a JSON object.
pub(super) fn from_json(json: &str) -> Result<Vec<u8>, Status> {
    let value = parse(json)?;
    let bytes = Document::from_value(&value).and_then(|document| document.encode());
    bytes.map_err(|error| failure::invalid(format!("json: {error}")))
}

/// Refuses a number that reading has changed. `json` is valid.
fn exact(json: &str) -> Result<(), Status> {
    for text in numbers(json) {
        let is_whole = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        let kept = || Some(text.parse::<f64>().ok()?.to_string().parse::<Number>() == text.parse::<Number>());
        if !is_whole && kept() != Some(true) {
            let message = format!("json: the number {text} has more digits than a double keeps; {RAW}");
            return Err(failure::invalid(message));
        }
    }
    Ok(())
}

/// The numbers in a valid JSON text.
fn numbers(json: &str) -> impl Iterator<Item = &str> {
    let is_of_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let first = *rest.as_bytes().first()?;
            if first == b'"' {
                let mut escaped = false;
                let end = rest.bytes().skip(1).position(|byte| {
                    let is_end = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    is_end
                });
                // The first quote, and the one at the end.
                rest = &rest[end? + 2..];
            } else if first == b'-' || first.is_ascii_digit() {
                let end = rest.bytes().position(|byte| !is_of_number(byte)).unwrap_or(rest.len());
                let number;
                (number, rest) = rest.split_at(end);
                return Some(number);
            } else {
                // Outside of texts everything is ASCII.
                rest = &rest[1..];
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_given() {
        let json =
            r#"{"a":[1,-2.5,true,null],"b":{"c":"1e5 \" 99999999999999999999"},"d":18446744073709551615}"#;
        let bytes = from_json(json).expect("a document");
        assert_eq!(to_json(&bytes).expect("plain"), json);
    }

    #[test]
    fn numbers_are_found_outside_of_texts() {
        let json = r#"{"1":"2\\","3\"":[4,-5.5e+1,{"6":7}],"8":9}"#;
        assert_eq!(numbers(json).collect::<Vec<_>>(), ["4", "-5.5e+1", "7", "9"]);
    }

    #[test]
    fn a_number_that_would_change_is_refused() {
        for number in ["18446744073709551616", "0.12345678901234567891", "1e400"] {
            let refused = from_json(&format!(r#"{{"n":{number}}}"#)).expect_err(number);
            assert!(refused.message().contains("json: "), "{refused}");
        }
        for number in ["0.1", "1e5", "100.50", "-0.0", "9007199254740993", "1E-7"] {
            assert!(from_json(&format!(r#"{{"n":{number}}}"#)).is_ok(), "{number}");
        }
    }

    #[test]
    fn what_json_lacks_is_refused_with_advice() {
        for bytes in [
            &br#"{"b":{"B":"AAE="}}"#[..],
            br#"{"s":{"SS":["x"]}}"#,
            b"not typed",
            br#"{"n":{"N":"0.12345678901234567891"}}"#,
        ] {
            let refused = to_json(bytes).expect_err("not plain");
            assert!(refused.message().contains("raw"), "{refused}");
        }
        for json in ["[1]", "1", "{", ""] {
            assert!(from_json(json).is_err(), "{json}");
        }
    }
}
