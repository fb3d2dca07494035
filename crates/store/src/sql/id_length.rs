//! Ids that end with blanks and are longer than their column.
//!
//! Servers refuse a text that is too long for its column, unless only blanks would be cut: these they cut, and the
//! record would get the id of another one.

use super::{
    super::{Id, StoreError, mapping::SqlTable},
    permanent,
};
use cutover_core::outcome::ErrorClass;

/// A column of text that has a length, and that length in characters.
pub(in super::super) type Length = (String, usize);

/// Those of the ids of which a server may cut the end.
pub(in super::super) fn ending_blank<'a>(ids: impl Iterator<Item = &'a Id>) -> Vec<&'a Id> {
    ids.filter(|id| id.tenant.ends_with(' ') || id.key.ends_with(' ')).collect()
}

/// # Errors
///
/// One of the ids is longer than its column.
pub(in super::super) fn check_lengths(
    table: &SqlTable,
    lengths: &[Length],
    ids: &[&Id],
) -> Result<(), StoreError> {
    let fields = &table.fields;
    for (name, text) in ids.iter().flat_map(|id| [(&fields.tenant, &id.tenant), (&fields.key, &id.key)]) {
        let length = text.chars().count();
        let column =
            lengths.iter().find(|(column, most)| column.eq_ignore_ascii_case(name) && length > *most);
        if let Some((_, most)) = column {
            let what = format!(
                "{length} characters where column {name} of {} takes {most}, and the server would cut the blanks at \
                 the end: another record's id. Lengthen the column",
                table.name
            );
            return Err(permanent(ErrorClass::Constraint, name, what));
        }
    }
    Ok(())
}
