//! A table of the file, key by key, so that a mistake in one key hides none in another.

use std::ops::Range;

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::told::Told;

/// What a key holds.
pub(super) enum Given<T> {
    /// The key is not there.
    Absent,
    /// It is there, and what is wrong with its value is told already.
    Wrong,
    /// A value of the right type.
    Is(Spanned<T>),
}

impl<T> Given<T> {
    pub(super) fn is(self) -> Option<Spanned<T>> {
        if let Self::Is(value) = self { Some(value) } else { None }
    }

    pub(super) const fn get(&self) -> Option<&Spanned<T>> {
        if let Self::Is(value) = self { Some(value) } else { None }
    }

    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) const fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong)
    }

    /// The value, or `None` after telling that the key is missing from the section at `at`.
    pub(super) fn required(
        self,
        key: &'static str,
        advice: &str,
        at: &Range<usize>,
        told: &mut Told<'_>,
    ) -> Option<Spanned<T>> {
        if self.is_absent() {
            told.missing(at.clone(), key, advice);
        }
        self.is()
    }
}

/// A table of the file that is taken apart.
pub(super) struct Section<'t> {
    rest: DeTable<'t>,
    known: Vec<&'static str>,
    /// Its header.
    pub(super) at: Range<usize>,
}

impl<'t> Section<'t> {
    pub(super) const fn new(table: DeTable<'t>, at: Range<usize>) -> Self {
        Self { rest: table, known: Vec::new(), at }
    }

    /// Takes a value out, and tells what is wrong with its type.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str, told: &mut Told<'_>) -> Given<T> {
        let Some(value) = self.raw(key) else { return Given::Absent };
        let span = value.span();
        // The parser makes up a value where there is none, and has told that.
        if span.is_empty() {
            return Given::Wrong;
        }
        match T::deserialize(value.into_deserializer()) {
            Ok(value) => Given::Is(Spanned::new(span, value)),
            Err(error) => {
                told.wrong_type(key, span, &error);
                Given::Wrong
            }
        }
    }

    /// Takes out a table.
    pub(super) fn section(&mut self, key: &'static str, told: &mut Told<'_>) -> Given<Self> {
        let Some(value) = self.raw(key) else { return Given::Absent };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Given::Is(Spanned::new(span.clone(), Self::new(table, span))),
            _ => {
                told.invalid(span, key, format!("it is a section of its own: write [{key}]"));
                Given::Wrong
            }
        }
    }

    /// Takes out a list of tables.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        advice: &'static str,
        told: &mut Told<'_>,
    ) -> Given<Vec<Self>> {
        let Some(value) = self.raw(key) else { return Given::Absent };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            told.invalid(span, key, advice);
            return Given::Wrong;
        };
        let mut all = Vec::new();
        for item in items {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => all.push(Self::new(table, span)),
                _ => told.invalid(span, key, advice),
            }
        }
        Given::Is(Spanned::new(span, all))
    }

    /// Tells which keys are left that nobody asked for.
    pub(super) fn end(self, told: &mut Told<'_>) {
        for (key, _) in self.rest {
            told.unknown(key.span(), key.get_ref(), self.known.iter().copied());
        }
    }

    /// Where a key's value is.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.rest.get(key).map(Spanned::span)
    }

    /// Whether there are keys that nobody asked for.
    pub(super) fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }

    fn raw(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.rest.remove(key)
    }
}
