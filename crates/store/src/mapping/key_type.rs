//! Converts a key attribute of a DynamoDB table to the text of an id and back, exactly.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::document::{Attribute, Number};

/// The type of a key attribute. Each value has exactly one text, and each text at most one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
pub enum KeyType {
    /// Text, as it is.
    #[default]
    S,
    /// A number, as the one text that [`Number`] has for it.
    N,
    /// Binary, as base64 with padding.
    B,
}

/// What a column of tenant or key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHolds {
    /// Texts or bytes that are compared exactly.
    Texts,
    /// Texts of which different ones are equal: in case, accents, or blanks at the end.
    LooseTexts,
    /// Whole numbers.
    Numbers,
    /// UUIDs.
    Uuids,
}

impl KeyType {
    /// The attribute of a text, or what the text would have to be.
    pub(super) fn attribute(self, text: &str) -> Result<Attribute, &'static str> {
        match self {
            Self::S => Ok(Attribute::S(text.to_owned())),
            Self::N => match text.parse::<Number>() {
                Ok(number) if number.as_str() == text => Ok(Attribute::N(number)),
                _ => Err("a number (N), as DynamoDB writes it: 12, -0.5"),
            },
            Self::B => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Attribute::B(bytes)),
                Err(_) => Err("bytes (B), in base64 with padding"),
            },
        }
    }

    /// The text of an attribute; `None`: it has another type.
    #[cfg(feature = "dynamodb")]
    pub(crate) fn text(self, attribute: Attribute) -> Option<String> {
        match (self, attribute) {
            (Self::S, Attribute::S(text)) => Some(text),
            (Self::N, Attribute::N(number)) => Some(number.to_string()),
            (Self::B, Attribute::B(bytes)) => Some(STANDARD.encode(bytes)),
            _ => None,
        }
    }

    /// As in specs.
    #[cfg(feature = "spec")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        }
    }

    /// In words, for messages.
    #[cfg(feature = "dynamodb")]
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::S => "a string (S)",
            Self::N => "a number (N)",
            Self::B => "binary (B)",
        }
    }
}
