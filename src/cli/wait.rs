//! Waiting, for scripts: until everybody has settled, or until a step of a plan is over.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use cutover_client::AuthorizedChannel;
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use serde_json::{Value, json};

use super::{
    Global,
    connect::{answer, failure},
    duration,
    exit::{Exit, Failure},
    out, render,
};
use crate::{gist, server};

/// Between looks at a plan.
const LOOK: Duration = Duration::from_millis(250);
/// The answer to whether it is there already may take so long.
const ONE_LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// The migration
    key: String,
    /// For what: settled, everybody is where they were asked to be and has acknowledged it; step=N, that
    /// step of the plan is over; done, all steps are
    #[arg(long = "for", value_name = "WHAT", value_parser = awaited, default_value = "settled")]
    what: Awaited,
    /// Give up after this long, like 20s or 5m; at least 1s
    #[arg(long, default_value = "1h", value_parser = timeout)]
    timeout: Duration,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// Everybody is where they were asked to be.
    Settled,
    /// This step of the plan, counted from 1; 0: all of them.
    Step(usize),
}

/// How a wait ended.
struct Ended {
    exit: Exit,
    /// Why it is not done; empty: it is.
    message: String,
    /// Where everybody is, for people; empty: it is not done.
    arrived: String,
    /// What it still waited for.
    waiting: Vec<Value>,
}

impl Wait {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self { key, what, timeout } = self;
        let ended = match what {
            Awaited::Settled => settled(global, &key, false, timeout).await?,
            Awaited::Step(step) => step_over(global, &key, step, timeout).await?,
        };
        if global.json {
            out::json(&ended.json(&key));
        } else {
            ended.tell();
        }
        Ok(ended.exit.into())
    }
}

/// Waits for what a change has just asked for. Its answer is on stdout already, so that this goes to stderr.
pub(super) async fn follow(global: &Global, key: String, timeout: Duration) -> anyhow::Result<ExitCode> {
    let ended = tokio::select! {
        ended = settled(global, &key, true, timeout) => ended?,
        () = server::stop_signal() => {
            let message = format!(
                "stopped waiting; the request stands, and the controller continues. Follow it with cutover status {key} -w"
            );
            return Err(Failure::interrupted(message).into());
        }
    };
    match global.json {
        true if ended.exit != Exit::Done => out::error(&ended.json(&key).to_string()),
        true => {}
        false => ended.tell(),
    }
    Ok(ended.exit.into())
}

impl Ended {
    fn done(arrived: String) -> Self {
        Self { exit: Exit::Done, message: String::new(), arrived, waiting: Vec::new() }
    }

    fn not(exit: Exit, message: String, waiting: Vec<Value>) -> Self {
        Self { exit, message, arrived: String::new(), waiting }
    }

    /// How it ended, for people.
    fn tell(&self) {
        if self.message.is_empty() {
            out::line(&self.arrived);
        } else {
            out::error(&self.message);
        }
    }

    fn json(&self, key: &str) -> Value {
        json!({
            "migration": key, "outcome": self.exit.name(), "exit_code": self.exit as u8,
            "message": self.message, "waiting": self.waiting,
        })
    }
}

/// What is waited for, said on stderr each time that it changes.
#[derive(Default)]
struct Progress {
    said: Vec<String>,
    waiting: Vec<Value>,
}

impl Progress {
    fn say(&mut self, global: &Global, lines: Vec<String>, waiting: Vec<Value>) {
        // Not again because a time or a count in it has changed.
        let without_numbers = |lines: &[String]| lines.join("\n").replace(|c: char| c.is_ascii_digit(), "");
        if without_numbers(&lines) != without_numbers(&self.said) && !lines.is_empty() {
            if global.json {
                out::error(&json!({ "waiting": waiting }).to_string());
            } else {
                lines.iter().for_each(|line| out::error(&format!("waiting: {line}")));
            }
        }
        (self.said, self.waiting) = (lines, waiting);
    }
}

