//! What must hold in every state, and what must be reached in some.

use stateright::Property;

use crate::{
    protocol::Protocol,
    state::{Held, Promise, State},
};

pub(crate) const ACKNOWLEDGED_STAYS: &str = "an acknowledged write is never lost";
pub(crate) const ONE_ORDER: &str = "one order explains all answers";
/// A means, no promise.
pub(crate) const SOURCE_AHEAD: &str = "the source is never behind the target";
pub(crate) const COVERED: &str = "every branch that is expected is taken";

/// Under a mutation only promises count: that the source is never behind the target is a means.
pub(crate) fn of(model: &Protocol) -> Vec<Property<Protocol>> {
    let mut all = vec![
        Property::always(ACKNOWLEDGED_STAYS, |_, state: &State| {
            state.broken != Some(Promise::AcknowledgedStays)
        }),
        Property::always("a deleted record does not come back", |_, state: &State| {
            state.broken != Some(Promise::DeletedStays)
        }),
        Property::always("acknowledged writes are in real-time order", |_, state: &State| {
            state.broken != Some(Promise::InRealTime)
        }),
    ];
    if model.linearizable() {
        all.push(Property::always("reads never go back in time", |_, state: &State| {
            state.broken != Some(Promise::ReadsOnward)
        }));
    }
    if model.ordered() {
        all.push(Property::always(ONE_ORDER, |_, state: &State| state.broken != Some(Promise::Linearizable)));
    }
    if model.mutation.is_none() {
        all.extend([
            Property::always(SOURCE_AHEAD, |model: &Protocol, state: &State| {
                let version = |held: Held| held.map(|record| record.version);
                let is_ahead = version(state.stores.source) < version(state.stores.target);
                state.ladder.floor
                    || state.expired
                    || !is_ahead
                    || state.stores.has_extra()
                    || model.scenario.foreign
            }),
            Property::sometimes(COVERED, |model: &Protocol, _: &State| model.coverage.is_complete_now()),
        ]);
    }
    all
}
