//! Stores on a database server, over which several controllers run. One leads (`store::lease`).
//!
//! Each transaction that writes first locks the leader's fence in its own epoch, so one of a leader from before is
//! refused, and a change of leader waits for those under way. What differs between the servers is in [`dialect`].

mod chain;
mod commit;
mod compaction;
mod connections;
pub(super) mod dialect;
pub(super) mod failure;
mod inspect;
pub(super) mod open;
mod seat;
pub(super) mod statement;
mod tokens;
pub(super) mod transaction;
pub(super) mod url;
mod windows;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;

use self::{
    commit::{Rows, write},
    connections::{Connection, Connections},
    dialect::{Dialect, Order, Size},
    statement::{Column, LIST, Statement},
    transaction::{LOAD, READ, Unwritten, Writer},
};
use super::{
    ChainPage, Commit, Compacted, Dropped, Error, Expired, HistoryQuery, Lease, Store, StoredState, Upkeep,
    entry::{Encoded, encoded, new_id},
    sql::{
        row::{EVENT, event, int, number},
        state::{COUNTER, CURSORS, HEARD, INSTANCES, MIGRATIONS, PASSES, TENANTS, Tables},
    },
};
use crate::domain::Event;

/// A store on a database server.
pub(in crate::store) struct ServerStore<D: Dialect> {
    dialect: Arc<D>,
    readers: Connections<D>,
    /// For what the leader publishes, and for whether it is ready. It does not wait for other reads.
    followers: Connections<D>,
    commits: Writer<D>,
    records: Writer<D>,
    windows: Writer<D>,
    lease: Arc<Lease>,
    /// The newest revision that was in it, as this process knows.
    known: AtomicU64,
    /// The URL without its password.
    place: String,
}

