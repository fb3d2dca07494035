//! Scans of several tables.

use futures::future::try_join_all;

use super::{
    super::{Cursor, Id, Page, Scope, Segment, StoreError, Unreadable, scan::unreadable},
    ByPrefix,
};

impl ByPrefix {
    /// Makes unreadable what a table has of other types: it would be found at two places, or at one where nobody looks.
    fn keep_own(&self, at: usize, page: &mut Page) {
        let prefix = &self.types[at].prefix;
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut page.records).into_iter().partition(|(id, _)| id.key.starts_with(prefix));
        page.records = own;
        page.unreadable.extend(others.into_iter().map(|(Id { tenant, key }, _)| {
            let what = format!(
                "it does not begin with {prefix:?}, as the keys of this table do: somebody else wrote it, move it to the \
                 table of its type"
            );
            Unreadable { tenant, key, error: unreadable("key", what) }
        }));
    }

    /// One table after the other. A cursor begins with the number of the table.
    pub(super) async fn scan_one_by_one(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let (at, inner) = match cursor.map(|cursor| cursor.0.split_first()) {
            None => (0, None),
            Some(Some((at, inner))) => {
                (usize::from(*at), (!inner.is_empty()).then(|| Cursor(inner.to_vec())))
            }
            Some(None) => (usize::MAX, None),
        };
        let Some(it) = self.types.get(at) else {
            return Err(unreadable(
                "cursor",
                "it is not one of this store: cancel the pass and start it anew".to_owned(),
            ));
        };
        let mut page = it.store.scan(scope, segment, inner.as_ref(), limit_bytes).await?;
        self.keep_own(at, &mut page);
        page.next = match page.next {
            Some(next) => Some(cursor_of(at, next.0)),
            None if at + 1 < self.types.len() => Some(cursor_of(at + 1, Vec::new())),
            None => None,
        };
        Ok(page)
    }

    /// Places that are far apart for [`Self::scan_one_by_one`]: in each table, and where one begins after another.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(super) async fn spread_over_each(&self, count: usize) -> Result<Vec<Cursor>, StoreError> {
        let mut all: Vec<Cursor> = (1..self.types.len()).map(|at| cursor_of(at, Vec::new())).collect();
        let share = count.saturating_sub(all.len()).div_ceil(self.types.len());
        for (at, it) in self.types.iter().enumerate() {
            let places = it.store.spread(share).await?.unwrap_or_default();
            all.extend(places.into_iter().map(|place| cursor_of(at, place.0)));
        }
        all.truncate(count);
        Ok(all)
    }

    pub(super) fn no_common_order(&self) -> StoreError {
        let what =
            "these tables are not all scanned in byte order, so a place of another store means nothing here";
        unreadable("cursor", what.to_owned())
    }

    /// All tables side by side, in order. A page ends where the first of the tables' pages ends; what the others have after
    /// that belongs to the next page.
    pub(super) async fn scan_beside(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let share = (limit_bytes / self.types.len()).max(1);
        let scans = self.types.iter().map(|it| it.store.scan(scope, segment, cursor, share));
        let mut pages = try_join_all(scans).await?;
        let mut end: Option<Cursor> = None;
        for next in pages.iter().filter_map(|page| page.next.as_ref()) {
            let is_first = match &end {
                Some(end) => next.place()? < end.place()?,
                None => true,
            };
            if is_first {
                end = Some(next.clone());
            }
        }
        let mut all = Page::default();
        for (at, mut page) in pages.drain(..).enumerate() {
            if let Some(end) = end.as_ref().filter(|end| page.next.as_ref() != Some(end)) {
                if page.unreadable.is_empty() {
                    let end = end.place()?;
                    page.records.retain(|(id, _)| id.place() <= end);
                } else {
                    // Nobody knows where exactly those are.
                    page = self.up_to(at, end, segment, cursor, share).await?;
                }
            }
            self.keep_own(at, &mut page);
            all.records.append(&mut page.records);
            all.unreadable.append(&mut page.unreadable);
        }
        all.records.sort_by(|(one, _), (other, _)| one.place().cmp(&other.place()));
        all.next = end;
        Ok(all)
    }

    async fn up_to(
        &self,
        at: usize,
        end: &Cursor,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let (scope, mut cursor, mut all) = (Scope::UpTo(end.clone()), cursor.cloned(), Page::default());
        loop {
            let mut page = self.types[at].store.scan(&scope, segment, cursor.as_ref(), limit_bytes).await?;
            all.records.append(&mut page.records);
            all.unreadable.append(&mut page.unreadable);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

/// A place of one of the tables. Empty: before all of its rows.
fn cursor_of(at: usize, place: Vec<u8>) -> Cursor {
    let at = u8::try_from(at).expect("a spec has 16 types at most");
    Cursor([vec![at], place].concat())
}
