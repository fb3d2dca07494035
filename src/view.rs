//! The live view of a migration: one page, redrawn in place. `cutover status -w` and the demo show it.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::Write as _,
    time::{Duration, Instant},
};

use console::style;
use cutover_client::wire::rung_from_wire;
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use tonic::transport::Channel;

/// Maximum story lines on a page.
const STORY_LINES: usize = 6;
/// Width of a share's bar, in characters.
const BAR: u64 = 30;
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
        let waits: Vec<String> = status.waiting.iter().map(waiting).collect();
        let waits =
            if waits.is_empty() { String::new() } else { format!("; waits for {}", waits.join(" | ")) };
        let plan = status.plan.as_ref().map(|plan| format!("; {}", plan_step(plan))).unwrap_or_default();
        format!("{}; {}{plan}{waits}", headline(status), shares.join(", "))
    }

    /// The page at `now`, at most `height` lines.
    pub fn page(&self, now: Instant, height: usize) -> Vec<String> {
        let mut page: Vec<String> = Vec::new();
        let told = self.story.len();
        if let Some(last) = self.story.back() {
            page.extend(
                self.story.iter().take(told - 1).map(|line| style(format!("  {line}")).dim().to_string()),
            );
            page.push(style(format!("> {last}")).cyan().bold().to_string());
            page.push(String::new());
        }
        if let Some(why) = &self.lost {
            let ago = self.heard.map(|heard| now.duration_since(heard).as_secs());
            let seen = ago.map_or(String::new(), |ago| format!(", last seen {ago} s ago"));
            page.push(style(format!("reconnecting{seen}: {why}")).yellow().to_string());
        }
        if let Some(status) = &self.status {
            self.numbers(status, &mut page);
        }
        page.truncate(height);
        page
    }

    fn numbers(&self, status: &v1::Status, page: &mut Vec<String>) {
        page.push(style(headline(status)).bold().to_string());
        for share in &status.shares {
            let filled = (u64::from(share.ppm) * BAR).div_ceil(1_000_000) as usize;
            let (full, rest) = ("█".repeat(filled), "·".repeat(BAR as usize - filled));
            page.push(format!(
                "  {:<12} {}{rest} {:>6} %",
                rung(share.rung),
                style(full).green(),
                percent(share.ppm)
            ));
        }
        let [hit, miss] = self
            .per_s
            .map_or(["-".to_owned(), "-".to_owned()], |per_s| per_s.map(|per_s| format!("{per_s:.0}")));
        let totals = status.totals.unwrap_or_default();
        page.push(format!(
            "  target reads  hit {hit}/s  miss {miss}/s  copied {}  mismatch {}/{}  unsure {}",
            totals.migrated, totals.mismatch, totals.compared, totals.indeterminate
        ));
        if !status.rates.is_empty() {
            page.push(style("  calls over the last 10 s").dim().to_string());
        }
        page.extend(status.rates.iter().map(rate));
        let mut waits: Vec<String> = status.waiting.iter().map(waiting).collect();
        if waits.is_empty() && !status.settled {
            waits.push("not everybody has acknowledged the newest step".to_owned());
        }
        page.extend(status.plan.iter().map(|plan| {
            let waits: Vec<&str> = plan.missing.iter().map(|missing| missing.what.as_str()).collect();
            let told = |what: &str, why: &str| {
                if why.is_empty() { String::new() } else { format!(", {what} {why}") }
            };
            let (waits, held) = (told("waits for", &waits.join(" | ")), told("held:", &plan.held));
            format!("  {}{waits}{held}", plan_step(plan))
        }));
        page.extend(waits.iter().map(|waits| style(format!("  waits for {waits}")).yellow().to_string()));
        page.extend(status.instances.iter().map(instance));
    }

    /// Draws the page over the previous one. If the terminal's size changed, it is cleared first, because the
    /// old page has been wrapped.
    pub fn draw(&mut self) -> std::io::Result<()> {
        let mut terminal = console::Term::stdout();
        let size = terminal.size();
        let page = self.page(Instant::now(), usize::from(size.0).saturating_sub(1));
        let mut out = String::new();
        if self.drawn > 0 && size != self.size {
            out.push_str("\x1b[2J\x1b[H");
        } else if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A\r", self.drawn));
        }
        for line in &page {
            let line = console::truncate_str(line, usize::from(size.1).saturating_sub(1), "…");
            out.push_str(&format!("{line}\x1b[K\n"));
        }
        out.push_str("\x1b[J");
        (self.drawn, self.size) = (page.len(), size);
        // One write, so that a page is never visible half drawn.
        terminal.write_all(out.as_bytes())?;
        terminal.flush()
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
    connect: impl AsyncFn() -> anyhow::Result<AdminServiceClient<Channel>>,
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
    let state = migration.state().as_str_name().trim_start_matches("STATE_").to_lowercase();
    let settled = if status.settled { "settled" } else { "not settled" };
    let instances = status.instances.len();
    format!("{} r{} {state}, {instances} instances, {settled}", migration.key, migration.revision)
}

