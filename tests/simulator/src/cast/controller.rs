//! A controller: what `cutover serve` runs, over this world's store and network.

use std::{future::pending, net::SocketAddr, sync::Arc};

use cutover::{config::Config, server, store::Store as _};

use crate::{
    control::ControlStore,
    net,
    world::{self, Pid},
};

/// What one controller is.
pub struct Controller {
    /// Its place.
    pub pid: Pid,
    /// Its name in the story.
    pub name: String,
    /// Its name in the network.
    pub host: String,
    /// Its way to the store.
    pub store: ControlStore,
}

impl Controller {
    /// Runs it until it is killed.
    pub async fn run(self) {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 7070));
        let config = Config {
            store: "simulated".to_owned(),
            grpc: nowhere,
            http: nowhere,
            http_hosts: Vec::new(),
            http_connections_per_address: None,
            grpc_connections_per_address: None,
            calls_per_address: None,
            insecure: false,
            require_tokens: false,
            tls: None,
            statsd: None,
            keep_history_days: 400,
            keep_history_events: 20,
            endpoints: Vec::new(),
            oidc: None,
        };
        let Self { pid, name, host, store } = self;
        let connections = net::listen(&host, pid);
        let ended = match store.lease() {
            None => server::run_on(config, Arc::new(store), connections, pending()).await,
            Some(_) => server::run_in_turns(config, Arc::new(store), || connections.clone(), pending()).await,
        };
        world::tell(|| format!("{name} ended: {ended:?}"));
        crate::play::ended(pid);
    }
}
