//! Which ids the table takes for one another.

use sqlx::{AssertSqlSafe, Row, SqlSafeStr as _};

use super::{
    super::{
        EqualIds, Id, StoreError,
        sql::{Database as _, KeyColumn, KeyKind},
    },
    Given, PostgresStore,
};

impl PostgresStore {
    /// The groups of ids that are one in the collations of the columns. The server compares them.
    pub(super) async fn equal(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        let keys = &self.layout.keys;
        let asked = format!(
            "SELECT min(at), max(at), count(*) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (tenant, key, at) \
             GROUP BY tenant{}, key{} HAVING count(*) > 1",
            compared(&keys.tenant),
            compared(&keys.key)
        );
        let asked = AssertSqlSafe(asked).into_sql_str();
        let rows = self.rows(&asked, Given::default().ids(ids.iter())?.0).await?;
        let of_row = |row: &sqlx::postgres::PgRow| {
            let number = |at: usize| row.try_get::<i64, _>(at).map(|it| usize::try_from(it).unwrap_or(1));
            Ok(EqualIds { first: number(0)? - 1, last: number(1)? - 1, count: number(2)? })
        };
        rows.iter().map(|row| of_row(row).map_err(|error| sqlx::Postgres::error(error, false))).collect()
    }
}

fn compared(column: &KeyColumn) -> String {
    match (column.kind, column.definition.split_once(" COLLATE ")) {
        (KeyKind::Loose, Some((_, collation))) => format!(" COLLATE {collation}"),
        _ => " COLLATE \"C\"".to_owned(),
    }
}
