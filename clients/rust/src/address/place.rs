//! A configured address, and the machines that its name leads to.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::{net::lookup_host, time::timeout};
use tonic::transport::Endpoint;

use crate::host;

/// An address of the list.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As it was given.
    pub(super) address: String,
    pub(super) endpoint: Endpoint,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_tls: bool,
}

/// One way to try: a place, and which of its IP addresses. `None`: as the connection finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The place's number in the list.
    pub(super) place: usize,
    pub(super) ip: Option<SocketAddr>,
}

/// A candidate in words.
pub(super) struct Named<'a>(pub(super) &'a Place, pub(super) Candidate);

impl Place {
    /// The candidates of this place, at least one. A name that leads to one machine is one; so is a name that can't be
    /// resolved: its connection says why.
    pub(super) async fn candidates(&self, place: usize, within: Duration) -> Vec<Candidate> {
        let as_found = vec![Candidate { place, ip: None }];
        if host::is_simulated() || self.host.parse::<std::net::IpAddr>().is_ok() {
            return as_found;
        }
        let resolved = timeout(within, lookup_host((self.host.as_str(), self.port))).await;
        let mut found = Vec::new();
        for ip in resolved.into_iter().flatten().flatten() {
            let candidate = Candidate { place, ip: Some(ip) };
            if !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        if found.len() < 2 { as_found } else { found }
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.address)?;
        self.1.ip.map_or(Ok(()), |ip| write!(f, " ({})", ip.ip()))
    }
}
