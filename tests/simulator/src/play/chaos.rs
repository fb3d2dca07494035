//! Faults, one after the other, as the seed has them.

use cutover_client::routing::PPM;
use rand::RngExt as _;

use super::{kill, people, replicas, restore, start_caller, start_service, suspends, with};
use crate::{
    control,
    data::{self, Delay},
    net,
    plan::Fault,
    world::{self, MS, Pid, S, Time},
};

/// Lets faults happen.
pub(super) fn begin() {
    let every = with(|stage| stage.plan.every);
    world::after(world::between(0, 2 * every), || {
        let (faults, calm_from) = with(|stage| (stage.plan.faults.clone(), stage.plan.calm_from));
        if faults.is_empty() || world::now() >= calm_from {
            return;
        }
        let fault = faults[world::between(0, faults.len() as u64 - 1) as usize];
        if !restore::is_unnoticed() {
            happen(fault, None);
        }
        begin();
    });
}

/// No more faults: what stands still goes on, what is down comes up.
pub(super) fn end() {
    world::tell(|| "no more faults".to_owned());
    net::set_weather(net::Weather::default());
    control::set_weather(control::Weather::default());
    data::clear_trap();
    for index in 0..2 {
        data::weather(index, |weather| *weather = data::Weather::default());
    }
    let (database, services) = with(|stage| (stage.database, stage.services.len()));
    let controllers = replicas::controllers();
    for pid in clients().into_iter().chain(controllers.iter().copied()).chain(database) {
        for controller in controllers.iter().copied() {
            net::unblock(pid, controller);
            net::unblock(controller, pid);
            net::speed_up(controller, pid);
            net::speed_up(pid, controller);
        }
        thaw(pid);
    }
    for index in 0..services {
        let (pid, retired) = with(|stage| (stage.services[index].service.pid, stage.services[index].retired));
        if !retired
            && world::look(pid, |_| ()).is_none()
            && with(|stage| stage.services[index].incarnations > 0)
        {
            start_service(index);
        }
    }
    controllers.into_iter().for_each(replicas::start_again);
}

/// A step was committed, and nobody has heard of it yet: faults of one service, and of what it uses.
pub(super) fn ambush() {
    let (faults, aim_ppm, calm_from) =
        with(|stage| (stage.plan.faults.clone(), stage.plan.aim_ppm, stage.plan.calm_from));
    let aimed: Vec<_> = faults.into_iter().flat_map(|fault| vec![fault; fault.aim()]).collect();
    if aimed.is_empty() || world::now() >= calm_from || !world::chance(aim_ppm) {
        return;
    }
    let victim = a_service();
    for _ in 0..world::between(1, 4) {
        let fault = aimed[world::between(0, aimed.len() as u64 - 1) as usize];
        let delay = if world::chance(PPM / 2) { span(MS / 10, 20 * MS) } else { span(MS, 3 * S) };
        world::after(delay, move || {
            if world::now() < calm_from {
                happen(fault, victim);
            }
        });
    }
}

