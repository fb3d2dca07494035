//! How far the replicas of a MySQL or MariaDB server are behind.
//!
//! The server knows who its replicas are, but not how far they are, so each is asked. They are at the address that they
//! report (`report_host`), and let the store's user in.

use std::{collections::HashMap, fmt, time::Duration};

use cutover_clock::Instant;
use futures::future::join_all;
use sqlx::{
    AssertSqlSafe, Connection, Executor, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlRow},
};
use tokio::{sync::Mutex, time::timeout};

use super::{super::StoreError, MySqlStore, server::text};

/// How often the server is asked who its replicas are, and one that does not answer is tried again.
const LOOK_AFTER: Duration = Duration::from_secs(60);
/// A replica that takes longer is left out until then, so that it does not delay what waits for the others.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Where a replica is.
type Address = (String, u16);

/// The replicas of a server, and a connection to each.
pub(super) struct Replicas {
    /// As to the server itself.
    connect: MySqlConnectOptions,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked_at: Option<Instant>,
    /// Idle connections; none to a replica that did not answer.
    connections: HashMap<Address, Option<MySqlConnection>>,
}

/// Without the password.
impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").finish_non_exhaustive()
    }
}

impl Replicas {
    pub(super) fn new(connect: MySqlConnectOptions) -> Self {
        Self { connect, known: Mutex::default() }
    }

    /// The lag of the one that is furthest behind. `None`: there are none, or none says.
    pub(super) async fn lag(&self, server: &MySqlStore) -> Option<Duration> {
        let mut known = self.known.lock().await;
        if known.looked_at.is_none_or(|at| at.elapsed() >= LOOK_AFTER) {
            // Also if it fails: a user who may not ask is not asked every second.
            known.looked_at = Some(Instant::now());
            let listed = server.replicas().await.unwrap_or_default();
            let addresses = listed.into_iter().filter_map(Listed::address);
            known.connections = join_all(addresses.map(async |at| (at.clone(), self.connected(at).await)))
                .await
                .into_iter()
                .collect();
        }
        let asked = known.connections.values_mut().map(async |connection| {
            // One whose answer is not awaited is not used again.
            let mut it = connection.take()?;
            let seconds = timeout(ANSWER_WITHIN, behind(&mut it)).await.ok()?.ok()?;
            *connection = Some(it);
            seconds
        });
        join_all(asked).await.into_iter().flatten().max().map(Duration::from_secs)
    }

    async fn connected(&self, (host, port): Address) -> Option<MySqlConnection> {
        let connect = self.connect.clone().host(&host).port(port);
        timeout(ANSWER_WITHIN, MySqlConnection::connect_with(&connect)).await.ok()?.ok()
    }
}

/// A replica as its server lists it.
pub(super) struct Listed {
    id: String,
    host: String,
    port: String,
}

impl Listed {
    /// `None`: it does not report its address.
    fn address(self) -> Option<Address> {
        let port = self.port.parse().ok()?;
        (!self.host.is_empty()).then_some((self.host, port))
    }

    /// Why its lag is not known.
    pub(super) fn warning(&self) -> Option<String> {
        self.host.is_empty().then(|| {
            format!(
                "the replica with server id {} does not report its address, so nothing slows down while it lags. Set \
                 report_host there",
                self.id
            )
        })
    }
}

impl MySqlStore {
    /// The replicas that are connected. Fails if the user may not ask.
    pub(super) async fn replicas(&self) -> Result<Vec<Listed>, StoreError> {
        // MySQL's words, and MariaDB's and those of older servers.
        let rows = match self.rows("SHOW REPLICAS".to_owned()).await {
            Ok(rows) => rows,
            Err(_) => self.rows("SHOW SLAVE HOSTS".to_owned()).await?,
        };
        let listed = |row| Listed { id: text(row, 0), host: text(row, 1), port: text(row, 2) };
        Ok(rows.iter().map(listed).collect())
    }
}

/// Seconds that a replica is behind. `None`: it does not replicate now, or does not say.
async fn behind(replica: &mut MySqlConnection) -> Result<Option<u64>, sqlx::Error> {
    let rows = replica.fetch_all(sqlx::raw_sql(AssertSqlSafe("SHOW REPLICA STATUS".to_owned()))).await?;
    Ok(furthest(&rows))
}

/// The largest lag of a replica's sources.
pub(super) fn furthest(status: &[MySqlRow]) -> Option<u64> {
    use sqlx::Row as _;
    let seconds = status.iter().filter_map(|row| {
        let behind = ["Seconds_Behind_Source", "Seconds_Behind_Master"];
        behind.iter().find_map(|column| row.try_get_unchecked::<Option<i64>, _>(*column).ok()).flatten()
    });
    seconds.max().and_then(|seconds| u64::try_from(seconds).ok())
}
