//! `cutover demo`: a whole migration, on embedded stores by default. Real records move between two databases
//! while three worker processes read, write and delete; one worker is killed, and so is the controller.

mod cast;
mod chapters;
mod fault;
mod proof;
pub mod service;
mod stores;
pub mod worker;

use std::{cell::RefCell, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use cutover_client::{Access, AuthorizedChannel};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use cutover_store::{Id, Record, Version};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use crate::{
    config::duration,
    jobs::{self, Limits, Plan, Stores},
    view::{self, View},
};
use cast::Cast;

/// The migration of the demo.
const KEY: &str = "orders";
/// Number of tenants.
const TENANTS: u64 = 200;
/// Records of each tenant at the start.
const RECORDS: u64 = 100;
/// Number of scenes that share the available time.
const SCENES: u32 = 18;
/// Minimum duration of a scene, however late it is.
const SCENE_MIN: Duration = Duration::from_millis(100);
/// Reserved for the end: processes stop, the proof is made.
const END: Duration = Duration::from_secs(4);

/// Flags of `cutover demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    /// Print plain lines instead of a live page
    #[arg(long)]
    headless: bool,
    /// Open the story in the web console, and keep it there after its end until Ctrl-C
    #[arg(long)]
    web: bool,
    /// How long the demo may take: 25s to 1h; a number is seconds
    #[arg(long, value_name = "DURATION", default_value = "50s", value_parser = span)]
    seconds: Duration,
    #[command(flatten)]
    stores: stores::Choice,
}

/// How long the demo may take.
fn span(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text)?;
    let fits = (25..=3_600).contains(&span.as_secs());
    fits.then_some(span).ok_or_else(|| format!("{text}: give 25s to 1h"))
}

