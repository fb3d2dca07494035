//! How much the clients of HTTP can hold, and what those get for which there is no room.

use std::time::Duration;

use axum::{
    Router,
    http::{StatusCode, header},
};

use crate::listen::Limits;

/// More than the event streams that services may have open (docs/openfeature.md).
const CONNECTIONS_MAX: u64 = 20_000;
/// A controller that may open fewer files than this says how many connections it takes.
const FILES_FEW: u64 = 4_096;

/// For a process that may open so many files. Half of them are left for gRPC, the store and the rest. `per_address`: how
/// many connections one address can have; by default nine tenths, so that a proxy in front has enough and nobody all.
pub fn limits(files: u64, per_address: Option<u32>) -> Limits {
    let connections = CONNECTIONS_MAX.min(files / 2);
    if files < FILES_FEW {
        tracing::warn!(
            files,
            connections,
            "this process may open few files, so it takes few HTTP connections. Raise the limit: ulimit -n {}",
            2 * CONNECTIONS_MAX
        );
    }
    let connections = connections as usize;
    Limits {
        connections,
        per_address: Some(per_address.map_or(connections * 9 / 10, |most| most as usize)),
        head: Duration::from_secs(30),
        body: Duration::from_secs(30),
        unsent: Duration::from_secs(20),
        http2_requests: None,
    }
}

/// `urgent`, and a refusal of everything else.
pub fn full(urgent: Router, limits: &Limits) -> Router {
    let Limits { connections, per_address, .. } = limits;
    let per_address = per_address.unwrap_or(*connections);
    let message = format!(
        "no room for another connection: {connections} may be open, {per_address} of them from one address \
         (--http-connections-per-address). Close some, or try again later"
    );
    let body = serde_json::json!({ "code": "UNAVAILABLE", "message": message }).to_string() + "\n";
    let answer = move || {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::RETRY_AFTER, "1"),
        ];
        std::future::ready((StatusCode::SERVICE_UNAVAILABLE, headers, body))
    };
    urgent.fallback(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_for_connections_and_no_address_gets_all() {
        let of = |files, per_address| {
            let Limits { connections, per_address, .. } = limits(files, per_address);
            (connections, per_address)
        };
        assert_eq!(of(1_024, None), (512, Some(460)));
        assert_eq!(of(u64::MAX, None), (20_000, Some(18_000)));
        assert_eq!(of(u64::MAX, Some(100)), (20_000, Some(100)));
    }
}
