//! What a controller on standby answers: health, which says that it does not serve.

use cutover_proto::{
    flagd::{v1::service_server as flagd_v1, v2::service_server as flagd_v2},
    v1::{
        access_service_server, admin_service_server, job_service_server, routing_service_server,
        telemetry_service_server,
    },
};
use tonic::service::Routes;
use tonic_health::ServingStatus;

/// Every service of a controller, and the empty name, which stands for all of them.
const SERVICES: [&str; 8] = [
    "",
    access_service_server::SERVICE_NAME,
    admin_service_server::SERVICE_NAME,
    job_service_server::SERVICE_NAME,
    routing_service_server::SERVICE_NAME,
    telemetry_service_server::SERVICE_NAME,
    flagd_v1::SERVICE_NAME,
    flagd_v2::SERVICE_NAME,
];

/// Health alone.
pub async fn standby() -> Routes {
    let (health, service) = tonic_health::server::health_reporter();
    for name in SERVICES {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
    Routes::new(service)
}
