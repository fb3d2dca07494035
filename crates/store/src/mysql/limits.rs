//! How much goes into a statement.

use super::{
    super::{
        StoreError,
        sql::{ServerOptions, whole_seconds},
    },
    ErrorClass, MySqlStore, permanent,
};

/// Maximum rows of a statement. MariaDB plans lists of more than 1,000 in another, slower way.
pub(super) const ROWS_MAX: usize = 500;

/// Maximum bytes of a statement, unless one record needs more. The server may allow less.
pub(super) const STATEMENT_BYTES_MAX: usize = 8 << 20;

/// MySQL ends no write because of its duration. There a statement writes so few records that all their lock
/// waits, two for each, end within the time that a statement may take.
pub(super) fn written_max(ends_writes: bool, options: &ServerOptions) -> usize {
    if ends_writes {
        return ROWS_MAX;
    }
    let waits = options.call_timeout.as_secs() / whole_seconds(options.lock_timeout).as_secs();
    usize::try_from(waits / 2).unwrap_or(ROWS_MAX).clamp(1, ROWS_MAX)
}

impl MySqlStore {
    pub(super) fn too_large(&self, bytes: usize) -> StoreError {
        let what = format!(
            "the record takes a statement of {bytes} bytes and the server's max_allowed_packet is {}: raise it",
            self.packet_bytes
        );
        permanent(ErrorClass::Constraint, "value", what)
    }

    /// As few statements as possible for all of `items`, each between a head and a tail.
    pub(super) fn statements<T>(
        &self,
        head: &str,
        tail: &str,
        items: &[T],
        item: impl Fn(&mut Vec<u8>, &T) -> Result<(), StoreError>,
    ) -> Result<Vec<String>, StoreError> {
        // The server also counts a byte for the command; a little more does no harm.
        let packet_bytes = self.packet_bytes.saturating_sub(64);
        let limit_bytes = packet_bytes.min(STATEMENT_BYTES_MAX);
        let (mut statements, mut text, mut rows) = (Vec::new(), head.as_bytes().to_vec(), 0);
        let finish = |mut text: Vec<u8>| {
            text.extend_from_slice(tail.as_bytes());
            String::from_utf8(text).expect("names and literals are all that goes in, and they are text")
        };
        let mut next = Vec::new();
        for given in items {
            next.clear();
            item(&mut next, given)?;
            if head.len() + next.len() + tail.len() > packet_bytes {
                return Err(self.too_large(head.len() + next.len() + tail.len() + 64));
            }
            if rows > 0 && (rows == ROWS_MAX || text.len() + next.len() + tail.len() + 1 > limit_bytes) {
                statements.push(finish(std::mem::replace(&mut text, head.as_bytes().to_vec())));
                rows = 0;
            }
            if rows > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&next);
            rows += 1;
        }
        if rows > 0 {
            statements.push(finish(text));
        }
        Ok(statements)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn where_no_write_is_ended_a_statement_s_lock_waits_fit_into_its_time() {
        let default = ServerOptions::default();
        assert_eq!(written_max(true, &default), ROWS_MAX);
        assert_eq!(written_max(false, &default), 7, "2 waits of 1 s for each, within 15 s");
        let call_timeout = Duration::from_secs(1);
        assert_eq!(written_max(false, &ServerOptions { call_timeout, ..default }), 1);
        let call_timeout = Duration::from_secs(36_000);
        assert_eq!(written_max(false, &ServerOptions { call_timeout, ..default }), ROWS_MAX);
    }
}
