//! What a sample of documents has at each path.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use uuid::Uuid;

use crate::{
    Id,
    document::{Attribute, Document},
};

/// Names in a map that are told apart; with more it is a collection and no structure.
const NAMES_MAX: usize = 40;
/// Maps within maps that are looked into.
const LEVELS_MAX: usize = 4;

/// The attributes of a sample.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Documents in it.
    pub documents: u64,
    /// Their ids.
    pub(super) ids: Vec<Id>,
    pub(super) names: BTreeMap<String, Seen>,
    /// Whether there are more names than are told apart.
    pub(super) has_more: bool,
}

/// One attribute, over all documents of a sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) count: u64,
    /// How often it has which type.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) text: Texts,
    pub(super) number: Numbers,
    pub(super) bytes_max: usize,
    pub(super) inner: BTreeMap<String, Seen>,
    /// The elements of lists, all together.
    pub(super) elements: Option<Box<Seen>>,
    pub(super) has_more: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub(super) chars_max: usize,
    pub(super) uuids: u64,
    pub(super) days: u64,
    /// Points in time in UTC, by the digits after their second.
    pub(super) moments: BTreeMap<u8, u64>,
    /// Has a NUL, which PostgreSQL can't store.
    pub(super) has_nul: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// Numbers seen.
    pub(super) count: u64,
    /// Digits before the point.
    pub(super) whole_max: usize,
    /// Digits after it.
    pub(super) fraction_max: usize,
    /// Whole numbers of 64 bits.
    pub(super) longs: u64,
    /// Whole numbers that could be seconds since 1970, and milliseconds: from 2001 to 2100.
    pub(super) seconds: u64,
    pub(super) milliseconds: u64,
}

impl Sample {
    /// Adds a document. Other values are left out.
    pub fn take(&mut self, id: &Id, value: &[u8]) {
        let Ok(document) = Document::decode(value) else { return };
        self.ids.push(id.clone());
        self.documents += 1;
        take_all(&mut self.names, &mut self.has_more, &document.0, LEVELS_MAX);
    }
}

fn take_all(
    names: &mut BTreeMap<String, Seen>,
    has_more: &mut bool,
    attributes: &BTreeMap<String, Attribute>,
    levels: usize,
) {
    // At the top there may be many record types.
    let most = if levels == LEVELS_MAX { NAMES_MAX * 10 } else { NAMES_MAX };
    for (name, attribute) in attributes {
        if names.len() < most || names.contains_key(name) {
            names.entry(name.clone()).or_default().take(attribute, levels);
        } else {
            *has_more = true;
        }
    }
}

impl Seen {
    fn take(&mut self, attribute: &Attribute, levels: usize) {
        self.count += 1;
        *self.kinds.entry(attribute.kind()).or_default() += 1;
        match attribute {
            Attribute::S(text) => self.text.take(text),
            Attribute::N(number) => self.number.take(number.as_str()),
            Attribute::B(bytes) => self.bytes_max = self.bytes_max.max(bytes.len()),
            Attribute::M(inner) if levels > 0 => {
                take_all(&mut self.inner, &mut self.has_more, inner, levels - 1);
            }
            Attribute::L(elements) if levels > 0 => {
                for element in elements {
                    self.elements.get_or_insert_default().take(element, levels - 1);
                }
            }
            _ => {}
        }
    }
}

impl Texts {
    fn take(&mut self, text: &str) {
        self.chars_max = self.chars_max.max(text.chars().count());
        self.has_nul |= text.contains('\0');
        // As the column would give it back.
        self.uuids += u64::from(Uuid::parse_str(text).is_ok_and(|uuid| uuid.to_string() == text));
        self.days += u64::from(text.parse::<Date>().is_ok_and(|day| day.to_string() == text));
        let fraction = text.strip_suffix('Z').and_then(|text| Some(text.split_once('T')?.1.split_once('.')));
        if let Some(fraction) = fraction
            && text.parse::<Timestamp>().is_ok()
        {
            let digits = fraction.map_or(0, |(_, digits)| digits.len());
            *self.moments.entry(u8::try_from(digits).unwrap_or(u8::MAX)).or_default() += 1;
        }
    }
}

impl Numbers {
    /// The format of points in time, if all could be some.
    pub(super) fn epoch(&self, all: u64) -> Option<&'static str> {
        let time = [(self.seconds, "epoch_s"), (self.milliseconds, "epoch_ms")];
        time.into_iter().find(|(found, _)| *found == all && all > 0).map(|(_, format)| format)
    }

    fn take(&mut self, number: &str) {
        self.count += 1;
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(200_i64)),
            None => (number, 0),
        };
        let digits = mantissa.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let shifted = |digits: usize, by: i64| usize::try_from(digits as i64 + by).unwrap_or(0);
        self.whole_max = self.whole_max.max(shifted(whole.len(), exponent));
        self.fraction_max = self.fraction_max.max(shifted(fraction.len(), -exponent));
        if let Ok(long) = number.parse::<i64>() {
            self.longs += 1;
            self.seconds += u64::from((1_000_000_000..4_102_444_800).contains(&long));
            self.milliseconds += u64::from((1_000_000_000_000..4_102_444_800_000).contains(&long));
        }
    }
}
