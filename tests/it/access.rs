//! Who may call: tokens over every surface, as clients meet them.

mod bound;
mod cli;
mod doctor;
mod every;
mod late;
mod lives;
mod oidc;
mod restored;
mod scope;
mod two_persons;
mod who;

use std::{path::Path, sync::Arc};

use cutover::{
    domain::Role,
    server,
    service::{NewToken, Tokens, UnderWay, operate::RequestMeta},
    store::Store,
};
use cutover_client::{Access, AuthorizedChannel};
use cutover_proto::v1::{
    self, access_service_client::AccessServiceClient, admin_service_client::AdminServiceClient,
    routing_service_client::RoutingServiceClient, telemetry_service_client::TelemetryServiceClient,
};
use secrecy::ExposeSecret as _;
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
        let root = first(dir.path()).await;
        let controller = Controller::start(dir.path(), 0).await;
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

/// The first token, made in the store of a directory.
async fn first(dir: &Path) -> String {
    let store = format!("sqlite:{}", dir.join("cutover.db").display());
    let made = server::create_admin(&store, "root", "operator:test", "").await;
    made.unwrap().expose_secret().to_owned()
}

/// The first token of an open store.
async fn first_in(store: Arc<dyn Store>) -> String {
    let tokens = Arc::new(Tokens::load(store, UnderWay::default()).await.unwrap());
    let (name, roles) = ("root".to_owned(), vec![Role::Admin]);
    let new = NewToken { name, roles, migrations: Vec::new(), expires_ms: None };
    let made = tokens.create(new, None, &RequestMeta::default(), 1).await;
    made.unwrap().0.expose_secret().to_owned()
}

/// A process that watches.
fn watching(id: &str) -> v1::WatchRequest {
    v1::WatchRequest {
        instance_id: id.to_owned(),
        service: "shop".to_owned(),
        incarnation: 1,
        ..Default::default()
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
