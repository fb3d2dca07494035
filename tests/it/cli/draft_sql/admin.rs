//! Plain SQL, as somebody else would run it.

use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool, sqlite::SqliteConnectOptions};

pub enum Admin {
    Sqlite(SqlitePool),
    MySql(MySqlPool),
    Postgres(PgPool),
}

impl Admin {
    pub async fn connect(url: &str) -> Self {
        if let Some(file) = url.strip_prefix("sqlite:") {
            let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
            return Self::Sqlite(SqlitePool::connect_with(options).await.unwrap());
        }
        match url.starts_with("mysql") {
            true => Self::MySql(MySqlPool::connect(url).await.unwrap()),
            false => Self::Postgres(PgPool::connect(url).await.unwrap()),
        }
    }

    pub async fn sql(&self, text: String) {
        let text = AssertSqlSafe(text);
        match self {
            Self::Sqlite(pool) => sqlx::raw_sql(text).execute(pool).await.map(drop).unwrap(),
            Self::MySql(pool) => sqlx::raw_sql(text).execute(pool).await.map(drop).unwrap(),
            Self::Postgres(pool) => sqlx::raw_sql(text).execute(pool).await.map(drop).unwrap(),
        }
    }

    pub async fn count(&self, text: String) -> i64 {
        let text = AssertSqlSafe(text);
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
            Self::MySql(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
            Self::Postgres(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
        }
    }

    pub fn quoted(&self, name: &str) -> String {
        if matches!(self, Self::MySql(_)) { format!("`{name}`") } else { format!("\"{name}\"") }
    }

    /// The rows of a table, as the server itself writes them as JSON.
    pub async fn json_rows(
        &self,
        table: &str,
        ids: [&str; 2],
        columns: &[String],
    ) -> Vec<Map<String, Value>> {
        let pair = |name: &str, value: String| format!("'{name}', {value}");
        let ids = ids.map(|name| match self {
            Self::MySql(_) => pair(name, format!("CONVERT(`{name}` USING utf8mb4)")),
            _ => pair(name, self.quoted(name)),
        });
        let pairs: Vec<String> =
            ids.into_iter().chain(columns.iter().map(|name| pair(name, self.quoted(name)))).collect();
        let pairs = pairs.join(", ");
        let rows: Vec<String> = match self {
            Self::Sqlite(pool) => {
                let sql = format!("SELECT json_object({pairs}) FROM {table}");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
            }
            Self::MySql(pool) => {
                let sql = format!("SELECT CONVERT(JSON_OBJECT({pairs}) USING utf8mb4) FROM {table}");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
            }
            Self::Postgres(pool) => {
                let sql = format!("SELECT json_build_object({pairs})::text FROM {table}");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
            }
        };
        rows.iter()
            .map(|row| serde_json::from_str(row).unwrap_or_else(|error| panic!("{error}: {row}")))
            .collect()
    }
}

/// The statements that a draft has for its source.
pub fn for_source(draft: &str) -> String {
    let from = draft.split("# Before the first pass, the source's table needs this:\n").nth(1).unwrap();
    let lines = from.lines().map_while(|line| line.strip_prefix("#     "));
    let sql: Vec<&str> = lines.skip_while(|line| !line.starts_with("CREATE TABLE")).collect();
    sql.join("\n")
}
