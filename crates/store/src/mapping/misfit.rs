//! Why a record does not fit.

use super::ColumnType;
use crate::document::DocumentError;

/// A record that can't be converted to its row, or back. Contains no values, because they may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}{}: {reason}",
    if .path.is_empty() { "the record" } else { .path.as_str() },
    .column.as_ref().map(|column| format!(" (column {column})")).unwrap_or_default()
)]
pub struct Misfit {
    /// Path of the attribute: `address.city`; empty for the whole record.
    pub path: String,
    /// The column's name, if it is about a column.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The attribute has another type.
    #[error("{found} where {column} is mapped")]
    Type {
        /// The type in the document.
        found: &'static str,
        /// The column's type.
        column: ColumnType,
    },
    /// The cell has another type, or its text does not spell the column's type.
    #[error("the row has {found} that can't be read as {column}: somebody else wrote it, correct it there")]
    Cell {
        /// The type in the row.
        found: &'static str,
        /// The column's type.
        column: ColumnType,
    },
    /// The value is too long, in characters or bytes, as the column counts.
    #[error("{length} {unit} where {column} takes {most}", unit = .column.unit(), most = .column.most())]
    TooLong {
        /// The value's length.
        length: usize,
        /// The column's type.
        column: ColumnType,
    },
    /// Not an integer, or beyond 64 bits; or more digits than a decimal has.
    #[error("{whole} digits before the point and {fraction} after it: {column} would change the number")]
    Digits {
        /// Digits before the point.
        whole: usize,
        /// Digits after the point.
        fraction: usize,
        /// The column's type.
        column: ColumnType,
    },
    /// Servers remove blanks at the end of `char` columns.
    #[error("text that ends with a blank, which {column} does not keep")]
    Blank {
        /// The column's type.
        column: ColumnType,
    },
    /// The column would hold the value, but the document writes it in another way.
    #[error(
        "{column} would hold the value, but not how it is written here. Name an overflow column, which keeps that, or \
         another format"
    )]
    Spelling {
        /// The column's type.
        column: ColumnType,
    },
    /// Not the column's prefix and a value after it.
    #[error("a text without the column's prefix, or with something else than {column} after it")]
    Prefix {
        /// The column's type.
        column: ColumnType,
    },
    /// Other attributes of a computed column are there.
    #[error(
        "it is missing, and the template of its column needs it. With on_misfit = \"overflow\" the overflow column keeps \
         the others"
    )]
    Part,
    /// Not what a computed column's template says.
    #[error(
        "{found} where its template has {}",
        if *.is_number { "a number: {name:N}" } else { "text; {name:N} is a number" }
    )]
    PartType {
        /// The type in the document.
        found: &'static str,
        /// Whether the template has a number there.
        is_number: bool,
    },
    /// The way back would split the text elsewhere.
    #[error("its value contains {0:?}, which separates it in the template, or ends or begins like that")]
    Separator(String),
    /// The row has a text that a computed column's template could not give.
    #[error(
        "the row has a text that is not composed as the template says: somebody else wrote it, correct it there"
    )]
    NotComputed,
    /// The attribute is there, with the value that stands for a missing one.
    #[error(
        "its value is the column's default, which stands for a missing attribute. Name an overflow column, which keeps \
         it, or remove the default"
    )]
    IsDefault,
    /// The row has another value than the column's constant.
    #[error("the row has another value than the column's constant: somebody else wrote it, correct it there")]
    NotConstant,
    /// Not one of the labels of an `enum` column.
    #[error("its column has no such label: add it there and in the spec")]
    Label,
    /// Not what the column's format says, or not a UUID.
    #[error("not written as the format of the {column} column says")]
    Unspelled {
        /// The column's type.
        column: ColumnType,
    },
    /// More digits after the second than the column has.
    #[error("a time with more digits after the second than {column} has")]
    Finer {
        /// The column's type.
        column: ColumnType,
    },
    /// Before or after what the column can hold.
    #[error("a time that {column} can't hold: years 1000 to 9999, in a TIMESTAMP of MySQL 1970 to 2038")]
    TooFar {
        /// The column's type.
        column: ColumnType,
    },
    /// The table's column holds less than its type.
    #[error("its column would change the value: {0}")]
    Narrow(String),
    /// PostgreSQL can't store NUL in text.
    #[error("text with a NUL character, which PostgreSQL can't hold: map it to json, or to the overflow")]
    Nul,
    /// Bytes where text is expected.
    #[error("not valid UTF-8: correct it in the row")]
    NotUtf8,
    /// A required attribute is missing.
    #[error("it is missing, and its column requires it")]
    Missing,
    /// There is no overflow column.
    #[error("no column takes it, and there is no overflow column: add one")]
    NoColumn,
    /// In DynamoDB, content and fields are attributes of the same item.
    #[error("a field of the store has the same name: give that another one in the spec")]
    Field,
    /// A column and the overflow hold the same attribute, or one where the other needs a map.
    #[error(
        "both its column and the overflow hold it: a program or a process with another spec wrote the row. Write the record again, or clear one"
    )]
    Both,
    /// The columns have an element of a list, but not those before it.
    #[error("the elements before it are missing: somebody else wrote the row, correct it there")]
    Gap,
    /// Rows have no place for it.
    #[error("{0} where a list is mapped to a table")]
    NoList(&'static str),
    /// No rows stand for a missing list.
    #[error(
        "an empty list, which has no rows and would come back as a missing one. Name an overflow column, which keeps it"
    )]
    EmptyList,
    /// An element is no map.
    #[error("{0} where the elements of the list are mapped as maps")]
    NoMap(&'static str),
    /// An adapter's answer is no list of rows.
    #[error("{0} where rows are expected: report this defect")]
    NoRows(&'static str),
    /// A row of the child table was removed or added.
    #[error(
        "the places of its rows are not 0, 1, 2 and so on. Another program wrote them: number the rows of the record from 0 \
         without gaps, or write the record again"
    )]
    Places,
    /// The number of cells differs from the number of columns.
    #[error("the row has {0} cells, the mapping {1} columns: the table was changed")]
    Width(usize, usize),
    /// In the overflow or a `json` column; or a document that can't be encoded.
    #[error("{}", .0.fault)]
    Document(DocumentError),
    /// A record that came back changed: a defect of this program.
    #[error("the way back changed it: report this defect")]
    Changed,
}
