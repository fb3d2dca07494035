//! The processes of a run, and how to control them.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use crate::unreliable::Mood;
use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Places {
    pub dir: PathBuf,
    /// The controllers, without proxies; several are separated by commas.
    pub direct: String,
    /// The same as workers reach them, through proxies.
    pub server: String,
    pub source: String,
    pub target: String,
    /// Flags that name the bug of the run, if it has one.
    pub bug: Vec<String>,
    /// The mood of passes that are started.
    pub pass_mood: Mood,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Service,
    /// Reads and writes through the sidecar of this number.
    Caller(u64),
    Sidecar,
}

/// A worker: a name that is started again and again.
#[derive(Debug)]
pub struct Life {
    pub name: String,
    kind: Kind,
    /// Its own proxy to the controller, if it has one.
    pub server: Option<String>,
    lives: u32,
    child: Option<Child>,
    stopped: bool,
}

/// This program, with its output in a file.
pub fn command(dir: &Path, words: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    let stderr = File::options().create(true).append(true).open(dir.join(words))?;
    let program = std::env::current_exe().context("can't find this very program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr);
    command.kill_on_drop(true).env("RUST_LOG", "warn");
    Ok(command)
}

fn child(dir: &Path, words: &str, arguments: &[&str]) -> anyhow::Result<Child> {
    Ok(command(dir, words, arguments)?.spawn()?)
}

/// Sends a signal.
pub fn signal(child: &Child, signal: Signal) {
    // A process that has already ended needs no signal.
    let _ = child.id().map(|pid| kill(Pid::from_raw(pid.cast_signed()), signal));
}

impl Places {
    /// Starts a worker of a pass.
    pub fn pass(&self, kind: &str, residual_ms: u64) -> anyhow::Result<Child> {
        let Self { server, source, target, .. } = self;
        let (residual_ms, slow_ms) = (residual_ms.to_string(), self.pass_mood.target_put_ms.to_string());
        let stores = ["--server", server, "--source", source, "--target", target];
        let flags = [stores.as_slice(), &["--residual-ms", &residual_ms, "--slow-ms", &slow_ms]].concat();
        let bug: Vec<&str> = self.bug.iter().map(String::as_str).collect();
        child(&self.dir, "passes.err", &[&["pass", "--kind", kind], flags.as_slice(), &bug].concat())
    }
}

impl Life {
    pub fn new(number: u64) -> Self {
        Self::of(format!("worker-{number}"), Kind::Service)
    }

    /// A service without an SDK, which uses the sidecar of this number.
    pub fn caller(number: u64) -> Self {
        Self::of(format!("caller-{number}"), Kind::Caller(number))
    }

    pub fn sidecar(number: u64) -> Self {
        Self::of(format!("sidecar-{number}"), Kind::Sidecar)
    }

    const fn of(name: String, kind: Kind) -> Self {
        Self { name, kind, server: None, lives: 0, child: None, stopped: false }
    }

    /// A process that could not start, because what it needs was away, has ended by itself.
    pub fn is_alive(&mut self) -> bool {
        let lives = self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if !lives {
            self.child = None;
            self.stopped = false;
        }
        lives
    }

    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Starts it, or its next life.
    pub fn start(&mut self, places: &Places) -> anyhow::Result<()> {
        let Places { dir, server, source, target, bug, .. } = places;
        let bug: Vec<&str> = bug.iter().map(String::as_str).collect();
        self.lives += 1;
        let log = dir.join(format!("{}.{}.log", self.name, self.lives)).display().to_string();
        let server = self.server.as_ref().unwrap_or(server);
        let stores = ["--source", source, "--target", target];
        let of_sidecar =
            |number: &str, what: &str| dir.join(format!("{number}.{what}")).display().to_string();
        self.child = Some(match self.kind {
            Kind::Service => {
                let flags = ["--log", &log, "--server", server, "--name", &self.name];
                child(dir, "workers.err", &[&["worker"], flags.as_slice(), &stores, &bug].concat())?
            }
            Kind::Caller(number) => {
                let socket = of_sidecar(&format!("sidecar-{number}"), "sock");
                child(
                    dir,
                    "callers.err",
                    &[&["caller", "--log", &log, "--socket", &socket], stores.as_slice()].concat(),
                )?
            }
            Kind::Sidecar => {
                let (socket, file) = (of_sidecar(&self.name, "sock"), of_sidecar(&self.name, "snapshot"));
                let spec = dir.join("torture.toml").display().to_string();
                let flags = ["--socket", &socket, "--persist", &file, "--spec", &spec, "--server", server];
                let flags = [&["sidecar", "--service", "torture", "--finish-within", "1s"], flags.as_slice()];
                child(dir, "sidecars.err", &flags.concat())?
            }
        });
        Ok(())
    }

    /// Changes its mood, if it is alive.
    pub async fn mood(&mut self, mood: Mood) -> anyhow::Result<()> {
        let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) else { return Ok(()) };
        stdin.write_all(format!("{}\n", serde_json::to_string(&mood)?).as_bytes()).await?;
        Ok(())
    }

    /// kill -9. False: it was not alive.
    pub async fn kill(&mut self) -> anyhow::Result<bool> {
        self.stopped = false;
        match self.child.take() {
            Some(mut child) => child.kill().await.map(|()| true).map_err(Into::into),
            None => Ok(false),
        }
    }

    /// Sends SIGSTOP, or continues it. True: it is stopped now.
    pub fn pause_or_go_on(&mut self) -> bool {
        // A caller must not stop for longer than the residual time between its look at the clock and its put.
        let Some(child) = self.child.as_ref().filter(|_| !matches!(self.kind, Kind::Caller(_))) else {
            return false;
        };
        self.stopped = !self.stopped;
        signal(child, if self.stopped { Signal::SIGSTOP } else { Signal::SIGCONT });
        self.stopped
    }

    /// Ends it cleanly.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        if self.stopped {
            self.pause_or_go_on();
        }
        let Some(mut child) = self.child.take() else { return Ok(()) };
        signal(&child, Signal::SIGTERM);
        if tokio::time::timeout(Duration::from_secs(30), child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}
