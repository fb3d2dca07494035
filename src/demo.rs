//! `cutover demo`: the whole story on embedded stores. Real records move between two databases
//! while three worker processes read, write and delete; one is killed, and so is the controller.

mod cast;
mod proof;
pub mod worker;

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use cutover_client::store::{Id, Record, SqliteOptions, SqliteStore, Store as _, Version};
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, job_service_client::JobServiceClient,
};
use tonic::transport::Channel;

use crate::jobs::pass;
use cast::{Cast, say};

/// The migration of the demo.
const KEY: &str = "orders";
/// Tenants.
const TENANTS: u64 = 200;
/// Records of each tenant at the start.
const RECORDS: u64 = 100;

/// Flags of `cutover demo`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Demo {
    /// Tell the story as plain lines
    #[arg(long)]
    headless: bool,
    /// How long the demo may take, roughly; at least 10
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
}

impl Demo {
    /// Plays the story; exit 1 if the proof at its end fails.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        say(&format!("seeding {} records of {TENANTS} tenants into the source", TENANTS * RECORDS));
        seed(dir.path()).await?;
        let mut cast = Cast::new(dir.path())?;
        cast.start_controller().await?;
        let told = self.play(&mut cast).await;
        cast.stop().await;
        told?;
        let proof = proof::prove(dir.path(), &["worker-1", "worker-2", "worker-3"]).await?;
        say(&format!(
            "proof: {} acknowledged writes and deletes of {} records, {} checked reads: {} lost, {} resurrected, {} reads behind an acknowledged write",
            proof.acknowledged, proof.records, proof.reads, proof.lost, proof.resurrected, proof.back_in_time
        ));
        Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn play(&self, cast: &mut Cast) -> anyhow::Result<()> {
        let scene = Duration::from_millis(self.seconds * 1000 / 16);
        let mut story = Story {
            admin: cast.admin().await?,
            scene,
            live: !self.headless && console::Term::stdout().is_term(),
        };
        story.create().await?;
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
        say("a worker is killed (kill -9) and comes back under its name");
        cast.kill_worker(2).await?;
        cast.start_worker(2)?;
        story.ramp([None, None, Some(50), None], "target-first for 50 %").await?;
        story.ramp([None, None, Some(10), None], "back to 10 %: free, and nothing is lost").await?;
        say("the controller is killed (kill -9); services go on by their snapshot; it comes back");
        cast.kill_controller().await?;
        tokio::time::sleep(scene / 2).await;
        cast.start_controller().await?;
        story.admin = cast.admin().await?;
        story.ramp([None, None, Some(100), None], "up again, target-first for everybody").await?;
        story.pin("tenant-7", v1::Rung::TargetFirst, "the pinned tenant too").await?;
        story.pass(cast, "a second full pass, begun at target-first").await?;
        story.ramp([None, None, None, Some(100)], "target-only: the source is not touched any more").await?;
        story.pin("tenant-7", v1::Rung::TargetOnly, "the pinned tenant too").await?;
        Ok(())
    }
}

struct Story {
    admin: AdminServiceClient<Channel>,
    scene: Duration,
    live: bool,
}

impl Story {
    async fn create(&mut self) -> anyhow::Result<()> {
        let request = v1::CreateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            source: "sqlite:source.db".to_owned(),
            target: "sqlite:target.db".to_owned(),
            policy: Some(v1::Policy {
                level: v1::Level::Linearizable.into(),
                required_services: vec!["demo".to_owned()],
                shadow_ppm: Some(100_000),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.admin.create_migration(request).await?;
        say("created migration orders, level linearizable, everybody at source-only");
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
        let (source, target) = stores(cast.dir()).await?;
        let mut jobs = JobServiceClient::connect(cast.url().to_owned()).await?;
        let evidence = pass::full_pass(&mut jobs, KEY, "operator:demo", &*source, &*target).await?;
        let counts = evidence.counts.unwrap_or_default();
        say(&format!(
            "{what}: {} scanned, {} copied or equal, {} newer in the target",
            counts.scanned, counts.copied, counts.stale
        ));
        Ok(())
    }

    /// Waits until everybody is where they were asked to be, lets it run, and shows how it goes.
    async fn scene(&mut self, what: &str) -> anyhow::Result<()> {
        say(what);
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
        tokio::time::sleep(self.scene).await;
        let status = self.admin.get_status(v1::GetStatusRequest { key: KEY.to_owned() }).await?.into_inner();
        cast::show(&status, self.live);
        Ok(())
    }
}

fn mutation() -> Option<v1::Mutation> {
    Some(v1::Mutation {
        actor: "operator:demo".to_owned(),
        reason: "the demo".to_owned(),
        ..Default::default()
    })
}

/// The two databases of a demo.
async fn stores(dir: &Path) -> anyhow::Result<(Arc<SqliteStore>, Arc<SqliteStore>)> {
    let open = async |file: &str| {
        SqliteStore::create(&dir.join(file), "records", SqliteOptions::default()).await.map(Arc::new)
    };
    Ok((open("source.db").await?, open("target.db").await?))
}

async fn seed(dir: &Path) -> anyhow::Result<()> {
    let (source, _) = stores(dir).await?;
    let record = Record { version: Version::ZERO, value: Some(worker::value(0)) };
    for tenant in 0..TENANTS {
        let of_tenant = (0..RECORDS).map(|at| Id::new(&worker::tenant(tenant), &worker::key(at)));
        let records: Result<Vec<_>, _> = of_tenant.map(|id| id.map(|id| (id, record.clone()))).collect();
        source.put_many_if_newer(&records?).await?;
    }
    Ok(())
}
