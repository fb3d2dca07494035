//! Options of a client, and their checks.

use std::{path::PathBuf, time::Duration};

use cutover_proto::v1;

use super::ConnectError;
use crate::{Access, Address};

/// Maximum bytes of a service name or an instance id.
const NAME_MAX_BYTES: usize = 128;

/// The kind of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A service that routes its operations.
    #[default]
    Service,
    /// A worker: backfill, verify, reverse.
    Worker,
}

impl From<Kind> for v1::InstanceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Service => Self::Service,
            Kind::Worker => Self::Worker,
        }
    }
}

/// Options of a client. Example: `Options { persist: Some(path), ..Options::default() }`
#[derive(Clone, Debug)]
pub struct Options {
    /// Id of this process; no other process may use it. `None`: made of service, process id and a random
    /// number.
    pub instance_id: Option<String>,
    /// Longest time to wait for the controller before using the persisted snapshot. Default 3 s.
    pub start_timeout: Duration,
    /// Longest time that closing waits for operations and the controller. Default 5 s.
    pub close_timeout: Duration,
    /// File for the last snapshot, to start without the controller. Each process needs its own. `None`: such
    /// starts fail.
    pub persist: Option<PathBuf>,
    /// How long the file may be used after the controller was last heard. The controller waits that long for
    /// a process that has ended and left its file, so ramps after a deployment wait too. Default 1 h.
    pub persist_for: Duration,
    /// In migrations with a fence: how long the last store calls may take after the right to act has expired.
    /// Must cover the time for which a write that timed out can still land (`residual_ms` of the stores).
    /// Default 60 s.
    pub drain: Duration,
    /// Service or worker.
    pub kind: Kind,
    /// Identifies the function that derives tenants from requests, so that the controller can show services
    /// that differ. Empty: unknown.
    pub tenant_fingerprint: String,
    /// Longest interval between reports. `None`: set by the controller.
    pub report_interval: Option<Duration>,
    /// What to show the controller, and which to trust: a token, files for TLS. Default: nothing, and the system's CAs.
    pub access: Access,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            instance_id: None,
            start_timeout: Duration::from_secs(3),
            close_timeout: Duration::from_secs(5),
            persist: None,
            persist_for: Duration::from_secs(3_600),
            drain: Duration::from_secs(60),
            kind: Kind::default(),
            tenant_fingerprint: String::new(),
            report_interval: None,
            access: Access::default(),
        }
    }
}

impl Options {
    /// How long the file may be used; 0: there is no file.
    pub(super) fn file_valid_ms(&self) -> u32 {
        let valid_ms = u32::try_from(self.persist_for.as_millis()).unwrap_or(u32::MAX);
        if self.persist.is_some() { valid_ms } else { 0 }
    }

    /// The given id, or a new one.
    pub(super) fn instance_id_for(&self, service: &str) -> String {
        let fresh = || {
            let mut id = format!("-{}-{:08x}", std::process::id(), rand::random::<u32>());
            let room = service.len().min(NAME_MAX_BYTES - id.len());
            id.insert_str(0, &service[..room]); // Checked before: ASCII.
            id
        };
        self.instance_id.clone().unwrap_or_else(fresh)
    }
}

/// Checks a service name or an instance id.
pub(super) fn check_name(what: &'static str, value: &str) -> Result<(), ConnectError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if (1..=NAME_MAX_BYTES).contains(&value.len()) && value.bytes().all(known) {
        return Ok(());
    }
    Err(ConnectError::Name { what, value: value.to_owned() })
}

/// The controller's address. Each attempt uses a new connection, so a dead one is never reused.
pub(super) fn address(server: &str, options: &Options) -> Result<Address, ConnectError> {
    let connect_timeout = options.start_timeout.clamp(Duration::from_millis(100), Duration::from_secs(2));
    let address = Address::new(server, &options.access, connect_timeout)
        .map_err(|error| ConnectError::Server { server: server.to_owned(), what: error.to_string() })?;
    // A large snapshot should not need a round trip for every 64 KiB.
    Ok(address.with(|endpoint| {
        endpoint.initial_stream_window_size(1 << 20).initial_connection_window_size(2 << 20)
    }))
}
