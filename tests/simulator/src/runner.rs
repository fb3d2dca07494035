//! Many seeds, each in a process of its own: nothing of one run is left for the next.

use std::{
    io::Write as _,
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::ValueEnum as _;
#[cfg(feature = "mutations")]
use cutover_client::routing::Mutation;

use crate::{
    plan::{Plan, Theme},
    play, world,
};

/// Plays the controller, SDKs, passes and operators under simulated time, network and stores.
#[derive(Clone, Debug, clap::Parser)]
pub struct Args {
    /// Play this seed only, and tell its story
    #[arg(long)]
    seed: Option<u64>,
    /// Play so many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Play as many seeds as fit into this time, and at least --seeds
    #[arg(long)]
    minutes: Option<f64>,
    /// Let each seed switch kinds of faults on and off
    #[arg(long)]
    swarm: bool,
    /// Give all seeds this theme; without it two of three seeds of a swarm have one
    #[arg(long)]
    theme: Option<Theme>,
    /// Play the product without one of its rules; known ones are listed for a wrong name
    #[cfg(feature = "mutations")]
    #[arg(long, value_parser = rule)]
    leave_out: Option<Mutation>,
    /// Seeds at a time. 0: one for each processor
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Leave out one rule after the other, and print the first seed that notices
    #[cfg(feature = "mutations")]
    #[arg(long)]
    bite: bool,
    /// Leave out each rule in the theme that is about it
    #[cfg(feature = "mutations")]
    #[arg(long)]
    by_theme: bool,
    /// Lines of the story of a failure
    #[arg(long, default_value_t = 60)]
    lines: usize,
    /// Play one seed and print one line about it
    #[arg(long, hide = true)]
    one: Option<u64>,
}

#[cfg(feature = "mutations")]
mod bite;

#[cfg(feature = "mutations")]
fn rule(name: &str) -> Result<Mutation, String> {
    let known = Mutation::ALL.iter().copied().find(|rule| format!("{rule:?}") == name);
    known.ok_or_else(|| format!("expected one of {:?}", Mutation::ALL))
}

/// What many seeds came to.
#[derive(Default)]
struct Tally {
    played: AtomicU64,
    failed: Mutex<Vec<u64>>,
    stop: AtomicBool,
    /// Seeds that came to target-first, to target-only, and back from there.
    reached: [AtomicU64; 3],
}

impl Args {
    /// Plays what was asked for.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match (self.one, self.seed) {
            (Some(seed), _) => self.play(seed, false),
            (None, Some(seed)) => self.play(seed, true),
            #[cfg(feature = "mutations")]
            (None, None) if self.bite => self.bite(),
            (None, None) => self.play_many(),
        }
    }

    /// Plays one seed in this process.
    fn play(&self, seed: u64, with_story: bool) -> anyhow::Result<ExitCode> {
        #[cfg(feature = "mutations")]
        if let Some(rule) = self.leave_out {
            rule.leave_out();
        }
        // Panics are part of it: tasks that call a store do so when a seed asks for it.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some(world::PANIC) {
                told(panic);
            }
        }));
        let plan = Plan::draw(seed, self.swarm, self.theme);
        let theme = plan.theme;
        // A thread of its own: the threads of a test have used their randomness already.
        let thread =
            std::thread::Builder::new().stack_size(16 << 20).spawn(move || play::play(seed, plan))?;
        let outcome = thread.join().map_err(|_| anyhow::anyhow!("seed {seed} panicked"))??;
        let mut out = std::io::stdout().lock();
        let of: Vec<_> = outcome
            .faults
            .iter()
            .filter(|fault| !fault.record.is_empty())
            .map(|fault| fault.record.as_str())
            .collect();
        if with_story || !outcome.faults.is_empty() {
            let is_shown = |line: &str| {
                let is_of_others = line.split_once(": t").is_some_and(|(_, rest)| {
                    rest.contains('/') && !of.iter().any(|record| rest.contains(&record[1..]))
                });
                with_story && of.is_empty() || !is_of_others
            };
            write!(out, "{}", outcome.story.tail(self.lines, is_shown))?;
        }
        for fault in &outcome.faults {
            writeln!(out, "{}: {} {}", fault.kind, fault.record, fault.what)?;
        }
        let (counts, reached) = (outcome.counts, outcome.reached);
        let mut kinds: Vec<_> = outcome.faults.iter().map(|fault| fault.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        writeln!(
            out,
            "seed {seed}, {theme:?}: {} acknowledged, {} indeterminate, {} reads, {} undecided, {} s, {} events, {} to \
             target-first, {} to target-only, {} back, trace {:016x}: {}",
            counts.acknowledged,
            counts.indeterminate,
            counts.reads,
            counts.undecided,
            outcome.lasted / world::S,
            outcome.story.events(),
            reached.target_first,
            reached.target_only,
            reached.back,
            outcome.story.trace(),
            if kinds.is_empty() { "ok".to_owned() } else { format!("FAILED {}", kinds.join(", ")) },
        )?;
        Ok(if outcome.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn play_many(&self) -> anyhow::Result<ExitCode> {
        let tally = Tally::default();
        let (began, next) = (Instant::now(), AtomicU64::new(self.from));
        let least = Duration::from_secs_f64(self.minutes.unwrap_or(0.0) * 60.0);
        let jobs = self.jobs();
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        let is_enough = seed - self.from >= self.seeds && began.elapsed() >= least;
                        if is_enough || tally.stop.load(Ordering::Relaxed) {
                            return;
                        }
                        self.play_apart(seed, &tally);
                    }
                });
            }
        });
        let reached = tally.reached.map(AtomicU64::into_inner);
        let (played, failed) = (tally.played.into_inner(), tally.failed.into_inner());
        let failed = failed.unwrap_or_else(PoisonError::into_inner);
        let per_minute = played as f64 * 60.0 / began.elapsed().as_secs_f64();
        let mut out = std::io::stdout().lock();
        let [target_first, target_only, back] = reached;
        writeln!(
            out,
            "{target_first} came to target-first, {target_only} to target-only, {back} back from there"
        )?;
        writeln!(out, "{played} seeds, {per_minute:.0} a minute, {} failed: {failed:?}", failed.len())?;
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn jobs(&self) -> usize {
        match self.jobs {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            jobs => jobs,
        }
    }

    /// Plays one seed in a process of its own.
    fn command(&self, seed: u64) -> std::io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--one", &seed.to_string(), "--lines", &self.lines.to_string()]);
        #[cfg(feature = "mutations")]
        if let Some(rule) = self.leave_out {
            command.args(["--leave-out", &format!("{rule:?}")]);
        }
        command.args(self.swarm.then_some("--swarm"));
        if let Some(theme) = self.theme.and_then(|theme| theme.to_possible_value()) {
            command.args(["--theme", theme.get_name()]);
        }
        Ok(command)
    }

    fn play_apart(&self, seed: u64, tally: &Tally) {
        let played = self.command(seed).and_then(|mut command| command.output());
        tally.played.fetch_add(1, Ordering::Relaxed);
        let text = match &played {
            Ok(played) => [&played.stdout[..], &played.stderr[..]].concat(),
            Err(error) => error.to_string().into_bytes(),
        };
        let text = String::from_utf8_lossy(&text);
        for (count, what) in tally.reached.iter().zip([" to target-first", " to target-only", " back"]) {
            let times = text.rsplit(what).nth(1).and_then(|before| before.rsplit(' ').next());
            count.fetch_add(u64::from(times.is_some_and(|times| times != "0")), Ordering::Relaxed);
        }
        if played.as_ref().is_ok_and(|played| played.status.success()) {
            return;
        }
        tally.failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
        let mut out = std::io::stdout().lock();
        let swarm = if self.swarm { " --swarm" } else { "" };
        let theme = self.theme.and_then(|theme| theme.to_possible_value());
        let theme = theme.map_or_else(String::new, |theme| format!(" --theme {}", theme.get_name()));
        _ = writeln!(out, "{text}replay: tests/simulate --seed {seed}{swarm}{theme}");
        if !self.keep_going {
            tally.stop.store(true, Ordering::Relaxed);
        }
    }
}
