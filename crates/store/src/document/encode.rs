//! Encodes to canonical typed JSON.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Attribute, DEPTH_MAX, Document, DocumentError, Fault};

type Done = Result<(), DocumentError>;

pub(super) fn document(document: &Document) -> Result<Vec<u8>, DocumentError> {
    let mut out = Vec::new();
    map(&mut out, &document.0, 0)?;
    Ok(out)
}

pub(super) fn attribute(attribute: &Attribute) -> Result<Vec<u8>, DocumentError> {
    let mut out = Vec::new();
    put(&mut out, attribute, 0)?;
    Ok(out)
}

/// `depth`: number of enclosing lists and maps, not counting the document itself.
fn map(out: &mut Vec<u8>, attributes: &BTreeMap<String, Attribute>, depth: usize) -> Done {
    list(out, b"{}", attributes, |out, (name, attribute)| {
        text(out, name);
        out.push(b':');
        put(out, attribute, depth).map_err(|error| error.under(name))
    })
}

fn put(out: &mut Vec<u8>, attribute: &Attribute, depth: usize) -> Done {
    if depth >= DEPTH_MAX && matches!(attribute, Attribute::L(_) | Attribute::M(_)) {
        return Err(Fault::TooDeep.into());
    }
    out.push(b'{');
    text(out, tag(attribute));
    out.push(b':');
    match attribute {
        Attribute::S(it) => text(out, it),
        Attribute::N(it) => text(out, it.as_str()),
        Attribute::B(it) => text(out, &STANDARD.encode(it)),
        Attribute::Bool(it) => out.extend_from_slice(if *it { b"true" } else { b"false" }),
        Attribute::Null => out.extend_from_slice(b"true"),
        Attribute::L(them) => list(out, b"[]", them.iter().enumerate(), |out, (index, it)| {
            put(out, it, depth + 1).map_err(|error| error.at(index))
        })?,
        Attribute::M(them) => map(out, them, depth + 1)?,
        Attribute::Ss(them) => set(out, them, |out, it| text(out, it))?,
        Attribute::Ns(them) => set(out, them, |out, it| text(out, it.as_str()))?,
        Attribute::Bs(them) => set(out, them, |out, it| text(out, &STANDARD.encode(it)))?,
    }
    out.push(b'}');
    Ok(())
}

const fn tag(attribute: &Attribute) -> &'static str {
    match attribute {
        Attribute::S(_) => "S",
        Attribute::N(_) => "N",
        Attribute::B(_) => "B",
        Attribute::Bool(_) => "BOOL",
        Attribute::Null => "NULL",
        Attribute::L(_) => "L",
        Attribute::M(_) => "M",
        Attribute::Ss(_) => "SS",
        Attribute::Ns(_) => "NS",
        Attribute::Bs(_) => "BS",
    }
}

fn set<T>(out: &mut Vec<u8>, elements: impl IntoIterator<Item = T>, each: impl Fn(&mut Vec<u8>, T)) -> Done {
    let mut elements = elements.into_iter().peekable();
    if elements.peek().is_none() {
        return Err(Fault::EmptySet.into());
    }
    list(out, b"[]", elements, |out, it| {
        each(out, it);
        Ok(())
    })
}

fn list<T>(
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    elements: impl IntoIterator<Item = T>,
    each: impl Fn(&mut Vec<u8>, T) -> Done,
) -> Done {
    out.push(brackets[0]);
    for (index, it) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        each(out, it)?;
    }
    out.push(brackets[1]);
    Ok(())
}

fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text is written to memory, and neither fails");
}