/// Asks again while no controller answers, once one has: it may be restarting. `None`: the time is up.
async fn while_away<T>(
    global: &Global,
    mut answered: bool,
    timeout: Duration,
    mut ask: impl AsyncFnMut(AdminServiceClient<AuthorizedChannel>) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let mut is_away = false;
    let answer = async {
        loop {
            let asked = match global.admin().await {
                Ok(admin) => {
                    (answered, is_away) = (true, false);
                    ask(admin).await
                }
                Err(error) => Err(error),
            };
            let Err(error) = asked else { return asked };
            let why = error.downcast_ref::<Failure>();
            if !answered || why.is_none_or(|why| why.exit != Exit::Unreachable) {
                return Err(error);
            }
            if !std::mem::replace(&mut is_away, true) {
                out::error("waiting: the controller does not answer; it continues when it is back");
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer.map(Some),
        Err(_) if is_away => {
            let message = "timed out, and the controller does not answer. It continues when it is back";
            Err(Failure::unreachable(message.to_owned()).into())
        }
        Err(_) => Ok(None),
    }
}

/// Waits until everybody is where they were asked to be and has acknowledged it. `answered`: a controller has
/// answered already.
async fn settled(global: &Global, key: &str, answered: bool, timeout: Duration) -> anyhow::Result<Ended> {
    let (mut progress, began) = (Progress::default(), Instant::now());
    let arrived = while_away(global, answered, timeout, async |mut admin| {
        let request = v1::GetStatusRequest { key: key.to_owned() };
        let mut statuses = admin.watch_status(request).await.map_err(|status| failure(&status))?.into_inner();
        while let Some(status) = statuses.message().await.map_err(|status| failure(&status))? {
            let migration = status.migration.unwrap_or_default();
            let waiting: Vec<Value> = status.waiting.iter().map(render::waiting_json).collect();
            let ended = |exit, message| Ok(Ended::not(exit, message, waiting.clone()));
            match v1::State::try_from(migration.state) {
                Ok(v1::State::Tripped) => {
                    let next = format!("Once it may go up again: cutover ack {key} --reason ..");
                    return ended(Exit::RolledBack, format!("rolled back. {next}"));
                }
                Ok(v1::State::Paused) => {
                    return ended(
                        Exit::Held,
                        format!("held: it is paused. Continue with: cutover resume {key}"),
                    );
                }
                Ok(v1::State::Idle) if status.settled && waits_for_reverse(&status.waiting) => {
                    let why = gist::together(&status.waiting)
                        .iter()
                        .map(render::waiting_line)
                        .collect::<Vec<_>>()
                        .join("\n");
                    return ended(Exit::Held, format!("held: {why}"));
                }
                Ok(v1::State::Idle | v1::State::Finished | v1::State::Abandoned) if status.settled => {
                    let shares = gist::shares(&status.shares);
                    return Ok(Ended::done(format!("settled{}: {shares}", after(began))));
                }
                _ => {}
            }
            let lines = gist::together(&status.waiting).iter().map(render::waiting_line).collect();
            progress.say(global, lines, waiting);
        }
        Err(Failure::unreachable("the controller stopped".to_owned()).into())
    });
    Ok(arrived.await?.unwrap_or_else(|| {
        let message = format!("timed out; the controller continues. Follow it with cutover status {key} -w");
        Ended::not(Exit::Timeout, message, progress.waiting)
    }))
}

/// How long it took, unless it was so at once.
fn after(began: Instant) -> String {
    match began.elapsed().as_millis() as u64 {
        0..1_000 => String::new(),
        ms => format!(" after {}", gist::short(ms)),
    }
}

/// Whether tenants stay above what was asked, because only the target has some of their writes.
fn waits_for_reverse(waiting: &[v1::Waiting]) -> bool {
    waiting.iter().any(|waiting| waiting.gate == "floor")
}

/// Waits until a step of the plan is over, counted from 1; 0: all of them.
async fn step_over(global: &Global, key: &str, step: usize, timeout: Duration) -> anyhow::Result<Ended> {
    let (mut progress, began) = (Progress::default(), Instant::now());
    let over = while_away(global, false, timeout, async |mut admin| {
        loop {
            let request = v1::GetPlanRequest { key: key.to_owned() };
            let view = answer(admin.get_plan(request)).await?;
            let steps = view.plan.as_ref().map_or(0, |plan| plan.steps.len());
            if step > steps {
                let message = format!("the plan has {steps} steps: give --for step=1 to {steps}, or done");
                return Err(Failure::usage(message).into());
            }
            if render::plan::is_over(&view, step) {
                let what =
                    if step == 0 { "the plan is done".to_owned() } else { format!("step {step} is over") };
                return Ok(Ended::done(format!("{what}{}", after(began))));
            }
            let doing = render::plan::doing(&view);
            let waiting: Vec<Value> = view.missing.iter().map(render::plan::missing_json).collect();
            if !view.held.is_empty() {
                let request = v1::GetMigrationRequest { key: key.to_owned() };
                let migration = answer(admin.get_migration(request)).await?;
                let is_tripped =
                    migration.state() == v1::State::Tripped || view.status() == v1::PlanStatus::Stopped;
                let (exit, how) =
                    if is_tripped { (Exit::RolledBack, "rolled back") } else { (Exit::Held, "held") };
                return Ok(Ended::not(exit, format!("{how}: {}", doing.join("; ")), waiting));
            }
            progress.say(global, doing, waiting);
            tokio::time::sleep(LOOK).await;
        }
    });
    Ok(over.await?.unwrap_or_else(|| {
        let message =
            format!("timed out; the plan continues. cutover plan show {key} says what it waits for");
        Ended::not(Exit::Timeout, message, progress.waiting)
    }))
}

fn awaited(text: &str) -> Result<Awaited, String> {
    let step = || text.strip_prefix("step=")?.parse().ok().filter(|step| *step > 0);
    match text {
        "settled" => Ok(Awaited::Settled),
        "done" => Ok(Awaited::Step(0)),
        _ => step().map(Awaited::Step).ok_or_else(|| "give settled, step=N or done".to_owned()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    Ok(duration::parse(text)?.max(ONE_LOOK))
}
