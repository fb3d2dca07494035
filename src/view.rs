//! The live view of a migration: one page, redrawn in place. `cutover status -w` and the demo show it.

pub mod instance;
mod page;

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use console::style;
use cutover_client::AuthorizedChannel;
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};

use page::Page;
pub use page::wrap;

use crate::gist::{self, Tone, gist, percent, rung};

/// Maximum story lines on a page.
const STORY_LINES: usize = 6;
/// Width of a share's bar, and of the text beside it, in characters.
const BAR: usize = 30;
const BESIDE_BAR: usize = 26;
/// Conditions that a page shows; the first ones are what has to be seen to.
const WAITS_MAX: usize = 4;
/// Lines that a page has for instances at least.
const INSTANCES_MIN: usize = 3;
/// Minimum period over which totals are compared to compute rates.
const RATE_WINDOW: Duration = Duration::from_secs(2);

/// What is known of one migration, and where it is drawn.
#[derive(Debug, Default)]
pub struct View {
    story: VecDeque<String>,
    status: Option<v1::Status>,
    heard: Option<Instant>,
    lost: Option<String>,
    window: Option<(Instant, v1::Totals)>,
    per_s: Option<[f64; 2]>,
    drawn: usize,
    size: (u16, u16),
}

impl View {
    /// Adds a line to the story above the numbers.
    pub fn tell(&mut self, line: &str) {
        self.story.push_back(line.to_owned());
        if self.story.len() > STORY_LINES {
            self.story.pop_front();
        }
    }

    /// Takes a new status, received at `now`.
    pub fn hear(&mut self, status: v1::Status, now: Instant) {
        let totals = status.totals.unwrap_or_default();
        match self.window {
            // A controller that was restarted counts from 0.
            Some((_, then)) if totals.hit < then.hit || totals.miss < then.miss => {
                self.window = Some((now, totals));
            }
            Some((since, then)) if now.duration_since(since) >= RATE_WINDOW => {
                let per_s = |count: u64| count as f64 / now.duration_since(since).as_secs_f64();
                self.per_s = Some([per_s(totals.hit - then.hit), per_s(totals.miss - then.miss)]);
                self.window = Some((now, totals));
            }
            Some(_) => {}
            None => self.window = Some((now, totals)),
        }
        self.status = Some(status);
        self.heard = Some(now);
        self.lost = None;
    }

    /// The controller can't be reached; `why` is the reason.
    pub fn lose(&mut self, why: String) {
        self.lost = Some(why);
    }

    /// The newest status.
    pub fn status(&self) -> Option<&v1::Status> {
        self.status.as_ref()
    }

    /// Whether the controller can't be reached.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// One line with what changes by steps, not by traffic; empty before the first status.
    pub fn line(&self) -> String {
        if let Some(why) = &self.lost {
            return format!("reconnecting: {why}");
        }
        let Some(status) = &self.status else { return String::new() };
        let shares = status.shares.iter().filter(|share| share.ppm > 0);
        let shares: Vec<String> =
            shares.map(|share| format!("{} {} %", rung(share.rung), percent(share.ppm))).collect();
        let plan = status.plan.as_ref().map(|plan| format!("; {}", plan_step(plan))).unwrap_or_default();
        // Times as they are: one that counts up would be news each second.
        let gist = gist(status, gist::at);
        let waits: Vec<String> = status.waiting.iter().map(waiting).collect();
        let why = match gist.tone {
            Tone::Calm if waits.is_empty() => String::new(),
            Tone::Calm => format!("; waits for {}", waits.join("; ")),
            // It names the first condition.
            Tone::Waiting | Tone::Alarm => format!("; {}", gist.line()),
        };
        format!("{}; {}{plan}{why}", headline(status), shares.join(", "))
    }

    /// The page at `now`, at most `height` lines of `width` columns. What has to be done is
    /// never cut off; traffic is left out first.
    pub fn page(&self, now: Instant, height: usize, width: usize) -> Vec<String> {
        let mut page = Page::default();
        let told = self.story.len();
        if let Some(last) = self.story.back() {
            let earlier =
                self.story.iter().take(told - 1).map(|line| style(format!("  {line}")).dim().to_string());
            page.push(2, earlier.collect());
            page.push(6, vec![style(format!("> {last}")).cyan().bold().to_string(), String::new()]);
        }
        if let Some(why) = &self.lost {
            let ago = self.heard.map(|heard| now.duration_since(heard).as_secs());
            let seen = ago.map_or(String::new(), |ago| format!(", last seen {ago} s ago"));
            let lines = wrap(&format!("reconnecting{seen}: {why}"), width);
            page.push(9, lines.iter().map(|line| style(line).yellow().to_string()).collect());
        }
        if let Some(status) = &self.status {
            self.numbers(status, &mut page, height, width);
        }
        page.lines(height)
    }

