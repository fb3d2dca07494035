//! Records are written together with the rows of their lists: in one transaction, by statements after the one that wrote and so
//! locked the records. A transaction writes all of its records or none. It is sent in several texts, and the COMMIT only after
//! their answers: none lands after the client has given up.

use super::{
    super::{
        Id, Record, StoreError,
        error::Doubt,
        mapping::{Cell, Child},
        sql::{Over, Wrote},
    },
    ErrorClass, MySqlStore, ROWS_MAX, STATEMENT_BYTES_MAX,
    ledger::{Kind, check_written},
    literal::value,
    permanent,
};

impl MySqlStore {
    /// The statements that remove the rows of these records, in an order in which a list may refer to another one.
    pub(super) fn clear_rows(&self, records: &[(&Id, &Record)]) -> Vec<String> {
        // Each id is named up to twice.
        let most = (self.packet_bytes / 6000).clamp(1, ROWS_MAX);
        let parts = records.chunks(most).map(|part| {
            let id = |id: &Id| {
                let mut text = Vec::new();
                self.layout.id(&mut text, id);
                String::from_utf8_lossy(&text).into_owned()
            };
            let list =
                |of: &dyn Fn(&Id) -> String| part.iter().map(|(id, _)| of(id)).collect::<Vec<_>>().join(",");
            (list(&id), list(&|id| self.layout.bytes_of_id(id)))
        });
        let parts: Vec<_> = parts.collect();
        let children = self.layout.children.iter().rev();
        children.flat_map(|it| parts.iter().map(|(ids, bytes)| it.clear(ids, bytes))).collect()
    }

    /// The statements that give these records their rows, and no others.
    pub(super) fn replace_rows(&self, records: &[(&Id, &Record)]) -> Result<Vec<String>, StoreError> {
        if self.layout.children.is_empty() {
            return Ok(Vec::new());
        }
        let mut statements = self.clear_rows(records);
        let mut of_children: Vec<Vec<(&Id, Vec<Cell>)>> = vec![Vec::new(); self.layout.children.len()];
        for (id, record) in records {
            let lists = self.layout.cells_and_rows(id, record)?.1;
            for ((list, of_child), child) in
                lists.into_iter().zip(&mut of_children).zip(self.layout.table.children())
            {
                let Cell::Rows(rows) = list else { continue };
                self.check_readable(child, &rows)?;
                of_child.extend(rows.into_iter().map(|row| (*id, row)));
            }
        }
        for (children, rows) in self.layout.children.iter().zip(of_children) {
            // The table is locked against changes of its columns since its rows were removed.
            if !rows.is_empty() {
                statements.push(children.check.clone());
            }
            statements.extend(self.statements(&children.insert, "", &rows, |text, (id, row)| {
                self.layout.id(text, id);
                text.pop();
                for cell in row {
                    text.push(b',');
                    value(text, cell);
                }
                text.push(b')');
                Ok(())
            })?);
        }
        Ok(statements)
    }

    /// Refuses a list that the server could not give back in one value.
    fn check_readable(&self, child: &Child, rows: &[Vec<Cell>]) -> Result<(), StoreError> {
        let of_cell = |cell: &Cell| match cell {
            Cell::Text(text) | Cell::Json(text) => 2 * text.len() + 3,
            Cell::Bytes(bytes) => 2 * bytes.len() + 3,
            // With all digits that a column has.
            _ => 99,
        };
        let bytes: usize = rows.iter().map(|row| row.iter().map(of_cell).sum::<usize>() + 3).sum();
        if bytes + 99 <= self.packet_bytes {
            return Ok(());
        }
        let what = format!(
            "{} elements take up to {bytes} bytes in the answer to a read, and the server's max_allowed_packet is {}: \
             raise it",
            rows.len(),
            self.packet_bytes
        );
        Err(permanent(ErrorClass::Constraint, &child.table, what))
    }

    /// [`super::super::sql::Guarded::write`] of a table with child tables. If one record of several is not newer, each is
    /// written alone.
    pub(super) async fn write_with_rows(
        &self,
        records: &[(&Id, &Record)],
        over: Over,
    ) -> Result<Wrote, StoreError> {
        let mut wrote = Wrote { all: true, doubt: None };
        for kind in [Kind::First, Kind::Newer, Kind::Tombstones] {
            let kind_of =
                |record: &Record| if self.layout.ledger.is_empty() { Kind::Newer } else { Kind::of(record) };
            let of_kind: Vec<_> =
                records.iter().copied().filter(|(_, record)| kind_of(record) == kind).collect();
            for part in of_kind.chunks(self.written_max) {
                let mut all = self.wrote_all(kind, over, part, &mut wrote.doubt).await?;
                if !all && part.len() > 1 {
                    all = true;
                    for one in part.chunks(1) {
                        all &= self.wrote_all(kind, over, one, &mut wrote.doubt).await?;
                    }
                }
                wrote.all &= all;
            }
        }
        Ok(wrote)
    }

    /// Whether these records were written; if not, nothing was.
    async fn wrote_all(
        &self,
        kind: Kind,
        over: Over,
        records: &[(&Id, &Record)],
        doubt: &mut Doubt,
    ) -> Result<bool, StoreError> {
        let statements = if self.layout.ledger.is_empty() {
            let values =
                |text: &mut Vec<u8>, given: &(&Id, &Record)| self.layout.values(text, given.0, given.1);
            let mut statements = Vec::new();
            for put in self.statements(&self.layout.insert(), &self.layout.if_newer(), records, values)? {
                statements.extend([put, check_written(records.len())]);
            }
            statements.extend(self.replace_rows(records)?);
            statements
        } else {
            self.bodies(kind, over, records)?.concat()
        };
        let (all, lost) = self.changed(&self.transaction(statements, "0")).await?;
        *doubt = doubt.take().or(lost);
        Ok(all)
    }

    /// Statements in as few texts as the server's packets allow.
    pub(super) fn texts(&self, statements: impl IntoIterator<Item = String>) -> Vec<String> {
        let limit_bytes = self.packet_bytes.saturating_sub(64).min(STATEMENT_BYTES_MAX);
        let mut texts: Vec<String> = Vec::new();
        for statement in statements {
            match texts.last_mut() {
                Some(text) if text.len() + statement.len() + 2 <= limit_bytes => {
                    text.push_str("; ");
                    text.push_str(&statement);
                }
                _ => texts.push(statement),
            }
        }
        texts
    }
}
