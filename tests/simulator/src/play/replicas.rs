//! Controllers that share a store: which one leads, and what keeps it from that.

use cutover_client::routing::PPM;
use cutover_proto::v1;

use super::{chaos, kill, with};
use crate::{
    cast::controller::Controller,
    control::{self, leases, seat},
    net, oracle,
    world::{self, MS, Pid, S, Time},
};

/// Faults have ended so long ago: somebody leads.
const LEADS_WITHIN: Time = 15 * S;

/// What happens to the controller that leads.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It is killed, and is started again.
    Kill { down: (Time, Time) },
    /// It stands still.
    Freeze { span: (Time, Time) },
    /// It and the store do not hear each other, or one of them does not hear the other.
    CutOff { span: (Time, Time) },
    /// Its beats fail, and everything else between it and the store takes long.
    NoBeats { latency: (Time, Time), span: Time },
    /// Answers of the store come late for a while. Then it and the store do not hear each other.
    LateAnswers { latency: (Time, Time), late: Time, span: (Time, Time) },
}

/// Where everybody finds the controllers.
pub fn address() -> String {
    let names = names();
    names.iter().map(|name| format!("http://{name}:7070")).collect::<Vec<_>>().join(",")
}

/// Whether several controllers share the store.
pub fn are_several() -> bool {
    with(|stage| stage.controllers.len() > 1)
}

fn names() -> Vec<String> {
    (0..with(|stage| stage.controllers.len())).map(host).collect()
}

/// The name of a controller in the network.
pub(super) fn host(index: usize) -> String {
    if are_several() { format!("controller-{index}") } else { "controller".to_owned() }
}

/// The name of a controller in the story.
pub(super) fn name(controller: Pid) -> String {
    match are_several() {
        true => format!("controller {controller}"),
        false => "the controller".to_owned(),
    }
}

/// Starts a controller.
pub(super) fn start(index: usize) {
    let (pid, control, database) =
        with(|stage| (stage.controllers[index], stage.control.clone(), stage.database));
    let store = database.map_or_else(|| control.clone(), |database| control.shared_by(pid, database));
    let (name, host) = (name(pid), self::host(index));
    world::tell(|| format!("{name} starts"));
    super::start(pid, Controller { pid, name, host, store }.run());
}

/// All of them.
pub(super) fn controllers() -> Vec<Pid> {
    with(|stage| stage.controllers.clone())
}

/// The one that leads. If nobody does, any.
pub(super) fn leader() -> Pid {
    let all = controllers();
    match (&all[..], seat::holder()) {
        ([alone], _) => *alone,
        (_, Some(holder)) => holder,
        (all, None) => all[world::between(0, all.len() as u64 - 1) as usize],
    }
}

/// In half of the cases the one that leads.
pub(super) fn a_controller() -> Pid {
    let all = controllers();
    match all[..] {
        [alone] => alone,
        _ if world::chance(PPM / 2) => leader(),
        _ => all[world::between(0, all.len() as u64 - 1) as usize],
    }
}

/// Who does not hear whom: `client` and the controllers, or a controller and others.
pub(super) fn apart(client: Pid) -> (Pid, Vec<Pid>) {
    let all = controllers();
    let Some(database) = with(|stage| stage.database) else { return (client, all) };
    match world::between(0, 5) {
        0 | 1 => (client, all),
        2 => (client, vec![leader()]),
        3 | 4 => (a_controller(), vec![database]),
        _ => {
            let clients = chaos::clients();
            (a_controller(), clients.into_iter().chain([database]).collect())
        }
    }
}

/// A controller is killed, and started again after a while.
pub(super) fn kill_for(controller: Pid, down: impl FnOnce() -> Time) {
    if world::look(controller, |_| ()).is_some() {
        world::tell(|| format!("{} is killed", name(controller)));
        kill(controller, world::chance(PPM / 5));
        world::after(down(), move || start_again(controller));
    }
}

/// Starts a controller, unless it runs.
pub(super) fn start_again(controller: Pid) {
    let index = with(|stage| stage.controllers.iter().position(|other| *other == controller));
    if let Some(index) = index.filter(|_| world::look(controller, |_| ()).is_none()) {
        start(index);
    }
}

impl Trouble {
    pub(super) fn happen(self) {
        let Some(database) = with(|stage| stage.database) else { return };
        let leader = leader();
        match self {
            Self::Kill { down } => kill_for(leader, || draw(down)),
            Self::Freeze { span } => {
                chaos::freeze_for(leader, &name(leader), chaos::span(span.0, span.1));
            }
            Self::CutOff { span } => cut_off(leader, database, chaos::span(span.0, span.1)),
            Self::NoBeats { latency, span } => {
                world::tell(|| format!("the store refuses beats of {}", name(leader)));
                control::refuse_beats(leader, world::now() + span);
                for (from, to) in [(leader, database), (database, leader)] {
                    net::slow_down(from, to, latency);
                    world::after(span, move || net::speed_up(from, to));
                }
            }
            Self::LateAnswers { latency, late, span } => {
                world::tell(|| format!("answers of the store to {} come late", name(leader)));
                net::slow_down(database, leader, latency);
                let span = draw(span);
                world::after(late, move || {
                    net::speed_up(database, leader);
                    if with(|stage| world::now() < stage.plan.calm_from) {
                        block(&[(database, leader), (leader, database)], span);
                    }
                });
            }
        }
    }
}

fn draw((low, high): (Time, Time)) -> Time {
    world::between(low, high)
}

fn cut_off(controller: Pid, database: Pid, span: Time) {
    match world::between(0, 2) {
        0 => block(&[(controller, database)], span),
        1 => block(&[(database, controller)], span),
        _ => block(&[(controller, database), (database, controller)], span),
    }
}

fn block(ways: &[(Pid, Pid)], span: Time) {
    world::tell(|| format!("nothing passes {ways:?} for {} ms", span / MS));
    for (from, to) in ways.iter().copied() {
        net::block(from, to);
        world::after(span, move || net::unblock(from, to));
    }
}

/// No more faults: somebody leads soon, and as long as the run lasts.
pub(super) fn expect_a_leader() {
    if are_several() {
        world::after(LEADS_WITHIN, look_for_a_leader);
    }
}

/// Whoever has registered at a new leader says at once what it has acknowledged, however seldom it reports.
pub(super) fn check_heard(status: &v1::Status) {
    const SOON_MS: u64 = 2_000;
    // Those that were registered before count as heard when it reads the store.
    const READ_MS: u64 = 1_000;
    let (reports_every, calm_from) = with(|stage| (stage.plan.reports_every, stage.plan.calm_from));
    if reports_every == 0 || world::now() < calm_from + S {
        return;
    }
    let services = status.instances.iter().filter(|instance| !instance.instance_id.starts_with("cutover-"));
    let led_ms = (world::now() - seat::taken_at()) / MS;
    let is_unheard = |instance: &&v1::Instance| {
        let is_registered = (SOON_MS..=led_ms.saturating_sub(READ_MS)).contains(&instance.silent_ms);
        instance.received_revision == 0 && is_registered && !instance.lost && !instance.parked
    };
    if let Some(instance) = services.into_iter().find(is_unheard) {
        let what = format!("{} has acknowledged nothing for {} ms", instance.instance_id, instance.silent_ms);
        oracle::fault_once("unheard", what);
    }
}

fn look_for_a_leader() {
    if leases::held().is_empty() {
        return oracle::fault("leaderless", format!("nobody leads at {} ms", world::now() / MS));
    }
    world::after(S, look_for_a_leader);
}
