//! Draws structured inputs from bytes. When the bytes are used up, every draw is its first choice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use arbitrary::{Arbitrary, Unstructured};
use cutover_store::document::{Attribute, Document, Number};

/// Where choices come from.
pub(crate) struct Draw<'a>(Unstructured<'a>);

/// Few names, so that columns and attributes, and tenants of several messages, often meet.
pub(crate) const NAMES: &[&str] = &["a", "b", "c", "d", "e", "a.b", "acme", "ü", "A"];

const TEXTS: &[&str] = &[
    "",
    "x",
    "open",
    "ORG#42",
    "a#b",
    "007",
    "12.50",
    "2026-11-28",
    "2026-11-28T20:15:00Z",
    "2026-11-28T20:15:00.000Z",
    "2026-11-28 20:15:00.123456",
    "2026-03-29T02:30:00+01:00",
    "0000-00-00",
    "23:59:59.9",
    "936da01f-9abd-4d9d-80c7-02af85c822a8",
    "936DA01F-9ABD-4D9D-80C7-02AF85C822A8",
    "blank ",
    "\0",
    "ß\u{1f600}",
    "{\"S\":\"x\"}",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "127",
    "128",
    "-32768",
    "2147483647",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "0.1",
    "12.5",
    "-0.000001",
    "16777217",
    "1.17549435e-38",
    "3.4028235e38",
    "1e100",
    "1e-100",
    "1700000000000",
    "99999999999999999999999999999999999999",
];

impl<'a> Draw<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Any value of a type.
    pub(crate) fn any<T: Arbitrary<'a> + Default>(&mut self) -> T {
        self.0.arbitrary().unwrap_or_default()
    }

    /// `0..end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.0.int_in_range(0..=end.saturating_sub(1)).unwrap_or_default()
    }

    /// True for one in this many.
    pub(crate) fn one_in(&mut self, many: u32) -> bool {
        self.below(many) + 1 == many
    }

    pub(crate) fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len() as u32) as usize]
    }

    /// Up to this many of something.
    pub(crate) fn some<T>(&mut self, most: u32, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| each(self)).collect()
    }

    pub(crate) fn text(&mut self) -> String {
        if self.one_in(4) { self.any() } else { self.pick(TEXTS).to_owned() }
    }

    pub(crate) fn number(&mut self) -> Number {
        if self.one_in(4) {
            return Number::from(self.any::<i64>());
        }
        let mut text = self.pick(NUMBERS).to_owned();
        if self.one_in(4) {
            let _ = write!(text, "e{}", self.below(20));
        }
        text.parse().unwrap_or_else(|_| Number::from(7))
    }

    pub(crate) fn document(&mut self) -> Document {
        Document(self.map(0))
    }

    fn map(&mut self, depth: u32) -> BTreeMap<String, Attribute> {
        let entry = |draw: &mut Self| {
            let name = if draw.one_in(12) { draw.any() } else { draw.pick(NAMES).to_owned() };
            (name, draw.attribute(depth))
        };
        self.some(6, entry).into_iter().collect()
    }

    fn attribute(&mut self, depth: u32) -> Attribute {
        // Lists and maps come last, and not at the end of the bytes.
        match self.below(if depth < 4 { 14 } else { 11 }) {
            0..=3 => Attribute::S(self.text()),
            4..=6 => Attribute::N(self.number()),
            7 => Attribute::B(self.any()),
            8 => Attribute::Bool(self.any()),
            9 => Attribute::Null,
            10 => self.set(),
            11 => Attribute::L(self.some(4, |draw| draw.attribute(depth + 1))),
            12 => {
                // Of one type, as an array needs it.
                let first = self.attribute(depth + 1);
                Attribute::L(
                    self.some(4, |draw| if draw.one_in(6) { Attribute::Null } else { first.clone() }),
                )
            }
            _ => Attribute::M(self.map(depth + 1)),
        }
    }

    fn set(&mut self) -> Attribute {
        match self.below(3) {
            0 => Attribute::Ss(self.some(3, Self::text).into_iter().chain(["x".to_owned()]).collect()),
            1 => Attribute::Ns(self.some(3, Self::number).into_iter().chain([Number::from(1)]).collect()),
            _ => Attribute::Bs(
                self.some(3, Self::any).into_iter().chain([Vec::new()]).collect::<BTreeSet<_>>(),
            ),
        }
    }
}
