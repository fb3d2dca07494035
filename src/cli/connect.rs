//! The way to the controller, and its errors in words that say what to do.

use std::{
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use cutover_client::{Access, Address, AuthorizedChannel, FindError, TlsError};
use cutover_proto::v1::{
    access_service_client::AccessServiceClient, admin_service_client::AdminServiceClient,
    job_service_client::JobServiceClient, routing_service_client::RoutingServiceClient,
};
use cutover_store::spec::Spec;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    Global,
    exit::{Exit, Failure},
};
use crate::refusal::headline;
pub(super) use crate::refusal::reasons;

/// Longest that a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for another controller to take over: longer than that takes.
const TAKEOVER: Duration = Duration::from_secs(6);

/// Interval between looks for who leads.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long a peer may say nothing to a ping before the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

/// Something listens there that is no controller, or that went away.
fn no_controller(why: &str) -> Failure {
    Failure::unreachable(format!(
        "no cutover controller answers there ({why}): check whether it runs, and --server, which takes its gRPC port \
         (7070 by default), not its HTTP port (7071)"
    ))
}

/// Says where no controller answered.
pub(super) fn located(error: anyhow::Error, global: &Global) -> anyhow::Error {
    let nowhere = error.downcast_ref::<Failure>().is_some_and(|failure| {
        failure.exit == Exit::Unreachable && !failure.message.contains(&global.server)
    });
    if nowhere { error.context(global.server.clone()) } else { error }
}

/// The text of a token file that can be read once only, like a pipe. `None`: it is read for each call.
fn kept(path: &Path) -> Option<String> {
    // Several parts of a command ask.
    static KEPT: OnceLock<Option<String>> = OnceLock::new();
    let is_kept = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    is_kept.then(|| KEPT.get_or_init(|| std::fs::read_to_string(path).ok()).clone()).flatten()
}

impl Global {
    /// What to show the controller, and which to trust: what the environment says, unless a flag says otherwise.
    pub(super) fn access(&self) -> anyhow::Result<Access> {
        let mut access = Access::from_env();
        if let Some(path) = &self.token_file {
            access = match kept(path) {
                Some(text) => access.with_token(text),
                None => access.with_token_file(path),
            };
        }
        if let Some(path) = &self.ca {
            access = access.with_ca_file(path);
        }
        if let (Some(cert), Some(key)) = (&self.client_cert, &self.client_key) {
            access = access.with_client_certificate(cert, key);
        }
        access.check().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(if self.insecure { access.insecure() } else { access })
    }

    /// The same for the controller of a spec file, if it names one.
    pub(super) fn of_spec(&self, spec: &Spec) -> Self {
        let server = spec.server.clone().unwrap_or_else(|| self.server.clone());
        Self { server, ..self.clone() }
    }

    /// A way to the controller.
    pub(super) async fn channel(&self) -> anyhow::Result<AuthorizedChannel> {
        channel(&self.server, &self.access()?).await
    }

    /// Where the controller is.
    pub(super) fn address(&self) -> anyhow::Result<Address> {
        address(&self.server, &self.access()?)
    }

    /// For tokens.
    pub(super) async fn tokens(&self) -> anyhow::Result<AccessServiceClient<AuthorizedChannel>> {
        Ok(AccessServiceClient::new(self.channel().await?))
    }

    /// For what operators do.
    pub(super) async fn admin(&self) -> anyhow::Result<AdminServiceClient<AuthorizedChannel>> {
        Ok(AdminServiceClient::new(self.channel().await?))
    }

    /// For passes.
    pub(super) async fn jobs(&self) -> anyhow::Result<JobServiceClient<AuthorizedChannel>> {
        Ok(JobServiceClient::new(self.channel().await?))
    }

    /// For decisions.
    pub(super) async fn routing(&self) -> anyhow::Result<RoutingServiceClient<AuthorizedChannel>> {
        Ok(RoutingServiceClient::new(self.channel().await?))
    }
}

fn address(server: &str, access: &Access) -> anyhow::Result<Address> {
    let address = Address::new(server, access, Duration::from_secs(3));
    Ok(address.map_err(|error| Failure::usage(format!("--server {server:?}: {error}")))?)
}