impl Demo {
    /// Runs the demo; exit 1 if the proof at its end fails, 130 if it was interrupted.
    ///
    /// # Errors
    ///
    /// If a process, a database or the controller fails, or nobody reads the output any more.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        let live = !self.headless && console::Term::stdout().is_term();
        let stage = Stage { live, view: RefCell::default() };
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        self.stores.settle(dir.path()).await?;
        let mut cast = Cast::new(dir.path())?;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told = tokio::select! {
            told = self.play(&mut cast, &stage, begun) => Some(told),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        };
        if self.web && matches!(told, Some(Ok(()))) {
            let console = cast.console();
            stage.line(&format!("the story is over; traffic continues at {console} until Ctrl-C"))?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        cast.stop().await;
        let Some(told) = told else {
            // If nobody reads this any more, the exit code has to do.
            let _ = stage.line("interrupted: the processes have ended, their files are removed");
            return Ok(ExitCode::from(130));
        };
        match told {
            // The reader has seen enough, as with any filter.
            Err(error) if is_closed(&error) => return Ok(ExitCode::SUCCESS),
            told => told?,
        }
        let proof = proof::prove(dir.path(), &["worker-1", "worker-2", "worker-3"]).await?;
        stage.line(&format!(
            "proof: {} acknowledged writes and deletes of {} records, {} checked reads: {} lost, {} resurrected, {} back in time",
            proof.acknowledged, proof.records, proof.reads, proof.lost, proof.resurrected, proof.back_in_time
        ))?;
        let (took, most) = (begun.elapsed().as_secs(), self.seconds.as_secs());
        if took > most && !self.web {
            stage.line(&format!("it took {took} s: this machine is too slow now for {most} s"))?;
        }
        Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn play(&self, cast: &mut Cast, stage: &Stage, begun: Instant) -> anyhow::Result<()> {
        stage.say(&format!("seeding {} records of {TENANTS} tenants into the source", TENANTS * RECORDS))?;
        seed(cast.dir()).await?;
        cast.start_controller().await?;
        let ready = Instant::now();
        let end = begun + self.seconds - END;
        let slot = end.saturating_duration_since(ready) / SCENES;
        let mut story = Story { admin: cast.admin().await?, slot, next: ready, stage };
        story.create(stores::kinds(cast.dir())?).await?;
        if self.web {
            stage.say(&format!("follow it at {}", cast.console()))?;
            open_browser(&cast.console());
        }
        let url = cast.url().to_owned();
        let connect = async || cast::admin(&url).await;
        let failure = |status: &tonic::Status| anyhow!("{}", status.message());
        let watched =
            async {
                match stage.live {
                    true => {
                        view::follow(&stage.view, KEY, connect, failure, |view| {
                            Ok(view.draw("Ctrl-C ends this")?)
                        })
                        .await
                    }
                    false => std::future::pending().await,
                }
            };
        tokio::select! {
            told = tell(cast, story) => told,
            ended = watched => ended,
        }
    }
}

/// Runs the scenes in order.
async fn tell(cast: &mut Cast, mut story: Story<'_>) -> anyhow::Result<()> {
    for number in 1..=3 {
        cast.start_worker(number)?;
    }
    story.scene("three services read, write and delete at source-only").await?;
    story.pin("tenant-7", v1::Rung::Mirrored, "one tenant goes first").await?;
    story.ramp([Some(100), None, None, None], "everybody dual").await?;
    story.ramp([None, Some(100), None, None], "everybody mirrored: both stores acknowledge").await?;
    story.pass(cast, "the full pass copies the long tail").await?;
    story.ramp([None, None, Some(1), None], "target-first for 1 %").await?;
    story.ramp([None, None, Some(10), None], "target-first for 10 %").await?;
    story.stage.say("a worker is killed (kill -9) and comes back under its name")?;
    cast.kill_worker(2).await?;
    cast.start_worker(2)?;
    story.ramp([None, None, Some(50), None], "target-first for 50 %").await?;
    story.target_fails(cast).await?;
    story.one_tenant_fails(cast).await?;
    story.ramp([None, None, Some(10), None], "back to 10 %: free, and nothing is lost").await?;
    story.stage.say("the controller is killed (kill -9); services go on by their snapshot; it comes back")?;
    cast.kill_controller().await?;
    tokio::time::sleep(story.slot / 2).await;
    cast.start_controller().await?;
    story.admin = cast.admin().await?;
    story.ramp([None, None, Some(100), None], "up again, target-first for everybody").await?;
    story.pin("tenant-7", v1::Rung::TargetFirst, "the pinned tenant too").await?;
    story.pass(cast, "a second full pass, begun at target-first").await?;
    story.ramp([None, None, None, Some(100)], "target-only: the source is not touched any more").await?;
    story.pin("tenant-7", v1::Rung::TargetOnly, "the pinned tenant too").await?;
    Ok(())
}

/// Where the story is shown: a page that is redrawn, or lines.
struct Stage {
    live: bool,
    view: RefCell<View>,
}

impl Stage {
    fn say(&self, line: &str) -> anyhow::Result<()> {
        if !self.live {
            return self.line(line);
        }
        let mut view = self.view.borrow_mut();
        view.tell(line);
        Ok(view.draw("Ctrl-C ends this")?)
    }

    /// A line that stays, below the page.
    fn line(&self, line: &str) -> anyhow::Result<()> {
        let line = format!("{} {line}", console::style("cutover>").cyan());
        Ok(console::Term::stdout().write_line(&line)?)
    }
}

struct Story<'a> {
    admin: AdminServiceClient<AuthorizedChannel>,
    /// Each scene's share of the time. A late scene uses up its own share, not the next one's.
    slot: Duration,
    next: Instant,
    stage: &'a Stage,
}

