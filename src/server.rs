//! The composition root: the only file that names every layer of the controller.

mod access;
mod bounds;
mod core_dumps;
mod error;
mod files;
mod gate;
mod identity;
mod listeners;
mod offline;
mod oidc;
mod signal;
mod standby;
mod tasks;
mod tls;
mod turns;
mod web;

use std::{future::Future, sync::Arc, time::Duration};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
};
use tonic::{Status, transport::server::Connected};

use access::Access;
pub use access::{bearer, create_admin};
use bounds::Bounds;
pub use error::Error;
pub use files::raise_limit as raise_file_limit;
use gate::{DEPOSED, Gate, PUT_BACK, STOPS};
pub use listeners::Listeners;
use listeners::{Http, Ports};
pub use offline::{Inspected, Leader, inspect, restore, shown_store};
pub use signal::stop_signal;
use standby::Leading;
use tasks::Tasks;
use tls::Certificates;
pub use tls::{TlsError, certificate_ends_s};

use crate::{
    api,
    config::{Config, Serve},
    grpc::{self, Services},
    http,
    listen::{self, LimitCounts, RefusedConnection},
    service::{
        Decider, Entry, Guards, HistoryLimits, InstanceRecord, Instances, Notify, Operate, Passes, Plans,
        RefusedBy, Registry, Tokens, Vitals, Windows, compaction, windows,
    },
    store::{self, Store},
    telemetry::{LimitsView, now_ms, prometheus, statsd},
};

/// Interval between checks for commits made elsewhere.
const FOLLOW: Duration = Duration::from_secs(1);
/// How long streams and calls may take to end when the controller stops.
const GRACE: Duration = Duration::from_secs(3);

/// `cutover serve`: runs until SIGINT or SIGTERM.
pub async fn serve(serve: Serve) -> Result<(), Error> {
    // Before any secret is read.
    if !serve.core_dumps {
        core_dumps::forbid();
    }
    let config = Config::load(serve)?;
    let listeners = Listeners::bind(&config).await?;
    run(config, listeners, stop_signal()).await
}

/// Runs a controller until `shutdown` completes.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let bound = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
    // Where the ports really are, if any free one was asked for.
    let (grpc, http) = (bound(&listeners.grpc, config.grpc), bound(&listeners.http, config.http));
    let config = Config { grpc, http, ..config };
    let certificates = config.tls.clone().map(|files| Certificates::load(files, access::is_process));
    let certificates = certificates.transpose()?;
    config.oidc.as_ref().map_or(Ok(()), oidc::check)?;
    let _hold = store::hold_store(&config.store, &format!("gRPC {grpc}"))?;
    let store = store::open_store(&config.store).await?;
    let has_tokens = !store.tokens().await?.is_empty();
    // It can't serve without one: that is said before anything else.
    access::check_closed(&config, has_tokens)?;
    let mut exposure = access::check_exposure(&config, has_tokens)?;
    // A file that is put back by hand while this runs must not open it.
    let config = Config { require_tokens: config.require_tokens || has_tokens, ..config };
    let (grpc, http) = (grpc.to_string(), http.to_string());
    let (tls, place) = (config.tls.is_some(), store::shown_store(&config.store).into_owned());
    let limited = Arc::new(LimitCounts::default());
    files::warn_of_few(files::raise_limit());
    let open = |config: &Config| {
        let sockets = listeners.again(config)?;
        let tls = certificates.as_ref().map(|certificates| certificates.grpc.clone());
        let http = Http { listener: sockets.http, certificates: certificates.clone() };
        let port = listeners::port(config, files::raise_limit(), tls, limited.clone());
        let connections = listen::incoming(sockets.grpc, port);
        Ok(Ports { connections, http: Some(http), limited: limited.clone() })
    };
    let leads = || {
        tracing::info!(grpc, http, tls, store = place, "serving");
        std::mem::take(&mut exposure).iter().for_each(|warning| tracing::warn!("{warning}"));
    };
    turns::run(config, store, open, leads, shutdown).await
}

