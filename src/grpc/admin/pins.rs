//! Lists pins by page, and imports them by the million.

use std::ops::Bound;

use cutover_proto::v1;
use tonic::{Status, Streaming};

use super::{Caller, convert, status};
use crate::{
    domain::{Ask, Change, Key, Migration, Tenant, Violation},
    service::{Operate, operate::RequestMeta},
};

/// Pins in one commit.
const BATCH: usize = 10_000;

/// One page, by tenant.
pub(super) fn page(migration: &Migration, page_size: u32, after: &str) -> v1::ListPinsResponse {
    let page_size = if page_size == 0 { 1000 } else { page_size.min(10_000) as usize };
    let rows = migration.tenants.range::<_, str>((Bound::Excluded(after), Bound::Unbounded));
    let mut pinned = rows.filter_map(|(tenant, row)| Some((tenant, row, row.pin?)));
    let pins: Vec<v1::Pin> = pinned
        .by_ref()
        .take(page_size)
        .map(|(tenant, row, pin)| convert::pin(migration, tenant, row, pin))
        .collect();
    let next = pinned.next().and(pins.last()).map_or_else(String::new, |pin| pin.tenant.clone());
    v1::ListPinsResponse { pins, next }
}

/// Commits pins as they arrive, one batch per revision; if one is refused, reports how many were committed.
pub(super) async fn import(
    operate: &Operate,
    caller: &Caller,
    mut stream: Streaming<v1::ImportPinsRequest>,
) -> Result<v1::ImportPinsResponse, Status> {
    let first = stream.message().await?.unwrap_or_default();
    let head =
        first.head.ok_or_else(|| status::invalid(Violation::new("head", "must be in the first message")))?;
    let mut import = Import {
        operate,
        key: Key::parse(&head.key).map_err(status::invalid)?,
        mutation: caller.mutation(head.mutation)?,
        wait: head.wait,
        batch: Vec::new(),
        batches: 0,
        imported: 0,
        revision: 0,
    };
    let mut pins = first.pins;
    loop {
        for pin in pins {
            import.add(&pin).await.map_err(|error| import.so_far(error))?;
        }
        match stream.message().await? {
            Some(message) => pins = message.pins,
            None => break,
        }
    }
    import.commit().await.map_err(|error| import.so_far(error))?;
    Ok(v1::ImportPinsResponse { imported: import.imported, revision: import.revision })
}

struct Import<'a> {
    operate: &'a Operate,
    key: Key,
    mutation: RequestMeta,
    wait: bool,
    batch: Vec<(Tenant, cutover_core::routing::Rung)>,
    batches: u64,
    imported: u64,
    revision: u64,
}

impl Import<'_> {
    async fn add(&mut self, pin: &v1::Pin) -> Result<(), Status> {
        let tenant = Tenant::parse(&pin.tenant).map_err(status::invalid)?;
        self.batch.push((tenant, convert::pin_rung(pin.rung)?));
        if self.batch.len() == BATCH { self.commit().await } else { Ok(()) }
    }

    async fn commit(&mut self) -> Result<(), Status> {
        let pins = std::mem::take(&mut self.batch);
        let count = pins.len() as u64;
        let mut mutation = self.mutation.clone();
        if !mutation.request_id.is_empty() {
            // Each batch is a separate change, and a retry finds each of them.
            mutation.request_id = format!("{}#{}", mutation.request_id, self.batches);
        }
        if self.batches > 0 {
            mutation.expected_revision = None;
        }
        let change = Change::SetPins { pins, ask: Ask { wait: self.wait, overrides: Vec::new() } };
        let outcome = self.operate.change(&self.key, &change, &mutation).await.map_err(status::change)?;
        self.batches += 1;
        self.imported += count;
        self.revision = outcome.revision;
        Ok(())
    }

    fn so_far(&self, error: Status) -> Status {
        let message = format!("{} pins are imported, then: {}", self.imported, error.message());
        Status::with_details(error.code(), message, error.details().to_vec().into())
    }
}
