//! What the statements of a transaction tell each other, and how one of them undoes all.

/// Part of the error by which a statement undoes the transaction, because something kept it from writing a row whose entry it
/// wrote, or because a row came in between.
pub(super) const UNDONE: &str = "cutover: an entry without its row";

/// The session's parameter with the number of records that the transaction last wrote.
pub(super) const WROTE: &str = "cutover.wrote";

/// An expression that fails, which undoes the transaction.
pub(super) fn undo() -> String {
    format!("('{UNDONE}' || clock_timestamp())::bigint")
}

/// A column of an answer, which keeps for the rest of the transaction how many records were written.
pub(super) fn wrote(written: &str) -> String {
    format!(", set_config('{WROTE}', (SELECT count(*) FROM {written})::text, true)")
}

/// A statement that answers how many records it wrote, and keeps that.
pub(super) fn counted(sql: &str) -> String {
    format!("WITH w AS ({sql} RETURNING 1) SELECT (SELECT count(*) FROM w){}", wrote("w"))
}
