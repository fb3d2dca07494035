//! Lists of one type as PostgreSQL's arrays, in the text form that its casts read and write: `{"a",NULL}`.

use super::{Cell, Reason};
use crate::document::Attribute;

/// The text of an array. `cell`: that of an element.
pub(super) fn encode(
    elements: &[Attribute],
    cell: impl Fn(&Attribute) -> Result<Cell, Reason>,
) -> Result<String, Reason> {
    let mut text = "{".to_owned();
    for (at, element) in elements.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "," });
        if *element == Attribute::Null {
            text.push_str("NULL");
            continue;
        }
        text.push('"');
        match cell(element)? {
            Cell::Text(it) | Cell::Decimal(it) | Cell::Json(it) => {
                for char in it.chars() {
                    text.push_str(if matches!(char, '"' | '\\') { "\\" } else { "" });
                    text.push(char);
                }
            }
            Cell::Int(it) => text.push_str(&it.to_string()),
            Cell::Bool(it) => text.push_str(if it { "t" } else { "f" }),
            Cell::Bytes(_) | Cell::Rows(_) | Cell::Null => unreachable!("no array has elements of this type"),
        }
        text.push('"');
    }
    text.push('}');
    Ok(text)
}

/// The elements of an array, `None` for NULL. Fails for one with several dimensions, or that does not begin at 1.
pub(super) fn decode(text: &str) -> Option<Vec<Option<String>>> {
    let mut rest = text.strip_prefix('{')?;
    let mut elements = Vec::new();
    if rest == "}" {
        return Some(elements);
    }
    loop {
        let (element, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (element, after) = unquoted(quoted)?;
            (Some(element), after)
        } else {
            let end = rest.find([',', '}'])?;
            let (element, after) = rest.split_at(end);
            if element.is_empty() || element.contains(['{', '"', '\\']) {
                return None;
            }
            (Some(element.to_owned()).filter(|it| !it.eq_ignore_ascii_case("null")), after)
        };
        elements.push(element);
        match after {
            "}" => return Some(elements),
            more => rest = more.strip_prefix(',')?,
        }
    }
}

/// Up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut element = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((element, &text[at + 1..])),
            (_, '\\') => element.push(chars.next()?.1),
            (_, char) => element.push(char),
        }
    }
}
