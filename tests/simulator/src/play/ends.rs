//! Processes that end: by a goodbye that races a registration, or by a client that is dropped.

use cutover_proto::v1;

use super::{Actor, chaos, make_service, replicas, start_service, with};
use crate::{
    net, oracle,
    world::{self, MS, Time},
};

/// A process has ended in order, and the controller has answered its goodbye.
pub fn has_said_goodbye(instance_id: &str) {
    with(|stage| _ = stage.farewells.insert(instance_id.to_owned()));
}

/// Another one has its id.
pub(super) fn has_started(instance_id: &str) {
    with(|stage| _ = stage.farewells.remove(instance_id));
}

/// Nobody waits for a process that has said goodbye. A backup may know it from before, and another one with its id may have been
/// killed.
pub(super) fn check(status: &v1::Status) {
    let ghost = with(|stage| {
        let is_ghost = |instance: &&v1::Instance| {
            instance.lost && !instance.parked && stage.farewells.contains(&instance.instance_id)
        };
        let knows_all = stage.backups == 0 && !stage.plan.twins && !stage.plan.same_ids;
        status.instances.iter().find(is_ghost).filter(|_| knows_all).map(|ghost| ghost.name.clone())
    });
    if let Some(name) = ghost {
        oracle::fault_once("ghost", format!("{name} has said goodbye, and is waited for"));
    }
}

/// The connections of a service are cut. While it registers again it is told to end.
pub(super) fn stop_while_registering(victim: usize, after: Time) {
    let (pid, retired) = with(|stage| {
        let actor = &stage.services[victim];
        (actor.service.pid, actor.retired)
    });
    if retired {
        return;
    }
    let cut: usize = replicas::controllers().into_iter().map(|controller| net::cut(pid, controller)).sum();
    world::tell(|| format!("{cut} connections of s{victim} are cut"));
    world::after(after, move || {
        if world::look(pid, |_| ()).is_some() {
            chaos::stop_service(victim);
        }
    });
}

/// A service drops its client, and goes on with the migrator. Operators know that it is of no use any more, and another one
/// takes its place.
pub(super) fn drop_client(victim: usize) {
    /// Each is a process more for the rest of the run.
    const MOST: usize = 8;
    let index = with(|stage| {
        let index = stage.services.len();
        let actor = &mut stage.services[victim];
        if index >= MOST || actor.retired {
            return None;
        }
        actor.retired = true;
        actor.service.drops.store(true, std::sync::atomic::Ordering::Relaxed);
        stage.gone.insert(actor.service.instance_id.clone(), world::now());
        Some(index)
    });
    let Some(index) = index else { return };
    chaos::stop_service(victim);
    let service = make_service(index);
    with(|stage| stage.services.push(Actor { service, incarnations: 0, retired: false }));
    world::after(100 * MS, move || start_service(index));
}
