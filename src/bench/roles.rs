//! What the child processes of a bench do.

use std::path::PathBuf;

use super::{
    bare,
    child::{Ask, Asks, Role, STORE_VARIABLE, answer, raise_limits, strange},
    grpc, sidecar,
    watcher::Watcher,
    web,
};
use crate::{
    config::{Config, Serve},
    server::{self, Listeners},
};

/// Runs this process as a child of a bench.
pub async fn run(role: Role) -> anyhow::Result<()> {
    raise_limits();
    let ran = match role {
        Role::Controller { dir } => controller(dir).await,
        Role::Bare => bare::run().await,
        Role::BareHttp { answer } => web::bare(answer).await,
        Role::Sidecar { dir, server } => sidecar::serve(dir, &server).await,
        Role::BareSidecar { dir } => sidecar::bare(dir).await,
        Role::Caller => caller().await,
        Role::Watcher => watcher().await,
    };
    // The bench reports to people.
    if let Err(error) = ran {
        answer::<()>(Err(error));
    }
    Ok(())
}

async fn controller(dir: PathBuf) -> anyhow::Result<()> {
    let in_directory = format!("sqlite:{}", dir.join("cutover.db").display());
    let config = Config::load(Serve {
        store: Some(std::env::var(STORE_VARIABLE).unwrap_or(in_directory)),
        grpc: Some("127.0.0.1:0".to_owned()),
        http: Some("127.0.0.1:0".to_owned()),
        // One address makes all calls.
        ..Serve::default()
    })?;
    let listeners = Listeners::bind(&config).await?;
    let (grpc, http) = (listeners.grpc.local_addr()?, listeners.http.local_addr()?);
    let asks = Asks::ready(&format!("http://{grpc} http://{http}"));
    Ok(server::run(config, listeners, asks.only_usage()).await?)
}

async fn caller() -> anyhow::Result<()> {
    let mut asks = Asks::ready("");
    while let Some(ask) = asks.next().await {
        match ask {
            Ask::Call(load) => answer(grpc::call(load).await),
            other => strange(&other),
        }
    }
    Ok(())
}

async fn watcher() -> anyhow::Result<()> {
    let mut asks = Asks::ready("");
    let mut watcher = None;
    while let Some(ask) = asks.next().await {
        match (ask, &mut watcher) {
            (Ask::Watch(streams), _) => {
                let opened = Watcher::open(streams).await;
                answer(opened.map(|opened| watcher = Some(opened)));
            }
            (Ask::Change(number), Some(watcher)) => answer(watcher.change(number).await),
            (other, _) => strange(&other),
        }
    }
    Ok(())
}
