//! How soon the simulation notices that a rule is left out.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use cutover_client::routing::Mutation;

use super::Args;

/// What does not count: somebody only waits, or a process has crashed.
const UNCOUNTED: [&str; 2] = ["stuck", "unreadable"];

impl Args {
    /// Prints a row for each rule: the first seed that notices, and what it notices.
    pub(super) fn bite(&self) -> anyhow::Result<ExitCode> {
        let rules = self.leave_out.map_or_else(|| Mutation::ALL.to_vec(), |rule| vec![rule]);
        let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        println_now("| rule left out | found at seed | what is noticed |\n|---|---|---|");
        std::thread::scope(|scope| {
            for _ in 0..self.jobs() {
                scope.spawn(|| {
                    while let Some(rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let args = Self { leave_out: Some(*rule), ..self.clone() };
                        let found = (self.from..self.from + self.seeds)
                            .find_map(|seed| args.noticed(seed).map(|kinds| (seed, kinds)));
                        match found {
                            Some((seed, kinds)) => println_now(&format!("| `{rule:?}` | {seed} | {kinds} |")),
                            None => {
                                println_now(&format!("| `{rule:?}` | not within {} | |", self.seeds));
                                missed.lock().unwrap_or_else(PoisonError::into_inner).push(*rule);
                            }
                        }
                    }
                });
            }
        });
        let missed = missed.into_inner().unwrap_or_else(PoisonError::into_inner);
        println_now(&format!("{} of {} rules: not noticed: {missed:?}", missed.len(), rules.len()));
        Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What a seed notices, if it counts.
    fn noticed(&self, seed: u64) -> Option<String> {
        let played = self.command(seed).and_then(|mut command| command.output()).ok()?;
        let text = String::from_utf8_lossy(&played.stdout);
        let (_, kinds) = text.lines().last()?.split_once(": FAILED ")?;
        // Nobody could notice without the mark that this rule sets.
        let unmarked = (self.leave_out == Some(Mutation::RestoreIsConfirmed)).then_some("unnoticed");
        let counts = |kind: &&str| !UNCOUNTED.contains(kind) && Some(*kind) != unmarked;
        let counted: Vec<_> = kinds.split(", ").filter(counts).collect();
        (!counted.is_empty()).then(|| counted.join(", "))
    }
}

fn println_now(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
