//! The controllers of a run: one over a file, or several over a shared store, of which one leads.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cutover_client::{Access, Address, AddressState};
use nix::sys::signal::Signal;
use rand::{RngExt as _, rngs::StdRng};
use tokio::{
    process::Child,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    cast::{command, signal},
    proxy::Proxy,
};

/// How long a leader is stopped: longer than its lease, which ends after 2.5 s, and than another one needs to take over.
const STOPPED_MS: std::ops::Range<u64> = 4_000..9_000;
/// Longest time before one that was killed is started again, for each controller that there is.
const AWAY_MOST_MS: u64 = 2_000;
/// Exit code of a program that panicked.
const PANICKED: i32 = 101;
/// Interval between looks at who leads, and the longest wait for an answer: a controller that was stopped gives none.
const OFTEN: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_millis(1_000);

/// All controllers; they end when it is dropped.
#[derive(Debug, Default)]
pub struct Controllers {
    all: Vec<Controller>,
    lead: Arc<Mutex<Lead>>,
    looks: JoinSet<()>,
    /// To their store.
    proxies: Vec<Proxy>,
}

#[derive(Debug)]
struct Controller {
    dir: PathBuf,
    words: String,
    port: u16,
    /// As it reaches it.
    store: String,
    child: Option<Child>,
    /// It is not started before this, or not continued.
    again: Instant,
    is_stopped: bool,
}

/// Who leads.
#[derive(Debug, Default)]
struct Lead {
    /// Who was last seen to lead.
    last: Option<usize>,
    changes: u64,
}

impl Lead {
    fn see(&mut self, at: usize) {
        self.changes += u64::from(self.last.is_some_and(|last| last != at));
        self.last = Some(at);
    }
}

/// A port at which a controller can be started again and again: the kernel gives none of these to others.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(20_000..32_000)).find(is_free).unwrap_or_default()
}

impl Controllers {
    /// Starts another one.
    pub fn start(&mut self, dir: &Path, port: u16, store: String) -> anyhow::Result<()> {
        let at = self.all.len();
        let (dir, words, again) = (dir.to_owned(), format!("controller-{}.err", at + 1), Instant::now());
        let mut controller = Controller { dir, words, port, store, child: None, again, is_stopped: false };
        controller.start()?;
        let address = Address::new(&controller.server(), &Access::default(), ANSWER)?;
        self.all.push(controller);
        let lead = self.lead.clone();
        self.looks.spawn(async move {
            loop {
                let probed = timeout(ANSWER, address.probe()).await.unwrap_or_default();
                if probed.iter().any(|probed| probed.state == AddressState::Leads) {
                    lead.lock().unwrap_or_else(PoisonError::into_inner).see(at);
                }
                sleep(OFTEN).await;
            }
        });
        Ok(())
    }

    /// Keeps a proxy for as long as the controllers need it.
    pub fn keep(&mut self, proxy: Proxy) {
        self.proxies.push(proxy);
    }

    pub fn first_port(&self) -> u16 {
        self.all.first().map_or(0, |controller| controller.port)
    }

    /// Their addresses, separated by commas.
    pub fn servers(&self) -> String {
        self.all.iter().map(Controller::server).collect::<Vec<_>>().join(",")
    }

    pub const fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// How often another one led than before.
    pub fn leader_changes(&self) -> u64 {
        self.lead.lock().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// The one that leads, as far as is known, or any.
    pub fn pick(&self, leads: bool, rng: &mut StdRng) -> usize {
        let any = rng.random_range(0..self.all.len());
        let leader = self.lead.lock().unwrap_or_else(PoisonError::into_inner).last;
        leader.filter(|_| leads).unwrap_or(any)
    }

    /// kill -9. False: it was not alive.
    pub async fn kill(&mut self, at: usize) -> anyhow::Result<bool> {
        match &mut self.all[at].child {
            Some(child) => child.kill().await.map(|()| true).map_err(Into::into),
            None => Ok(false),
        }
    }

    /// The same after some time. False: it is not alive.
    pub fn kill_after(&mut self, at: usize, after: Duration) -> bool {
        // The child is not waited for before it is dead, so its id is nobody else's.
        let Some(pid) = self.all[at].child.as_ref().and_then(Child::id) else { return false };
        let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
        self.looks.spawn(async move {
            sleep(after).await;
            // It may have been killed otherwise.
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        });
        true
    }

    /// Sends SIGSTOP; [`Self::restart`] continues it when its lease is over. False: it is dead or stopped.
    pub fn pause(&mut self, at: usize, rng: &mut StdRng) -> bool {
        let controller = &mut self.all[at];
        let stopped = Duration::from_millis(rng.random_range(STOPPED_MS));
        let Some(child) = controller.child.as_ref().filter(|_| !controller.is_stopped) else { return false };
        signal(child, Signal::SIGSTOP);
        (controller.is_stopped, controller.again) = (true, Instant::now() + stopped);
        true
    }

    /// Starts again those that were killed, at once or later, and continues those that were stopped for long enough.
    pub fn restart(&mut self, rng: &mut StdRng) -> anyhow::Result<()> {
        let (away_most_ms, is_shared) = (AWAY_MOST_MS * self.all.len() as u64, self.are_several());
        for controller in &mut self.all {
            if let Some(child) = &mut controller.child
                && let Some(ended) = child.try_wait()?
            {
                // One that can't reach a shared store when it starts may give up.
                let is_allowed = is_shared && ended.code().is_some_and(|code| code != PANICKED);
                anyhow::ensure!(
                    is_allowed || ended.signal() == Some(Signal::SIGKILL as i32),
                    "a controller ended by itself, {ended}: see {}",
                    controller.dir.join(&controller.words).display()
                );
                let away_ms = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..away_most_ms) };
                controller.again = Instant::now() + Duration::from_millis(away_ms);
                (controller.child, controller.is_stopped) = (None, false);
            }
            if Instant::now() >= controller.again {
                controller.go_on()?;
            }
        }
        Ok(())
    }

    /// Starts or continues all.
    pub fn restart_all(&mut self) -> anyhow::Result<()> {
        for controller in &mut self.all {
            if let Some(child) = &mut controller.child
                && child.try_wait()?.is_some()
            {
                controller.child = None;
            }
            controller.go_on()?;
        }
        Ok(())
    }
}

impl Controller {
    fn server(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Not in its arguments, which everybody can read: the store's URL may have a password.
    fn start(&mut self) -> anyhow::Result<()> {
        let grpc = format!("127.0.0.1:{}", self.port);
        let mut command = command(&self.dir, &self.words, &["controller", "--grpc", &grpc])?;
        self.child = Some(command.env("CUTOVER_STORE", &self.store).spawn()?);
        Ok(())
    }

    fn go_on(&mut self) -> anyhow::Result<()> {
        match &self.child {
            None => self.start(),
            Some(child) if std::mem::take(&mut self.is_stopped) => {
                signal(child, Signal::SIGCONT);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_changes_when_another_one_has_it() {
        let mut lead = Lead::default();
        for (at, changes) in [(2, 0), (2, 0), (0, 1), (0, 1), (2, 2)] {
            lead.see(at);
            assert_eq!((lead.last, lead.changes), (Some(at), changes));
        }
    }
}