/// `victim`: the service that it happens to, if it is one of a service.
fn happen(fault: Fault, victim: Option<usize>) {
    let pid_of = |index: usize| with(|stage| stage.services[index].service.pid);
    let is_live = |index: &usize| world::look(pid_of(*index), |_| ()).is_some();
    let a_service = || victim.filter(is_live).or_else(a_service);
    let somebody = || victim.map_or_else(somebody, pid_of);
    match fault {
        Fault::KillService => if_some(a_service(), kill_service),
        Fault::StopService => if_some(a_service(), stop_service),
        Fault::FreezeService => if_some(a_service(), |index| freeze(pid_of(index), &format!("s{index}"))),
        Fault::FreezeInCall | Fault::KillInCall => if_some(a_service(), |index| {
            let (pid, drain) = (pid_of(index), with(|stage| stage.plan.drain));
            let freezes = fault == Fault::FreezeInCall;
            let span = span(10 * MS, with(|stage| stage.plan.freeze_most));
            // The machine stops after the process has looked at its clock, and before it sends.
            let may_hold_back = freezes && span < drain - S && world::chance(PPM / 2);
            let delay = if may_hold_back { Delay::HeldBack(span) } else { Delay::None };
            let (store, is_write) = (world::between(0, 1) as usize, world::chance(PPM * 3 / 4));
            world::tell(|| format!("s{index} will stop in a call to store {store}, frozen: {freezes}"));
            let spring = move |_| match freezes {
                true => freeze_for(pid, &format!("s{index}"), span),
                false => world::after(world::between(0, 20 * MS), move || {
                    if world::look(pid, |_| ()).is_some() {
                        kill_service(index);
                    }
                }),
            };
            data::set_trap(data::Trap { pid, store, is_write, skips: 0, delay, spring: Box::new(spring) });
        }),
        Fault::Suspend => suspends::happen(victim.filter(is_live)),
        Fault::StartAlone => if_some(a_service().filter(|_| with(|stage| stage.plan.persist)), |index| {
            let (delay, alone) = (self::span(10 * MS, 40 * S), self::span(4 * S, 30 * S));
            if world::chance(PPM / 2) {
                with(|stage| stage.alone.insert(index, (delay, alone)));
                stop_service(index);
            } else {
                world::tell(|| format!("s{index} is killed"));
                kill(pid_of(index), world::chance(PPM / 5));
                start_alone(index, delay, alone);
            }
        }),
        Fault::SlowCalls => {
            let (index, lag_ppm) = (world::between(0, 1) as usize, span(50_000, 700_000) as u32);
            world::tell(|| format!("{lag_ppm} ppm of the calls to store {index} are slow"));
            data::weather(index, |weather| weather.lag_ppm = lag_ppm);
            world::after(self::span(S, 30 * S), move || data::weather(index, |weather| weather.lag_ppm = 0));
        }
        Fault::KillController => {
            replicas::kill_for(replicas::a_controller(), || span(100 * MS, 15 * S));
        }
        Fault::FreezeController => {
            let controller = replicas::a_controller();
            freeze(controller, &replicas::name(controller));
        }
        Fault::DisturbCaller => if_some(one_of(with(|stage| stage.callers.len())), |index| {
            let pid = with(|stage| stage.callers[index]);
            if world::chance(PPM / 2) {
                freeze(pid, &format!("c{index}"));
            } else {
                world::tell(|| format!("c{index} is killed"));
                kill(pid, false);
                start_caller(index);
            }
        }),
        Fault::DisturbWorker => if_some(a_worker(), |pid| {
            if world::chance(PPM / 2) {
                freeze(pid, &format!("w{pid}"));
            } else {
                world::tell(|| format!("w{pid} is killed"));
                kill(pid, world::chance(PPM / 5));
            }
        }),
        Fault::Partition => {
            let one = somebody();
            let until = span(100 * MS, 45 * S);
            let (one, others) = replicas::apart(one);
            people::note_silence(one, until);
            let way = world::between(0, 2);
            let of = |other: Pid| match way {
                0 => vec![(one, other)],
                1 => vec![(other, one)],
                _ => vec![(one, other), (other, one)],
            };
            let ways: Vec<_> = others.into_iter().flat_map(of).collect();
            world::tell(|| format!("nothing passes {ways:?} for {} ms", until / MS));
            for (from, to) in ways {
                net::block(from, to);
                world::after(until, move || net::unblock(from, to));
            }
        }
        Fault::Cut => {
            let one = somebody();
            let cut: usize =
                replicas::controllers().into_iter().map(|controller| net::cut(one, controller)).sum();
            world::tell(|| format!("{cut} connections of {one} are cut"));
        }
        Fault::BadNetwork => {
            let latency = (MS / 2, span(2 * MS, 500 * MS));
            let lost_ppm = world::between(0, 200_000) as u32;
            world::tell(|| format!("messages take up to {} ms, {lost_ppm} ppm are lost", latency.1 / MS));
            net::set_weather(net::Weather { latency, lost_ppm });
            world::after(span(S, 20 * S), || net::set_weather(net::Weather::default()));
        }
        Fault::StoreDown => {
            let (index, until) = (world::between(0, 1) as usize, world::now() + span(200 * MS, 15 * S));
            let is_slow = world::chance(PPM / 2);
            world::tell(|| format!("store {index} is {}", if is_slow { "slow" } else { "down" }));
            data::weather(index, |weather| {
                *(if is_slow { &mut weather.slow_until } else { &mut weather.down_until }) = until;
            });
        }
        Fault::LateWrites => {
            let index = world::between(0, 1) as usize;
            let (late_ppm, unanswered_ppm) = (span(10_000, 500_000) as u32, span(10_000, 300_000) as u32);
            world::tell(|| format!("store {index}: {late_ppm} ppm late, {unanswered_ppm} ppm unanswered"));
            data::weather(index, |weather| {
                (weather.late_ppm, weather.unanswered_ppm) = (late_ppm, unanswered_ppm);
            });
            world::after(span(S, 30 * S), move || {
                data::weather(index, |weather| (weather.late_ppm, weather.unanswered_ppm) = (0, 0));
            });
        }
        Fault::ControlStoreFails => {
            let refused_ppm = world::between(0, 1_000_000) as u32;
            let unanswered_ppm = world::between(0, 500_000) as u32;
            let slow = span(MS, S);
            world::tell(|| {
                format!("the controller's store: {refused_ppm} ppm refused, {} ms slow", slow / MS)
            });
            control::set_weather(control::Weather { refused_ppm, unanswered_ppm, slow, panic_ppm: 0 });
            world::after(span(200 * MS, 10 * S), || control::set_weather(control::Weather::default()));
        }
        Fault::ClockJump => {
            let pid = if world::chance(PPM / 3) { replicas::a_controller() } else { somebody() };
            let by = span(MS, 3_600 * S) as i64 * if world::chance(PPM / 2) { 1 } else { -1 };
            jump(pid, by);
        }
        Fault::Panic => {
            let panic_ppm = span(1_000, 200_000) as u32;
            world::tell(|| format!("{panic_ppm} ppm of the calls to stores panic"));
            match world::between(0, 2) as usize {
                2 => control::set_weather(control::Weather { panic_ppm, ..control::Weather::default() }),
                index => data::weather(index, |weather| weather.panic_ppm = panic_ppm),
            }
            world::after(span(200 * MS, 5 * S), || {
                control::set_weather(control::Weather::default());
                (0..2).for_each(|index| data::weather(index, |weather| weather.panic_ppm = 0));
            });
        }
        Fault::Restore => restore::begin(),
        Fault::LoseFile => if_some(a_service(), |index| {
            let path = with(|stage| stage.services[index].service.persist.clone());
            if let Some(path) = path {
                world::tell(|| format!("s{index} loses its file"));
                _ = std::fs::remove_file(path);
                kill_service(index);
            }
        }),
    }
}

