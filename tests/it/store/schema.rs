//! A place of its own for each test on a server that controllers share: a schema in PostgreSQL, a database in MariaDB, a
//! table in DynamoDB.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use cutover::store::{OpenError, Store, Term, open_store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, raw_sql};
use tokio::{sync::Mutex, time::timeout};

use super::{Place, proxy::Proxy, table::Table};
use crate::support::{create, database::Database, key, make, server::given};

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MySql,
    DynamoDb,
}

/// What happens to the leader behind its back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposed {
    /// Another one takes over.
    InPlace,
    /// The database is another one, as after a failover or a restore.
    Elsewhere,
}

/// All who open it act in one term, as the tasks of a leader do.
pub struct Schema {
    pub kind: Kind,
    pub url: String,
    pub name: String,
    term: Mutex<Option<Term>>,
}

/// A session in a schema of an SQL server.
pub enum Session {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Session {
    /// In the schema that a store's URL names.
    pub async fn of(url: &str) -> Self {
        match url.split_once("?schema=") {
            Some((server, schema)) => {
                let schema = schema.split('&').next().unwrap();
                let mut session = Self::Postgres(PgConnection::connect(server).await.unwrap());
                session.execute(&format!("SET search_path = {schema}")).await.unwrap();
                session
            }
            None if url.starts_with("postgres") => Self::Postgres(PgConnection::connect(url).await.unwrap()),
            None => {
                let mut session = Self::MySql(MySqlConnection::connect(url).await.unwrap());
                session.execute("SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES'").await.unwrap();
                session
            }
        }
    }

    pub async fn execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres(session) => session.execute(sql).await.map(drop),
            Self::MySql(session) => session.execute(sql).await.map(drop),
        }
    }
}

