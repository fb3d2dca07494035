//! PostgreSQL: several controllers over one database, of which one leads (`store::lease`).
//!
//! The tables are in a schema of their own. Each transaction that writes first locks the leader's row in its own epoch,
//! so one of a leader from before is refused, and a change of leader waits for those under way.

mod chain;
mod commit;
mod compaction;
mod connections;
mod failure;
mod migrations;
mod open;
mod seat;
mod session;
mod tokens;
mod transaction;
mod url;
mod windows;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, QueryBuilder};

pub(in crate::store) use self::url::{password_of, shown};
use self::{
    commit::{Rows, write},
    connections::Connections,
    transaction::{LOAD, Order, READ, Size, Unwritten, Writer},
};
use super::{
    ChainPage, Commit, Compacted, Dropped, Error, Expired, HistoryQuery, Lease, Store, StoredState, Upkeep,
    sql::{
        entry::{EVENT, Encoded, encoded},
        row::{event, int, number},
        state::{COUNTER, CURSORS, HEARD, INSTANCES, MIGRATIONS, PASSES, TENANTS, Tables},
    },
};
use crate::domain::Event;

/// A store in a schema of a PostgreSQL database.
pub struct PostgresStore {
    readers: Connections,
    /// For what the leader publishes, and for whether it is ready. It does not wait for other reads.
    followers: Connections,
    commits: Writer,
    records: Writer,
    windows: Writer,
    lease: Arc<Lease>,
    /// The newest revision that was in it, as this process knows.
    known: AtomicU64,
    schema: String,
    /// The URL without its password.
    place: String,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connections: their options have the password.
        f.debug_struct("PostgresStore").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        let known = self.known.load(SeqCst);
        let (mut tx, bounds) = self.reading(&self.readers, LOAD).await?;
        let tables = async {
            Ok::<_, sqlx::Error>(Tables {
                counter: sqlx::query(COUNTER).fetch_one(&mut *tx).await?,
                migrations: sqlx::query(MIGRATIONS).fetch_all(&mut *tx).await?,
                tenants: sqlx::query(TENANTS).fetch_all(&mut *tx).await?,
                instances: sqlx::query(INSTANCES).fetch_all(&mut *tx).await?,
                passes: sqlx::query(PASSES).fetch_all(&mut *tx).await?,
                cursors: sqlx::query(CURSORS).fetch_all(&mut *tx).await?,
                heard: sqlx::query(HEARD).fetch_all(&mut *tx).await?,
            })
        };
        let tables = bounds.of(tables).await;
        let state = tx.end(tables).await?.state()?;
        self.check_newest(known, state.revision).await?;
        Ok(state)
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let query =
            format!("SELECT {EVENT}, rows FROM events WHERE revision > $1 ORDER BY revision LIMIT $2");
        let events = sqlx::query(AssertSqlSafe(query)).bind(int(since)).bind(i64::from(limit));
        let known = self.known.load(SeqCst);
        let (mut tx, bounds) = self.reading(&self.followers, LOAD).await?;
        let rows = async {
            let rows = events.fetch_all(&mut *tx).await?;
            Ok::<_, sqlx::Error>((
                rows,
                sqlx::query("SELECT revision FROM counter").fetch_one(&mut *tx).await?,
            ))
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
                Order::Windows.wait(&mut tx, &self.schema).await?;
            }
            write(&mut tx, commit, &event, &rows).await
        };
        let written = bounds.of(written).await;
        tx.end(written).await?;
        self.known.fetch_max(commit.event.revision, SeqCst);
        Ok(())
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        let mut text = QueryBuilder::<Postgres>::new(format!("SELECT {EVENT} FROM events WHERE revision < "));
        text.push_bind(int(query.before.unwrap_or(u64::MAX)));
        if let Some(key) = &query.key {
            text.push(" AND key = ").push_bind(key.as_str());
        }
        if let Some(request_id) = &query.request_id {
            text.push(" AND request_id <> '' AND request_id = ").push_bind(request_id);
        }
        text.push(" ORDER BY revision DESC LIMIT ").push_bind(i64::from(query.limit));
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let rows = bounds.of(text.build().fetch_all(&mut *tx)).await;
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
        let row = bounds.of(sqlx::query("SELECT revision FROM counter").fetch_one(&mut *tx)).await;
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

async fn keep(tx: &mut PgConnection, upkeep: &Upkeep, kept: &[Kept<'_>]) -> Result<(), Unwritten> {
    for Kept { table, put, removed } in kept {
        if !removed.is_empty() {
            let delete = format!("DELETE FROM {table} WHERE id = ANY($1)");
            sqlx::query(AssertSqlSafe(delete)).bind(*removed).execute(&mut *tx).await?;
        }
        if !put.is_empty() {
            put_records(tx, table, put).await?;
        }
    }
    if let Some(steady_ms) = upkeep.steady_ms {
        sqlx::query("UPDATE counter SET steady_ms = greatest(steady_ms, $1)")
            .bind(int(steady_ms))
            .execute(&mut *tx)
            .await?;
    }
    if let Some(why) = &upkeep.begin_history {
        begin_history(tx, why).await?;
    }
    if upkeep.forget_restored {
        sqlx::query("UPDATE counter SET restored = NULL, put_back = false").execute(&mut *tx).await?;
    }
    Ok(())
}

/// Gives the store another identity: what this one's revisions mean is not known elsewhere.
async fn begin_history(tx: &mut PgConnection, why: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE counter SET history_id = replace(gen_random_uuid()::text, '-', ''), restored = $1, put_back = true",
    )
    .bind(why)
    .execute(tx)
    .await
    .map(drop)
}

/// Writes records of a table with the columns `id` and `record`. The last one with an id counts.
async fn put_records(
    tx: &mut PgConnection,
    table: &str,
    records: &[(String, String)],
) -> Result<(), Unwritten> {
    let last: std::collections::BTreeMap<_, _> = records.iter().map(|(id, record)| (id, record)).collect();
    let (ids, records): (Vec<_>, Vec<_>) = last.into_iter().map(|(id, record)| (&**id, &**record)).unzip();
    let insert = format!(
        "INSERT INTO {table} (id, record) SELECT * FROM unnest($1::text[], $2::text[])
         ON CONFLICT (id) DO UPDATE SET record = excluded.record"
    );
    sqlx::query(AssertSqlSafe(insert)).bind(ids).bind(records).execute(tx).await?;
    Ok(())
}
