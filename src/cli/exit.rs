//! How a command ends: its exit code, and what went wrong as text or as one JSON object.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::out;
use crate::refusal;
pub(super) use crate::refusal::Reason;

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    RolledBack = 2,
    Timeout = 3,
    Held = 4,
    Usage = 64,
    Refused = 65,
    Unreachable = 69,
    Interrupted = 130,
}

impl Exit {
    pub(super) const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::RolledBack,
        Self::Timeout,
        Self::Held,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::Interrupted,
    ];

    /// Its name in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Timeout => "timeout",
            Self::Held => "held",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
        }
    }

    /// What it tells a script, in a few words.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "the command did what it was asked",
            Self::Failed => "it failed, or a pass was not clean",
            Self::RolledBack => "the migration was rolled back while the command waited",
            Self::Timeout => "the time was up while the command waited; the controller continues",
            Self::Held => {
                "the migration is paused, its plan is held, or a second person has to approve the request"
            }
            Self::Usage => "the command line is wrong; nothing was changed",
            Self::Refused => {
                "the controller refused the request, or an input file is missing or has mistakes"
            }
            Self::Unreachable => "no controller answered; try again",
            Self::Interrupted => "Ctrl-C or a similar signal ended the command; what it had asked for stands",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command was not carried out, where the exit code depends on it. Any other error exits with 1.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) reasons: Vec<Reason>,
}

impl Failure {
    /// The command line is wrong in a way that its parser can't see.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), reasons: Vec::new() }
    }

    /// The controller refused, or a file has mistakes.
    pub(super) fn refused(message: impl Into<String>, reasons: Vec<Reason>) -> Self {
        Self { exit: Exit::Refused, message: message.into(), reasons }
    }

    /// A file that a command was given can't be read.
    pub(super) fn unreadable(path: &str, error: &std::io::Error, advice: &str) -> Self {
        let why = error.to_string();
        // The number says nothing to people.
        let why = why.split(" (os error").next().unwrap_or_default();
        Self::refused(format!("can't read {path}: {why}{advice}"), Vec::new())
    }

    /// Somebody ended the command.
    pub(super) fn interrupted(message: impl Into<String>) -> Self {
        Self { exit: Exit::Interrupted, message: message.into(), reasons: Vec::new() }
    }

    /// No controller answered.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unreachable, message: message.into(), reasons: Vec::new() }
    }
}

/// A reason as lines for people.
fn lines(reason: &Reason) -> Vec<String> {
    let subject = crate::gist::subject(&reason.whom, &reason.step);
    let gate = if reason.gate.is_empty() { String::new() } else { format!("[{}] ", reason.gate) };
    let first = format!("  {gate}{subject}{}", out::one_line(&reason.message));
    let action = (!reason.action.is_empty()).then(|| format!("      {}", out::one_line(&reason.action)));
    std::iter::once(first).chain(action).collect()
}

/// How it failed.
fn exit_of(error: &anyhow::Error) -> Exit {
    let of_serve = || error.downcast_ref().is_some_and(crate::server::Error::is_misuse);
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.exit,
        None if of_serve() => Exit::Usage,
        None => Exit::Failed,
    }
}

/// Says on stderr why it failed: a line, and one for each reason; or one JSON object.
pub(super) fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    let exit = exit_of(error);
    let text = format!("{error:#}");
    let reasons = error.downcast_ref::<Failure>().map_or(&[][..], |failure| &failure.reasons);
    if json {
        let reasons: Vec<Value> = reasons.iter().map(Reason::json).collect();
        let object = json!({
            "error": exit.name(), "exit_code": exit as u8, "message": out::one_line(&text), "reasons": reasons,
        });
        out::error(&object.to_string());
    } else {
        let together = refusal::together(reasons);
        let text = if together.len() < reasons.len() { refusal::headline(together.len()) } else { text };
        // Statements to copy stay as they are.
        let text = text.trim();
        let statements = [":\nCREATE ", ":\nDROP "].into_iter().find_map(|begins| text.find(begins));
        let to_copy = statements.map_or("", |at| &text[at + 2..]);
        let text = text.strip_suffix(to_copy).unwrap_or(text).trim_end_matches(":\n");
        // A list in it stays one.
        let mut listed = text.split("\n- ").map(out::one_line);
        let colon = if to_copy.is_empty() { "" } else { ":" };
        out::error(&format!("cutover: {}{colon}", listed.next().unwrap_or_default()));
        listed.for_each(|line| out::error(&format!("  - {line}")));
        to_copy.lines().for_each(|line| {
            let indent = line.len() - line.trim_start().len();
            out::error(&format!("    {}{}", " ".repeat(indent), out::one_line(line)));
        });
        together.iter().flat_map(lines).for_each(|line| out::error(&line));
    }
    exit.into()
}