    fn numbers(&self, status: &v1::Status, page: &mut Page, height: usize, width: usize) {
        page.push(8, advice(status, width));
        page.push(7, waits(status, width));
        page.push(6, vec![style(headline(status)).bold().to_string()]);
        page.push(5, shares(status, width));
        page.push(6, goal_and_pins(status, width));
        page.push(6, status.plan.iter().flat_map(|plan| wrap(&plan_line(plan), width)).collect());
        page.push(
            6,
            status.jobs.iter().flat_map(|job| wrap(&format!("  {}", gist::pass(job)), width)).collect(),
        );
        let endpoints = status.endpoints.iter().flat_map(gist::endpoint);
        page.push(6, endpoints.flat_map(|line| wrap(&format!("  {line}"), width)).collect());
        page.push(4, wrap(&self.reads(status), width));
        if !status.rates.is_empty() {
            let rates = status.rates.iter().flat_map(|it| wrap(&rate(it), width));
            let head = style("  calls over the last 10 s").dim().to_string();
            page.push(3, std::iter::once(head).chain(rates).collect());
        }
        let key = status.migration.as_ref().map_or("", |migration| migration.key.as_str());
        let room = height.saturating_sub(page.len()).max(INSTANCES_MIN);
        page.push(6, instance::lines(key, &status.instances, room, width));
    }

    fn reads(&self, status: &v1::Status) -> String {
        let per_s = |at: usize| self.per_s.map_or("-".to_owned(), |per_s| format!("{:.0}", per_s[at]));
        let totals = status.totals.unwrap_or_default();
        format!(
            "  reads at target-first now: hit {}/s, miss {}/s. In all: migrated {}, mismatch {} of {} compared, {} unknown \
             outcome",
            per_s(0),
            per_s(1),
            totals.migrated,
            totals.mismatch,
            totals.compared,
            totals.indeterminate
        )
    }

    /// Draws the page over the previous one, with `keys` as its last line. If the terminal's size changed, it is cleared first, because the
    /// old page has been wrapped.
    pub fn draw(&mut self, keys: &str) -> std::io::Result<()> {
        let mut terminal = console::Term::stdout();
        let size = terminal.size();
        let (height, width) = (usize::from(size.0), usize::from(size.1).saturating_sub(1));
        let mut page = self.page(Instant::now(), height.saturating_sub(2), width);
        page.push(style(keys).dim().to_string());
        let mut out = String::new();
        if self.drawn > 0 && size != self.size {
            out.push_str("\x1b[2J\x1b[H");
        } else if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A\r", self.drawn));
        }
        for line in &page {
            let line = console::truncate_str(line, width, "…");
            out.push_str(&format!("{line}\x1b[K\n"));
        }
        out.push_str("\x1b[J");
        (self.drawn, self.size) = (page.len(), size);
        // One write, so that a page is never visible half drawn.
        terminal.write_all(out.as_bytes())?;
        terminal.flush()
    }
}