impl Schema {
    /// `None`: the server is left out.
    pub async fn fresh(kind: Kind) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("it_{}_{}", std::process::id(), NUMBER.fetch_add(1, SeqCst));
        let url = match kind {
            Kind::Postgres => format!("{}?schema={name}", given("CUTOVER_TEST_POSTGRES")?),
            Kind::MySql => {
                let server = given("CUTOVER_TEST_MYSQL")?;
                Session::of(&server).await.execute(&format!("CREATE DATABASE {name}")).await.unwrap();
                format!("{}/{name}", server.rsplit_once('/').unwrap().0)
            }
            Kind::DynamoDb => given("CUTOVER_TEST_DYNAMODB")?
                .replace("dynamodb://?", &format!("dynamodb://{name}?create=true&")),
        };
        Some(Self { kind, url, name, term: Mutex::default() })
    }

    pub async fn session(&self) -> Session {
        Session::of(&self.url).await
    }

    /// Statements in the schema.
    pub async fn sql(&self, sql: &str) {
        self.session().await.execute(sql).await.unwrap();
    }

    /// Changes what is stored of the leader.
    pub async fn depose(&self, how: Deposed) {
        let change = match how {
            Deposed::InPlace => "epoch = epoch + 1, holder = ''",
            Deposed::Elsewhere => "\"database\" = '7/00000001'",
        };
        match self.kind {
            Kind::Postgres => self.sql(&format!("UPDATE leader SET {change}")).await,
            Kind::MySql => {
                self.sql(&format!("UPDATE leader SET {change}; UPDATE fence SET {change}")).await;
            }
            Kind::DynamoDb => {
                let table = (how == Deposed::Elsewhere).then_some("7/00000001");
                Table::of(&self.url).await.change_leader(table).await;
            }
        }
    }

    /// A session in a transaction that has done this.
    pub async fn holding(&self, sql: &str) -> Session {
        let mut holds = self.session().await;
        holds.execute(&format!("BEGIN; {sql}")).await.unwrap();
        holds
    }

    /// A session that keeps everybody from reading and writing these tables.
    pub async fn blocking(&self, tables: &[&str]) -> Session {
        let mut blocks = self.session().await;
        let text = match self.kind {
            Kind::Postgres => format!("BEGIN; LOCK TABLE {}", tables.join(", ")),
            Kind::MySql => format!("LOCK TABLES {} WRITE", tables.join(" WRITE, ")),
            Kind::DynamoDb => unreachable!("it has no locks"),
        };
        blocks.execute(&text).await.unwrap();
        blocks
    }

    /// Ends what [`Self::blocking`] began.
    pub async fn unblock(&self, mut blocks: Session) {
        let text = if self.kind == Kind::Postgres { "ROLLBACK" } else { "UNLOCK TABLES" };
        blocks.execute(text).await.unwrap();
    }

    /// Has it used by somebody who has all rights on it, and no others.
    pub async fn by_a_role(&mut self) {
        let name = &self.name;
        let make = match self.kind {
            Kind::Postgres => format!(
                "CREATE ROLE {name} LOGIN PASSWORD 'cutover'; CREATE SCHEMA {name} AUTHORIZATION {name}"
            ),
            Kind::MySql => format!(
                "CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'cutover'; GRANT ALL ON {name}.* TO {name}@'127.0.0.1'"
            ),
            Kind::DynamoDb => unreachable!("it has no users"),
        };
        self.sql(&make).await;
        self.url = self.url.replace("//cutover:", &format!("//{name}:"));
    }

    /// Without a term.
    pub async fn follower(&self) -> Arc<dyn Store> {
        open_store(&self.url).await.unwrap()
    }

    /// Once the leader is silent.
    pub async fn leads_next(&self) -> Arc<dyn Store> {
        let next = self.follower().await;
        timeout(Duration::from_secs(9), next.lease().unwrap().lead("next", |_| {})).await.expect("it leads");
        next
    }

    /// A store behind a proxy, in the term of another one.
    pub async fn behind_proxy(&self) -> (Arc<dyn Store>, Proxy, Arc<dyn Store>) {
        let first = self.open().await;
        make(&*first, &key("orders"), &create()).await;
        let (proxy, url) = Proxy::before(&self.url).await;
        let store = open_store(&url).await.unwrap();
        store.lease().unwrap().join(first.lease().unwrap().term().unwrap());
        (first, proxy, store)
    }

    pub async fn open_error(&self) -> OpenError {
        let error = open_store(&self.url).await.unwrap_err();
        assert!(!error.to_string().contains('\n') && !error.to_string().contains(":cutover@"), "{error}");
        error
    }

    /// Over a server that is this test's alone.
    pub fn over(database: &Database) -> Self {
        let Database { kind, url, .. } = database;
        let url = if *kind == Kind::Postgres { format!("{url}?schema=cutover") } else { url.clone() };
        Self { kind: *kind, url, name: "cutover".to_owned(), term: Mutex::default() }
    }
}

#[async_trait]
impl Place for Schema {
    async fn open(&self) -> Arc<dyn Store> {
        let store = self.follower().await;
        let lease = store.lease().unwrap();
        let mut term = self.term.lock().await;
        match &*term {
            Some(term) => lease.join(term.clone()),
            None => {
                lease.lead("the suite", |_| {}).await;
                *term = lease.term();
            }
        }
        store
    }
}

/// Tests for each SQL server.
macro_rules! on_each_server {
    ($($story:ident),* $(,)?) => {
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::$story($crate::store::schema::Kind::Postgres).await;
                }
            )*
        }
        mod mysql {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::$story($crate::store::schema::Kind::MySql).await;
                }
            )*
        }
    };
}
/// The same stories on DynamoDB.
macro_rules! on_dynamodb {
    ($($story:ident),* $(,)?) => {
        mod dynamodb {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::$story($crate::store::schema::Kind::DynamoDb).await;
                }
            )*
        }
    };
}
pub(crate) use {on_dynamodb, on_each_server};
