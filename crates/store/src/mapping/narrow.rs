//! Columns that hold less than their type says: docs/adr/0100-a-column-may-be-narrower-than-its-type.md.

use super::{Cell, Reason};

/// What a column of a table does not hold of its type, or would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Narrow {
    /// Text in another character set than Unicode's.
    Charset(Charset),
    /// An UNSIGNED column.
    NotNegative,
    /// BINARY(N) fills up what is shorter.
    Exactly(usize),
    /// YEAR.
    Year,
    /// SET, with its labels.
    Set(Vec<String>),
}

/// A character set of which each character has the same meaning in every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Ascii,
    /// What MySQL and MariaDB call so: Windows-1252, with a control character in place of what that leaves out.
    Latin1,
    /// Up to three bytes of UTF-8.
    Utf8mb3,
}

/// The characters that latin1 has at 0x80 to 0x9f. MySQL and MariaDB give 0x81, 0x8d, 0x8f, 0x90 and 0x9d the control characters
/// of these numbers.
const LATIN1: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\u{81}\u{8d}\u{8f}\u{90}\u{9d}";

impl Charset {
    /// By its name in MySQL and MariaDB.
    #[cfg(feature = "mysql")]
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "ascii" => Some(Self::Ascii),
            "latin1" => Some(Self::Latin1),
            "utf8mb3" | "utf8" => Some(Self::Utf8mb3),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Latin1 => "latin1",
            Self::Utf8mb3 => "utf8mb3",
        }
    }

    /// Bytes of a character, at most.
    #[cfg(feature = "mysql")]
    pub(crate) const fn bytes(self) -> u64 {
        match self {
            Self::Ascii | Self::Latin1 => 1,
            Self::Utf8mb3 => 3,
        }
    }

    fn has(self, char: char) -> bool {
        match self {
            Self::Ascii => char.is_ascii(),
            Self::Latin1 => matches!(char, '\0'..='\x7f' | '\u{a0}'..='\u{ff}') || LATIN1.contains(char),
            Self::Utf8mb3 => char <= '\u{ffff}',
        }
    }
}

impl Narrow {
    /// Whether the column gives this cell back as it is. `cell`: one of the column's type.
    pub(super) fn check(&self, cell: &Cell) -> Result<(), Reason> {
        let what = match (self, cell) {
            (Self::Charset(set), Cell::Text(text)) if !text.chars().all(|char| set.has(char)) => {
                format!("its character set {} lacks a character of the text: make it utf8mb4", set.name())
            }
            (Self::NotNegative, Cell::Decimal(number)) if number.starts_with('-') => {
                "it is UNSIGNED and takes no negative number".to_owned()
            }
            (Self::Exactly(size), Cell::Bytes(bytes)) if bytes.len() != *size => {
                format!("it is BINARY({size}), which would add zeros to {} bytes: make it VARBINARY", bytes.len())
            }
            (Self::Year, Cell::Int(year)) if !matches!(year, 0 | 1901..=2155) => {
                "it is a YEAR and takes 1901 to 2155, and 0: make it SMALLINT".to_owned()
            }
            (Self::Set(labels), Cell::Text(text)) if !is_set(labels, text) => {
                "it is a SET, which holds some of its own labels in their order, each once, with commas between them"
                    .to_owned()
            }
            (_, Cell::Null)
            | (Self::Charset(_) | Self::Set(_), Cell::Text(_))
            | (Self::NotNegative, Cell::Decimal(_))
            | (Self::Exactly(_), Cell::Bytes(_))
            | (Self::Year, Cell::Int(_)) => return Ok(()),
            _ => "it holds less than its type, and this kind of value can't be checked: map it with another type".to_owned(),
        };
        Err(Reason::Narrow(what))
    }
}

/// Whether a SET with these labels gives the text back as it is.
fn is_set(labels: &[String], text: &str) -> bool {
    let mut left = labels.iter();
    text.is_empty() || text.split(',').all(|part| left.any(|label| label == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_back_as_it_is_fits() {
        let text = |it: &str| Cell::Text(it.to_owned());
        let labels = || Narrow::Set(["a", "b", "c"].map(str::to_owned).to_vec());
        for (narrow, fine, not) in [
            (Narrow::Charset(Charset::Ascii), vec![text("a~\0")], vec![text("ä")]),
            (
                Narrow::Charset(Charset::Latin1),
                vec![text("aäÿ€Ž\u{81}\u{a0}")],
                vec![text("ł"), text("\u{80}"), text("\u{9f}"), text("😀")],
            ),
            (Narrow::Charset(Charset::Utf8mb3), vec![text("ł\u{ffff}")], vec![text("😀")]),
            (
                Narrow::NotNegative,
                vec![Cell::Decimal("0.5".to_owned())],
                vec![Cell::Decimal("-0.5".to_owned())],
            ),
            (
                Narrow::Exactly(2),
                vec![Cell::Bytes(vec![0, 0])],
                vec![Cell::Bytes(vec![1]), Cell::Bytes(vec![0; 3])],
            ),
            (
                Narrow::Year,
                vec![Cell::Int(0), Cell::Int(1901), Cell::Int(2155)],
                vec![Cell::Int(70), Cell::Int(1900), Cell::Int(-1), Cell::Decimal("70".to_owned())],
            ),
            (
                labels(),
                vec![text(""), text("a"), text("a,c"), text("a,b,c")],
                vec![text("c,a"), text("a,a"), text("A"), text("a,"), text("d")],
            ),
        ] {
            assert!(narrow.check(&Cell::Null).is_ok(), "{narrow:?}");
            fine.iter().for_each(|cell| assert!(narrow.check(cell).is_ok(), "{narrow:?}"));
            not.iter().for_each(|cell| assert!(narrow.check(cell).is_err(), "{narrow:?}"));
        }
    }
}
