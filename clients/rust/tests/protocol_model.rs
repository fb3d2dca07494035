//! The protocol, checked over every interleaving up to a bound, with the rules that the SDK runs.

#[path = "protocol_model/canonical.rs"]
mod canonical;
#[path = "protocol_model/check.rs"]
mod check;
#[path = "protocol_model/controller.rs"]
mod controller;
#[path = "protocol_model/coverage.rs"]
mod coverage;
#[path = "protocol_model/expiring.rs"]
mod expiring;
#[path = "protocol_model/history.rs"]
mod history;
#[path = "protocol_model/jobs.rs"]
mod jobs;
#[path = "protocol_model/ladders.rs"]
mod ladders;
#[path = "protocol_model/lease.rs"]
mod lease;
#[path = "protocol_model/mutation.rs"]
mod mutation;
#[path = "protocol_model/mutations.rs"]
mod mutations;
#[path = "protocol_model/operations.rs"]
mod operations;
#[path = "protocol_model/overrides.rs"]
mod overrides;
#[path = "protocol_model/properties.rs"]
mod properties;
#[path = "protocol_model/protocol.rs"]
mod protocol;
#[path = "protocol_model/put_if.rs"]
mod put_if;
#[path = "protocol_model/queries.rs"]
mod queries;
#[path = "protocol_model/replaced.rs"]
mod replaced;
#[path = "protocol_model/restart.rs"]
mod restart;
#[path = "protocol_model/reversed.rs"]
mod reversed;
#[path = "protocol_model/scenario.rs"]
mod scenario;
#[path = "protocol_model/sidecar.rs"]
mod sidecar;
#[path = "protocol_model/source_wins.rs"]
mod source_wins;
#[path = "protocol_model/state.rs"]
mod state;
#[path = "protocol_model/stores.rs"]
mod stores;
#[path = "protocol_model/stuck.rs"]
mod stuck;
#[path = "protocol_model/versions.rs"]
mod versions;