/// [`run`] on an open store that several controllers share, with connections from anywhere, and without HTTP and TLS.
/// `connections` is called each time that the controller begins to wait or to lead.
pub async fn run_in_turns<S, C, E>(
    config: Config,
    store: Arc<dyn Store>,
    connections: impl Fn() -> S + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    S: Stream<Item = Result<C, E>> + Send,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<tonic::codegen::StdError>,
{
    let open = |_: &Config| Ok(Ports { connections: connections(), http: None, limited: Arc::default() });
    turns::run(config, store, open, || {}, shutdown).await
}

/// [`run`] with an open store, as long as it leads there, with connections from anywhere, and without HTTP and TLS.
pub async fn run_on<C, E>(
    config: Config,
    store: Arc<dyn Store>,
    connections: impl Stream<Item = Result<C, E>>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<tonic::codegen::StdError>,
{
    let mut leading = Leading::keep(store.lease());
    let ports = Ports { connections, http: None, limited: Arc::default() };
    run_with(config, store, ports, shutdown, &mut leading).await
}

/// `leading` is renewed while the store is read, and until everything has ended.
async fn run_with<C, E>(
    config: Config,
    store: Arc<dyn Store>,
    ports: Ports<impl Stream<Item = Result<C, E>>>,
    shutdown: impl Future<Output = ()> + Send,
    leading: &mut Leading,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<tonic::codegen::StdError>,
{
    let (registry, kept) = Registry::load(store.clone()).await?;
    let registry = Arc::new(registry);
    let registered = kept.instances.iter().map(InstanceRecord::label).collect::<Vec<_>>();
    let ingest = Arc::new(windows::ingest(kept.heard, registered.iter().map(String::as_str)));
    let tokens = Tokens::load(store.clone(), registry.under_way().clone()).await?;
    let tokens = Arc::new(tokens.with_provider(config.oidc.clone()));
    access::check_closed(&config, !tokens.is_open())?;
    let (instances, registrations) = Instances::new(store.clone(), &registry, kept.instances);
    let is_unconfirmed = |entry: &Arc<Entry>| entry.migration.document.restored.is_some();
    if kept.restored.is_some() || registry.state().entries().any(is_unconfirmed) {
        instances.restored();
    }
    instances.know_tokens(tokens.clone());
    let instances = Arc::new(instances);
    let operate = Arc::new(Operate::new(store.clone(), registry.clone(), instances.clone()));
    if let Some(why) = &kept.restored {
        tracing::warn!("{why}: nobody moves until it is confirmed (cutover confirm)");
        operate.hold_restored(why, kept.put_back).await.map_err(Error::Restored)?;
    }
    let passes = Passes::new(store.clone(), registry.clone(), operate.clone(), kept.passes);
    let passes = Arc::new(passes);
    let windows = Arc::new(Windows::new(store.clone(), registry.clone(), ingest.clone()));
    let (guards, conclusions) =
        Guards::new(registry.clone(), operate.clone(), instances.clone(), ingest.clone());
    guards.recall(&windows).await?;
    let guards = Arc::new(guards);
    let plans = Plans::new(registry.clone(), instances.clone(), operate.clone(), guards.clone());
    let plans = Arc::new(plans);
    let endpoints = config.endpoints.clone();
    let notify = Arc::new(Notify::new(store.clone(), registry.clone(), endpoints, &kept.cursors).await?);
    let (stop, stopped) = watch::channel(false);

    let mut tasks = Tasks::default();
    tasks.spawn("registrations", {
        let instances = instances.clone();
        async move { instances.keep(registrations).await }
    });
    tasks.spawn("publication", {
        let registry = registry.clone();
        async move { registry.follow(FOLLOW).await }
    });
    tasks.spawn("steady clock", {
        let registry = registry.clone();
        async move { registry.keep_time().await }
    });
    let limits = HistoryLimits { days: config.keep_history_days, events: config.keep_history_events };
    tasks.spawn("history", compaction::run(store.clone(), registry.clone(), limits));
    tasks.spawn("leases", {
        let (instances, registry, guards) = (instances.clone(), registry.clone(), guards.clone());
        async move { instances.watch_leases(&registry, |who| guards.goodbye(&who.label())).await }
    });
    tasks.spawn("passes", {
        let passes = passes.clone();
        async move { passes.keep().await }
    });
    tasks.spawn("judges", {
        let guards = guards.clone();
        async move { guards.watch().await }
    });
    tasks.spawn("verdicts", guards.clone().act(conclusions));
    tasks.spawn("plans", plans.clone().go_on());
    tasks.spawn("telemetry", {
        let windows = windows.clone();
        async move { windows.keep().await }
    });
    tasks.spawn("notifications", notify.clone().tell());
    tasks.spawn("tokens", {
        let tokens = tokens.clone();
        async move { tokens.keep().await }
    });
    if let Some(keys) = oidc::KeyReader::new(&tokens)? {
        tasks.spawn("identity provider", keys.keep());
    }
    tasks.spawn("steps", {
        let operate = operate.clone();
        async move { operate.take_steps().await }
    });

    let bounds = Bounds::new(&config, ports.limited.clone());
    let (connections, limited, http, certificates) = ports.parts();
    tasks.spawn("limits", bounds.clone().keep());
    tasks.spawn("refused by limits", {
        let (mut refused, tokens) = (limited.last(), tokens.clone());
        async move {
            while refused.changed().await.is_ok() {
                if let Some(RefusedConnection { address, why }) = refused.borrow_and_update().clone() {
                    tokens.refusals().note_process(RefusedBy::Limit { address }, &why);
                }
            }
        }
    });
    if let Some(certificates) = &certificates {
        tasks.spawn("certificate", certificates.clone().keep());
        let (mut refused, tokens) = (certificates.grpc.last_refused(), tokens.clone());
        tasks.spawn("refused connections", async move {
            while refused.changed().await.is_ok() {
                if let Some(RefusedConnection { address, why }) = refused.borrow_and_update().clone() {
                    tokens.refusals().note_process(RefusedBy::Connection { address }, &why);
                }
            }
        });
    }
    let vitals = Arc::new(Vitals::new(registry.clone(), instances.clone(), passes.clone()));
    tasks.spawn("acknowledgements", {
        let vitals = vitals.clone();
        async move { vitals.watch().await }
    });
    let gauges = move || vitals.gauges();
    if let Some(address) = &config.statsd {
        tasks.spawn("statsd", statsd::run(address.clone(), ingest.clone(), gauges.clone()));
    }
    let metrics = {
        let (ingest, notify, tokens) = (ingest.clone(), notify.clone(), tokens.clone());
        let certificates = certificates.clone();
        move || {
            let refused = tokens.refusals().counts();
            let tls = certificates.as_ref().map(|certificates| certificates.view());
            let keys_read_s = tokens.provider().map(|provider| provider.keys_read_s());
            let limits = LimitsView { connections: limited.connections(), refused: limited.refused() };
            let view = ingest.view(now_ms());
            prometheus::text(view, gauges(), notify.deliveries(), refused, limits, tls, keys_read_s)
        }
    };
    let ready = web::ready(store.clone(), tasks.down());
    let decider = Decider { registry: registry.clone(), instances: instances.clone() };
    let routes = grpc::routes(Services {
        registry: registry.clone(),
        instances,
        operate: operate.clone(),
        passes: passes.clone(),
        guards,
        plans,
        ingest,
        notify,
        windows: windows.clone(),
        tokens: tokens.clone(),
        certificate_expires_s: certificates.as_ref().map(|certificates| certificates.expires_s()),
        stop: stopped,
    })
    .await?;
    let (gate, access) = (Gate::new(store.lease()), Access::new(tokens.clone()));
    let (http_stop, http_stops) = tokio::sync::oneshot::channel::<()>();
    let (http_served, http_ended) = tokio::sync::oneshot::channel::<()>();
    if let Some(listener) = http {
        let limits = http::limits(files::raise_limit(), config.http_connections_per_address);
        let decider = Arc::new(decider);
        let (api, decisions) = (api::router(routes.clone(), decider.clone())?, api::evaluate_one(decider));
        let checks = web::Checks {
            gate: &gate,
            access: &access,
            bounds: &bounds,
            certificates: certificates.as_ref(),
        };
        let app = web::routes(&config, api, decisions, http::router(metrics, ready), &checks, &limits);
        let tls = certificates.map(|certificates| certificates.http.clone());
        tasks.spawn("HTTP", async move {
            let stop = async { _ = http_stops.await };
            listen::serve(listener, tls, app, limits, stop).await;
            drop(http_served);
        });
    } else {
        drop(http_served);
    }
    let services = bounds.within(routes.into_axum_router(), Status::into_http);
    let services = access.before(services, Status::into_http);
    let services = bounds.before(services, Status::into_http);
    let services = identity::of_leader(services, registry.clone());
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let server = bounds::server()
        .add_routes(gate.before(services, Status::into_http).into())
        .serve_with_incoming_shutdown(connections, async {
            let _ = end.await;
        });
    tokio::pin!(server);
    let failed = tokio::select! {
        served = &mut server => return Ok(served?),
        anew = async {
            tokio::select! {
                why = operate.put_back() => Error::PutBack(why),
                why = leading.ended() => Error::Deposed(why),
            }
        } => {
            let told = if matches!(anew, Error::Deposed(_)) { DEPOSED } else { PUT_BACK };
            let grace = if store.lease().is_some() { store::ENDING } else { GRACE };
            // Nothing is done any more from what memory holds.
            let _ = (stop.send(true), ended.send(()), http_stop.send(()));
            gate.shut(told).await;
            // Work goes on without its caller, and waits for tasks. Tasks leave work, too.
            let over = async {
                registry.under_way().ended().await;
                tasks.stop().await;
                registry.under_way().ended().await;
            };
            if tokio::time::timeout(grace, over).await.is_err() {
                let why = format!("they did not end within {} s", grace.as_secs());
                return Err(Error::Task { task: "changes under way", why });
            }
            return Err(anew);
        }
        failed = tasks.ended() => {
            tracing::error!(error = %failed, "stopping");
            Some(failed)
        }
        () = shutdown => {
            tracing::info!("stopping");
            None
        }
    };
    let _ = (stop.send(true), ended.send(()), http_stop.send(()));
    let both = async {
        let served = server.await;
        let _ = http_ended.await;
        served
    };
    let served = tokio::time::timeout(GRACE, both).await;
    gate.shut(STOPS).await;
    // Work goes on without its caller.
    if tokio::time::timeout(GRACE, registry.under_way().ended()).await.is_err() {
        tracing::error!("changes under way did not end within {} s", GRACE.as_secs());
    }
    // No further calls arrive: what is only in memory is stored now.
    let flush = async {
        let kept = [
            ("recent telemetry", windows.save().await),
            ("the progress of passes", passes.keep_now().await),
            ("how long waits have lasted", registry.save_time().await),
            ("when tokens were last used", tokens.save_uses().await),
        ];
        for (what, kept) in kept {
            if let Err(error) = kept {
                tracing::error!(%error, "could not persist {what}");
            }
        }
    };
    if tokio::time::timeout(GRACE, flush).await.is_err() {
        tracing::error!("could not persist recent telemetry and progress within {} s", GRACE.as_secs());
    }
    tasks.stop().await;
    // Commits are durable; clients still connected to a stream will reconnect.
    failed.map_or_else(|| Ok(served.unwrap_or(Ok(()))?), Err)
}
