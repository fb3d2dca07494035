//! A controller's turns: it waits until it leads, leads, and waits again when it has lost the lease.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::server::Connected;

use super::{
    Error,
    listeners::Ports,
    run_with,
    standby::{self, Leading},
};
use crate::{
    config::Config,
    store::{self, Store},
};

/// Runs until `shutdown` completes. `open` opens the ports, for each wait and each turn: whoever connects in between waits in
/// the socket's queue. `leads` is called when a turn begins.
pub(super) async fn run<S, C, E>(
    mut config: Config,
    store: Arc<dyn Store>,
    open: impl Fn(&Config) -> Result<Ports<S>, Error>,
    mut leads: impl FnMut(),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    S: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<tonic::codegen::StdError>,
{
    let (mut shutdown, lease) = (pin!(shutdown), store.lease());
    let mut pause = Duration::ZERO;
    loop {
        if let Some(lease) = &lease {
            let (ports, pause) = (open(&config)?, std::mem::take(&mut pause));
            if !standby::lead(&config, lease, pause, ports, shutdown.as_mut()).await? {
                return Ok(());
            }
        }
        leads();
        let ports = open(&config)?;
        let mut leading = Leading::keep(lease.clone());
        let (config_now, store_now) = (config.clone(), store.clone());
        let ran = run_with(config_now, store_now, ports, shutdown.as_mut(), &mut leading).await;
        // It may not renew what is given back.
        leading.stop().await;
        if let Some(lease) = &lease {
            lease.vacate().await;
        }
        match ran {
            // What memory holds may be of a history that is no more: all of it is read again.
            Err(Error::PutBack(why)) => tracing::warn!("{why}; starting anew"),
            Err(error) if lease.is_some() && error.is_passing() => {
                // One that can't read the store lets another one try.
                if !matches!(error, Error::Deposed(_)) {
                    pause = store::SILENT;
                }
                tracing::warn!("{error}; on standby");
            }
            ended => return ended,
        }
        // Another one may have made tokens meanwhile.
        config.require_tokens |= store.tokens().await.is_ok_and(|tokens| !tokens.is_empty());
    }
}
