//! PostgreSQL: several controllers over one database, of which one leads (`store::lease`).
//!
//! The tables are in a schema of their own. Each transaction that writes first locks the leader's row in its own epoch,
//! so one of a leader from before is refused, and a change of leader waits for those under way.

mod chain;
mod commit;
mod compaction;
mod failure;
mod migrations;
mod open;
mod seat;
mod session;
mod tokens;
mod transaction;
mod url;
mod windows;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, QueryBuilder};

pub(in crate::store) use self::url::{password_of, shown};
use self::{
    commit::{Rows, write},
    transaction::Unwritten,
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
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
    lease: Arc<Lease>,
    /// The newest revision that was in it, as this process knows.
    known: AtomicU64,
    schema: String,
    /// The URL without its password.
    place: String,
}

#[async_trait]
impl Store for PostgresStore {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        let known = self.known.load(SeqCst);
        let mut tx = self.reading().await?;
        let tables = self.read(async {
            let tables = Tables {
                counter: sqlx::query(COUNTER).fetch_one(&mut *tx).await?,
                migrations: sqlx::query(MIGRATIONS).fetch_all(&mut *tx).await?,
                tenants: sqlx::query(TENANTS).fetch_all(&mut *tx).await?,
                instances: sqlx::query(INSTANCES).fetch_all(&mut *tx).await?,
                passes: sqlx::query(PASSES).fetch_all(&mut *tx).await?,
                cursors: sqlx::query(CURSORS).fetch_all(&mut *tx).await?,
                heard: sqlx::query(HEARD).fetch_all(&mut *tx).await?,
            };
            tx.commit().await?;
            Ok(tables)
        });
        let state = tables.await?.state()?;
        self.check_newest(known, state.revision).await?;
        Ok(state)
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let query =
            format!("SELECT {EVENT}, rows FROM events WHERE revision > $1 ORDER BY revision LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(int(since)).bind(i64::from(limit));
        let known = self.known.load(SeqCst);
        let mut tx = self.reading().await?;
        let rows = self.read(rows.fetch_all(&mut *tx)).await?;
        let newest = sqlx::query("SELECT revision FROM counter").fetch_one(&mut *tx);
        let newest = number(&self.read(newest).await?, "revision")?;
        drop(tx);
        self.check_newest(known, newest).await?;
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
        let mut writer = self.writer().await?;
        let result = async {
            let mut tx = self.begin(&mut writer).await?;
            self.within(rows.len(), write(&mut tx, commit, &event, &rows)).await?;
            self.end(tx).await
        };
        let result = result.await;
        self.finish(writer, result)?;
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
        let mut tx = self.reading().await?;
        let rows = self.read(text.build().fetch_all(&mut *tx)).await?;
        rows.iter().map(|row| event(row, false)).collect()
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
        let mut writer = self.writer().await?;
        let result = async {
            let mut tx = self.begin(&mut writer).await?;
            self.within(kept.iter().map(Kept::len).sum(), keep(&mut tx, upkeep, &kept)).await?;
            self.end(tx).await
        };
        let result = result.await;
        self.finish(writer, result)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.read(sqlx::query("SELECT revision FROM counter").fetch_one(&self.pool)).await.map(drop)
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

    const fn len(&self) -> usize {
        self.put.len() + self.removed.len()
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
