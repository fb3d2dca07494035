//! Rows by their ids.

use std::collections::HashMap;

use sqlx::mysql::MySqlRow;

use super::{
    super::{Id, StoreError, scan::Place},
    MySqlStore, ROWS_MAX, layout,
};

impl MySqlStore {
    /// The result of `decode` for the row of each id; the ids are distinct. If many ids of a tenant are
    /// requested, the query covers everything between the first and the last. That costs the server a fifth
    /// of separate look-ups: such ids usually come from an ordered scan.
    pub(super) async fn find<T: Send>(
        &self,
        columns: &str,
        ids: &[&Id],
        decode: impl Fn(&MySqlRow) -> Result<T, StoreError> + Send + Sync,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let mut all: Vec<Option<T>> = ids.iter().map(|_| None).collect();
        let places: HashMap<_, usize> = ids.iter().enumerate().map(|(at, id)| (id.place(), at)).collect();
        // A row is found by its very id, whatever else the server takes for it.
        let ids: Vec<&Id> = ids.iter().copied().filter(|id| self.layout.keys.takes(id)).collect();
        let mut take = |rows: &[MySqlRow]| {
            for row in rows {
                if let Some(at) = places.get(&layout::place(row)?) {
                    all[*at] = Some(decode(row)?);
                }
            }
            Ok::<_, StoreError>(())
        };
        let between = |ids: &[&Id], most| self.layout.between(columns, ids, most);
        let left = self
            .find_between(&ids, between, |rows, most| {
                take(rows)?;
                rows.last().filter(|_| rows.len() == most).map(layout::place).transpose()
            })
            .await?;
        for sql in self.statements(&self.layout.find_in(columns), ")", &left, |text, id| {
            self.layout.id(text, id);
            Ok(())
        })? {
            take(&self.rows(sql).await?)?;
        }
        Ok(all)
    }

    /// Asks for ids that lie close together by statements that `between` makes for sorted ids and at most so many
    /// rows. `take` takes the rows, and returns the place up to which they are complete; `None`: all of them.
    /// Returns the ids that are still to be asked for one by one.
    pub(super) async fn find_between<'i>(
        &self,
        ids: &[&'i Id],
        between: impl Fn(&[&Id], usize) -> Option<String> + Send + Sync,
        mut take: impl for<'r> FnMut(&'r [MySqlRow], usize) -> Result<Option<Place<'r>>, StoreError> + Send,
    ) -> Result<Vec<&'i Id>, StoreError> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        let mut left = Vec::new();
        for ids in sorted.chunks(ROWS_MAX) {
            // Other rows may lie between them; with too many, the query stops early.
            let most = ids.len() + ids.len() / 4;
            let Some(sql) = between(ids, most) else {
                left.extend_from_slice(ids);
                continue;
            };
            let rows = self.rows(sql).await?;
            if let Some(end) = take(&rows, most)? {
                left.extend(ids.iter().copied().filter(|id| id.place() > end));
            }
        }
        Ok(left)
    }
}
