//! The controller: what `cutover serve` runs, over this world's store and network.

use std::{net::SocketAddr, sync::Arc};

use cutover::{config::Config, server};

use crate::{
    control::ControlStore,
    net,
    world::{self, Pid},
};

/// Runs it until it is killed.
pub async fn run(store: ControlStore, pid: Pid) {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 7070));
    let config = Config {
        store: "simulated".to_owned(),
        grpc: nowhere,
        http: nowhere,
        http_hosts: Vec::new(),
        http_connections_per_address: None,
        insecure: false,
        require_tokens: false,
        tls: None,
        statsd: None,
        keep_history_days: 400,
        keep_history_events: 20,
        endpoints: Vec::new(),
        oidc: None,
    };
    let connections = net::listen("controller", pid);
    let ended = server::run_on(config, Arc::new(store), connections, std::future::pending()).await;
    world::tell(|| format!("the controller ended: {ended:?}"));
    crate::play::ended(pid);
}
