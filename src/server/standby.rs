//! A controller that waits for its turn to lead. It answers probes, and refuses every call.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use cutover_core::servers::PUSHBACK_HEADER;
use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::{Status, metadata::MetadataValue, transport::server::Connected};

use super::{Error, bounds, files, gate::Refused, identity, listeners::Ports};
use crate::{
    api,
    config::Config,
    grpc, http,
    listen::{self, Routes},
    store::{Leader, Lease},
    telemetry::prometheus,
};

/// How long connections may take to notice that the standby has ended.
const CLOSING: Duration = Duration::from_millis(50);

/// Renews a lease as long as this exists.
#[derive(Debug, Default)]
pub(super) struct Leading(JoinSet<String>);

impl Leading {
    /// `None`: the store is this controller's alone.
    pub(super) fn keep(lease: Option<Arc<Lease>>) -> Self {
        let mut keeping = JoinSet::new();
        if let Some(lease) = lease {
            // By itself: nothing that this controller does may delay it.
            keeping.spawn(async move { lease.keep().await });
        }
        Self(keeping)
    }

    /// Renews it no more.
    pub(super) async fn stop(mut self) {
        self.0.shutdown().await;
    }

    /// Waits until the lease is lost, and returns why.
    pub(super) async fn ended(&mut self) -> String {
        match self.0.join_next().await {
            Some(ended) => ended.unwrap_or_else(|error| error.to_string()),
            None => std::future::pending().await,
        }
    }
}

/// What others call this controller.
pub(super) fn name(config: &Config) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => format!("gRPC {}", config.grpc),
        host => format!("{host}, gRPC {}", config.grpc),
    }
}

/// Waits until this controller leads, first for `pause`. False: it is to stop instead.
pub(super) async fn lead<C, E>(
    config: &Config,
    lease: &Arc<Lease>,
    pause: Duration,
    ports: Ports<impl Stream<Item = Result<C, E>>>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<bool, Error>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<tonic::codegen::StdError>,
{
    let (connections, _, http, certificates) = ports.parts();
    let why = Arc::new(ArcSwap::from_pointee("this controller is starting: try again".to_owned()));
    let shown = why.clone();
    let me = name(config);
    let leads = async {
        sleep(pause).await;
        let saw = |leader: &Leader| {
            let (words, detail) = words(leader);
            let advice = match leader {
                Leader::Known(_) => "name the addresses of all controllers, separated by commas (--server)",
                _ => "try again, or see its log",
            };
            let told = if detail.is_empty() { words.to_owned() } else { format!("{words}: {detail}") };
            tracing::info!(grpc = %config.grpc, http = %config.http, "{told}");
            shown.store(Arc::new(format!("{words}: {advice}")));
        };
        lease.lead(&me, saw).await;
    };

    let health = grpc::standby().await.into_axum_router();
    let services = refusing(health, &why, identity::is_health, refused_for_now);
    let services = identity::shown(services, {
        let lease = lease.clone();
        move || lease.history().map(|history| history.as_str().into())
    });
    let probes = http::router(prometheus::standby_text, {
        let why = why.clone();
        Arc::new(move || {
            let why = why.load().to_string();
            Box::pin(async move { Err(why) })
        })
    });
    let probes = refusing(probes, &why, |path| PROBES.contains(&path), api::failed);
    let probes = match &certificates {
        None => probes,
        Some(certificates) => certificates.before(probes, api::failed),
    };
    let limits = http::limits(files::raise_limit(), config.http_connections_per_address);
    let (end_grpc, grpc_ends) = oneshot::channel::<()>();
    let (end_http, http_ends) = oneshot::channel::<()>();
    let grpc =
        bounds::server().add_routes(services.into()).serve_with_incoming_shutdown(connections, async {
            _ = grpc_ends.await;
        });
    let tls = certificates.map(|certificates| certificates.http.clone());
    let routes = Routes { open: probes.clone(), full: probes };
    let http = async {
        let ends = async { _ = http_ends.await };
        match http {
            Some(listener) => listen::serve(listener, tls, routes, limits, ends).await,
            None => ends.await,
        }
    };
    let both = async { tokio::join!(grpc, http).0 };
    tokio::pin!(both);
    let leads = tokio::select! {
        served = &mut both => return Err(served.err().map_or_else(
            || Error::Task { task: "standby", why: "it ended".to_owned() },
            Error::from,
        )),
        () = leads => true,
        () = shutdown => false,
    };
    _ = (end_grpc.send(()), end_http.send(()));
    // Whoever is connected connects again, and is served.
    _ = timeout(CLOSING, both).await;
    Ok(leads)
}

/// When to ask again. Clients add as much again at random. Another one leads within about 4 s of the last beat.
const AGAIN_MS: &str = "750";

/// A refusal that says when to ask again.
fn refused_for_now(mut status: Status) -> Response {
    status.metadata_mut().insert(PUSHBACK_HEADER, MetadataValue::from_static(AGAIN_MS));
    status.into_http()
}

const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Answers what `passes`, and refuses everything else.
fn refusing(
    router: Router,
    why: &Arc<ArcSwap<String>>,
    passes: fn(&str) -> bool,
    refused: Refused,
) -> Router {
    let refuse = move |State(why): State<Arc<ArcSwap<String>>>, request: Request, next: Next| async move {
        match passes(request.uri().path()) {
            true => next.run(request).await,
            false => refused(Status::unavailable(why.load().to_string())),
        }
    };
    router.layer(from_fn_with_state(why.clone(), refuse))
}

/// For everybody, and for the log alone: whoever calls a controller on standby shows no token.
fn words(leader: &Leader) -> (&'static str, String) {
    match leader {
        Leader::Known(name) => ("this controller is on standby, another one leads", name.clone()),
        Leader::Nobody => {
            ("this controller is on standby, and nobody leads yet", "the seat is empty".to_owned())
        }
        Leader::Unknown(why) => ("this controller is on standby, and can't lead now", why.clone()),
    }
}
