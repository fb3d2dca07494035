//! Waiting, for scripts: until everybody has settled, or until a step of a plan is over.

use std::{process::ExitCode, time::Duration};

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{
    Global,
    connect::{answer, failure},
    duration,
    exit::{Exit, Failure},
    out, render,
};

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
    /// For people; empty when it is done.
    message: String,
    /// What it still waited for.
    waiting: Vec<Value>,
}

impl Wait {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self { key, what, timeout } = self;
        let ended = match what {
            Awaited::Settled => settled(global, &key, timeout).await?,
            Awaited::Step(step) => step_over(global, &key, step, timeout).await?,
        };
        if global.json {
            out::json(&ended.json(&key));
        } else if !ended.message.is_empty() {
            out::error(&ended.message);
        }
        Ok(ended.exit.into())
    }
}

/// Waits for what a change has just asked for. Its answer is on stdout already, so that this goes to stderr.
pub(super) async fn follow(global: &Global, key: String, timeout: Duration) -> anyhow::Result<ExitCode> {
    let ended = settled(global, &key, timeout).await?;
    if ended.exit != Exit::Done {
        out::error(&if global.json { ended.json(&key).to_string() } else { ended.message });
    }
    Ok(ended.exit.into())
}

impl Ended {
    fn done() -> Self {
        Self { exit: Exit::Done, message: String::new(), waiting: Vec::new() }
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

/// Waits until everybody is where they were asked to be and has acknowledged it.
async fn settled(global: &Global, key: &str, timeout: Duration) -> anyhow::Result<Ended> {
    let mut progress = Progress::default();
    let arrived = async {
        let mut admin = global.admin().await?;
        let request = v1::GetStatusRequest { key: key.to_owned() };
        let mut statuses = admin.watch_status(request).await.map_err(|status| failure(&status))?.into_inner();
        while let Some(status) = statuses.message().await.map_err(|status| failure(&status))? {
            let migration = status.migration.unwrap_or_default();
            let waiting: Vec<Value> = status.waiting.iter().map(render::waiting_json).collect();
            let ended = |exit, message| Ok(Ended { exit, message, waiting: waiting.clone() });
            match v1::State::try_from(migration.state) {
                Ok(v1::State::Tripped) => {
                    let next = format!("when it is repaired: cutover ack {key} --reason ..");
                    return ended(Exit::RolledBack, format!("rolled back. {next}"));
                }
                Ok(v1::State::Paused) => {
                    return ended(
                        Exit::Held,
                        format!("held: it is paused. Continue with: cutover resume {key}"),
                    );
                }
                Ok(v1::State::Idle | v1::State::Finished | v1::State::Abandoned) if status.settled => {
                    return Ok(Ended::done());
                }
                _ => {}
            }
            progress.say(global, status.waiting.iter().map(render::waiting_line).collect(), waiting);
        }
        Err(Failure::unreachable(format!(
            "the controller stopped: it continues with the request when it is back. Follow it with \
             cutover status {key} -w"
        ))
        .into())
    };
    let arrived = tokio::time::timeout(timeout, arrived).await;
    arrived.unwrap_or_else(|_| {
        let message = format!("timed out; the controller continues. Follow it with cutover status {key} -w");
        Ok(Ended { exit: Exit::Timeout, message, waiting: progress.waiting })
    })
}

/// Waits until a step of the plan is over, counted from 1; 0: all of them.
async fn step_over(global: &Global, key: &str, step: usize, timeout: Duration) -> anyhow::Result<Ended> {
    let mut progress = Progress::default();
    let over = async {
        let mut admin = global.admin().await?;
        loop {
            let request = v1::GetPlanRequest { key: key.to_owned() };
            let view = answer(admin.get_plan(request)).await?;
            let steps = view.plan.as_ref().map_or(0, |plan| plan.steps.len());
            if step > steps {
                let message = format!("the plan has {steps} steps: give --for step=1 to {steps}, or done");
                return Err(Failure::usage(message).into());
            }
            if render::plan::is_over(&view, step) {
                return Ok(Ended::done());
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
                return Ok(Ended { exit, message: format!("{how}: {}", doing.join("; ")), waiting });
            }
            progress.say(global, doing, waiting);
            tokio::time::sleep(LOOK).await;
        }
    };
    let over = tokio::time::timeout(timeout, over).await;
    over.unwrap_or_else(|_| {
        let message =
            format!("timed out; the plan continues. cutover plan show {key} says what it waits for");
        Ok(Ended { exit: Exit::Timeout, message, waiting: progress.waiting })
    })
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
