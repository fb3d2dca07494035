//! Who may call: tokens over every surface, as clients meet them.

mod cli;
mod every;
mod lives;
mod scope;
mod who;

use std::path::Path;

use cutover_client::{Access, AuthorizedChannel};
use cutover_proto::v1::{
    self, access_service_client::AccessServiceClient, admin_service_client::AdminServiceClient,
    routing_service_client::RoutingServiceClient, telemetry_service_client::TelemetryServiceClient,
};
use tempfile::TempDir;
use tonic::transport::Endpoint;

use crate::support::server::Controller;

/// A controller with tokens.
struct Guarded {
    controller: Controller,
    /// The admin's.
    root: String,
    dir: TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let controller = Controller::start(dir.path(), 0).await;
        let root = create(&controller.url, "", "root", &[v1::Role::Admin], &[]).await;
        Self { controller, root, dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn url(&self) -> &str {
        &self.controller.url
    }

    /// Another token.
    async fn token(&self, name: &str, role: v1::Role) -> String {
        create(self.url(), &self.root, name, &[role], &[]).await
    }

    async fn admin(&self, token: &str) -> AdminServiceClient<AuthorizedChannel> {
        AdminServiceClient::new(channel(self.url(), token).await)
    }

    async fn tokens(&self, token: &str) -> AccessServiceClient<AuthorizedChannel> {
        AccessServiceClient::new(channel(self.url(), token).await)
    }

    async fn routing(&self, token: &str) -> RoutingServiceClient<AuthorizedChannel> {
        RoutingServiceClient::new(channel(self.url(), token).await)
    }

    async fn telemetry(&self, token: &str) -> TelemetryServiceClient<AuthorizedChannel> {
        TelemetryServiceClient::new(channel(self.url(), token).await)
    }

    /// Creates migrations.
    async fn migrations(&self, keys: &[&str]) {
        let mut admin = self.admin(&self.root).await;
        for key in keys {
            let request = v1::CreateMigrationRequest {
                key: (*key).to_owned(),
                source: "old".to_owned(),
                target: "new".to_owned(),
                ..Default::default()
            };
            admin.create_migration(request).await.unwrap();
        }
    }

    async fn revoke(&self, name: &str) {
        let request = v1::RevokeTokenRequest { name: name.to_owned(), ..Default::default() };
        self.tokens(&self.root).await.revoke_token(request).await.unwrap();
    }
}

/// A connection that shows this token, or none.
async fn channel(url: &str, token: &str) -> AuthorizedChannel {
    let access = match token {
        "" => Access::default(),
        token => Access::default().with_token(token),
    };
    access.authorize(Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap())
}

async fn create(url: &str, by: &str, name: &str, roles: &[v1::Role], migrations: &[&str]) -> String {
    let request = v1::CreateTokenRequest {
        name: name.to_owned(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        migrations: migrations.iter().map(|key| (*key).to_owned()).collect(),
        ..Default::default()
    };
    let created = AccessServiceClient::new(channel(url, by).await).create_token(request).await;
    created.unwrap().into_inner().text
}
