//! A controller, a sidecar beside it, and callers of both.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use cutover_client::store::spec::{Missing, Spec};
use cutover_proto::v1::{self, sidecar_service_client::SidecarServiceClient};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::{sleep, timeout},
};
use tonic::transport::{Channel, Endpoint};

use crate::support::server::Controller;

/// Nothing takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A controller with the migration `orders`, and its spec.
pub struct Place {
    pub dir: TempDir,
    pub controller: Controller,
}

/// Makes a source and a target in a directory, and their spec, `orders.toml`, with these lines.
pub async fn empty_tables(directory: &Path, lines: &str) {
    let at = directory.display();
    let spec = format!(
        "migration = \"orders\"\n{lines}\
         [source]\nurl = \"sqlite:{at}/old.db\"\ntable = \"orders\"\n\
         [target]\nurl = \"sqlite:{at}/new.db\"\ntable = \"orders\"\n"
    );
    std::fs::write(directory.join("orders.toml"), &spec).unwrap();
    let spec: Spec = spec.parse().unwrap();
    for store in [&spec.source, &spec.target] {
        store.open(Missing::Create, |_| None).await.unwrap();
    }
}

impl Place {
    /// With empty tables, and writes that land within `residual_ms`.
    pub async fn new(residual_ms: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let controller = Controller::start(dir.path(), 0).await;
        let create = v1::CreateMigrationRequest {
            key: "orders".to_owned(),
            source: "old".to_owned(),
            target: "new".to_owned(),
            ..Default::default()
        };
        controller.admin().await.create_migration(create).await.unwrap();
        empty_tables(dir.path(), &format!("residual_ms = {residual_ms}\n")).await;
        Self { dir, controller }
    }

    /// Everybody at target-first, at level linearizable: the way back leads through a hold.
    pub async fn at_target_first(&self) {
        let mutation = Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() });
        let policy = v1::Policy {
            level: v1::Level::Linearizable.into(),
            fence_after_ms: 9_000,
            hold_timeout_ms: 60_000,
            ..Default::default()
        };
        let key = "orders".to_owned();
        let update = v1::UpdateMigrationRequest {
            key: key.clone(),
            policy: Some(policy),
            mutation: mutation.clone(),
            ..Default::default()
        };
        let ramp = v1::SetRolloutRequest {
            key,
            mutation,
            target_first_ppm: Some(1_000_000),
            wait: true,
            override_gates: vec!["full-pass".to_owned()],
            ..Default::default()
        };
        let mut admin = self.controller.admin().await;
        admin.update_migration(update).await.unwrap();
        admin.set_rollout(ramp).await.unwrap();
    }

    /// Asks for a rollback, and does not wait.
    pub async fn roll_back(&self) {
        let mutation = Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() });
        let rollback = v1::RollbackRequest { key: "orders".to_owned(), mutation, ..Default::default() };
        self.controller.admin().await.rollback(rollback).await.unwrap();
    }

    /// Takes everybody to this share, and does not wait.
    pub async fn ask(&self, dual_ppm: u32, mirrored_ppm: u32) {
        let ramp = v1::SetRolloutRequest {
            key: "orders".to_owned(),
            dual_ppm: Some(dual_ppm),
            mirrored_ppm: Some(mirrored_ppm),
            wait: true,
            ..Default::default()
        };
        self.controller.admin().await.set_rollout(ramp).await.unwrap();
    }

    /// Whether everybody is at mirrored, and every instance has quiesced there.
    pub async fn is_mirrored(&self) -> bool {
        let request = v1::GetStatusRequest { key: "orders".to_owned() };
        let status = self.controller.admin().await.get_status(request).await.unwrap().into_inner();
        let rollout = status.migration.unwrap().rollout.unwrap();
        rollout.mirrored_ppm == 1_000_000 && status.settled
    }

    pub async fn until_mirrored(&self) {
        until("everybody is at mirrored", || self.is_mirrored()).await;
    }

    pub fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.env("CUTOVER_SERVER", &self.controller.url).args(["sidecar", "--service", "orders-api"]);
        command.args(["--spec", "orders.toml"]).args(flags);
        command.current_dir(self.dir.path()).env_remove("RUST_LOG").stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// One that is expected to end at once.
    pub async fn refused(&self, flags: &[&str]) -> Output {
        timeout(PATIENCE, self.command(flags).output()).await.unwrap().unwrap()
    }

    /// One on the socket `orders.sock` that is ready.
    pub async fn sidecar(&self, flags: &[&str]) -> Sidecar {
        let sidecar = self.starting(flags);
        sidecar.until_ready().await;
        sidecar
    }

    /// One whose log is a file.
    pub async fn logging(&self, log: &Path) -> Sidecar {
        let mut command = self.command(&["--socket", "orders.sock", "--finish-within", "1s"]);
        let child = command.stderr(std::fs::File::create(log).unwrap()).spawn().unwrap();
        let sidecar = Sidecar { socket: self.dir.path().join("orders.sock"), child };
        sidecar.until_ready().await;
        sidecar
    }

    /// One that may not be ready yet.
    pub fn starting(&self, flags: &[&str]) -> Sidecar {
        let child = self.command(&[&["--socket", "orders.sock"], flags].concat()).spawn().unwrap();
        Sidecar { socket: self.dir.path().join("orders.sock"), child }
    }
}

