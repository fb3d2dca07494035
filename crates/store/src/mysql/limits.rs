//! How much goes into a statement.

use super::super::sql::{ServerOptions, whole_seconds};

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
