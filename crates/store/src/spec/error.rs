//! Errors in a spec: what is wrong, where, and what was probably meant.

use std::{fmt, ops::Range};

use super::{UrlError, nearest::nearest};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let what = error.message().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        // serde: unknown field `x`, expected one of `a`, `b`
        if what.starts_with("unknown field `") || what.starts_with("unknown variant `") {
            let mut quoted = what.split('`').skip(1).step_by(2).map(str::to_owned);
            let name = quoted.next().unwrap_or_default();
            let known: Vec<String> = quoted.collect();
            let nearest = nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
            return Self::Unknown { at, name, nearest, known };
        }
        Self::Toml { at, what: plain(text, at, what) }
    }

    /// Where it is, from 1; 0: in no line.
    pub(super) const fn line(&self) -> usize {
        match self {
            Self::Unknown { at, .. } | Self::Toml { at, .. } | Self::Invalid { at, .. } => at.line,
            Self::NoPassword(_) => 0,
        }
    }

    /// Whether something is not there at all.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Toml { what, .. } => what.starts_with("missing field"),
            Self::Invalid { what, .. } => what.starts_with("it is missing"),
            _ => false,
        }
    }

    pub(super) fn invalid(text: &str, span: Range<usize>, key: &'static str, what: impl ToString) -> Self {
        Self::Invalid { at: Position::of(text, span.start), key, what: what.to_string() }
    }

    pub(super) fn of_url(text: &str, span: Range<usize>, error: UrlError) -> Self {
        Self::invalid(text, span, "url", error)
    }
}

/// The parser's words, or plain ones that name the key.
fn plain(text: &str, at: Position, what: String) -> String {
    let line = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
    let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
        return what;
    };
    match what.as_str() {
        _ if what.starts_with("string values must be quoted") => {
            format!("{key}: a text needs quotes: {key} = \"{value}\"")
        }
        _ if what.starts_with("invalid type: ") && what.ends_with("expected u64") => {
            match key.ends_with("_ms") {
                true => format!("{key}: give milliseconds as a number without quotes, like 1000"),
                false => format!("{key}: give a number without quotes, like 1000"),
            }
        }
        _ if what.starts_with("invalid type: ") && what.ends_with("expected a string") => {
            format!("{key}: give a text in quotes, like {key} = \"{value}\"")
        }
        _ => what,
    }
}

fn advice(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("use one of {}", known.join(", ")),
    }
}
