//! The way to the controller, and its errors in one line that says what to do.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
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

impl Global {
    async fn channel(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(self.server.clone()).map_err(|_| {
            anyhow!("--server {:?} is no URL: give one like http://127.0.0.1:7070", self.server)
        })?;
        endpoint.connect_timeout(Duration::from_secs(3)).connect().await.map_err(|_| {
            anyhow!(
                "can't reach the controller at {}: is it running (cutover serve)? Else set --server or CUTOVER_SERVER",
                self.server
            )
        })
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

/// Waits for an answer, and turns a refusal into words.
pub(super) async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> anyhow::Result<T> {
    let answered =
        tokio::time::timeout(CALL_TIMEOUT, call).await.context("the controller did not answer in 10 s")?;
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
    match status.code() {
        Code::Unknown | Code::Internal | Code::Unimplemented => {
            anyhow!("{}: is a cutover controller listening there? Check --server", status.message())
        }
        _ => anyhow!("{}", status.message()),
    }
}
