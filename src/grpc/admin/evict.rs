//! Evictions: only of processes that are not heard, unless the operator insists.

use std::time::Duration;

use cutover_core::text::span;
use cutover_proto::v1;
use tonic::Status;

use crate::{
    domain::Violation,
    grpc::{caller::Caller, status},
    service::{Dead, InstanceView, LEASE, Membership, operate::RequestMeta},
};

/// Evicts whom the request names, or says why that is nobody.
pub(super) async fn evict(
    membership: &Membership,
    (caller, message): (Caller, v1::EvictInstanceRequest),
) -> Result<v1::EvictInstanceResponse, Status> {
    let v1::EvictInstanceRequest { instance_id, actor, reason, lost, older_than_ms, service, force, dry_run } =
        message;
    if reason.is_empty() {
        let message = "say how you know that it is dead: evicting a live instance loses writes";
        return Err(status::invalid(Violation::new("reason", message)));
    }
    let older_than = Duration::from_millis(older_than_ms);
    let dead = match (instance_id.is_empty(), lost) {
        (_, true) => Dead::Lost { instance_id: instance_id.clone(), older_than, service },
        (false, false) => Dead::Named { name: instance_id.clone(), force },
        (true, false) => {
            let message = "give an instance id, or `lost` for all that are lost";
            return Err(status::invalid(Violation::new("instance_id", message)));
        }
    };
    if !force && let Some(refused) = membership.instances.refused_lately() {
        return Err(Status::failed_precondition(format!(
            "{refused}.\nIt may be one that is taken for dead, and evicting a live instance loses writes.\nTo let it in: {}.\nOr, for a \
             process that has certainly ended: cutover evict ID --force --reason ..",
            refused.advice()
        )));
    }
    let named = named(membership, &instance_id);
    let has_several = |seen: &&InstanceView| is_heard(seen) && seen.name != instance_id;
    if force && let Some(heard) = named.iter().find(has_several) {
        let names = named.iter().map(|seen| seen.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Status::failed_precondition(format!(
            "several processes have the id {instance_id}: {names}. {} is connected, and evicting it loses writes.\n\
             Name the one that has ended: cutover evict ID#INCARNATION --force --reason ..",
            heard.name
        )));
    }
    let living = named.iter().filter(|seen| is_heard(seen)).count();
    if !lost && !force && living > 0 && living < named.len() {
        return Err(Status::failed_precondition(format!(
            "{living} of the processes with the id {instance_id} are connected, and evicting them loses writes.\n\
             Evict only the lost: cutover evict {instance_id} --lost --reason .."
        )));
    }
    let seen = membership.instances.seen();
    let mutation = RequestMeta { dry_run, ..caller.acting(actor, reason)? };
    let evicted = membership.evict(&dead, &mutation).await.map_err(status::change)?;
    if evicted.is_empty() && !instance_id.is_empty() {
        return Err(nobody(&named, &instance_id));
    }
    let changes = evicted.iter().map(|name| change(name, &seen)).collect();
    Ok(v1::EvictInstanceResponse { evicted, changes, dry_run })
}

/// `seen`: from before the eviction.
fn change(name: &str, seen: &[InstanceView]) -> String {
    match seen.iter().find(|seen| seen.name == name) {
        Some(InstanceView { record, silent, .. }) => {
            let silent = span(silent.as_millis() as u64);
            format!("evicted instance {name} of {}, silent for {silent}", record.service)
        }
        None => format!("evicted instance {name}"),
    }
}

fn named(membership: &Membership, name: &str) -> Vec<InstanceView> {
    let is_named = |seen: &InstanceView| seen.record.instance_id == name || seen.name == name;
    membership.instances.seen().into_iter().filter(is_named).collect()
}

/// It may still act: it said no goodbye, and its lease has not ended.
fn is_heard(seen: &InstanceView) -> bool {
    !seen.lost && !seen.record.parked
}

/// Why nobody was evicted.
fn nobody(named: &[InstanceView], instance_id: &str) -> Status {
    if let Some(InstanceView { name, record, silent, .. }) = named.iter().find(|seen| seen.refused) {
        let why = match &record.credential {
            Some(of) => {
                format!("token {} was revoked or rotated, or has expired, or it shows another one", of.token)
            }
            None => "it registered before calls needed a token, and has shown none since".to_owned(),
        };
        // Another process may have the same id, and be alive.
        return Status::failed_precondition(format!(
            "{name} is not heard because its calls are refused: {why}. Its process may run; evicting a live one \
             loses writes.\nGive it a valid token; or, if its process has certainly ended ({} silent): \
             cutover evict {name} --force --reason ..",
            span(silent.as_millis() as u64),
        ));
    }
    match named.iter().find(|seen| is_heard(seen)) {
        Some(seen) => Status::failed_precondition(format!(
            "{instance_id} is not lost: it was heard {} ago. Evicting a live instance loses writes.\nStop its process; \
             {} after its last report: cutover evict {instance_id} --lost --reason ..",
            span(seen.silent.as_millis() as u64),
            span(LEASE.as_millis() as u64),
        )),
        None if named.is_empty() => {
            Status::not_found(format!("there is no instance {instance_id:?}: cutover instances lists them"))
        }
        None => Status::failed_precondition(format!(
            "no process of {instance_id} matches: cutover instances shows how long each has been silent"
        )),
    }
}