/// The wall clock of a process jumps.
pub(super) fn jump(pid: Pid, by: i64) {
    world::tell(|| format!("the clock of {pid} jumps by {} ms", by / MS as i64));
    with(|stage| stage.clocks.entry(pid).or_default().wall_offset_ns += by);
    _ = world::look(pid, |process| process.jump(by));
}

fn kill_service(index: usize) {
    let (pid, is_last) = with(|stage| {
        let live = stage.services.iter().filter(|actor| !actor.retired).count();
        (stage.services[index].service.pid, live < 2)
    });
    kill(pid, world::chance(PPM / 5));
    if !is_last && world::chance(PPM / 10) {
        world::tell(|| format!("s{index} is killed for good"));
        with(|stage| {
            let actor = &mut stage.services[index];
            actor.retired = true;
            stage.gone.insert(actor.service.instance_id.clone(), world::now());
        });
        return;
    }
    world::tell(|| format!("s{index} is killed"));
    world::after(span(10 * MS, 30 * S), move || {
        if world::look(pid, |_| ()).is_none() {
            start_service(index);
        }
    });
}

pub(super) fn stop_service(index: usize) {
    world::tell(|| format!("s{index} is told to end"));
    let (pid, stop) = with(|stage| {
        let service = &stage.services[index].service;
        (service.pid, service.stop.clone())
    });
    stop.notify_one();
    world::wake(pid);
}

