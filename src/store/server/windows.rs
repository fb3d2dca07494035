//! Windows: read, added to and written back, many in one statement.

use async_trait::async_trait;
use tokio::sync::SemaphorePermit;

use super::{
    ServerStore,
    connections::Connection,
    dialect::{Dialect, Size},
    put_records, remove_records,
    statement::{Column, LIST, Statement},
    transaction::{READ, Unwritten},
};
use crate::{
    domain::{Counts, Scale, WindowId},
    store::{
        Counted, Error, WindowQuery, WindowStore,
        entry::encoded,
        sql::{
            row::{Columns as _, int, json, number},
            windows::{BATCH, merged, stored_id},
        },
        windows::{name, with_revisions},
    },
};

#[async_trait]
impl<D: Dialect> WindowStore for ServerStore<D> {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let heard = counted.heard.iter().map(|record| Ok((record.instance_id.clone(), encoded(record)?)));
        let heard = heard.collect::<Result<Vec<_>, Error>>()?;
        let (mut tx, bounds) = self.writing(&self.windows, size(counted)).await?;
        let written = async {
            for windows in counted.windows.chunks(BATCH) {
                add(&mut tx, windows).await?;
            }
            remove_records(&mut tx, "heard", &counted.forgotten).await?;
            put_records(&mut tx, "heard", &heard).await?;
            expire(&mut tx, counted).await
        };
        let written = bounds.of(written).await;
        tx.end(written).await
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let windows = Statement::new(
            "SELECT at, counts FROM windows WHERE migration = ? AND scale = ? AND at >= ? AND at < ? ORDER BY at",
        )
        .text(query.key.as_str())
        .text(name(query.scale))
        .int(int(query.from))
        .int(int(query.before));
        let rows = bounds.of(tx.rows(windows)).await;
        let window =
            |row| Ok((number(row, "at")?, json(row, "counts", || format!("a window of {}", query.key))?));
        tx.end(rows).await?.iter().map(window).collect()
    }
}

impl<D: Dialect> ServerStore<D> {
    /// Waits for windows being written, also for what was given up here and still runs at the server. None is written
    /// before the permit is dropped.
    pub(super) async fn windows_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let (tx, bounds) = self.writing(&self.windows, Size::default()).await?;
        tx.end(Ok(())).await?;
        let permit = bounds.of(self.windows.connection.permit()).await;
        permit.map_err(|why| self.unwritten(why))
    }
}

/// What is sent at most for a window, about.
const WINDOW_BYTES: usize = 10 << 10;

fn size(counted: &Counted) -> Size {
    // Each is read, merged and written, which takes as long as many rows.
    Size {
        rows: 10 * counted.windows.len() + counted.heard.len(),
        bytes: WINDOW_BYTES * counted.windows.len().min(BATCH),
    }
}

/// Adds to the stored counts. One transaction at a time does, because it writes back what it has read.
async fn add<D: Dialect>(tx: &mut Connection<D>, windows: &[(WindowId, Counts)]) -> Result<(), Unwritten> {
    let ids: Vec<_> = windows.iter().map(|(id, _)| stored_id(id)).collect();
    let listed = vec![
        ("migration", Column::Texts(ids.iter().map(|(key, _, _)| &**key).collect())),
        ("scale", Column::Texts(ids.iter().map(|(_, scale, _)| &**scale).collect())),
        ("at", Column::Ints(ids.iter().map(|(_, _, at)| *at).collect())),
    ];
    let stored = format!(
        "SELECT windows.migration, windows.scale, windows.at, windows.counts FROM {LIST} JOIN windows ON
         windows.migration = put.migration AND windows.scale = put.scale AND windows.at = put.at"
    );
    let stored = tx.rows(Statement::new(stored).list(listed)).await?;
    let merged: Vec<_> = merged(&stored, windows).map_err(Unwritten::Damaged)?.into_iter().collect();
    let counts = merged.iter().map(|(_, count)| encoded(count)).collect::<Result<Vec<_>, _>>();
    let counts = counts.map_err(Unwritten::Damaged)?;
    let listed = vec![
        ("migration", Column::Texts(merged.iter().map(|((key, _, _), _)| &**key).collect())),
        ("scale", Column::Texts(merged.iter().map(|((_, scale, _), _)| &**scale).collect())),
        ("at", Column::Ints(merged.iter().map(|((_, _, at), _)| *at).collect())),
        ("counts", Column::Texts(counts.iter().map(|count| &**count).collect())),
    ];
    // A migration that was deleted meanwhile gets none.
    let insert = format!(
        r#"INSERT INTO windows (migration, scale, at, counts)
           SELECT put.migration, put.scale, put.at, put.counts FROM {LIST}
           WHERE put.migration IN (SELECT "key" FROM migrations) {}"#,
        D::or_update("migration, scale, at", "counts", "counts")
    );
    tx.run(Statement::new(insert).list(listed)).await?;
    Ok(())
}

/// Removes windows that have expired, and those of too many revisions.
async fn expire<D: Dialect>(tx: &mut Connection<D>, counted: &Counted) -> Result<(), Unwritten> {
    for scale in Scale::OF_TIME {
        let expired = Statement::new("DELETE FROM windows WHERE scale = ? AND at < ?");
        tx.run(expired.text(name(scale)).int(int(scale.expired_before(counted.now_s)))).await?;
    }
    for key in with_revisions(counted) {
        let oldest = Statement::new(
            "SELECT at FROM windows WHERE migration = ? AND scale = 'revision' ORDER BY at DESC LIMIT 1 OFFSET ?",
        );
        let oldest = tx.rows(oldest.text(key).int(Scale::REVISIONS_MAX as i64 - 1)).await?;
        if let Some(oldest) = oldest.first() {
            let expired =
                Statement::new("DELETE FROM windows WHERE migration = ? AND scale = 'revision' AND at < ?");
            tx.run(expired.text(key).int(oldest.get_int("at")?)).await?;
        }
    }
    Ok(())
}
