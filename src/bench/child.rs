//! The processes of a bench: this same program, which exchanges requests and answers as lines of JSON.
//!
//! A child ends when its standard input does, so none outlives a bench, even if that is killed.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    sync::mpsc,
};

use super::{load::Load, watcher::Streams};

/// Longest time for one answer.
const ANSWER: Duration = Duration::from_secs(100);
/// Longest time that a child may take to end by itself.
const END: Duration = Duration::from_secs(5);

/// Has the URL of a controller's store: arguments are shown by `ps`.
pub(super) const STORE_VARIABLE: &str = "CUTOVER_BENCH_STORE";

/// What a child is.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Role {
    /// The controller, on a store in a directory
    Controller {
        /// The directory
        dir: PathBuf,
    },
    /// A bare tonic service of the same messages
    Bare,
    /// A bare axum echo, which answers this
    BareHttp {
        /// The answer
        answer: String,
    },
    /// A sidecar, for the spec in a directory
    Sidecar {
        /// The directory
        dir: PathBuf,
        /// The controller
        server: String,
    },
    /// A bare tonic echo of a sidecar's messages, on a socket in a directory
    BareSidecar {
        /// The directory
        dir: PathBuf,
    },
    /// Calls Decide
    Caller,
    /// Many watchers
    Watcher,
}

/// Requests to a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Its resource usage so far: [`Usage`].
    Usage,
    /// Makes calls for some time: `Done`.
    Call(Load),
    /// Opens streams; answered when each has its first snapshot.
    Watch(Streams),
    /// Makes a change; answered when every stream has applied it: [`super::watcher::Fanned`].
    Change(u32),
}

/// Resource usage of a process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Usage {
    /// Of all its threads, in user and system mode.
    pub(super) cpu_us: f64,
    /// Resident now. 0: this system does not report it.
    pub(super) rss_bytes: f64,
}

/// A bench may need more connections than a shell's soft limit allows.
pub(super) fn raise_limits() {
    let _ = crate::server::raise_file_limit();
}

/// A child, from the view of its bench.
#[derive(Debug)]
pub(super) struct Process {
    role: &'static str,
    /// Where a server listens; empty for a client.
    pub(super) url: String,
    /// The HTTP address of a controller or an echo; empty for others.
    pub(super) http: String,
    child: tokio::process::Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Role {
    const fn name(&self) -> &'static str {
        match self {
            Self::Controller { .. } => "controller",
            Self::Bare => "bare",
            Self::BareHttp { .. } => "bare-http",
            Self::Sidecar { .. } => "sidecar",
            Self::BareSidecar { .. } => "bare-sidecar",
            Self::Caller => "caller",
            Self::Watcher => "watcher",
        }
    }
}

impl Process {
    /// Starts a child, which listens when this returns.
    pub(super) async fn start(role: &Role) -> anyhow::Result<Self> {
        Self::start_with(role, None).await
    }

    /// The same with a variable in its environment.
    pub(super) async fn start_with(role: &Role, variable: Option<(&str, &str)>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("can't find this very program")?);
        command
            .args(["bench-child", role.name()])
            .env_remove(STORE_VARIABLE)
            .envs(variable)
            .env("RUST_LOG", "warn")
            .kill_on_drop(true);
        match role {
            Role::Controller { dir } | Role::BareSidecar { dir } => _ = command.arg(dir),
            Role::Sidecar { dir, server } => _ = command.arg(dir).arg(server),
            Role::BareHttp { answer } => _ = command.arg(answer),
            Role::Bare | Role::Caller | Role::Watcher => {}
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asks = child.stdin.take().context("a child has no input")?;
        let answers = BufReader::new(child.stdout.take().context("a child has no output")?).lines();
        let mut process =
            Self { role: role.name(), url: String::new(), http: String::new(), child, asks, answers };
        let urls: String = process.answered().await?;
        let (url, http) = urls.split_once(' ').unwrap_or((&urls, &urls));
        (process.url, process.http) = (url.to_owned(), http.to_owned());
        Ok(process)
    }

    /// Sends a request, and waits for the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, ask: &Ask) -> anyhow::Result<T> {
        let line = serde_json::to_string(ask)? + "\n";
        // If the child has ended, it has said why.
        let _ = self.asks.write_all(line.as_bytes()).await;
        self.answered().await
    }

    async fn answered<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let role = self.role;
        let line = tokio::time::timeout(ANSWER, self.answers.next_line()).await;
        let line = line.with_context(|| format!("the bench's {role} does not answer: ask for less"))??;
        let Some(line) = line else { bail!("the bench's {role} ended: was it killed?") };
        match serde_json::from_str::<Result<T, String>>(&line)? {
            Ok(answer) => Ok(answer),
            Err(why) => bail!("the bench's {role} failed: {why}"),
        }
    }

    /// Ends it, and waits for that.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self { mut child, asks, .. } = self;
        drop(asks);
        if tokio::time::timeout(END, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}

/// Requests received by a child.
pub(super) struct Asks(mpsc::UnboundedReceiver<Ask>);

impl Asks {
    /// Reports that this child is ready, at `url` if it is a server: a controller's gRPC and HTTP, with a space between.
    pub(super) fn ready(url: &str) -> Self {
        answer(Ok(url));
        let (tell, asks) = mpsc::unbounded_channel();
        // A separate thread that nobody waits for: reading standard input can't be canceled.
        std::thread::spawn(move || {
            let lines = io::stdin().lines().map_while(Result::ok);
            let mut asked = lines.map_while(|line| serde_json::from_str(&line).ok());
            while asked.next().is_some_and(|ask| tell.send(ask).is_ok()) {}
        });
        Self(asks)
    }

    /// `None`: the bench is over.
    pub(super) async fn next(&mut self) -> Option<Ask> {
        self.0.recv().await
    }

    /// Answers usage requests, the only ones that a server gets, until the bench is over.
    pub(super) async fn only_usage(mut self) {
        while let Some(ask) = self.next().await {
            match ask {
                Ask::Usage => answer(Ok(usage())),
                other => strange(&other),
            }
        }
    }
}

/// Answers one request.
pub(super) fn answer<T: Serialize>(result: anyhow::Result<T>) {
    let result = result.map_err(|error| format!("{error:#}"));
    let line = serde_json::to_string(&result).unwrap_or_default();
    if writeln!(io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}

pub(super) fn strange(ask: &Ask) {
    answer::<()>(Err(anyhow::anyhow!("{ask:?} is not for this process")));
}

fn usage() -> Usage {
    Usage { cpu_us: cpu_us(), rss_bytes: rss_bytes().unwrap_or_default() }
}

/// CPU that this process has used so far, without the time it waited for a core.
pub(super) fn cpu_us() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
    used as f64
}

/// `VmRSS` of proc(5).
fn rss_bytes() -> Option<f64> {
    memory_bytes("VmRSS:")
}

/// Maximum resident memory of this process so far: `VmHWM`.
pub(super) fn peak_rss_bytes() -> Option<f64> {
    memory_bytes("VmHWM:")
}

fn memory_bytes(line: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|of| of.strip_prefix(line))?;
    let kib: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}
