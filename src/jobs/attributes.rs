//! Which attributes of two records differ, by name; their values only for who asks for them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use cutover_store::{
    Record,
    document::{Attribute, Document},
};

/// Maximum names in a reason.
const NAMES_MAX: usize = 5;
/// Maximum records whose values are kept.
const RECORDS_MAX: usize = 20;
/// Maximum characters of a value.
const VALUE_MAX: usize = 120;

/// Values of records that differ. They stay in this process: the controller never gets any.
#[derive(Clone, Debug, Default)]
pub struct Values(Arc<Mutex<Vec<String>>>);

/// An attribute that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Differing {
    /// Its path: `address.city`.
    path: String,
    source: Option<Attribute>,
    target: Option<Attribute>,
}

impl Values {
    /// The values of the first records that differ, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep(&self, place: &str, source: Option<&Record>, target: Option<&Record>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= RECORDS_MAX {
            return;
        }
        let mut text = place.to_owned();
        let mut show = |path: &str, source: String, target: String| {
            // Writing to a text never fails.
            let _ = write!(text, "\n  {path}: source {source}, target {target}");
        };
        match attributes(source, target) {
            Some(differing) => differing
                .iter()
                .for_each(|it| show(&it.path, shown(it.source.as_ref()), shown(it.target.as_ref()))),
            None => show("value", bytes(source), bytes(target)),
        }
        lines.push(text);
    }
}

/// Those that differ. `None`: at least one record is not a document, or deleted.
pub(super) fn attributes(source: Option<&Record>, target: Option<&Record>) -> Option<Vec<Differing>> {
    let document = |record: Option<&Record>| Document::decode(record?.value.as_deref()?).ok();
    let (source, target) = (document(source)?, document(target)?);
    let mut differing = Vec::new();
    differ("", source.0, target.0, &mut differing);
    Some(differing)
}

/// The names of those that differ: ` in price, address.city and 3 more`. Empty: nobody can tell.
pub(super) fn names(source: Option<&Record>, target: Option<&Record>) -> String {
    let differing = attributes(source, target).unwrap_or_default();
    let names: Vec<&str> = differing.iter().take(NAMES_MAX).map(|it| it.path.as_str()).collect();
    match (names.is_empty(), differing.len().saturating_sub(NAMES_MAX)) {
        (true, _) => String::new(),
        (_, 0) => format!(" in {}", names.join(", ")),
        (_, more) => format!(" in {} and {more} more", names.join(", ")),
    }
}

fn differ(
    above: &str,
    source: BTreeMap<String, Attribute>,
    mut target: BTreeMap<String, Attribute>,
    differing: &mut Vec<Differing>,
) {
    let path = |name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
    for (name, source) in source {
        match (source, target.remove(&name)) {
            (source, Some(target)) if source == target => {}
            (Attribute::M(source), Some(Attribute::M(target))) => {
                differ(&path(&name), source, target, differing);
            }
            (source, target) => {
                differing.push(Differing { path: path(&name), source: Some(source), target });
            }
        }
    }
    let extra =
        target.into_iter().map(|(name, it)| Differing { path: path(&name), source: None, target: Some(it) });
    differing.extend(extra);
}

fn shown(attribute: Option<&Attribute>) -> String {
    let Some(attribute) = attribute else { return "has none".to_owned() };
    attribute.encode().map_or_else(|error| error.to_string(), |bytes| text(&bytes))
}

fn bytes(record: Option<&Record>) -> String {
    match record.map(|record| record.value.as_deref()) {
        None => "has none".to_owned(),
        Some(None) => "is deleted".to_owned(),
        Some(Some(value)) => text(value),
    }
}

fn text(bytes: &[u8]) -> String {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.chars().flat_map(visible).collect(),
        Err(_) => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    };
    match text.char_indices().nth(VALUE_MAX) {
        None => text,
        Some((at, _)) => format!("{}.. ({} bytes)", &text[..at], bytes.len()),
    }
}

/// Escapes what a terminal would act on.
fn visible(char: char) -> Vec<char> {
    if char.is_control() { char.escape_default().collect() } else { vec![char] }
}

#[cfg(test)]
mod tests {
    use cutover_store::Version;

    use super::*;

    fn record(json: &str) -> Record {
        Record { version: Version(1), value: Some(json.as_bytes().to_vec()) }
    }

    #[test]
    fn differing_attributes_are_named_by_their_paths() {
        let source = record(r#"{"a":{"N":"1"},"b":{"M":{"c":{"S":"x"},"d":{"S":"same"}}},"e":{"S":"only"}}"#);
        let target =
            record(r#"{"a":{"N":"2"},"b":{"M":{"c":{"S":"y"},"d":{"S":"same"}}},"f":{"BOOL":true}}"#);
        assert_eq!(names(Some(&source), Some(&target)), " in a, b.c, e, f");
        let many = |value: &str| {
            let one = |n| format!(r#""a{n}":{{"S":"{value}"}}"#);
            record(&format!("{{{}}}", (0..7).map(one).collect::<Vec<_>>().join(",")))
        };
        assert_eq!(names(Some(&many("x")), Some(&many("y"))), " in a0, a1, a2, a3, a4 and 2 more");
        assert_eq!(names(Some(&source), Some(&record("by hand"))), "");
        assert_eq!(names(Some(&source), None), "");
    }

    #[test]
    fn values_are_kept_for_who_asks() {
        let values = Values::default();
        values.keep("t/k", Some(&record(r#"{"a":{"N":"1"}}"#)), Some(&record(r#"{"b":{"S":"x"}}"#)));
        values.keep("t/l", Some(&record(&"x".repeat(1_000))), None);
        let binary = Record { version: Version(1), value: Some(vec![0xff, 0]) };
        values.keep("t/m", Some(&binary), Some(&Record { value: None, ..binary.clone() }));
        let lines = values.lines();
        let first = "t/k\n  a: source {\"N\":\"1\"}, target has none\n  b: source has none";
        assert!(lines[0].starts_with(first), "{}", lines[0]);
        assert!(lines[1].ends_with("x.. (1000 bytes), target has none"), "{}", lines[1]);
        assert_eq!(lines[2], "t/m\n  value: source 0xff00, target is deleted");
        (0..100).for_each(|_| values.keep("t/n", None, None));
        assert_eq!(values.lines().len(), RECORDS_MAX);
    }
}
