//! A controller with one migration, for the tests of the examples.

use std::time::Duration;

use cutover::{
    config::{Config, Serve},
    server::{self, Listeners},
};
use cutover_client::{Client, Options, routing::Rung};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use tempfile::TempDir;
use tonic::transport::Channel;

/// It ends with the runtime of its test.
pub(crate) struct Controller {
    _dir: TempDir,
    url: String,
    migration: &'static str,
    admin: AdminServiceClient<Channel>,
}

impl Controller {
    /// Starts on free ports, with the store in a temporary directory.
    pub(crate) async fn start(migration: &'static str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let serve = Serve {
            store: Some(format!("sqlite:{}", dir.path().join("cutover.db").display())),
            grpc: Some("127.0.0.1:0".to_owned()),
            http: Some("127.0.0.1:0".to_owned()),
            ..Serve::default()
        };
        let config = Config::load(serve).expect("valid");
        let listeners = Listeners::bind(&config).await.expect("free ports");
        let url = format!("http://{}", listeners.grpc.local_addr().expect("bound"));
        tokio::spawn(server::run(config, listeners, std::future::pending()));
        let mut admin = AdminServiceClient::connect(url.clone()).await.expect("it serves");
        let create = v1::CreateMigrationRequest {
            key: migration.to_owned(),
            source: "old".to_owned(),
            target: "new".to_owned(),
            ..Default::default()
        };
        admin.create_migration(create).await.expect("created");
        Self { _dir: dir, url, migration, admin }
    }

    pub(crate) async fn client(&self, service: &str) -> Client {
        Client::connect(&self.url, service, Options::default()).await.expect("connected")
    }

    /// Moves one tenant, and waits until the client has heard of it.
    pub(crate) async fn move_tenant(&mut self, client: &Client, tenant: &str, rung: Rung) {
        let pin = v1::SetPinRequest {
            mutation: Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
            key: self.migration.to_owned(),
            tenant: tenant.to_owned(),
            rung: v1::Rung::from(rung).into(),
            wait: true,
            override_gates: vec!["full-pass".to_owned()],
        };
        self.admin.set_pin(pin).await.expect("accepted");
        let mut revisions = client.current().subscribe();
        let is_there = || client.decide(self.migration, tenant).is_ok_and(|decision| decision.rung == rung);
        tokio::time::timeout(Duration::from_secs(30), async {
            while !is_there() {
                revisions.changed().await.expect("the client lives");
            }
        })
        .await
        .expect("it gets there");
    }
}
