//! What a table adds to a transaction of several records. It is sent in several texts. Each has so few records that their lock
//! waits end within the time of one statement, and the client sends the next one and the COMMIT only after that.

use async_trait::async_trait;
use sqlx::MySql;

use super::{
    super::{
        Id, Record, StoreError,
        sql::{Calls, Keys, Over, Statement, Together},
    },
    MySqlStore, STATEMENT_BYTES_MAX,
    ledger::{BEGIN, END, Kind, check_written},
};

#[async_trait]
impl Together for MySqlStore {
    type Db = MySql;

    fn calls(&self) -> &Calls<MySql> {
        &self.calls
    }

    fn keys(&self) -> &Keys {
        &self.layout.keys
    }

    fn begin(&self) -> Statement<MySql> {
        Statement::begins(BEGIN.to_owned())
    }

    fn deletes(&self) -> bool {
        self.layout.table.has_ledger()
    }

    async fn all(&self, records: &[(&Id, &Record)], over: Over) -> Result<Vec<Statement<MySql>>, StoreError> {
        self.check_ids(records.iter().map(|(id, _)| *id)).await?;
        if !self.layout.table.has_ledger() {
            let mut texts = self.each(records)?;
            texts.extend(self.texts(self.replace_rows(records)?));
            return Ok(texts.into_iter().map(Statement::text).collect());
        }
        let mut texts = Vec::new();
        for part in records.chunks(self.written_max) {
            for body in self.bodies(Kind::of(part[0].1), over, part)? {
                texts.extend(
                    self.texts([self.first_condition()].into_iter().chain(body).chain([END.to_owned()])),
                );
            }
        }
        Ok(texts.into_iter().map(Statement::text).collect())
    }
}

impl MySqlStore {
    /// A statement for each record and one after it that fails if it was not written: an AUTO_INCREMENT would hide one of
    /// several. MariaDB limits each of them, not the text.
    fn each(&self, records: &[(&Id, &Record)]) -> Result<Vec<String>, StoreError> {
        let tail = format!("{}; {}; ", self.layout.if_newer(), check_written(1));
        let limit_bytes = self.packet_bytes.saturating_sub(64).min(STATEMENT_BYTES_MAX);
        let reset = "DO LAST_INSERT_ID(0); ";
        let mut texts: Vec<(usize, String)> = Vec::new();
        for given in records {
            let values =
                |text: &mut Vec<u8>, given: &(&Id, &Record)| self.layout.values(text, given.0, given.1);
            let [one]: [String; 1] = self
                .statements(&self.layout.insert(), &tail, std::slice::from_ref(given), values)?
                .try_into()
                .expect("one record was given");
            match texts.last_mut() {
                Some((count, text)) if *count < self.waiting_max && text.len() + one.len() <= limit_bytes => {
                    *count += 1;
                    text.push_str(&one);
                }
                _ => texts.push((1, format!("{reset}{one}"))),
            }
        }
        Ok(texts.into_iter().map(|(_, text)| text).collect())
    }
}
