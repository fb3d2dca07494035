//! The last that the controller hears of a process: nobody has to wait for it.

use std::{sync::Arc, time::Duration};

use cutover_proto::v1::{self, telemetry_service_client::TelemetryServiceClient};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Status};
use tracing::warn;

use crate::{
    Address, AuthorizedChannel,
    watch::{Identity, Link},
    words::explain,
};

/// Longest time to wait for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// A client that closes tries again after this time, and then twice as long each time, up to [`AGAIN_MAX`].
pub(super) const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_millis(800);

/// For so long a process that could not start tries to say so.
const WITHDRAWS_FOR: Duration = Duration::from_secs(30);

/// A registration that was sent before a goodbye has arrived after this time, or never will.
const LATER: Duration = Duration::from_secs(2);

/// Says goodbye until it is heard, at whichever controller leads. False: it was refused.
pub(super) async fn goodbye(
    address: &Address,
    identity: &Identity,
    file_valid_ms: u32,
    mut channel: AuthorizedChannel,
) -> bool {
    let request = v1::GoodbyeRequest {
        instance_id: identity.instance_id.clone(),
        incarnation: identity.incarnation,
        file_valid_ms,
    };
    let mut pause = AGAIN;
    loop {
        let mut client = TelemetryServiceClient::new(channel);
        let status = match timeout(ANSWER, client.goodbye(request.clone())).await {
            Ok(Ok(_)) => return true,
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable("no answer to a goodbye"),
        };
        // Anything else may come from a controller that has just died.
        if matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument) {
            warn!("goodbye was not heard: {}", explain(&status));
            return false;
        }
        channel = address.connect_lazy();
        sleep(pause).await;
        pause = longer(pause);
    }
}

/// What a process that could not start tells the controller, which may have registered it although no answer arrived, and
/// would wait for it.
#[derive(Debug)]
pub(crate) struct Withdrawal {
    pub(crate) address: Address,
    pub(crate) identity: Arc<Identity>,
    pub(crate) link: Arc<Link>,
}

impl Withdrawal {
    /// Says goodbye, and again a moment later: the registration may have arrived after the first one. `watcher` is ended
    /// first, so that it registers no more. `told`: once the first one is answered.
    pub(crate) async fn run(self, watcher: JoinHandle<()>, told: oneshot::Sender<()>) {
        watcher.abort();
        let _ = watcher.await;
        // A process without a state has written no file.
        let file_valid_ms = if self.link.held().is_some() { self.identity.file_valid_ms } else { 0 };
        let twice = async {
            let goodbye =
                || goodbye(&self.address, &self.identity, file_valid_ms, self.address.connect_lazy());
            goodbye().await;
            let _ = told.send(());
            sleep(LATER).await;
            goodbye().await;
        };
        let _ = timeout(WITHDRAWS_FOR, twice).await;
    }
}

/// The pause after this one.
pub(super) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(AGAIN_MAX)
}
