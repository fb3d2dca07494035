//! What is wrong with a document, and where.

use super::{DEPTH_MAX, NumberError};

/// A document that can't be encoded or decoded. Messages contain no values, because they may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", if .path.is_empty() { "the record" } else { .path.as_str() })]
pub struct DocumentError {
    /// Where: `items[2].price`; empty for the whole document.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong at a place in a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not JSON, or not UTF-8.
    #[error("no typed JSON ({0}): write it as {{\"name\":{{\"S\":\"text\"}}}}")]
    NotJson(String),
    /// JSON, but not of the expected form.
    #[error("{found} where {expected} is needed")]
    Shape {
        /// What was found, in words.
        found: &'static str,
        /// What was expected, in words.
        expected: &'static str,
    },
    /// Not the name of an attribute type.
    #[error("{0:?} is no type: use S, N, B, BOOL, NULL, L, M, SS, NS or BS")]
    UnknownType(String),
    /// A duplicate name or set element.
    #[error("it is there twice: keep one")]
    Twice,
    /// DynamoDB has no empty sets.
    #[error("an empty set: leave the attribute out")]
    EmptySet,
    /// More than [`DEPTH_MAX`] levels.
    #[error("more than {DEPTH_MAX} lists and maps within each other: flatten it")]
    TooDeep,
    /// The number is invalid.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// Typed JSON, but written differently from what [`Document::encode`](super::Document::encode) writes.
    #[error("{0}, so it would come back as other bytes")]
    NotCanonical(NotCanonical),
    /// An attribute does not fit the type that it is read as, or a value does not fit an attribute.
    #[error("{0}")]
    Mismatch(String),
    /// Not base64 with padding.
    #[error("no base64: use the standard alphabet with padding")]
    NotBase64,
}

/// What is written differently first, and how to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Blanks or line ends.
    #[error("there are blanks outside of texts: leave them out")]
    Blanks,
    /// `1.50` or `1e3`.
    #[error("a number is not in its shortest form, such as 1.50 for 1.5: write that")]
    Number,
    /// `\u0041` or `\/`.
    #[error("a text is escaped where it need not be: write the characters themselves")]
    Escape,
    /// Attributes, or elements of a set.
    #[error("attributes, or the elements of a set, are not sorted: sort them by their UTF-8 bytes")]
    Order,
}

impl NotCanonical {
    /// Of bytes that differ from the canonical ones.
    pub(super) fn of(bytes: &[u8], canonical: &[u8]) -> Self {
        let at = bytes.iter().zip(canonical).take_while(|(found, expected)| found == expected).count();
        let (before, [found, expected]) = (&bytes[..at], [bytes, canonical].map(|text| text.get(at)));
        // Newest first: the text that differs, as far as it is equal, and what is before it.
        let mut texts = before.rsplit(|byte| *byte == b'"');
        let part = texts.next().filter(|part| part.iter().all(|byte| b"0123456789.+-eE".contains(byte)));
        let is_number = part.is_some_and(|part| match texts.next() {
            Some(b":") => texts.next() == Some(b"N"),
            Some(b"," | b":[") => {
                let open = before.iter().rposition(|byte| *byte == b'[').unwrap_or_default();
                // Two numbers differ in a digit, two forms of one in something else.
                let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
                before[..open].ends_with(br#""NS":"#)
                    && !part.is_empty()
                    && !(is_digit(found) && is_digit(expected))
            }
            _ => false,
        });
        match found {
            Some(b' ' | b'\n' | b'\r' | b'\t') => Self::Blanks,
            _ if [found, expected].contains(&Some(&b'\\')) => Self::Escape,
            _ if is_number => Self::Number,
            _ => Self::Order,
        }
    }
}

impl From<Fault> for DocumentError {
    fn from(fault: Fault) -> Self {
        Self { path: String::new(), fault }
    }
}

impl DocumentError {
    /// The same error, seen from the level above: below the attribute of this name.
    pub(crate) fn under(mut self, name: &str) -> Self {
        let point = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{point}{}", self.path);
        self
    }

    /// The same error, seen from the list.
    pub(crate) fn at(mut self, index: usize) -> Self {
        let point = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{point}{}", self.path);
        self
    }
}
