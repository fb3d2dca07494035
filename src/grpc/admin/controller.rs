//! What the controller is, and who asks.

use cutover_proto::v1;
use tonic::Status;

use super::{Admin, Caller};
use crate::{grpc::access::role_to_wire, telemetry::now_ms};

pub(super) async fn controller(admin: &Admin, caller: &Caller) -> Result<v1::Controller, Status> {
    let principal = caller.principal()?;
    let ends_ms = match principal.vouched() {
        Some(login) => Some(login.until_ms),
        None => principal.name().and_then(|name| admin.tokens.record(name)).and_then(|it| it.expires_ms),
    };
    let ping = admin.operate.ping().await;
    let state = admin.registry.state();
    let restored = state.entries().filter(|entry| entry.migration.document.restored.is_some()).count();
    let expires_s = admin.certificate_expires_s.as_ref().and_then(|ends| *ends.borrow());
    Ok(v1::Controller {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at_ms: now_ms(),
        store_fault: ping.err().map_or_else(String::new, |error| error.to_string()),
        certificate_expires_ms: expires_s.map_or(0, |seconds| seconds.saturating_mul(1000)),
        caller: principal.actor().unwrap_or_default(),
        roles: principal.roles().map(|role| role_to_wire(role).into()).collect(),
        caller_ends_ms: ends_ms.unwrap_or(0),
        migrations: u32::try_from(state.entries().count()).unwrap_or(u32::MAX),
        restored: u32::try_from(restored).unwrap_or(u32::MAX),
    })
}