/// Starts a service that has ended, while it can't reach the controller.
pub(super) fn start_alone(index: usize, delay: Time, alone: Time) {
    let (pid, controllers) = with(|stage| (stage.services[index].service.pid, stage.controllers.clone()));
    world::tell(|| format!("s{index} is cut off for {} ms", (delay + alone) / MS));
    for controller in controllers.iter().copied() {
        net::block(pid, controller);
        net::block(controller, pid);
    }
    world::after(delay, move || {
        if world::look(pid, |_| ()).is_none() {
            start_service(index);
        }
    });
    world::after(delay + alone, move || {
        for controller in controllers {
            net::unblock(pid, controller);
            net::unblock(controller, pid);
        }
    });
}

fn freeze(pid: Pid, name: &str) {
    freeze_for(pid, name, span(MS, with(|stage| stage.plan.freeze_most)));
}

pub(super) fn freeze_for(pid: Pid, name: &str, span: Time) {
    world::tell(|| format!("{name} stands still for {} ms", span / MS));
    let until = world::now() + span;
    people::note_silence(pid, span);
    _ = world::look(pid, |process| process.frozen_until = process.frozen_until.max(until));
}

fn thaw(pid: Pid) {
    let now = world::now();
    _ = world::look(pid, |process| {
        process.frozen_until = process.frozen_until.min(now.max(process.sends_at));
    });
    world::wake(pid);
}

/// A service that runs.
pub(super) fn a_service() -> Option<usize> {
    let pids: Vec<_> = with(|stage| stage.services.iter().map(|actor| actor.service.pid).collect());
    let live: Vec<_> = (0..pids.len()).filter(|index| world::look(pids[*index], |_| ()).is_some()).collect();
    one_of(live.len()).map(|at| live[at])
}

/// A worker of a pass that runs.
pub(super) fn a_worker() -> Option<Pid> {
    let pids = with(|stage| stage.workers.clone());
    let live: Vec<_> = pids.into_iter().filter(|pid| world::look(*pid, |_| ()).is_some()).collect();
    one_of(live.len()).map(|at| live[at])
}

/// A client of the controller, whether it runs or not.
fn somebody() -> Pid {
    let clients = clients();
    clients[world::between(0, clients.len() as u64 - 1) as usize]
}

/// All of them, whether they run or not.
pub(super) fn clients() -> Vec<Pid> {
    with(|stage| {
        let services = stage.services.iter().map(|actor| actor.service.pid);
        services.chain(stage.callers.iter().copied()).chain(stage.workers.iter().copied()).collect()
    })
}

/// One of so many, by its place.
pub(super) fn one_of(count: usize) -> Option<usize> {
    (count > 0).then(|| world::between(0, count as u64 - 1) as usize)
}

fn if_some<T>(some: Option<T>, then: impl FnOnce(T)) {
    if let Some(one) = some {
        then(one);
    }
}

/// Short ones are as frequent as long ones, by their order of magnitude.
pub(super) fn span(low: Time, high: Time) -> Time {
    let (low, high) = ((low.max(1)) as f64, high.max(low).max(1) as f64);
    let at = world::draw(|random| random.random_range(0.0..=1.0));
    (low * (high / low).powf(at)) as Time
}
