//! Errors in a spec: what is wrong, where, and what was probably meant.

use std::{fmt, ops::Range};

use super::nearest::nearest;

/// A spec that can't be used. Messages show no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// An unknown key, or an unknown word of a fixed list.
    #[error("{at}: unknown {name:?}: {}", advice(.nearest.as_deref(), .known))]
    Unknown {
        /// Where it is.
        at: Position,
        /// What was written.
        name: String,
        /// The known name that is most similar, if one is.
        nearest: Option<String>,
        /// Everything that may be written there.
        known: Vec<String>,
    },
    /// Invalid TOML, a value of the wrong type, or a missing key.
    #[error("{at}: {what}")]
    Toml {
        /// Where it is.
        at: Position,
        /// The parser's message.
        what: String,
    },
    /// An invalid value, alone or in combination with others.
    #[error("{at}: {key}: {what}")]
    Invalid {
        /// Where it is.
        at: Position,
        /// Which key.
        key: &'static str,
        /// What is wrong and what to do.
        what: String,
    },
    /// The environment variable that `password_env` names is not set.
    #[error(
        "the environment variable {0} is not set: it has to hold the password that password_env asks for"
    )]
    NoPassword(String),
}

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Position {
    /// The position of a byte of the text, or of its end.
    fn of(text: &str, byte: usize) -> Self {
        let mut end = byte.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_begins = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_begins..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl SpecError {
    /// Converts the parser's error to one line.
    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let at = Position::of(text, error.span().map_or(0, |span| span.start));
        let what = words(error);
        let line = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
        let line = line.split('#').next().unwrap_or_default();
        let what = match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some((key, value)) if what.starts_with("string values must be quoted") => {
                format!("{key}: a text needs quotes: {}", quoted(key, value))
            }
            _ => what,
        };
        Self::Toml { at, what: without_password(&what) }
    }

    /// A value of the wrong type.
    pub(super) fn of_value(text: &str, key: &str, span: Range<usize>, error: &toml::de::Error) -> Self {
        let at = Position::of(text, error.span().map_or(span.start, |span| span.start));
        let what = words(error);
        // serde: unknown variant `x`, expected one of `a`, `b`
        if what.starts_with("unknown variant `") {
            let mut named = what.split('`').skip(1).step_by(2).map(str::to_owned);
            let name = named.next().unwrap_or_default();
            return Self::of_known(at, name, named.collect());
        }
        let what = match &what {
            _ if what.starts_with("invalid type: ") && what.ends_with("expected u64") => {
                let unit = if key.ends_with("_ms") { "milliseconds as a number" } else { "a number" };
                format!("{key}: give {unit} without quotes, like 1000")
            }
            _ if what.starts_with("invalid type: ") && what.ends_with("expected a boolean") => {
                format!("{key}: write true or false, without quotes")
            }
            _ if what.starts_with("invalid type: ") && what.ends_with("expected a string") => {
                format!(
                    "{key}: give a text in quotes, like {}",
                    quoted(key, text.get(span).unwrap_or_default())
                )
            }
            _ => what,
        };
        Self::Toml { at, what: without_password(&what) }
    }

    /// A key that is not one of those known.
    pub(super) fn unknown<'a>(
        text: &str,
        span: Range<usize>,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let known = known.map(str::to_owned).collect();
        Self::of_known(Position::of(text, span.start), name.to_owned(), known)
    }

    fn of_known(at: Position, name: String, known: Vec<String>) -> Self {
        let nearest = nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
        Self::Unknown { at, name: without_password(&name), nearest, known }
    }

    pub(super) fn invalid(text: &str, span: Range<usize>, key: &'static str, what: impl ToString) -> Self {
        let what = without_password(&what.to_string());
        Self::Invalid { at: Position::of(text, span.start), key, what }
    }
}

/// A message with `***` for the password of each url: one may be given where something else is expected.
fn without_password(message: &str) -> String {
    let mut parts = message.split("://");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        told.push_str("://");
        let end =
            part.find(|it: char| it.is_whitespace() || matches!(it, '"' | '\'' | '`')).unwrap_or(part.len());
        let ends = (part.find(':'), part[..end].rfind('@'));
        match ends {
            (Some(colon), Some(at)) if colon < at => told.extend([&part[..=colon], "***", &part[at..]]),
            _ => told.push_str(part),
        }
    }
    told
}

/// The parser's message in one line.
fn words(error: &toml::de::Error) -> String {
    let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match message.split_once(", expected ") {
        Some(("invalid basic string", "`\"`")) => "the text has no \" at its end".to_owned(),
        Some(("invalid literal string", "`'`")) => "the text has no ' at its end".to_owned(),
        _ => message,
    }
}

/// How to write a text, with the value that was given if that can't contain a password.
fn quoted(key: &str, value: &str) -> String {
    match value {
        _ if key == "url" => "url = \"sqlite:orders.db\"".to_owned(),
        _ if value.contains(['\n', '"', '[', '{']) => format!("{key} = \"orders\""),
        value => format!("{key} = \"{value}\""),
    }
}

fn advice(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("use one of {}", known.join(", ")),
    }
}
