//! Records that expire: an attribute says when, and stores may remove them after that without a tombstone.
//!
//! docs/protocol.md, "Records that expire", has the rules and why they hold.

use std::time::Duration;

use cutover_clock as clock;

use super::{
    EPOCH_UNIX_MS, Record, Version,
    document::{Attribute, Document},
};

/// How far the clocks of the SDKs and of whoever removes records may differ.
const CLOCKS: Duration = Duration::from_secs(60);

/// A number that is so far in the past is no expiry, as in DynamoDB: 0 means never.
const NEVER_BEFORE_S: i64 = 5 * 365 * 24 * 60 * 60;

/// When the records of a migration expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ttl {
    attribute: String,
    residual: Duration,
}

impl Ttl {
    /// No call of an operation, or of a pass with one page, is made later than this after it began.
    pub const CALLS_WITHIN: Duration = Duration::from_secs(60);

    /// `attribute` has the seconds since 1970 as a number; a record without it does not expire. `residual`: how long
    /// after its timeout a put can still land in a store.
    pub fn new(attribute: &str, residual: Duration) -> Self {
        Self { attribute: attribute.to_owned(), residual }
    }

    /// The name of the attribute.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// Whether the record has expired by this process's clock. To a reader there is none then.
    pub fn is_expired(&self, record: &Record) -> bool {
        self.expires_ms(record).is_some_and(|expires_ms| expires_ms <= now_ms())
    }

    /// How long a record has to live at least, from its version on. Until then every put of an older version has landed
    /// or never will: one that began before this one was applied, and whose own calls came as late as they may.
    pub fn least(&self) -> Duration {
        (Self::CALLS_WITHIN + self.residual) * 2 + CLOCKS
    }

    /// How far the expiry of a record is too near to its version. `None`: it is far enough, or the record does not
    /// expire.
    pub fn too_soon(&self, record: &Record) -> Option<Duration> {
        let expires_ms = self.expires_ms(record)?;
        let least_ms = unix_ms(record.version).saturating_add(millis(self.least()));
        let short_ms = least_ms.saturating_sub(expires_ms);
        (short_ms > 0).then(|| Duration::from_millis(short_ms.unsigned_abs()))
    }

    /// Whether the operation that stamped this version has ended, and its last put has landed or never will.
    pub fn is_settled(&self, version: Version) -> bool {
        unix_ms(version).saturating_add(millis(Self::CALLS_WITHIN + self.residual + CLOCKS)) <= now_ms()
    }

    /// Whether the record expires at all.
    pub fn expires(&self, record: &Record) -> bool {
        self.expires_ms(record).is_some()
    }

    /// When it expires, in milliseconds since 1970.
    fn expires_ms(&self, record: &Record) -> Option<i64> {
        let document = Document::decode(record.value.as_ref()?).ok()?;
        let Attribute::N(number) = document.0.get(&self.attribute)? else { return None };
        let (negative, seconds, _) = number.parts();
        let seconds = seconds.parse::<i64>().ok().filter(|_| !negative)?;
        let is_ancient = seconds.saturating_add(NEVER_BEFORE_S) < now_ms() / 1000;
        (!is_ancient).then(|| seconds.saturating_mul(1000))
    }
}

fn unix_ms(version: Version) -> i64 {
    if version == Version::ZERO {
        return 0;
    }
    i64::try_from(version.ms_since_2025() + EPOCH_UNIX_MS).unwrap_or(i64::MAX)
}

fn now_ms() -> i64 {
    i64::try_from(clock::now_ms()).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::now_ms_since_2025;

    fn record(attributes: &str) -> Record {
        let version = Version::new(now_ms_since_2025(), 0, 7).expect("it is in range");
        Record { version, value: Some(attributes.as_bytes().to_vec()) }
    }

    fn at(seconds: i64) -> Record {
        record(&format!(r#"{{"expires_at":{{"N":"{seconds}"}}}}"#))
    }

    fn ttl() -> Ttl {
        Ttl::new("expires_at", Duration::from_secs(30))
    }

    #[test]
    fn a_number_of_seconds_is_an_expiry_and_nothing_else_is() {
        let (ttl, now) = (ttl(), now_ms() / 1000);
        assert!(ttl.is_expired(&at(now - 1)) && ttl.is_expired(&at(now)));
        assert!(!ttl.is_expired(&at(now + 30)) && ttl.expires(&at(now + 30)));
        assert!(ttl.is_expired(&record(&format!(r#"{{"expires_at":{{"N":"{now}.5"}}}}"#))));
        let never = [
            at(0),
            at(-5),
            at(now - 6 * 365 * 24 * 3600),
            record(&format!(r#"{{"expires_at":{{"S":"{}"}}}}"#, now - 1)),
            record(&format!(r#"{{"in":{{"M":{{"expires_at":{{"N":"{}"}}}}}}}}"#, now - 1)),
            record(r#"{"other":{"N":"5"}}"#),
            record("no document"),
            Record { value: None, ..at(now) },
        ];
        for record in never {
            assert!(!ttl.is_expired(&record) && !ttl.expires(&record), "{record:?}");
        }
    }

    #[test]
    fn a_record_lives_longer_than_any_older_put_can_take() {
        let (ttl, now) = (ttl(), now_ms() / 1000);
        let least = ttl.least().as_secs() as i64;
        assert_eq!(least, 240);
        assert_eq!(ttl.too_soon(&at(now + least + 2)), None);
        assert_eq!(ttl.too_soon(&at(0)), None, "it never expires");
        let short = ttl.too_soon(&at(now + least - 10)).expect("it is too soon");
        assert!((9..=12).contains(&short.as_secs()), "{short:?}");
        assert!(ttl.too_soon(&at(now - 100)).is_some());
        let version = |ms: u64| Version::new(ms, 0, 0).expect("it is in range");
        let now = now_ms_since_2025();
        assert!(ttl.is_settled(Version::ZERO) && ttl.is_settled(version(now - 151_000)));
        assert!(!ttl.is_settled(version(now - 140_000)) && !ttl.is_settled(version(now + 60_000)));
    }
}