/// Ends when somebody presses `q`; without a terminal to read from, never. Ctrl-C ends this process alone.
///
/// A thread waits for the key, because a read of the terminal can't be given up. Until a key is pressed, the
/// terminal does not show what is typed.
pub async fn quit() {
    let (pressed, is_pressed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let terminal = console::Term::stdout();
        while std::io::stdin().is_terminal() {
            match terminal.read_key() {
                Ok(console::Key::Char('q' | 'Q')) => {
                    // Nobody listens any more: it ends in any case.
                    let _ = pressed.send(());
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    if is_pressed.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Receives the statuses of a migration for ever. Calls `changed` after each and once a second, so that
/// silence is noticed too.
///
/// # Errors
///
/// Only those of the first connection, and those of `changed`.
pub async fn follow(
    view: &RefCell<View>,
    key: &str,
    connect: impl AsyncFn() -> anyhow::Result<AdminServiceClient<AuthorizedChannel>>,
    failure: impl Fn(&tonic::Status) -> anyhow::Error,
    changed: impl Fn(&mut View) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let heard = async {
            let request = v1::GetStatusRequest { key: key.to_owned() };
            let mut statuses =
                connect().await?.watch_status(request).await.map_err(|e| failure(&e))?.into_inner();
            loop {
                tokio::select! {
                    status = statuses.message() => {
                        let Some(status) = status.map_err(|e| failure(&e))? else {
                            anyhow::bail!("the controller stopped");
                        };
                        let mut view = view.borrow_mut();
                        view.hear(status, Instant::now());
                        changed(&mut view)?;
                    }
                    _ = tick.tick() => changed(&mut view.borrow_mut())?,
                }
            }
        };
        let lost: anyhow::Result<()> = heard.await;
        let Err(why) = lost else { continue };
        if why.is::<std::io::Error>() || view.borrow().heard.is_none() {
            return Err(why);
        }
        view.borrow_mut().lose(format!("{why:#}"));
        changed(&mut view.borrow_mut())?;
        tick.tick().await;
    }
}

fn headline(status: &v1::Status) -> String {
    let migration = status.migration.clone().unwrap_or_default();
    let state = gist(status, gist::at).standing;
    let instances = instance::registered(status);
    format!("{} r{} {state}, {instances}", migration.key, migration.revision)
}

fn plan_step(plan: &v1::PlanView) -> String {
    let steps = plan.plan.as_ref().map_or(0, |plan| plan.steps.len());
    let status = plan.status().as_str_name().trim_start_matches("PLAN_STATUS_").to_lowercase();
    format!("plan {status}, {} of {steps} steps taken", plan.taken.len())
}

fn rate(rate: &v1::StoreRate) -> String {
    let store = if rate.store() == v1::StoreRole::Source { "source" } else { "target" };
    let what = if rate.operation() == v1::Operation::Read { "read" } else { "write" };
    let ms = |us: u64| us as f64 / 1000.0;
    format!(
        "  {store} {what:<5} {:>7.1}/s  p50 {:>6.1} ms  p99 {:>6.1} ms  errors {:.1}/s",
        rate.calls_per_s,
        ms(rate.p50_us),
        ms(rate.p99_us),
        rate.errors_per_s
    )
}

fn waiting(waiting: &v1::Waiting) -> String {
    match gist::subject(&waiting.whom, &waiting.step).as_str() {
        "" => waiting.message.clone(),
        subject => format!("{subject}{} ({})", waiting.message, waiting.gate),
    }
}

/// What is going on and what to do, in the colour of its urgency.
fn advice(status: &v1::Status, width: usize) -> Vec<String> {
    let gist = gist(status, gist::ago);
    let lines = wrap(&gist.line(), width).into_iter();
    let styled = |line: String| match gist.tone {
        Tone::Calm => line,
        Tone::Waiting => style(line).yellow().bold().to_string(),
        Tone::Alarm => style(line).red().bold().to_string(),
    };
    lines.map(styled).collect()
}

/// The conditions that are not met, with what to do about each.
fn waits(status: &v1::Status, width: usize) -> Vec<String> {
    // What the first sentence does not say already.
    let all = gist::together(&status.waiting);
    let mut unmet: Vec<&v1::Waiting> = all.iter().collect();
    unmet.sort_by_key(|waiting| waiting.by_itself);
    let mut lines: Vec<String> = Vec::new();
    for unmet in unmet.iter().skip(1).take(WAITS_MAX - 1) {
        let action = if unmet.action.is_empty() { String::new() } else { format!(": {}", unmet.action) };
        lines.extend(wrap(&format!("  also waits for {}{action}", waiting(unmet)), width));
    }
    let more = unmet.len().saturating_sub(WAITS_MAX);
    lines.extend((more > 0).then(|| format!("  and {more} more")));
    lines.into_iter().map(|line| style(line).yellow().to_string()).collect()
}

fn shares(status: &v1::Status, width: usize) -> Vec<String> {
    let bar = BAR.min(width.saturating_sub(BESIDE_BAR));
    let line = |share: &v1::RungShare| {
        let filled = (share.ppm as usize * bar).div_ceil(1_000_000);
        let (full, rest) = ("█".repeat(filled), "·".repeat(bar - filled));
        let full = style(full).green();
        format!("  {:<12} {full}{rest} {:>7} %", rung(share.rung), percent(share.ppm))
    };
    status.shares.iter().map(line).collect()
}

/// Where it was asked to be, where that differs, and who is exempt from it.
fn goal_and_pins(status: &v1::Status, width: usize) -> Vec<String> {
    let migration = status.migration.clone().unwrap_or_default();
    let mut lines = Vec::new();
    if migration.goal != migration.rollout {
        let goal = gist::at_stages(&migration.goal.unwrap_or_default());
        lines.extend(wrap(&format!("  goal  {goal}"), width));
    }
    if migration.pins > 0 {
        lines.push(format!("  pins  {}: cutover pins {}", migration.pins, migration.key));
    }
    lines
}

fn plan_line(plan: &v1::PlanView) -> String {
    let waits: Vec<&str> = plan.missing.iter().map(|missing| missing.what.as_str()).collect();
    let told = |what: &str, why: &str| if why.is_empty() { String::new() } else { format!(", {what} {why}") };
    let (waits, held) = (told("waits for", &waits.join(" and ")), told("held:", &plan.held));
    format!("  {}{waits}{held}", plan_step(plan))
}

#[cfg(test)]
mod tests;
