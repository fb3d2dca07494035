//! A controller on loopback, and its clients.

use std::{net::SocketAddr, path::Path, sync::Arc};

use cutover::{
    config::{Config, Serve},
    server::{self, Listeners},
    store::Store,
};
use cutover_client::{Client, Options};
use cutover_proto::v1::{
    admin_service_client::AdminServiceClient, job_service_client::JobServiceClient,
    routing_service_client::RoutingServiceClient,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::{Channel, server::TcpIncoming};

/// A running controller.
pub struct Controller {
    pub url: String,
    /// Where health and metrics are.
    pub http: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), server::Error>>,
}

impl Controller {
    /// Starts one on the store in a directory; `port` 0 takes a free one.
    pub async fn start(dir: &Path, port: u16) -> Self {
        Self::start_with(dir, port, Serve::default()).await
    }

    /// The same with other flags, too.
    pub async fn start_with(dir: &Path, port: u16, flags: Serve) -> Self {
        let serve = Serve {
            store: Some(format!("sqlite:{}", dir.join("cutover.db").display())),
            grpc: Some(format!("127.0.0.1:{port}")),
            http: Some("127.0.0.1:0".to_owned()),
            ..flags
        };
        let config = Config::load(serve).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        let url = format!("http://{}", listeners.grpc.local_addr().unwrap());
        let http = listeners.http.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server::run(config, listeners, async {
            let _ = stopped.await;
        }));
        Self { url, http, stop, running }
    }

    /// One on a store that is open already.
    pub async fn start_on(store: Arc<dyn Store>) -> Self {
        let any = || Some("127.0.0.1:0".to_owned());
        let config = Config::load(Serve { grpc: any(), http: any(), ..Serve::default() }).unwrap();
        let http = config.http;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let connections = TcpIncoming::from(listener);
        let running = tokio::spawn(server::run_on(config, store, connections, async {
            let _ = stopped.await;
        }));
        Self { url, http, stop, running }
    }

    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Its metrics.
    pub async fn scrape(&self) -> String {
        crate::http::get(self.http, "/metrics").await
    }

    /// Stops it cleanly.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }

    /// Waits until it ends by itself, and returns why.
    pub async fn ended(self) -> server::Error {
        self.running.await.unwrap().unwrap_err()
    }

    pub async fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::connect(self.url.clone()).await.unwrap()
    }

    pub async fn routing(&self) -> RoutingServiceClient<Channel> {
        RoutingServiceClient::connect(self.url.clone()).await.unwrap()
    }

    pub async fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::connect(self.url.clone()).await.unwrap()
    }

    /// An SDK registered as an instance of `orders-api`.
    pub async fn sdk(&self, instance_id: &str) -> Client {
        let options = Options { instance_id: Some(instance_id.to_owned()), ..Options::default() };
        Client::connect(&self.url, "orders-api", options).await.unwrap()
    }
}

/// The address of a server, as tests/run sets it. Without one the story is skipped, with a message; with
/// `CUTOVER_TEST_SERVERS=required` it fails.
pub fn given(variable: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        let required = std::env::var("CUTOVER_TEST_SERVERS").is_ok_and(|given| given == "required");
        assert!(!required, "{variable} is not set, and CUTOVER_TEST_SERVERS requires it");
        eprintln!("{variable} is not set: the server is left out; tests/run starts it");
    }
    address
}
