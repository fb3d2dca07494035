//! `doctor`: looks for what would keep a migration from working, and says what to do. It writes nothing.

mod addresses;
mod controller;
mod files;
mod migrations;
mod spec;
mod store;

use std::{path::PathBuf, process::ExitCode};

use console::style;
use serde_json::json;

use super::{
    Global,
    exit::{Exit, Failure},
    out,
};

/// How long before its end a token or certificate gets a warning.
const SOON_MS: u64 = 14 * 24 * 3600 * 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Spec files to check too, with the stores that they name: docs/spec.md
    specs: Vec<PathBuf>,
    /// The controller's own store, to look into it too; with a file, on the controller's machine
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Failed,
}

/// What was found, in the order of the checks.
struct Report {
    json: bool,
    subject: String,
    checks: u32,
    warnings: u32,
    failures: u32,
}

impl Doctor {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let mut report =
            Report { json: global.json, subject: String::new(), checks: 0, warnings: 0, failures: 0 };
        files::check(global, &mut report);
        addresses::check(global, &mut report).await;
        controller::check(global, &mut report).await;
        // A spec's migration is looked at with its spec.
        if self.specs.is_empty() {
            migrations::check(global, &mut report).await;
        }
        if let Some(url) = &self.store {
            store::check(url, &mut report).await;
        }
        for path in &self.specs {
            spec::check(global, path, &mut report).await;
        }
        report.end()
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Report {
    /// What the next findings are about.
    fn begin(&mut self, subject: impl Into<String>) {
        self.subject = subject.into();
        if !self.json {
            out::line(&self.subject);
        }
    }

    fn ok(&mut self, message: impl AsRef<str>) {
        self.found(Level::Ok, message.as_ref(), "");
    }

    fn warn(&mut self, message: impl AsRef<str>, action: impl AsRef<str>) {
        self.found(Level::Warning, message.as_ref(), action.as_ref());
    }

    /// `action`: empty if the message says what to do.
    fn fail(&mut self, message: impl AsRef<str>, action: impl AsRef<str>) {
        self.found(Level::Failed, message.as_ref(), action.as_ref());
    }

    /// An error in all its words. The reasons of a refusal are findings of their own.
    fn fail_with(&mut self, error: &anyhow::Error) {
        match error.downcast_ref::<Failure>().filter(|failure| !failure.reasons.is_empty()) {
            Some(failure) => {
                failure.reasons.iter().for_each(|reason| self.fail(&reason.message, &reason.action));
            }
            None => self.fail(format!("{error:#}"), ""),
        }
    }

    fn found(&mut self, level: Level, message: &str, action: &str) {
        self.checks += 1;
        match level {
            Level::Ok => {}
            Level::Warning => self.warnings += 1,
            Level::Failed => self.failures += 1,
        }
        let (message, action) = (out::one_line(message), out::one_line(action));
        if self.json {
            out::json(&json!({
                "subject": self.subject, "level": level.name(), "message": message, "action": action,
            }));
            return;
        }
        let name = style(format!("{:<7}", level.name()));
        let name = match level {
            Level::Ok => name.green(),
            Level::Warning => name.yellow(),
            Level::Failed => name.red(),
        };
        let advice = if action.is_empty() { String::new() } else { format!(". {action}") };
        out::line(&format!("  {name}  {message}{advice}"));
    }

    /// Something that ends: a certificate or a token. `action`: what renews it.
    fn ends(&mut self, what: &str, ends_ms: u64, now_ms: u64, action: &str) {
        let span = cutover_core::text::span;
        match ends_ms.checked_sub(now_ms) {
            None | Some(0) => self.fail(format!("{what} expired {} ago", span(now_ms - ends_ms)), action),
            Some(left) if left < SOON_MS => self.warn(format!("{what} expires in {}", span(left)), action),
            Some(left) => self.ok(format!("{what} expires in {}", span(left))),
        }
    }

    /// Fails if anything has failed. Warnings are for people.
    fn end(self) -> anyhow::Result<ExitCode> {
        let Self { checks, warnings, failures, .. } = self;
        let warned = match warnings {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            many => format!(", {many} warnings"),
        };
        if failures > 0 {
            let message = format!("{failures} of {checks} checks failed{warned}");
            return Err(Failure { exit: Exit::Failed, message, reasons: Vec::new() }.into());
        }
        if !self.json {
            out::line(&format!("{checks} checks, none failed{warned}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