/// A sidecar in its own process.
pub struct Sidecar {
    pub socket: PathBuf,
    child: Child,
}

impl Sidecar {
    pub async fn until_ready(&self) {
        until("the sidecar is ready", || async { is_ready(&self.socket).await }).await;
    }

    /// A call of the JSON API: its status and answer.
    pub async fn json(&self, method: &str, request: &Value) -> (u16, Value) {
        json_on(&self.socket, method, request).await
    }

    /// The answer of a call that succeeds.
    pub async fn ok(&self, method: &str, request: &Value) -> Value {
        let (status, answer) = self.json(method, request).await;
        assert_eq!(status, 200, "{method} {request}: {answer}");
        answer
    }

    /// Begins a write of tenant `acme`. Returns the answer.
    pub async fn begin_write(&self) -> Value {
        self.ok("Begin", &json!({ "tenant": "acme", "operation": "OPERATION_WRITE" })).await
    }

    /// Ends an operation as done. Returns the outcome that counts.
    pub async fn end(&self, begun: &Value) -> Value {
        let request = json!({ "id": begun["id"], "outcome": "OPERATION_OUTCOME_DONE" });
        self.ok("End", &request).await["outcome"].clone()
    }

    /// Waits until this is where the tenant `acme` stands.
    pub async fn until_at(&self, rung: &str) {
        until(rung, || async { self.ok("Decide", &json!({ "tenant": "acme" })).await["rung"] == rung }).await;
    }

    pub async fn grpc(&self) -> SidecarServiceClient<Channel> {
        let url = format!("unix://{}", self.socket.display());
        let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        SidecarServiceClient::new(channel)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap().cast_signed()), signal).unwrap();
    }

    /// Its exit code, once it has ended. `None`: a signal ended it.
    pub async fn ended(mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }

    pub async fn stop(self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.ended().await, Some(0));
    }
}

/// A request on a connection of its own. `None`: nobody answers.
pub async fn request(socket: &Path, verb: &str, path: &str, body: String) -> Option<(u16, String)> {
    let stream = UnixStream::connect(socket).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::builder().method(verb).uri(path).header("host", "sidecar");
    let request = request.body(Full::<Bytes>::from(body)).unwrap();
    let answer = sender.send_request(request).await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8(body.to_vec()).unwrap()))
}

pub async fn json_on(socket: &Path, method: &str, body: &Value) -> (u16, Value) {
    let answer = request(socket, "POST", &format!("/api/v1/{method}"), body.to_string()).await;
    let (status, body) = answer.unwrap_or_else(|| panic!("{method}: no answer"));
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method}: {body}")))
}

pub async fn is_ready(socket: &Path) -> bool {
    request(socket, "GET", "/readyz", String::new()).await.is_some_and(|(status, _)| status == 200)
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let held = timeout(PATIENCE, async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    held.await.unwrap_or_else(|_| panic!("not within {} s: {what}", PATIENCE.as_secs()));
}