impl<D: Dialect> fmt::Debug for ServerStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connections: their options have the password.
        f.debug_struct("ServerStore").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl<D: Dialect> Store for ServerStore<D> {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        let known = self.known.load(SeqCst);
        let (mut tx, bounds) = self.reading(&self.readers, LOAD).await?;
        let tables = async {
            Ok::<_, sqlx::Error>(Tables {
                counter: tx.row(Statement::new(COUNTER)).await?,
                migrations: tx.rows(Statement::new(MIGRATIONS)).await?,
                tenants: tx.rows(Statement::new(TENANTS)).await?,
                instances: tx.rows(Statement::new(INSTANCES)).await?,
                passes: tx.rows(Statement::new(PASSES)).await?,
                cursors: tx.rows(Statement::new(CURSORS)).await?,
                heard: tx.rows(Statement::new(HEARD)).await?,
            })
        };
        let tables = bounds.of(tables).await;
        let state = tx.end(tables).await?.state()?;
        self.check_newest(known, state.revision).await?;
        Ok(state)
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let query =
            format!(r#"SELECT {EVENT}, "rows" FROM events WHERE revision > ? ORDER BY revision LIMIT ?"#);
        let events = Statement::new(query).int(int(since)).int(i64::from(limit));
        let known = self.known.load(SeqCst);
        let (mut tx, bounds) = self.reading(&self.followers, LOAD).await?;
        let rows = async {
            let rows = tx.rows(events).await?;
            Ok::<_, sqlx::Error>((rows, tx.row(Statement::new("SELECT revision FROM counter")).await?))
        };
        let rows = bounds.of(rows).await;
        let (rows, newest) = tx.end(rows).await?;
        self.check_newest(known, number(&newest, "revision")?).await?;
        // Without gaps, the newest always among them: a gap is what was dropped.
        if let Some(first) = rows.first() {
            let first = number(first, "revision")?;
            if first - 1 > since {
                return Err(Error::Dropped(first - 1));
            }
        }
        rows.iter().map(|row| event(row, true)).collect()
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let (event, rows) = (Encoded::of(&commit.event)?, Rows::of(&commit.event)?);
        // A deletion deletes windows as well. It waits here for those being written, where no commit waits for it.
        let deletes = event.document.is_none();
        let _windows = if deletes { Some(self.windows_permit().await?) } else { None };
        let (mut tx, bounds) = self.writing(&self.commits, rows.size(&event)).await?;
        let written = async {
            if deletes {
                tx.wait_for(Order::Windows).await?;
            }
            write(&mut tx, commit, &event, &rows).await
        };
        let written = bounds.of(written).await;
        tx.end(written).await?;
        self.known.fetch_max(commit.event.revision, SeqCst);
        Ok(())
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        // Each condition only if it is requested, so that each finds its index.
        let mut conditions = vec!["revision < ?"];
        conditions.extend(query.key.as_ref().map(|_| r#""key" = ?"#));
        conditions.extend(query.request_id.as_ref().map(|_| D::BY_REQUEST));
        let conditions = conditions.join(" AND ");
        let text = format!("SELECT {EVENT} FROM events WHERE {conditions} ORDER BY revision DESC LIMIT ?");
        let mut events = Statement::new(text).int(int(query.before.unwrap_or(u64::MAX)));
        for condition in [query.key.as_ref().map(crate::domain::Key::as_str), query.request_id.as_deref()] {
            events = condition.into_iter().fold(events, Statement::text);
        }
        let events = events.int(i64::from(query.limit));
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let rows = bounds.of(tx.rows(events)).await;
        tx.end(rows).await?.iter().map(|row| event(row, false)).collect()
    }

    async fn compact(&self, expired: &Expired) -> Result<Compacted, Error> {
        self.drop_expired(expired).await
    }

    async fn dropped(&self) -> Result<Dropped, Error> {
        self.what_was_dropped().await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        self.read_chain(after, limit).await
    }

    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error> {
        let kept = Kept::of(upkeep)?;
        let (mut tx, bounds) = self.writing(&self.records, Kept::size(&kept)).await?;
        let written = bounds.of(keep(&mut tx, upkeep, &kept)).await;
        tx.end(written).await
    }

    async fn ping(&self) -> Result<(), Error> {
        // Also while another controller leads.
        let (mut tx, bounds) = self.reading_in(None, &self.followers, READ).await?;
        let row = bounds.of(tx.row(Statement::new("SELECT revision FROM counter"))).await;
        tx.end(row).await.map(drop)
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        Some(self.lease.clone())
    }
}

/// What changes in a table of records.
struct Kept<'a> {
    table: &'static str,
    /// Ids and records.
    put: Vec<(String, String)>,
    removed: &'a [String],
}

impl<'a> Kept<'a> {
    fn of(upkeep: &'a Upkeep) -> Result<[Self; 3], Error> {
        let instances = upkeep.put_instances.iter().map(|record| Ok((record.label(), encoded(record)?)));
        let passes = upkeep.put_passes.iter().map(|record| Ok((record.id.clone(), encoded(record)?)));
        let cursors = upkeep.put_cursors.iter().map(|record| Ok((record.endpoint.clone(), encoded(record)?)));
        let (instances, passes, cursors): (Result<_, Error>, Result<_, Error>, Result<_, Error>) =
            (instances.collect(), passes.collect(), cursors.collect());
        Ok([
            Self { table: "instances", put: instances?, removed: &upkeep.remove_instances },
            Self { table: "passes", put: passes?, removed: &upkeep.remove_passes },
            Self { table: "cursors", put: cursors?, removed: &upkeep.remove_cursors },
        ])
    }

    fn size(all: &[Self]) -> Size {
        let rows = all.iter().map(|kept| kept.put.len() + kept.removed.len()).sum();
        let put = all.iter().flat_map(|kept| &kept.put);
        Size { rows, bytes: put.map(|(id, record)| id.len() + record.len()).sum() }
    }
}

async fn keep<D: Dialect>(
    tx: &mut Connection<D>,
    upkeep: &Upkeep,
    kept: &[Kept<'_>],
) -> Result<(), Unwritten> {
    for Kept { table, put, removed } in kept {
        remove_records(tx, table, removed).await?;
        put_records(tx, table, put).await?;
    }
    if let Some(steady_ms) = upkeep.steady_ms {
        let later = Statement::new("UPDATE counter SET steady_ms = greatest(steady_ms, ?)");
        tx.run(later.int(int(steady_ms))).await?;
    }
    if let Some(why) = &upkeep.begin_history {
        begin_history(tx, why).await?;
    }
    if upkeep.forget_restored {
        tx.run(Statement::new("UPDATE counter SET restored = NULL, put_back = false")).await?;
    }
    Ok(())
}

/// Gives the store another identity: what this one's revisions mean is not known elsewhere.
async fn begin_history<D: Dialect>(tx: &mut Connection<D>, why: &str) -> Result<(), sqlx::Error> {
    let history_id = new_id();
    let begin = Statement::new("UPDATE counter SET history_id = ?, restored = ?, put_back = true");
    tx.run(begin.text(&history_id).text(why)).await.map(drop)
}

/// Removes records of a table with the columns `id` and `record`.
async fn remove_records<D: Dialect>(
    tx: &mut Connection<D>,
    table: &str,
    ids: &[String],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = ids.iter().map(|id| &**id).collect();
    let delete = Statement::new(D::delete_listed(table, &format!("{table}.id = put.id")));
    tx.run(delete.list(vec![("id", Column::Texts(ids))])).await.map(drop)
}

/// Writes records of such a table. The last one with an id counts.
async fn put_records<D: Dialect>(
    tx: &mut Connection<D>,
    table: &str,
    records: &[(String, String)],
) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let last: BTreeMap<_, _> = records.iter().map(|(id, record)| (id, record)).collect();
    let (ids, records) = last.into_iter().map(|(id, record)| (&**id, &**record)).unzip();
    let insert = format!(
        "INSERT INTO {table} (id, record) SELECT put.id, put.record FROM {LIST} {}",
        D::or_update("id", "record", "record")
    );
    let put = vec![("id", Column::Texts(ids)), ("record", Column::Texts(records))];
    tx.run(Statement::new(insert).list(put)).await.map(drop)
}
