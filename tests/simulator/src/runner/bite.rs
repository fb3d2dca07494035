//! How soon the simulation notices that a rule is left out.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::ExitCode,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use clap::ValueEnum as _;
use cutover_client::routing::Mutation;

use super::Args;
use crate::plan::Theme;

/// What does not count: somebody only waits, or a process has crashed.
const UNCOUNTED: [&str; 2] = ["stuck", "unreadable"];

/// Rules without which somebody waits in vain, so that this counts.
const ABOUT_WAITING: [Mutation; 3] =
    [Mutation::OverrideKept, Mutation::GoneStaysGone, Mutation::AcknowledgedAnew];

/// What was found so far.
#[derive(Default)]
struct Findings {
    /// Rules whose omission nobody noticed.
    missed: Vec<Mutation>,
    /// Seeds that show nothing, because they fail with all rules.
    unfit: BTreeSet<u64>,
}

impl Args {
    /// Prints a row for each rule: the first seed that notices, and what it notices.
    pub(super) fn bite(&self) -> anyhow::Result<ExitCode> {
        let rules = self.leave_out.map_or_else(|| Mutation::ALL.to_vec(), |rule| vec![rule]);
        let (next, findings) = (AtomicUsize::new(0), Mutex::new(Findings::default()));
        println_now("| rule left out | found at seed | what is noticed |\n|---|---|---|");
        std::thread::scope(|scope| {
            for _ in 0..self.jobs() {
                scope.spawn(|| {
                    while let Some(rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let theme = if self.by_theme { Some(Theme::about(*rule)) } else { self.theme };
                        let args = Self { leave_out: Some(*rule), theme, ..self.clone() };
                        let found = (self.from..self.from + self.seeds)
                            .find_map(|seed| args.noticed(seed, &findings).map(|kinds| (seed, kinds)));
                        let of = theme.and_then(|theme| theme.to_possible_value());
                        let of = of.map_or_else(String::new, |theme| format!("`{}`: ", theme.get_name()));
                        match found {
                            Some((seed, kinds)) => {
                                println_now(&format!("| `{rule:?}` | {of}{seed} | {kinds} |"));
                            }
                            None => {
                                println_now(&format!("| `{rule:?}` | {of}not within {} | |", self.seeds));
                                lock(&findings).missed.push(*rule);
                            }
                        }
                    }
                });
            }
        });
        let Findings { missed, unfit } = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        println_now(&format!("{} of {} rules: not noticed: {missed:?}", missed.len(), rules.len()));
        if !unfit.is_empty() {
            println_now(&format!("these seeds fail with all rules, and show nothing: {unfit:?}"));
        }
        Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What a seed notices, if it counts: with all rules it passes.
    fn noticed(&self, seed: u64, findings: &Mutex<Findings>) -> Option<String> {
        let (is_about_waiting, mutation) =
            (self.leave_out.is_some_and(|rule| ABOUT_WAITING.contains(&rule)), self.leave_out);
        // Nobody could notice without the mark that this rule sets.
        let unmarked = (mutation == Some(Mutation::RestoreIsConfirmed)).then_some("unnoticed");
        let counts = |kind: &String| {
            let counts = !UNCOUNTED.contains(&kind.as_str()) || is_about_waiting && kind == "stuck";
            counts && Some(kind.as_str()) != unmarked
        };
        let counted: Vec<_> = self.verdict(seed)?.into_iter().filter(counts).collect();
        if counted.is_empty() {
            return None;
        }
        let with_all = Self { leave_out: None, ..self.clone() };
        if with_all.verdict(seed).is_none_or(|kinds| !kinds.is_empty()) {
            lock(findings).unfit.insert(seed);
            return None;
        }
        Some(counted.join(", "))
    }

    /// The kinds of faults of a seed. `None`: it did not end.
    fn verdict(&self, seed: u64) -> Option<Vec<String>> {
        let played = self.command(seed).and_then(|mut command| command.output()).ok()?;
        let text = String::from_utf8_lossy(&played.stdout);
        let last = text.lines().last()?;
        match last.split_once(": FAILED ") {
            Some((_, kinds)) => Some(kinds.split(", ").map(str::to_owned).collect()),
            None => last.ends_with(": ok").then(Vec::new),
        }
    }
}

fn lock(findings: &Mutex<Findings>) -> MutexGuard<'_, Findings> {
    findings.lock().unwrap_or_else(PoisonError::into_inner)
}

fn println_now(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
