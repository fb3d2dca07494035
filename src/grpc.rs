//! The gRPC API: one file for each service, and `sdk` for what SDKs call. Each call parses, asks a service, and
//! converts the answer.

mod access;
mod admin;
mod caller;
mod convert;
mod flagd;
mod job;
mod routing;
mod sdk;
mod standby;
mod status;

use std::sync::Arc;

pub use convert::{history, plan};
pub use standby::standby;

use cutover_proto::{
    DESCRIPTORS,
    flagd::{v1::service_server::ServiceServer as FlagdV1, v2::service_server::ServiceServer as FlagdV2},
    v1::{
        access_service_server::AccessServiceServer, admin_service_server::AdminServiceServer,
        job_service_server::JobServiceServer, routing_service_server::RoutingServiceServer,
        telemetry_service_server::TelemetryServiceServer,
    },
};
use tokio::sync::watch;
use tonic::service::{Routes, RoutesBuilder};

use crate::{
    service::{
        Decider, Guards, Instances, Membership, Notify, Operate, Overview, Passes, Plans, Registry, Tokens,
        Windows,
    },
    telemetry::Ingest,
};

/// Maximum bytes of a request.
pub const REQUEST_MAX_BYTES: usize = 4 << 20;
/// The same for questions about flags: a context is small.
const FLAG_REQUEST_MAX_BYTES: usize = 64 << 10;

/// What the services use.
#[derive(Clone, Debug)]
pub struct Services {
    /// The newest state.
    pub registry: Arc<Registry>,
    /// The members.
    pub instances: Arc<Instances>,
    /// Commits changes.
    pub operate: Arc<Operate>,
    /// The running passes.
    pub passes: Arc<Passes>,
    /// Judges reports.
    pub guards: Arc<Guards>,
    /// Runs plans.
    pub plans: Arc<Plans>,
    /// Counts reports.
    pub ingest: Arc<Ingest>,
    /// Notifies endpoints.
    pub notify: Arc<Notify>,
    /// Stores what was reported.
    pub windows: Arc<Windows>,
    /// Who may call.
    pub tokens: Arc<Tokens>,
    /// When the controller's certificate ends, in seconds since 1970, if that is known. `None`: it has none.
    pub certificate_expires_s: Option<watch::Receiver<Option<u64>>>,
    /// True once the controller stops: streams end then.
    pub stop: watch::Receiver<bool>,
}

/// All services, with health and reflection.
pub async fn routes(services: Services) -> Result<Routes, tonic_reflection::server::Error> {
    let Services {
        registry,
        instances,
        operate,
        passes,
        guards,
        plans,
        ingest,
        notify,
        windows,
        tokens,
        certificate_expires_s,
        stop,
    } = services;
    let membership = Membership {
        registry: registry.clone(),
        operate: operate.clone(),
        instances: instances.clone(),
        guards: guards.clone(),
        passes: passes.clone(),
        ingest: ingest.clone(),
    };
    let overview = Overview {
        registry: registry.clone(),
        instances: instances.clone(),
        passes: passes.clone(),
        plans,
        notify,
        guards,
        ingest: ingest.clone(),
    };
    let decider = Decider { registry: registry.clone(), instances };
    let flags = flagd::Evaluation::new(decider.clone(), stop.clone());
    let routing = routing::Routing { decider, membership: membership.clone(), stop: stop.clone() };
    let telemetry = sdk::Telemetry { membership: membership.clone() };
    let (overviews, statuses) = Default::default();
    let admin = admin::Admin {
        registry,
        membership,
        overview,
        overviews,
        statuses,
        operate,
        windows,
        tokens: tokens.clone(),
        certificate_expires_s,
        stop,
    };
    let telemetry = TelemetryServiceServer::new(telemetry).max_decoding_message_size(REQUEST_MAX_BYTES);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AdminServiceServer<admin::Admin>>().await;
    health.set_serving::<RoutingServiceServer<routing::Routing>>().await;
    health.set_serving::<TelemetryServiceServer<sdk::Telemetry>>().await;
    health.set_serving::<JobServiceServer<job::Jobs>>().await;
    health.set_serving::<AccessServiceServer<access::Access>>().await;
    health.set_serving::<FlagdV1<flagd::Evaluation>>().await;
    health.set_serving::<FlagdV2<flagd::Evaluation>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(AdminServiceServer::new(admin).max_decoding_message_size(REQUEST_MAX_BYTES))
        .add_service(RoutingServiceServer::new(routing).max_decoding_message_size(REQUEST_MAX_BYTES))
        .add_service(sdk::Counting { inner: telemetry, ingest })
        .add_service(JobServiceServer::new(job::Jobs { passes }).max_decoding_message_size(REQUEST_MAX_BYTES))
        .add_service(AccessServiceServer::new(access::Access { tokens }))
        .add_service(FlagdV1::new(flags.clone()).max_decoding_message_size(FLAG_REQUEST_MAX_BYTES))
        .add_service(FlagdV2::new(flags).max_decoding_message_size(FLAG_REQUEST_MAX_BYTES))
        .add_service(health_service)
        .add_service(reflection);
    Ok(routes.routes())
}
