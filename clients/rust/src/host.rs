//! What the SDK needs from its machine besides the time: connections to the controller, and threads for
//! blocking work.
//!
//! A simulation replaces both on its own thread with [`Simulated::install`]. It replaces everything else,
//! clocks and randomness included, below the standard library: see docs/simulation.md.

mod connector;

use std::{cell::RefCell, error::Error, io, sync::Arc};

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{JoinError, spawn_blocking},
};
use tonic::codegen::{Service as _, http::Uri};

pub(crate) use connector::Connector;

/// Why a connection could not be opened.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A connection: anything that carries bytes both ways.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// Opens a connection to an address.
pub type Dial = dyn Fn(Uri) -> BoxFuture<'static, io::Result<Box<dyn Bytes>>> + Send + Sync;

/// How long blocking work takes.
pub type Pause = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

/// The replacements that a simulation installs on its thread.
#[derive(Clone)]
pub struct Simulated {
    /// Opens connections.
    pub dial: Arc<Dial>,
    /// Blocking work runs on the thread itself, after this.
    pub pause: Arc<Pause>,
}

thread_local! {
    static SIMULATED: RefCell<Option<Simulated>> = const { RefCell::new(None) };
}

impl Simulated {
    /// Replaces connections and threads on this thread until it ends.
    pub fn install(self) {
        SIMULATED.replace(Some(self));
    }

    fn here() -> Option<Self> {
        SIMULATED.with_borrow(Clone::clone)
    }
}

/// Opens a connection to an address.
pub(crate) async fn dial(uri: Uri, mut connector: Connector) -> Result<TokioIo<Box<dyn Bytes>>, BoxError> {
    let connection: Box<dyn Bytes> = match Simulated::here() {
        None => Box::new(connector.call(uri).await?.into_inner()),
        Some(simulated) => (simulated.dial)(uri).await?,
    };
    Ok(TokioIo::new(connection))
}

/// Whether connections are a simulation's: names lead nowhere else then.
pub(crate) fn is_simulated() -> bool {
    Simulated::here().is_some()
}

/// Runs blocking or long computations where they delay no other task.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Simulated::here() {
        None => spawn_blocking(work).await,
        Some(simulated) => {
            (simulated.pause)().await;
            Ok(work())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Access, Address};

    #[tokio::test]
    async fn a_simulated_thread_dials_by_itself_and_runs_blocking_work_itself() {
        let thread = std::thread::current().id();
        let ran_on = || std::thread::current().id();
        assert_ne!(blocking(ran_on).await.expect("it does not panic"), thread);
        let dial: Arc<Dial> =
            Arc::new(|uri| Box::pin(async move { Err(io::Error::other(format!("dialled {uri}"))) }));
        let pause: Arc<Pause> = Arc::new(|| Box::pin(std::future::ready(())));
        Simulated { dial, pause }.install();
        assert_eq!(blocking(ran_on).await.expect("it does not panic"), thread);
        let server = "http://controller:7070";
        let address = Address::new(server, &Access::default(), Duration::from_secs(1)).expect("an address");
        let refused = address.connect().await;
        let refused = refused.expect_err("nobody is there");
        assert!(crate::words::describe(&refused).contains("dialled http://controller:7070"), "{refused:?}");
    }
}
