//! What several stories need.

#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
pub mod database;
pub mod instance;
#[cfg(feature = "sqlite")]
pub mod process;
pub mod server;

use std::collections::BTreeMap;

use cutover::{
    domain::{
        self, Ask, Change, Context, Document, Event, Fleet, Identity, Key, Migration, Policy, Tenant,
        TenantRow,
    },
    store::{Commit, Store},
};
use cutover_core::routing::Rung;
use imbl::OrdMap;

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub fn tenant(text: &str) -> Tenant {
    Tenant::parse(text).unwrap()
}

pub fn create() -> Change {
    Change::Create {
        salt: String::new(),
        source: "mysql".to_owned(),
        target: "postgres".to_owned(),
        description: "it's a \"story\"\n\u{1f980}".replace('\n', " "),
        policy: Policy::default(),
        confirm: String::new(),
    }
}

pub fn describe(text: impl Into<String>) -> Change {
    Change::Update { description: Some(text.into()), policy: None, guards: Vec::new() }
}

pub fn pin(tenants: impl IntoIterator<Item = String>, rung: Rung) -> Change {
    let pins = tenants.into_iter().map(|text| (tenant(&text), rung)).collect();
    Change::SetPins { pins, ask: Ask { wait: true, overrides: Vec::new() } }
}

/// What `operate` would commit as `revision`, with nobody connected.
pub fn commit(migration: Option<&Migration>, key: &Key, change: &Change, revision: u64) -> Commit {
    commit_by("operator:ada", migration, key, change, revision)
}

/// The same by somebody else.
pub fn commit_by(
    actor: &str,
    migration: Option<&Migration>,
    key: &Key,
    change: &Change,
    revision: u64,
) -> Commit {
    let fleet = Fleet::default();
    let context = Context {
        revision,
        now_ms: 1_700_000_000_000_u64.saturating_add(revision),
        steady_ms: 1_700_000_000_000_u64.saturating_add(revision),
        actor,
        identity: &Identity::Unproven,
        reason: "a test",
        fleet: &fleet,
    };
    let applied = domain::apply(migration, key, change, &context).unwrap();
    let event = Event {
        revision,
        key: key.clone(),
        at_ms: context.now_ms,
        actor: context.actor.to_owned(),
        reason: context.reason.to_owned(),
        request_id: String::new(),
        change: change.name().to_owned(),
        summary: applied.summary,
        document: applied.document,
        rows: applied.rows,
    };
    Commit { expected: migration.map(|migration| migration.revision), event }
}

/// Reads the state, makes the change from it and commits that.
pub async fn make(store: &dyn Store, key: &Key, change: &Change) -> Event {
    let state = store.snapshot().await.unwrap();
    let migration = state.migrations.iter().find(|migration| migration.key() == key);
    let commit = commit(migration, key, change, state.revision + 1);
    store.commit(&commit).await.unwrap();
    commit.event
}

/// A migration in a form that can be compared.
pub type Plain = (u64, Document, OrdMap<Tenant, TenantRow>);

pub fn plain(migrations: &[Migration]) -> BTreeMap<Key, Plain> {
    migrations
        .iter()
        .map(|m| (m.key().clone(), (m.revision, (*m.document).clone(), m.tenants.clone())))
        .collect()
}

/// The state that results from events, starting from nothing.
pub fn replay(events: &[Event]) -> BTreeMap<Key, Plain> {
    let mut state: BTreeMap<Key, Migration> = BTreeMap::new();
    for event in events {
        match (&event.document, state.get_mut(&event.key)) {
            (None, _) => drop(state.remove(&event.key)),
            (Some(document), Some(migration)) => {
                migration.replay(event.revision, document.clone(), &event.rows);
            }
            (Some(document), None) => {
                let mut migration = Migration::new(event.revision, document.clone(), OrdMap::new());
                migration.replay(event.revision, document.clone(), &event.rows);
                state.insert(event.key.clone(), migration);
            }
        }
    }
    plain(&state.into_values().collect::<Vec<_>>())
}
