//! Which ids the table takes for one another.

use serde_json::json;

use super::{
    super::{
        EqualIds, Id, StoreError,
        mapping::Cell,
        sql::{KeyColumn, KeyKind, Statement},
    },
    MySqlStore,
    literal::value,
    server::text,
};

impl MySqlStore {
    /// The groups of ids that are one in the collations of the columns. The server compares them.
    pub(super) async fn equal(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        let keys = &self.layout.keys;
        let all: Vec<_> = ids.iter().map(|id| json!([id.tenant, id.key])).collect();
        let mut asked = b"SELECT MIN(at), MAX(at), COUNT(*) FROM JSON_TABLE(".to_vec();
        value(&mut asked, &Cell::Json(json!(all).to_string()));
        let columns = "at FOR ORDINALITY, of VARCHAR(1024) PATH '$[0]', it VARCHAR(1024) PATH '$[1]'";
        let (tenant, key) = (compared("of", &keys.tenant), compared("it", &keys.key));
        let rest =
            format!(", '$[*]' COLUMNS ({columns})) AS asked GROUP BY {tenant}, {key} HAVING COUNT(*) > 1");
        asked.extend_from_slice(rest.as_bytes());
        let asked = String::from_utf8_lossy(&asked).into_owned();
        let rows = self.calls.rows(&Statement::text(asked)).await?;
        let number = |row, at| text(row, at).parse::<usize>().unwrap_or(1);
        let found = rows.iter().map(|row| EqualIds {
            first: number(row, 0) - 1,
            last: number(row, 1) - 1,
            count: number(row, 2),
        });
        Ok(found.collect())
    }
}

/// A text as the column compares it.
fn compared(name: &str, column: &KeyColumn) -> String {
    match (column.kind, column.collation.split_once('_')) {
        (KeyKind::Loose, Some((set, _))) => {
            format!("CONVERT({name} USING {set}) COLLATE {}", column.collation)
        }
        _ => format!("CAST({name} AS BINARY)"),
    }
}
