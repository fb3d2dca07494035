//! Faults that a theme aims at a moment.

use cutover_client::routing::{PPM, Rung};

use super::{
    chaos, ends, kill, people,
    replicas::{self, Trouble},
    stand_in, suspends, with,
};
use crate::{
    data::{self, Delay},
    net,
    world::{self, MS, Pid, S, Time},
};

/// Faults, and when they come. All happen to one service, or to what it uses.
#[derive(Clone, Debug)]
pub struct Aim {
    /// When.
    pub when: When,
    /// How often, in ppm.
    pub ppm: u32,
    /// How long after that.
    pub after: (Time, Time),
    /// What happens.
    pub hazards: Vec<Hazard>,
}

/// A moment. The store has committed a step, and nobody has heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Of the world.
    Beginning,
    /// Tenants step up to one of these.
    Up(&'static [Rung]),
    /// Tenants step down to one of these.
    Down(&'static [Rung]),
    /// Any step.
    Any,
    /// The policy does not have the local guard any more.
    LocalGuardOff,
}

/// Who hears whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The controller hears the service, which hears nothing.
    Sends,
    /// Neither hears the other.
    Neither,
}

/// A fault.
#[derive(Clone, Debug)]
pub enum Hazard {
    /// A service is out of the controller's reach.
    Partition { reach: Reach, span: (Time, Time) },
    /// A service stops at its next call to a store, which is held back all that time, or is sent before.
    FreezeInCall { store: Option<usize>, is_write: bool, span: (Time, Time), held_back: bool },
    /// The machine of a service is suspended at the service's next write to a store, which was sent before.
    SuspendInCall { span: (Time, Time) },
    /// The controller is killed, and is started again soon.
    KillController { down: (Time, Time) },
    /// The wall clock of the controller jumps ahead.
    JumpAhead { by: Time },
    /// Messages from the controller to a service are slow.
    SlowLink { latency: (Time, Time), span: Time },
    /// The controller stands still. From then on until a while after that it and a service hear nothing from each
    /// other.
    FreezeController { span: (Time, Time), later: (Time, Time) },
    /// Writes to a store fare like this for a while; so many that are not refused land late. So many of their callers
    /// wait in vain.
    Writes { store: usize, writes: data::Writes, late_ppm: u32, hanging_ppm: u32, span: Time },
    /// A service can't reach a store.
    CutOff { store: usize, span: Time },
    /// Calls to a store fare well again.
    Recovers { store: usize },
    /// A service ends, or is killed, and is started again while it can't reach the controller.
    Alone { stops: bool, after: (Time, Time), span: (Time, Time) },
    /// A service's connections are cut, and it is told to end while it registers again.
    StopWhileRegistering { after: (Time, Time) },
    /// A service drops its client, and goes on with the migrator.
    DropClient,
    /// Another service is started with the snapshot file of this one, or with a copy of it and of its lock.
    StandIn { is_copy: bool, after: (Time, Time) },
    /// Something happens to the controller that leads.
    Leader(Trouble),
    /// Messages fare like this from now on.
    Network { latency: (Time, Time), lost_ppm: u32 },
}

/// A moment has come.
pub(super) fn strike(is_it: impl Fn(When) -> bool) {
    let (aims, calm_from) = with(|stage| (stage.plan.aims.clone(), stage.plan.calm_from));
    for Aim { ppm, after, hazards, .. } in aims.into_iter().filter(|aim| is_it(aim.when)) {
        if world::now() >= calm_from || !world::chance(ppm) {
            continue;
        }
        let happen = move || {
            let Some(victim) = chaos::a_service().filter(|_| world::now() < calm_from) else { return };
            hazards.into_iter().for_each(|hazard| hazard.happen(victim));
        };
        match after.1 {
            // Before any message about the step is sent.
            0 => happen(),
            _ => world::after(chaos::span(after.0, after.1), happen),
        }
    }
}

/// A step was committed.
pub(super) fn stepped(from: Rung, to: Rung) {
    strike(|when| match when {
        When::Up(rungs) => to > from && rungs.contains(&to),
        When::Down(rungs) => to < from && rungs.contains(&to),
        When::Any => true,
        When::Beginning | When::LocalGuardOff => false,
    });
}

