//! The way to the controller, and its errors in one line that says what to do.

use std::time::Duration;

use anyhow::anyhow;
use cutover_proto::v1::{
    admin_service_client::AdminServiceClient, job_service_client::JobServiceClient,
    routing_service_client::RoutingServiceClient,
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use super::Global;

/// Longest that a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may say nothing to a ping before the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

/// What listens there is no controller, or went away.
#[derive(Debug, thiserror::Error)]
#[error("no cutover controller answers there ({why}): check --server, and whether it runs")]
struct NoController {
    why: String,
}

/// Says where no controller answered.
pub(super) fn located(error: anyhow::Error, global: &Global) -> anyhow::Error {
    if error.is::<NoController>() { error.context(global.server.clone()) } else { error }
}

impl Global {
    async fn channel(&self) -> anyhow::Result<Channel> {
        channel(&self.server).await
    }

    /// For what operators do.
    pub(super) async fn admin(&self) -> anyhow::Result<AdminServiceClient<Channel>> {
        Ok(AdminServiceClient::new(self.channel().await?))
    }

    /// For passes.
    pub(super) async fn jobs(&self) -> anyhow::Result<JobServiceClient<Channel>> {
        Ok(JobServiceClient::new(self.channel().await?))
    }

    /// For decisions.
    pub(super) async fn routing(&self) -> anyhow::Result<RoutingServiceClient<Channel>> {
        Ok(RoutingServiceClient::new(self.channel().await?))
    }
}

/// A way to the controller at this address.
pub(super) async fn channel(server: &str) -> anyhow::Result<Channel> {
    let wrong = || anyhow!("--server {server:?} is no URL: give one like http://127.0.0.1:7070");
    let endpoint = Endpoint::from_shared(server.to_owned()).map_err(|_| wrong())?;
    let uri = endpoint.uri();
    anyhow::ensure!(uri.scheme_str() == Some("http") && uri.host().is_some_and(|h| !h.is_empty()), wrong());
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(3))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(SILENCE);
    endpoint.connect().await.map_err(|_| {
        anyhow!(
            "can't reach the controller at {}: is it running (cutover serve)? Else set --server or CUTOVER_SERVER",
            server
        )
    })
}

/// Waits for an answer, and turns a refusal into words.
pub(super) async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> anyhow::Result<T> {
    let why = || format!("nothing in {} s", CALL_TIMEOUT.as_secs());
    let answered = tokio::time::timeout(CALL_TIMEOUT, call).await.map_err(|_| NoController { why: why() })?;
    Ok(answered.map_err(|status| failure(&status))?.into_inner())
}

/// A status in words.
pub(super) fn failure(status: &Status) -> anyhow::Error {
    if let Some(unmet) =
        status.get_details_precondition_failure().filter(|unmet| !unmet.violations.is_empty())
    {
        let lines: Vec<String> = unmet
            .violations
            .iter()
            .map(|unmet| match unmet.subject.as_str() {
                "" => format!("[{}] {}", unmet.r#type, unmet.description),
                subject => format!("[{}] {subject}: {}", unmet.r#type, unmet.description),
            })
            .collect();
        return anyhow!("refused, {} unmet: {}", lines.len(), lines.join(" | "));
    }
    // A controller's own words have no source; what the transport met has one.
    let met = std::error::Error::source(status).is_some();
    if status.get_details_error_info().is_some() {
        return anyhow!("{}", status.message());
    }
    match status.code() {
        Code::Unknown | Code::Internal | Code::Unimplemented => {
            NoController { why: status.message().to_owned() }.into()
        }
        _ if met => NoController { why: status.message().to_owned() }.into(),
        _ => anyhow!("{}", status.message()),
    }
}