fn plan_step(plan: &v1::PlanView) -> String {
    let steps = plan.plan.as_ref().map_or(0, |plan| plan.steps.len());
    let status = plan.status().as_str_name().trim_start_matches("PLAN_STATUS_").to_lowercase();
    format!("plan {status}, {} of {steps} steps taken", plan.taken.len())
}

fn rung(wire: i32) -> &'static str {
    rung_from_wire(wire).map_or("-", |rung| rung.name())
}

fn percent(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
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
    let subject = format!("{} {}", waiting.whom, waiting.step);
    match subject.trim() {
        "" => waiting.message.clone(),
        subject => format!("{subject}: {} ({})", waiting.message, waiting.gate),
    }
}

fn instance(instance: &v1::Instance) -> String {
    let (received, applied) = (instance.received_revision, instance.applied_revision);
    let line = format!("  {:<20} acknowledged r{received}, quiesced r{applied}", instance.instance_id);
    match (instance.lost, instance.settled) {
        (true, _) => style(format!("{line}  LOST {} s ago", instance.silent_ms / 1000)).red().to_string(),
        (false, true) => line,
        (false, false) => style(format!("{line}  behind")).yellow().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use cutover_proto::v1;

    use super::View;

    fn status(hit: u64) -> v1::Status {
        let migration = v1::Migration { key: "orders".to_owned(), ..Default::default() };
        let totals = v1::Totals { hit, ..Default::default() };
        v1::Status { migration: Some(migration), totals: Some(totals), settled: true, ..Default::default() }
    }

    #[test]
    fn a_lost_controller_is_shown_with_its_age_until_it_is_heard_again() {
        let (mut view, began) = (View::default(), Instant::now());
        view.hear(status(0), began);
        let quiet = view.line();
        view.lose("gone".to_owned());
        let page = view.page(began + Duration::from_secs(4), 24).join("\n");
        assert!(page.contains("reconnecting, last seen 4 s ago: gone"), "{page}");
        assert!(page.contains("orders"), "what was known stays: {page}");
        assert!(view.is_lost() && view.line() != quiet);
        view.hear(status(1), began + Duration::from_secs(5));
        assert!(!view.page(began, 24).join("\n").contains("reconnecting"));
        assert_eq!(view.line(), quiet, "traffic alone is no change");
    }

    #[test]
    fn hits_are_told_by_the_second_and_a_restart_counts_anew() {
        let (mut view, began) = (View::default(), Instant::now());
        let at = |second| began + Duration::from_secs(second);
        view.hear(status(100), at(0));
        view.hear(status(180), at(4));
        assert!(view.page(at(4), 24).join("\n").contains("hit 20/s"));
        view.hear(status(10), at(6));
        view.hear(status(30), at(8));
        assert!(view.page(at(8), 24).join("\n").contains("hit 10/s"));
    }

    #[test]
    fn what_a_plan_waits_for_and_what_holds_it_are_two_things() {
        let missing = v1::PlanMissing { what: "2 min of bake".to_owned(), ..Default::default() };
        let plan = v1::PlanView { missing: vec![missing], held: "paused".to_owned(), ..Default::default() };
        let mut view = View::default();
        view.hear(v1::Status { plan: Some(plan), ..status(0) }, Instant::now());
        let page = view.page(Instant::now(), 24).join("\n");
        assert!(page.contains("0 steps taken, waits for 2 min of bake, held: paused"), "{page}");
    }

    #[test]
    fn a_page_fits_the_terminal_and_keeps_the_newest_of_the_story() {
        let mut view = View::default();
        (0..20).for_each(|line| view.tell(&format!("line {line}.")));
        view.hear(status(0), Instant::now());
        let page = view.page(Instant::now(), 7);
        assert_eq!(page.len(), 7);
        assert!(page.join("\n").contains("line 19.") && !page.join("\n").contains("line 3."));
    }
}
