//! Replaying the events yields the live state (invariant 3 of docs/ARCHITECTURE.md): what the store has after each commit,
//! and what everybody routes by who says that it holds that revision.

use std::{cell::RefCell, collections::BTreeMap};

use cutover::domain::{Document, Event, Migration, Tenant, TenantRow};
use cutover_client::{routing::Rung, watch::Current};

use super::tell_once;
use crate::cast::KEY;

#[derive(Default)]
struct Known {
    replayed: Replayed,
    /// Where tenants are since a revision.
    routes: BTreeMap<u64, BTreeMap<String, Rung>>,
    /// Another store took the place of this one: its revisions mean something else.
    is_over: bool,
}

/// The migration by its events alone.
#[derive(Default)]
struct Replayed {
    document: Option<Document>,
    rows: BTreeMap<Tenant, TenantRow>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Forgets everything.
pub fn begin() {
    KNOWN.take();
}

/// Another store takes the place of this one.
pub fn put_back() {
    KNOWN.with_borrow_mut(|known| known.is_over = true);
}

/// An event was appended, and this is what the store has now.
pub fn committed(event: &Event, live: &Migration, tenants: &[Tenant]) {
    let differs = KNOWN.with_borrow_mut(|known| {
        if known.is_over {
            return None;
        }
        known.replayed.apply(event);
        let rungs = tenants.iter().filter_map(|tenant| {
            Some((tenant.to_string(), known.replayed.rung(tenant, live.bucket(tenant))?))
        });
        known.routes.insert(event.revision, rungs.collect());
        known.replayed.differs(live)
    });
    if let Some(what) = differs {
        tell_once("not replayed", String::new(), format!("revision {}: {what}", event.revision));
    }
}

/// Somebody is about to act by the state that it holds.
pub fn acts(by: &str, tenant: &str, current: &Current) {
    let (revision, decided) = (current.received_revision(), current.decide(KEY, tenant));
    let Ok(decided) = decided else { return };
    let wrong = KNOWN.with_borrow(|known| known.wrong(tenant, revision, decided.rung));
    // The local guard changes what a process routes by, and not what it has received.
    if let Some(wrong) = wrong.filter(|_| current.gone_back().is_empty()) {
        tell_once("not replayed", tenant.to_owned(), format!("{by} {wrong}"));
    }
}

impl Known {
    /// How a route differs from what the events say. `None`: it does not.
    fn wrong(&self, tenant: &str, revision: u64, rung: Rung) -> Option<String> {
        let (since, rungs) = self.routes.range(..=revision).next_back().filter(|_| !self.is_over)?;
        let replayed = *rungs.get(tenant)?;
        let what =
            || format!("holds revision {revision} with {rung:?}, the events up to {since} say {replayed:?}");
        (replayed != rung).then(what)
    }
}

impl Replayed {
    fn apply(&mut self, event: &Event) {
        self.document = event.document.clone();
        for (tenant, row) in &event.rows {
            match row {
                Some(row) => self.rows.insert(tenant.clone(), *row),
                None => self.rows.remove(tenant),
            };
        }
    }

    fn rung(&self, tenant: &Tenant, bucket: u32) -> Option<Rung> {
        let of_bucket = || self.document.as_ref().map(|document| document.bands.of(bucket).rung);
        self.rows.get(tenant).map(|row| row.placement.rung).or_else(of_bucket)
    }

    /// How the live state differs. `None`: it does not.
    fn differs(&self, live: &Migration) -> Option<String> {
        if self.document.as_ref() != Some(&*live.document) {
            return Some(format!("the events yield {:?}, the store has {:?}", self.document, live.document));
        }
        let rows: BTreeMap<_, _> = live.tenants.iter().map(|(tenant, row)| (tenant.clone(), *row)).collect();
        (rows != self.rows)
            .then(|| format!("the events yield the rows {:?}, the store has {rows:?}", self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::example;

    #[test]
    fn a_store_that_has_another_state_than_its_events_is_noticed() {
        let (event, live) = example::created();
        let mut replayed = Replayed::default();
        assert!(replayed.differs(&live).is_some(), "nothing was replayed");
        replayed.apply(&event);
        assert_eq!(replayed.differs(&live), None);
        let described = Document { description: "other".to_owned(), ..(*live.document).clone() };
        let other = Migration::new(live.revision, described, live.tenants.clone());
        assert!(replayed.differs(&other).is_some(), "an event lacks what changed in the document");
        let mut row = live.clone();
        row.tenants.insert(example::tenant(), example::row());
        assert!(replayed.differs(&row).is_some(), "an event lacks a row");
        replayed.rows.insert(example::tenant(), example::row());
        assert_eq!(replayed.differs(&row), None);
        assert!(replayed.differs(&live).is_some(), "an event has a row that the store lacks");
    }

    #[test]
    fn a_process_that_routes_by_something_else_than_the_events_is_noticed() {
        let at = |rung| BTreeMap::from([("t0".to_owned(), rung)]);
        let routes = BTreeMap::from([(3, at(Rung::Dual)), (5, at(Rung::Mirrored))]);
        let known = Known { routes, ..Known::default() };
        for (revision, rung) in [(3, Rung::Dual), (4, Rung::Dual), (5, Rung::Mirrored), (9, Rung::Mirrored)] {
            assert_eq!(known.wrong("t0", revision, rung), None, "{revision}");
        }
        assert!(known.wrong("t0", 4, Rung::Mirrored).is_some(), "it is ahead of what it says that it holds");
        assert!(known.wrong("t0", 5, Rung::Dual).is_some(), "it is behind");
        assert_eq!(known.wrong("t0", 2, Rung::TargetOnly), None, "nothing is known of earlier ones");
        let known = Known { is_over: true, ..known };
        assert_eq!(known.wrong("t0", 5, Rung::Dual), None, "another history");
    }
}