/// A way to the controller at this address.
async fn channel(server: &str, access: &Access) -> anyhow::Result<AuthorizedChannel> {
    let address = address(server, access)?;
    let address = address.with(|endpoint| {
        endpoint.http2_keep_alive_interval(Duration::from_secs(2)).keep_alive_timeout(SILENCE)
    });
    let began = Instant::now();
    let error = loop {
        let error = match address.connect().await {
            Ok(channel) => return Ok(channel),
            Err(error) => error,
        };
        let is_passing = FindError::within(&error).is_some_and(FindError::is_passing);
        if !is_passing || began.elapsed() > TAKEOVER {
            break error;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    };
    let why = match (TlsError::within(&error), FindError::within(&error)) {
        (Some(why), _) => Some(why.to_string()),
        (None, Some(FindError::Connect(_)) | None) => None,
        (None, Some(why)) => Some(why.to_string()),
    };
    Err(Failure::unreachable(match why {
        Some(why) => format!("can't connect to the controller at {server}: {why}"),
        None => format!(
            "can't reach the controller at {server}. Start it (cutover serve), or set --server or CUTOVER_SERVER"
        ),
    })
    .into())
}

/// Waits for an answer, and turns a refusal into words.
pub(super) async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> anyhow::Result<T> {
    let why = || format!("no answer in {} s", CALL_TIMEOUT.as_secs());
    let answered = tokio::time::timeout(CALL_TIMEOUT, call).await.map_err(|_| no_controller(&why()))?;
    Ok(answered.map_err(|status| failure(&status))?.into_inner())
}

/// What is wrong with a request, by the names of flags rather than those of fields. It comes from the command line,
/// or from the file of a plan.
fn malformed(status: &Status) -> Failure {
    let fields = status.get_details_bad_request().map(|it| it.field_violations).unwrap_or_default();
    // A request id that was used before is no mistake in itself.
    let is_no_flag = ["steps", "windows", "time_zone", "mutation.request_id"];
    let is_file = |field: &str| is_no_flag.iter().any(|of| field.starts_with(of));
    let exit = if fields.iter().any(|it| is_file(&it.field)) { Exit::Refused } else { Exit::Usage };
    let lines = fields.iter().map(|it| match (flag(&it.field), it.description.as_str()) {
        (Some(flag), what) => format!("{flag}: {what}"),
        (None, what) if ["key", "tenant", "mutation.request_id"].contains(&it.field.as_str()) => {
            what.to_owned()
        }
        (None, what) => format!("{}: {what}", it.field),
    });
    let lines: Vec<String> = lines.collect();
    let message = if lines.is_empty() { status.message().to_owned() } else { lines.join("; ") };
    Failure { exit, message, reasons: Vec::new() }
}

/// The flag that sets a field. `None`: it is no flag.
fn flag(field: &str) -> Option<String> {
    let name = field.rsplit('.').next().unwrap_or(field);
    Some(match name {
        "reason" => "--reason TEXT".to_owned(),
        "override_gates" => "--override".to_owned(),
        "required_services" => "--required-service".to_owned(),
        "local_guard_read_ppm" => "--local-reads".to_owned(),
        "local_guard_write_ppm" => "--local-writes".to_owned(),
        "rate" | "rho" | "delta" | "factor" | "slack" | "confirm" | "actor" | "level" => {
            format!("--{name}")
        }
        "guard" => "--set".to_owned(),
        _ if name.ends_with("_ppm") || name.ends_with("_ms") => {
            let name = name.trim_end_matches("_ppm").trim_end_matches("_ms");
            format!("--{}", name.replace('_', "-"))
        }
        _ => return None,
    })
}

/// A status in words.
pub(super) fn failure(status: &Status) -> anyhow::Error {
    // A controller's own words have no source; what the transport met has one.
    let is_transport = std::error::Error::source(status).is_some();
    let message = status.message().to_owned();
    let reasons = reasons(status);
    match status.code() {
        _ if status.get_details_error_info().is_some() => anyhow!(message),
        Code::FailedPrecondition if !reasons.is_empty() => {
            Failure::refused(headline(reasons.len()), reasons).into()
        }
        Code::Unknown | Code::Internal | Code::Unimplemented => no_controller(&message).into(),
        _ if is_transport => no_controller(&message).into(),
        Code::Unavailable | Code::DeadlineExceeded => Failure::unreachable(message).into(),
        Code::InvalidArgument => malformed(status).into(),
        Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Aborted
        | Code::ResourceExhausted
        | Code::Unauthenticated
        | Code::PermissionDenied => Failure::refused(message, Vec::new()).into(),
        _ => anyhow!(message),
    }
}
