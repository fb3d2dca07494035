//! Lists in tables of their own: docs/adr/0092-a-list-in-a-child-table.md. They are read in the statement that reads the
//! records.

use super::{
    super::mapping::{Child, SqlTable},
    cells::asked_as_text,
    keys::Place,
};

/// A row of a child table. No table has a name with a blank, which would hide the record's.
const ROW: &str = "`child row`";

/// The statements of one child table.
#[derive(Debug)]
pub(super) struct Children {
    /// For each record that is read, the number of its rows and then the rows: 2 [["0","61"],["1",null]]. Never NULL, unless
    /// the server could not answer. It leaves out rows that are too long, and cuts the list, with a warning only: then number
    /// and rows differ, or it is no list.
    pub(super) asked: String,
    clear: String,
    /// The bytes of ids that are texts.
    exactly: Option<String>,
    /// Fails if the table got or lost a column since it was opened: its values would be lost.
    pub(super) check: String,
    /// To be followed by rows.
    pub(super) insert: String,
}

impl Children {
    /// `places`: of the record's id. `index`: the one that has the record's id and the position. `width`: how many columns
    /// `*` has.
    pub(super) fn new(table: &SqlTable, places: &[Place], child: &Child, index: &str, width: usize) -> Self {
        let q = |name: &str| format!("`{name}`");
        let (name, index) = (q(&child.table), index.replace('`', "``"));
        let columns = child.elements.names().zip(child.elements.types());
        let values = columns.map(|(name, kind)| {
            let name = format!("{ROW}.`{name}`");
            format!(",',',IF({name} IS NULL, 'null', CONCAT('\"', {}, '\"'))", asked_as_text(&name, kind))
        });
        let is_of_record = places.iter().zip(child.ids()).map(|(place, own)| {
            let (own, of_record) = (format!("{ROW}.`{own}`"), format!("`{}`.{}", table.name, place.name));
            let exactly = place.bytes_of(&own).zip(place.bytes_of(&of_record));
            let exactly =
                exactly.map_or_else(String::new, |(own, of_record)| format!(" AND {own} = {of_record}"));
            format!("{own} = {of_record}{exactly}")
        });
        let asked = format!(
            "(SELECT CONCAT(COUNT(*), ' [', COALESCE(GROUP_CONCAT(CONCAT('[\"', CAST({ROW}.`{}` AS CHAR(99)), '\"'{}, ']') \
             SEPARATOR ','), ''), ']') FROM {name} AS {ROW} FORCE INDEX (`{index}`) WHERE {})",
            child.position,
            values.collect::<String>(),
            is_of_record.collect::<Vec<_>>().join(" AND ")
        );
        let ids: Vec<String> = child.ids().into_iter().map(|id| format!("c.`{id}`")).collect();
        let exactly: Vec<String> =
            places.iter().zip(&ids).filter_map(|(place, id)| place.bytes_of(id)).collect();
        let columns: Vec<String> = child.columns().map(q).collect();
        Self {
            asked,
            clear: format!(
                "DELETE c FROM {name} AS c FORCE INDEX (`{index}`) WHERE ({}) IN (",
                ids.join(", ")
            ),
            exactly: (!exactly.is_empty()).then(|| exactly.join(", ")),
            check: format!(
                "SELECT * FROM {name} WHERE FALSE UNION ALL SELECT {} FROM {name} WHERE FALSE",
                vec!["NULL"; width].join(", ")
            ),
            insert: format!("INSERT INTO {name} ({}) VALUES ", columns.join(", ")),
        }
    }

    /// Removes the rows of records. `bytes`: the ids as bytes, of those places that are texts.
    pub(super) fn clear(&self, ids: &str, bytes: &str) -> String {
        let exactly = self.exactly.as_ref().map(|exactly| format!(" AND ({exactly}) IN ({bytes})"));
        format!("{}{ids}){}", self.clear, exactly.unwrap_or_default())
    }
}
