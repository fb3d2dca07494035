//! The records to copy: documents, so that every store accepts them.

use cutover_store::{Id, Record, Version};

/// Size of a value; its key has about 16 bytes more.
pub(super) const VALUE_BYTES: usize = 200;
/// Records per tenant.
const PER_TENANT: u64 = 100;

/// A target's columns for [`in_columns`]: one of each kind, one for a part of a map, and an attribute without
/// a column.
pub(super) const COLUMNS: &str = r#"overflow = "rest"
columns = [
    { name = "city", from = "address.city", type = "varchar(40)" },
    { name = "n", type = "bigint", required = true },
    { name = "paid", type = "boolean" },
    { name = "text", type = "text" },
    { name = "total", type = "decimal(12,2)" },
]
"#;

pub(super) fn id(at: u64) -> anyhow::Result<Id> {
    Ok(Id::new(&format!("tenant-{}", at / PER_TENANT), &format!("record-{at}"))?)
}

/// One text.
pub(super) fn whole(at: u64) -> Record {
    record(at, r#"{"text":{"S":""#, r#""}}"#)
}

/// One attribute for each of [`COLUMNS`].
pub(super) fn in_columns(at: u64) -> Record {
    let (paid, units, tenths) = (at.is_multiple_of(2), at % 1_000, at % 9 + 1);
    let head = format!(
        r#"{{"address":{{"M":{{"city":{{"S":"Bonn"}},"zip":{{"S":"53111"}}}}}},"n":{{"N":"{at}"}},"paid":{{"BOOL":{paid}}},"text":{{"S":""#
    );
    record(at, &head, &format!(r#""}},"total":{{"N":"{units}.{tenths}"}}}}"#))
}

/// A document filled up with text.
fn record(at: u64, head: &str, tail: &str) -> Record {
    let text_bytes = VALUE_BYTES - head.len() - tail.len();
    Record { version: Version(at + 1), value: Some(format!("{head}{at:<text_bytes$}{tail}").into_bytes()) }
}

#[cfg(test)]
mod tests {
    use cutover_store::document::Document;

    use super::*;

    #[test]
    fn all_have_the_same_size_and_come_back_as_they_are() {
        for at in [0, 1, 999, 1_000, 99_999_999] {
            for value in [whole(at), in_columns(at)].map(|record| record.value.expect("no tombstone")) {
                assert_eq!(value.len(), VALUE_BYTES, "{}", String::from_utf8_lossy(&value));
                let document = Document::decode(&value).expect("a document");
                assert_eq!(document.encode().expect("it fits"), value);
            }
        }
    }
}