impl Story<'_> {
    async fn create(&mut self, [source, target]: [&str; 2]) -> anyhow::Result<()> {
        let request = v1::CreateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            source: format!("{source}:source"),
            target: format!("{target}:target"),
            policy: Some(v1::Policy {
                level: v1::Level::Linearizable.into(),
                fence_after_ms: 9_000,
                required_services: vec!["demo".to_owned()],
                shadow_ppm: Some(100_000),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.admin.create_migration(request).await?;
        self.stage.say("created migration orders, level linearizable, everybody at source-only")?;
        Ok(())
    }

    async fn ramp(&mut self, percent: [Option<u32>; 4], what: &str) -> anyhow::Result<()> {
        let [dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm] =
            percent.map(|percent| percent.map(|percent| percent * 10_000));
        let request = v1::SetRolloutRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            dual_ppm,
            mirrored_ppm,
            target_first_ppm,
            target_only_ppm,
            wait: true,
            override_gates: Vec::new(),
        };
        self.admin.set_rollout(request).await?;
        self.scene(what).await
    }

    async fn pin(&mut self, tenant: &str, rung: v1::Rung, what: &str) -> anyhow::Result<()> {
        let request = v1::SetPinRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            tenant: tenant.to_owned(),
            rung: rung.into(),
            wait: true,
            override_gates: Vec::new(),
        };
        self.admin.set_pin(request).await?;
        self.scene(what).await
    }

    async fn pass(&mut self, cast: &Cast, what: &str) -> anyhow::Result<()> {
        let (source, target) = stores::open(cast.dir()).await?;
        let stores = Stores { source, target, quarantine: None };
        let plan = Plan {
            migration: KEY.to_owned(),
            kind: v1::PassKind::Full,
            repair: false,
            remove_extra: false,
            source_wins: false,
            new_tables: Default::default(),
            values: None,
            reason: String::new(),
            sample_ppm: 0,
            expected: None,
            source_first: true,
            fingerprint: "demo".to_owned(),
            prefixes: Default::default(),
            segments: 2,
            on_target: 1,
            parallel: 1,
            statements: 1,
            residual: Duration::ZERO,
            tuning: v1::Tuning::default(),
            limits: Limits::default(),
            actor: "operator:demo".to_owned(),
            access: Access::default(),
            way_back: None,
            ttl: None,
        };
        let plan = stores.measured(plan).await;
        let evidence = jobs::worker::run(cast.url(), &stores, &plan, |_| {}, std::future::pending()).await?;
        let counts = evidence.counts.unwrap_or_default();
        self.stage.say(&format!(
            "{what}: {} scanned, {} copied, {} equal already, {} newer in the target",
            counts.scanned, counts.copied, counts.present, counts.stale
        ))?;
        Ok(())
    }

    /// Waits until everybody is where they were asked to be, lets it run, and shows the status.
    async fn scene(&mut self, what: &str) -> anyhow::Result<()> {
        self.stage.say(what)?;
        let request = v1::GetStatusRequest { key: KEY.to_owned() };
        let mut statuses = self.admin.watch_status(request).await?.into_inner();
        let arrived = async {
            while let Some(status) = statuses.message().await? {
                let state = status.migration.as_ref().map(v1::Migration::state);
                if state == Some(v1::State::Idle) && status.settled {
                    return anyhow::Ok(());
                }
            }
            bail!("the controller ended in the middle of a scene")
        };
        tokio::time::timeout(Duration::from_secs(30), arrived)
            .await
            .context("a step did not settle in 30 s")??;
        self.next += self.slot;
        tokio::time::sleep_until(self.next.max(Instant::now() + SCENE_MIN)).await;
        if !self.stage.live {
            let request = v1::GetStatusRequest { key: KEY.to_owned() };
            let status = self.admin.get_status(request).await?.into_inner();
            // One view for all scenes: it shows hits per second since the last one.
            let mut view = self.stage.view.borrow_mut();
            view.hear(status, std::time::Instant::now());
            for line in view.page(std::time::Instant::now(), usize::MAX, usize::MAX) {
                console::Term::stdout().write_line(&format!("         {line}"))?;
            }
        }
        Ok(())
    }
}

/// Where there is a browser; otherwise the address has been printed.
fn open_browser(address: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    // Not awaited: some openers last as long as the browser.
    let _ = std::process::Command::new(opener).arg(address).stdout(quiet()).stderr(quiet()).spawn();
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn mutation() -> Option<v1::Mutation> {
    Some(v1::Mutation {
        actor: "operator:demo".to_owned(),
        reason: "the demo".to_owned(),
        ..Default::default()
    })
}

async fn seed(dir: &Path) -> anyhow::Result<()> {
    let (source, _) = stores::open(dir).await?;
    let record = Record { version: Version::ZERO, value: Some(worker::value(0)) };
    for tenant in 0..TENANTS {
        let of_tenant = (0..RECORDS).map(|at| Id::new(&worker::tenant(tenant), &worker::key(at)));
        let records: Result<Vec<_>, _> = of_tenant.map(|id| id.map(|id| (id, record.clone()))).collect();
        source.put_many_if_newer(&records?).await?;
    }
    Ok(())
}
