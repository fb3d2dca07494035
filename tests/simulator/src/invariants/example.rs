//! A migration, for tests.

use cutover::domain::{
    Event, Fleet, Identity, Key, Migration, Placement, Policy, Tenant, TenantRow,
    change::{Change, Context, apply},
};
use cutover_client::routing::Rung;

/// One that was created, and its event.
pub fn created() -> (Event, Migration) {
    let key = Key::parse("orders").expect("a key");
    let context = Context {
        revision: 1,
        now_ms: 1,
        steady_ms: 1,
        actor: "operator:ada",
        identity: &Identity::Unproven,
        reason: "why",
        fleet: &Fleet::default(),
    };
    let create = Change::Create {
        salt: String::new(),
        source: String::new(),
        target: String::new(),
        description: String::new(),
        policy: Policy::default(),
        confirm: String::new(),
    };
    let applied = apply(None, &key, &create, &context).unwrap_or_else(|why| panic!("{why:?}"));
    let document = applied.document.expect("it is created");
    let live = Migration::new(1, document.clone(), Default::default());
    let event = Event {
        revision: 1,
        key,
        at_ms: 1,
        actor: String::new(),
        reason: String::new(),
        request_id: String::new(),
        change: String::new(),
        summary: Vec::new(),
        document: Some(document),
        rows: applied.rows,
    };
    (event, live)
}

/// A tenant.
pub fn tenant() -> Tenant {
    Tenant::parse("acme").expect("a tenant")
}

/// Where it is if it is pinned to dual.
pub fn row() -> TenantRow {
    let placement = Placement { rung: Rung::Dual, ..Placement::START };
    TenantRow { pin: Some(Rung::Dual), ceiling: None, placement, overridden: 0 }
}
