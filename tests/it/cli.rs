//! The real binary against a real controller: what people type, what they and their scripts read.

mod abandon;
mod backup;
mod canceled;
mod columns;
mod data;
mod doctor;
#[cfg(all(feature = "dynamodb", feature = "mysql"))]
mod documents;
mod draft;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod draft_sql;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod draft_there;
#[cfg(all(feature = "dynamodb", feature = "postgres"))]
mod dry_run;
mod evict;
mod exits;
#[cfg(all(feature = "dynamodb", feature = "sqlite"))]
mod expiring;
mod glance;
mod history;
mod inputs;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod keys;
#[cfg(all(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod ledger;
mod new_target;
mod passes;
mod plan;
mod privileges;
mod progress;
#[cfg(feature = "sqlite")]
mod proof;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod public_data;
mod recorded;
mod refused;
mod serve;
mod several;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod single_table;
mod spec;
mod told;
mod unreachable;
mod unversioned;
mod usage;
mod verbs;
mod wait;

use std::{ffi::OsStr, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// No verb in these stories takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The result of running the binary.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The binary, with none of the caller's environment.
fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    for name in [
        "SERVER",
        "CONFIG",
        "STORE",
        "GRPC",
        "HTTP",
        "STATSD",
        "TOKEN",
        "TOKEN_FILE",
        "INSECURE",
        "CA",
        "CLIENT_CERT",
        "CLIENT_KEY",
        "TLS_CERT",
        "TLS_KEY",
        "TLS_CLIENT_CA",
    ] {
        command.env_remove(format!("CUTOVER_{name}"));
    }
    command.env_remove("RUST_LOG").env("USER", "ada").kill_on_drop(true);
    command
}

/// Runs a verb to its end.
pub async fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Said {
    run_with(args, "").await
}

/// The same with something in the environment.
pub async fn run_with_env(
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    environment: &[(&str, &str)],
) -> Said {
    let mut command = binary();
    command.args(args).envs(environment.iter().copied());
    said(command, "").await
}

/// [`run`] with something on standard input.
pub async fn run_with(args: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &str) -> Said {
    let mut command = binary();
    command.args(args);
    said(command, input).await
}

async fn said(mut command: Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A verb that reads no input may have ended by now.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.expect("it ends in bounded time").unwrap();
    Said {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A verb and its arguments, split at blanks, sent to one controller.
async fn at(url: &str, line: &str) -> Said {
    run(["--server", url].into_iter().chain(line.split_whitespace())).await
}

/// Moves all of `orders` up to a rung, without a soak.
async fn ramp(url: &str, to: &str) {
    let up = format!("ramp orders {to} 100 --wait --timeout 20s --override soak --reason test");
    let up = at(url, &up).await;
    assert_eq!(up.code, 0, "{up:?}");
}

impl Said {
    /// Its stderr, except the progress of a pass, which is printed on slow machines, and the warning that no gate
    /// will accept it.
    fn complaints(&self) -> Vec<&str> {
        let is_news = |line: &&str| {
            line.contains(" scanned, ")
                || line.contains(" of about ") && line.contains(", segments ")
                || line.starts_with("warning: no gate ")
                || line.starts_with("warning: for one that counts: ")
                || line.starts_with("warning: then stop this pass")
                || line.starts_with("joins ")
        };
        self.err.lines().filter(|line| !is_news(line)).collect()
    }

    /// It worked, without complaints.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!((self.code, self.complaints()), (0, Vec::new()), "{self:?}");
        self.out
    }

    /// It worked, and printed one JSON object to a line.
    #[track_caller]
    fn objects(self) -> Vec<Value> {
        self.done().lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
    }

    /// It worked, and printed one JSON object.
    #[track_caller]
    fn object(self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects.remove(0)
    }

    /// It failed in some way, with lines on stderr that hold all of `parts`, and nothing on stdout but which tables it has
    /// created.
    #[track_caller]
    fn fails(self, parts: &[&str]) {
        let says_nothing = self.out.lines().all(|line| line.starts_with("created in the target, where "));
        assert!(matches!(self.code, 1 | 64 | 65 | 69) && says_nothing, "{self:?}");
        assert!(self.complaints().first().is_some_and(|first| first.starts_with("cutover: ")), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
    }

    /// The command line was wrong.
    #[track_caller]
    fn misused(self, parts: &[&str]) {
        assert_eq!((self.code, self.complaints().len()), (64, 1), "{self:?}");
        self.fails(parts);
    }

    /// The controller, or whoever reads an input file, did not want it.
    #[track_caller]
    fn refused(self, parts: &[&str]) {
        assert_eq!(self.code, 65, "{self:?}");
        self.fails(parts);
    }

    /// Nobody answered.
    #[track_caller]
    fn unreachable(self, parts: &[&str]) {
        assert_eq!((self.code, self.complaints().len()), (69, 1), "{self:?}");
        self.fails(parts);
    }
}

/// These fields are there, whatever else is.
#[track_caller]
fn has(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "no {field} in {object}");
    }
}
