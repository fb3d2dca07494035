//! The mistakes of a file, collected in any order and told by line.

use std::ops::Range;

use super::super::{SpecError, error::Position};

/// Maximum mistakes of each sort. Each is looked up in the text, so thousands would take minutes.
const MISTAKES_MAX: usize = 100;

/// What is wrong so far, up to [`MISTAKES_MAX`].
pub(super) struct Told<'t> {
    text: &'t str,
    syntax: Vec<SpecError>,
    others: Vec<SpecError>,
}

impl<'t> Told<'t> {
    /// Begins with what the parser found.
    pub(super) fn new(text: &'t str, syntax: &[toml::de::Error]) -> Self {
        let mut told = Self { text, syntax: Vec::new(), others: Vec::new() };
        for error in syntax.iter().take(MISTAKES_MAX) {
            let error = SpecError::of_toml(text, error);
            // The rest of a line that the parser did not understand is not a second mistake.
            if told.syntax.iter().all(|other| other.line() != error.line()) {
                told.syntax.push(error);
            }
        }
        told
    }

    /// A value that is wrong, alone or together with others.
    pub(super) fn invalid(&mut self, span: Range<usize>, key: &'static str, what: impl ToString) {
        self.note(|text| SpecError::invalid(text, span, key, what));
    }

    /// A value of the wrong type.
    pub(super) fn wrong_type(&mut self, key: &'static str, span: Range<usize>, error: &toml::de::Error) {
        self.note(|text| SpecError::of_value(text, key, span, error));
    }

    fn note(&mut self, mistake: impl FnOnce(&str) -> SpecError) {
        if self.others.len() < MISTAKES_MAX {
            self.others.push(mistake(self.text));
        }
    }

    /// A key that has to be in the section at `at`.
    pub(super) fn missing(&mut self, at: Range<usize>, key: &'static str, advice: &str) {
        if !self.syntax.iter().any(|error| self.may_hide(error, key)) {
            self.invalid(at, key, format!("it is missing: {advice}"));
        }
    }

    /// A key that does not exist.
    pub(super) fn unknown(
        &mut self,
        span: Range<usize>,
        name: &str,
        known: impl Iterator<Item = &'static str>,
    ) {
        self.note(|text| SpecError::unknown(text, span, name, known));
    }

    /// The spec, if nothing is wrong.
    pub(super) fn end<T>(mut self, spec: Option<T>) -> Result<T, Vec<SpecError>> {
        let (syntax, mut others) = (std::mem::take(&mut self.syntax), std::mem::take(&mut self.others));
        // Nobody knows what was meant to follow a header, or to be in a list, that can't be read.
        if syntax.iter().any(|error| self.line(error).trim_start().starts_with(['[', '{'])) {
            others.clear();
        }
        others.retain(|error| syntax.iter().all(|other| other.line() != error.line()));
        let mut all: Vec<SpecError> = syntax.into_iter().chain(others).collect();
        all.sort_by_key(SpecError::at);
        match spec {
            Some(spec) if all.is_empty() => Ok(spec),
            _ => Err(all),
        }
    }

    /// Whether the line of a syntax error may be the one with the key.
    fn may_hide(&self, error: &SpecError, key: &str) -> bool {
        match self.line(error).split_once('=') {
            Some((named, _)) => named.trim() == key,
            None => true,
        }
    }

    fn line(&self, error: &SpecError) -> &'t str {
        self.text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default()
    }
}

impl SpecError {
    fn at(&self) -> Option<Position> {
        match self {
            Self::Unknown { at, .. } | Self::Toml { at, .. } | Self::Invalid { at, .. } => Some(*at),
            Self::NoPassword(_) => None,
        }
    }

    fn line(&self) -> usize {
        self.at().map_or(0, |at| at.line)
    }
}
