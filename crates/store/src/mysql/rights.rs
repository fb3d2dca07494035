//! What the server shows only to users with certain rights.

use sqlx::{MySql, mysql::MySqlRow};

use super::{
    super::{
        StoreError,
        sql::{Calls, Statement},
    },
    server::text,
};

/// A foreign key of another table.
pub(super) struct ForeignKey {
    /// With its database if that is another one.
    pub(super) referrer: String,
    pub(super) constraint: String,
    /// ON DELETE.
    pub(super) action: String,
}

impl ForeignKey {
    fn of(row: &MySqlRow) -> Self {
        Self { referrer: text(row, 0), constraint: text(row, 1), action: text(row, 2) }
    }
}

/// The rights that the user has, also by a role.
pub(super) struct Rights {
    /// `GRANT SELECT, INSERT ON db.table TO ..`
    grants: Vec<String>,
    database: String,
    user: String,
}

impl Rights {
    pub(super) async fn of(calls: &Calls<MySql>) -> Result<Self, StoreError> {
        let rows = calls.rows(&Statement::text("SHOW GRANTS".to_owned())).await?;
        let asked = "SELECT DATABASE(), CURRENT_USER()".to_owned();
        let names = calls.rows(&Statement::text(asked)).await?;
        let name = |at| names.first().map(|row| text(row, at)).unwrap_or_default();
        Ok(Self {
            grants: rows.iter().map(|row| text(row, 0)).collect(),
            database: name(0),
            user: format!("'{}'", name(1).replacen('@', "'@'", 1)),
        })
    }

    /// Whether the user has a right on a table, or, without one, on everything.
    fn has(&self, right: &str, table: Option<&str>) -> bool {
        self.grants.iter().any(|grant| {
            let Some((rights, on)) = grant.strip_prefix("GRANT ").and_then(|it| it.split_once(" ON ")) else {
                return false;
            };
            let on = on.split(" TO ").next().unwrap_or_default().replace(['`', '\\'], "");
            let is_of_database = || match on.strip_suffix(".*").map(|of| of.split_once('%').ok_or(of)) {
                Some(Ok((begin, _))) => self.database.starts_with(begin),
                Some(Err(of)) => self.database == of,
                None => false,
            };
            let is_of =
                |table: &str| on == format!("{}.{table}", self.database) || on == "*.*" || is_of_database();
            (rights.starts_with("ALL PRIVILEGES") || rights.split(", ").any(|it| it == right))
                && table.map_or(on == "*.*", is_of)
        })
    }

    /// Whether [`Self::foreign_keys_to`] gives all there are. MariaDB shows none because of a right to read, or on a single
    /// table; InnoDB itself shows all of them to those who may see all processes.
    pub(super) fn sees_foreign_keys(&self) -> bool {
        self.has("INSERT", None) || self.has("PROCESS", None)
    }

    /// The foreign keys that refer to a table, as far as the user can see them.
    pub(super) async fn foreign_keys_to(
        &self,
        calls: &Calls<MySql>,
        table: &str,
    ) -> Result<Vec<ForeignKey>, StoreError> {
        let mut sql = format!(
            "SELECT IF(constraint_schema = DATABASE(), table_name, CONCAT(constraint_schema, '.', table_name)), \
             constraint_name, delete_rule FROM information_schema.referential_constraints \
             WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = '{table}' ORDER BY 1, 2"
        );
        if !self.has("INSERT", None) && self.has("PROCESS", None) {
            // The comments are MySQL's and MariaDB's own names. 1 and 2 are InnoDB's flags.
            let database = file_name(&self.database);
            sql = format!(
                "SELECT IF(SUBSTRING_INDEX(for_name, '/', 1) IN (DATABASE(), '{database}'), \
                 SUBSTRING_INDEX(for_name, '/', -1), REPLACE(for_name, '/', '.')), \
                 SUBSTRING_INDEX(id, '/', -1), IF(type & 1, 'CASCADE', IF(type & 2, 'SET NULL', 'NO ACTION')) \
                 FROM information_schema./*!80000 INNODB_FOREIGN */ /*M! INNODB_SYS_FOREIGN */ \
                 WHERE ref_name IN (CONCAT(DATABASE(), '/{table}'), '{database}/{table}') ORDER BY 1, 2"
            );
        }
        Ok(calls.rows(&Statement::text(sql)).await?.iter().map(ForeignKey::of).collect())
    }

    /// What can't be seen of a child table, each with what could happen.
    pub(super) fn unseen(&self, child: &str) -> Vec<String> {
        let mut told = Vec::new();
        if !self.sees_foreign_keys() {
            told.push(format!(
                "this user can't see whether foreign keys of other tables refer to {child}. Each write of a record deletes its \
                 rows there: a key with ON DELETE CASCADE or SET NULL would delete or change rows of the other table, and one \
                 without would refuse the write. To have them checked, run: GRANT PROCESS ON *.* TO {}",
                self.user
            ));
        }
        if !self.has("TRIGGER", Some(child)) {
            told.push(format!(
                "this user can't see whether {child} has triggers. One for DELETE or INSERT would run for each row at each write \
                 of a record. To have them listed, run: GRANT TRIGGER ON `{}`.`{child}` TO {}",
                self.database, self.user
            ));
        }
        told
    }
}

/// The name of a database as InnoDB has it, in which everything but letters, digits and `_` is a number.
fn file_name(database: &str) -> String {
    let of = |it: char| match it {
        '_' | '0'..='9' | 'a'..='z' | 'A'..='Z' => it.to_string(),
        _ => format!("@{:04x}", u32::from(it)),
    };
    database.chars().map(of).collect()
}
