//! Work that must not stop half-way.

use std::sync::Arc;

use tokio::sync::watch;

/// All of it that is under way. Each holds a receiver.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<watch::Sender<()>>);

/// Something is under way as long as this exists.
#[derive(Debug)]
pub(super) struct Hold(#[allow(dead_code, reason = "it is counted")] watch::Receiver<()>);

impl UnderWay {
    pub(super) fn hold(&self) -> Hold {
        Hold(self.0.subscribe())
    }

    /// Runs to its end even if the caller goes away: part of it may have happened, and the rest must follow.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let hold = self.hold();
        let done = tokio::spawn(async move {
            let done = work.await;
            drop(hold);
            done
        });
        match done.await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // Nobody aborts it, so the process ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until nothing is under way.
    pub async fn ended(&self) {
        self.0.closed().await;
    }
}