fn draw((low, high): (Time, Time)) -> Time {
    world::between(low, high)
}

impl Hazard {
    fn happen(self, victim: usize) {
        let pid = with(|stage| stage.services[victim].service.pid);
        match self {
            Self::Partition { reach, span } => {
                let span = draw(span);
                people::note_silence(pid, span);
                let both = |controller| {
                    [Some((controller, pid)), (reach == Reach::Neither).then_some((pid, controller))]
                };
                let ways: Vec<_> = replicas::controllers().into_iter().flat_map(both).flatten().collect();
                world::tell(|| format!("nothing passes {ways:?} for {} ms", span / MS));
                ways.into_iter().for_each(|(from, to)| block(from, to, span));
            }
            Self::FreezeInCall { store, is_write, span, held_back } => {
                let (store, span) = (store.unwrap_or_else(|| draw((0, 1)) as usize), draw(span));
                world::tell(|| format!("s{victim} will stop in a call to store {store}"));
                let spring = move |_| chaos::freeze_for(pid, &format!("s{victim}"), span);
                let delay = if held_back { Delay::HeldBack(span) } else { Delay::None };
                data::set_trap(data::Trap {
                    pid,
                    store,
                    is_write,
                    skips: 0,
                    delay,
                    spring: Box::new(spring),
                });
            }
            Self::SuspendInCall { span } => suspends::in_call(victim, draw((0, 1)) as usize, draw(span)),
            Self::KillController { down } => replicas::kill_for(replicas::leader(), || draw(down)),
            Self::JumpAhead { by } => chaos::jump(replicas::leader(), by as i64),
            Self::SlowLink { latency, span } => {
                for controller in replicas::controllers() {
                    net::slow_down(controller, pid, latency);
                    world::after(span, move || net::speed_up(controller, pid));
                }
            }
            Self::FreezeController { span, later } => {
                let (span, later, controller) = (draw(span), draw(later), replicas::leader());
                chaos::freeze_for(controller, &replicas::name(controller), span);
                block(pid, controller, span + later);
                block(controller, pid, span + later);
                world::tell(|| {
                    format!("the controller and s{victim} are apart for {} ms", (span + later) / MS)
                });
                // While it stands still it takes nobody for silent.
                world::after(span, move || people::note_silence(pid, later));
            }
            Self::Writes { store, writes, late_ppm, hanging_ppm, span } => {
                world::tell(|| format!("store {store}: {writes:?}, {late_ppm} ppm late"));
                data::weather(store, |weather| {
                    (weather.writes, weather.late_ppm, weather.hanging_ppm) = (writes, late_ppm, hanging_ppm);
                });
                world::after(span, move || recover(store));
            }
            Self::CutOff { store, span } => {
                world::tell(|| format!("s{victim} can't reach store {store} for {} ms", span / MS));
                data::weather(store, |weather| weather.cut_off = Some((pid, world::now() + span)));
            }
            Self::Recovers { store } => recover(store),
            Self::Alone { stops, after, span } => {
                if stops {
                    with(|stage| stage.alone.insert(victim, (draw(after), draw(span))));
                    chaos::stop_service(victim);
                } else {
                    world::tell(|| format!("s{victim} is killed"));
                    kill(pid, world::chance(PPM / 5));
                    chaos::start_alone(victim, draw(after), draw(span));
                }
            }
            Self::StopWhileRegistering { after } => ends::stop_while_registering(victim, draw(after)),
            Self::DropClient => ends::drop_client(victim),
            Self::StandIn { is_copy, after } => {
                world::after(draw(after), move || stand_in::begin(victim, is_copy));
            }
            Self::Leader(trouble) => trouble.happen(),
            Self::Network { latency, lost_ppm } => net::set_weather(net::Weather { latency, lost_ppm }),
        }
    }
}

fn block(from: Pid, to: Pid, span: Time) {
    net::block(from, to);
    world::after(span, move || net::unblock(from, to));
}

fn recover(store: usize) {
    if with(|stage| world::now() < stage.plan.calm_from + S) {
        data::weather(store, |weather| *weather = data::Weather::default());
    }
}
