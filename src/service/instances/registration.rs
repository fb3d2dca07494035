//! What a registration answers, and what it refuses.

use std::time::Duration;

use super::{
    Who,
    slots::{NoSlot, SHARE, SLOTS},
};
use crate::{
    domain::Violation,
    store::{self, InstanceRecord},
};

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The process that registered.
    pub who: Who,
    /// Exclusive to this process.
    pub writer_slot: u16,
    /// Distinguishes this membership from an earlier one.
    pub admission: u64,
    /// It had been given up: what it began before must not be acknowledged.
    pub readmitted: bool,
    /// Another process with the same id is connected.
    pub duplicate: bool,
}

/// Why an instance can't register.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A field is malformed.
    #[error(transparent)]
    Invalid(#[from] Violation),
    /// All writer slots are taken.
    #[error(
        "all {SLOTS} writer slots are taken: stop processes, or evict instances that are dead (cutover instances)"
    )]
    Full,
    /// All writer slots are taken or rest.
    #[error(
        "all {SLOTS} writer slots are taken, or rest because their process ended a short time ago: the next one is free in \
             {} s. Register again then",
        seconds(*.0)
    )]
    Resting(Duration),
    /// The store was restored.
    #[error(
        "the controller's store was restored from a backup: new processes can register in {} s, because writes of \
             processes that the backup does not know may still arrive; start this process again then",
        seconds(*.0)
    )]
    Restored(Duration),
    /// Its token or service has its part of the writer slots.
    #[error(
        "{0} has {SHARE} of the {SLOTS} writer slots, which is the limit of one token or service. The slots of processes \
             that ended a short time ago count as well. Wait a minute, stop processes, evict instances that are dead \
             (cutover instances), or give each service a token of its own"
    )]
    Share(String),
    /// Another token speaks for it.
    #[error(
        "instance {instance} registered with token {token}, and only that token speaks for it while it is valid. Give \
         this process that token or another instance id, or end that token: cutover token revoke {token}"
    )]
    Bound {
        /// Its id.
        instance: String,
        /// That token.
        token: String,
    },
    /// The process has ended.
    #[error("this process has said goodbye: start another one")]
    Gone,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<NoSlot> for RegisterError {
    fn from(why: NoSlot) -> Self {
        match why {
            NoSlot::Taken => Self::Full,
            NoSlot::Resting(wait) => Self::Resting(wait),
            NoSlot::Restored(wait) => Self::Restored(wait),
            NoSlot::Share(holder) => Self::Share(holder),
        }
    }
}

/// Rounded up: whoever waits that long is not too early.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000) as u64
}

pub(super) fn check(record: &InstanceRecord) -> Result<(), Violation> {
    check_name("instance_id", &record.instance_id)?;
    check_name("service", &record.service)?;
    if record.incarnation == 0 {
        return Err(Violation::new(
            "incarnation",
            "0 does not identify a process: draw a random number from 1 to 2^64-1 when the process starts, and repeat \
             it in every registration, report and goodbye",
        ));
    }
    for (field, text) in [("sdk", &record.sdk), ("tenant_fingerprint", &record.tenant_fingerprint)] {
        if text.len() > 128 || text.chars().any(char::is_control) {
            return Err(Violation::new(field, "give at most 128 bytes without control characters"));
        }
    }
    Ok(())
}

/// Maximum length of a name.
const NAME_MAX: usize = 128;

/// The part of a name that an error repeats: an answer has to fit its head.
pub fn shown(name: &str) -> String {
    name.chars().take(NAME_MAX).collect()
}

/// Checks what identifies a process or a service.
pub fn check_name(field: &str, name: &str) -> Result<(), Violation> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let shown = shown(name);
    let length = if shown.len() < name.len() { format!(".. ({} bytes)", name.len()) } else { String::new() };
    Err(Violation::new(
        field,
        format!(
            "{shown:?}{length} is not a valid name: use 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-'"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_no_slot_is_told_how_long_to_wait() {
        let wait = Duration::from_millis(41_001);
        for (why, told) in [
            (NoSlot::Restored(wait), "was restored from a backup: new processes can register in 42 s"),
            (NoSlot::Resting(wait), "the next one is free in 42 s"),
            (NoSlot::Share("token orders".to_owned()), "token orders has 12288 of the 16383 writer slots"),
            (NoSlot::Taken, "evict instances that are dead (cutover instances)"),
        ] {
            let text = RegisterError::from(why).to_string();
            assert!(text.contains(told) && !text.contains("  "), "{text}");
        }
    }
}
