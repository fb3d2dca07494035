//! What one address or one token may hold of the gRPC port, and how often it may call (docs/guides/security.md, "Limits").

mod body;
mod shares;
#[cfg(test)]
mod tests;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use cutover_core::servers::PUSHBACK_HEADER;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};
use tonic::{Status, metadata::MetadataValue, transport::Server};

use super::{access, gate::Refused};
use crate::{
    config::Config,
    domain::Principal,
    listen::{Limit, LimitCounts, Peer},
};
use body::metered;
use shares::{Holder, Shares, UsedUp};

/// More than processes and event streams together (docs/ARCHITECTURE.md, "What is bounded").
const STREAMS_MAX: usize = 40_000;
/// How many of them one address or one token can have.
const STREAMS_EACH: usize = STREAMS_MAX / 10 * 9;
/// Streams of calls that need no token: of them and of one address.
const OPEN_STREAMS_MAX: usize = 1_024;
const OPEN_STREAMS_EACH: usize = OPEN_STREAMS_MAX / 4;
/// Maximum bytes of a request that takes no room from others: it needs no token, or has to get through.
const SMALL_REQUEST_BYTES: usize = 16 << 10;
/// Maximum bytes of requests that are being received. A request has 4 MiB at most.
const RECEIVED_MAX_BYTES: usize = 256 << 20;
/// How many of them one address or one token can have.
const RECEIVED_EACH_BYTES: usize = RECEIVED_MAX_BYTES / 4;
/// Maximum calls at the same time on one connection. Clients know it, and let further ones wait. One proxy may have the
/// watches and the reports of all processes on one connection.
const CALLS_PER_CONNECTION: u32 = STREAMS_MAX as u32;
/// Maximum bytes of the head of a call. A token or a login is a part of it.
const HEAD_MAX_BYTES: u32 = 16 << 10;
/// Maximum calls that a client has ended before they were looked at.
const RESETS_MAX: usize = 20;
/// How often a client is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_ANSWERED: Duration = Duration::from_secs(10);
/// How often addresses are forgotten that have called nothing lately.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// The log names a refusal at most so often.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// When to try again.
const AGAIN_MS: &str = "1000";

/// Limits of the gRPC port, whose users share them.
pub(super) struct Bounds {
    /// `None`: any number.
    calls: Option<Calls>,
    streams: Shares,
    open_streams: Shares,
    received: Shares,
    counts: Arc<LimitCounts>,
    /// When the log last named a refusal.
    warned: Mutex<Option<Instant>>,
}

/// How often one address may call.
struct Calls {
    of: DefaultKeyedRateLimiter<Peer>,
    per_s: NonZeroU32,
}

/// A server of gRPC, whose connections are bounded.
pub(super) fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_ANSWERED))
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .http2_max_header_list_size(HEAD_MAX_BYTES)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
}

/// The answer to a connection beyond the limits, and an app that gives it.
pub(super) fn full(connections: usize, per_address: usize) -> (String, Router) {
    let words = format!(
        "too many connections: the limit is {connections}, and {per_address} from one address \
         (serve --grpc-connections-per-address). Close some, or retry later"
    );
    let text = words.clone();
    let answer = move || std::future::ready(refusal(Status::unavailable(text.clone())).into_http::<Body>());
    (words, Router::new().fallback(answer))
}

fn refusal(mut status: Status) -> Status {
    status.metadata_mut().insert(PUSHBACK_HEADER, MetadataValue::from_static(AGAIN_MS));
    status
}

impl Bounds {
    pub(super) fn new(config: &Config, counts: Arc<LimitCounts>) -> Arc<Self> {
        let calls = |per_s| Calls { of: RateLimiter::keyed(Quota::per_second(per_s)), per_s };
        Arc::new(Self {
            calls: config.calls_per_address.map(calls),
            streams: Shares::new(STREAMS_MAX, STREAMS_EACH),
            open_streams: Shares::new(OPEN_STREAMS_MAX, OPEN_STREAMS_EACH),
            received: Shares::new(RECEIVED_MAX_BYTES, RECEIVED_EACH_BYTES),
            counts,
            warned: Mutex::default(),
        })
    }

    /// Forgets who has called nothing lately.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            sleep(FORGET_EVERY).await;
            if let Some(calls) = &self.calls {
                calls.of.retain_recent();
                calls.of.shrink_to_fit();
            }
        }
    }

    /// Refuses calls of an address that makes too many, before tokens are looked at. Never those that services and rollbacks need.
    pub(super) fn before(self: &Arc<Self>, router: Router, refused: Refused) -> Router {
        router.layer(from_fn_with_state((self.clone(), refused), count))
    }

    /// Refuses streams and requests for which there is no room. Behind tokens: it counts by them, too.
    pub(super) fn within(self: &Arc<Self>, router: Router, refused: Refused) -> Router {
        router.layer(from_fn_with_state((self.clone(), refused), hold))
    }

    /// Counts a refusal, and makes it.
    fn refuse(&self, limit: Limit, path: &str, peer: Option<Peer>, words: String) -> Status {
        let told = access::is_process(path).then_some(words.as_str());
        self.counts.refuse(limit, peer.map(|Peer(address)| address), told);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!(call = path, why = words, "a call was refused: a limit is reached");
        }
        drop(warned);
        refusal(Status::resource_exhausted(words))
    }
}

async fn count(
    State((bounds, refused)): State<(Arc<Bounds>, Refused)>,
    request: Request,
    next: Next,
) -> Response {
    if let (Some(calls), Some(peer)) = (&bounds.calls, peer(&request))
        && !access::is_urgent(request.uri().path())
        && calls.of.check_key(&peer).is_err()
    {
        let words = format!(
            "more than {} calls a second come from {} (serve --calls-per-address). Call less often",
            calls.per_s, peer.0
        );
        return refused(bounds.refuse(Limit::Calls, request.uri().path(), Some(peer), words));
    }
    next.run(request).await
}

async fn hold(
    State((bounds, refused)): State<(Arc<Bounds>, Refused)>,
    request: Request,
    next: Next,
) -> Response {
    let (peer, path) = (peer(&request), request.uri().path().to_owned());
    let token = request.extensions().get::<Principal>().and_then(Principal::credential);
    let token = token.map(|credential| Holder::Token(credential.token));
    let holders: Vec<Holder> =
        peer.map(|Peer(address)| Holder::Address(address)).into_iter().chain(token).collect();
    // Who has no token takes no place from services.
    let (streams, all, each) = match access::is_anybodys(&path) {
        true => (&bounds.open_streams, OPEN_STREAMS_MAX, OPEN_STREAMS_EACH),
        false => (&bounds.streams, STREAMS_MAX, STREAMS_EACH),
    };
    let mut stream = streams.empty(holders.clone());
    let is_stream = access::is_stream(&path);
    if is_stream && let Err(used_up) = stream.grow(1) {
        let words = words(&used_up, all, each, "streams are open", "Close some");
        return refused(bounds.refuse(Limit::Streams, &path, peer, words));
    }
    let request = match access::is_upload(&path) {
        // Messages are dropped as they are read, and there may be many.
        true => request,
        false => request.map(|body| received(bounds, path, peer, holders, body)),
    };
    let response = next.run(request).await;
    if !is_stream {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &stream;
            frame
        }))
    })
}

/// Limits the bytes of a request, and the time for it.
fn received(bounds: Arc<Bounds>, path: String, peer: Option<Peer>, holders: Vec<Holder>, body: Body) -> Body {
    let is_small = access::is_urgent(&path) && !access::is_process(&path);
    let share = if access::is_process(&path) {
        // A service that is not heard holds up steps, and may have to stop.
        Shares::new(usize::MAX, usize::MAX).empty(Vec::new())
    } else if is_small {
        Shares::new(SMALL_REQUEST_BYTES, SMALL_REQUEST_BYTES).empty(Vec::new())
    } else {
        bounds.received.empty(holders)
    };
    metered(body, share, move |used_up| {
        let [all, each] = [RECEIVED_MAX_BYTES, RECEIVED_EACH_BYTES].map(|bytes| bytes >> 20);
        let words = match is_small {
            true => format!("the request is longer than {} KiB", SMALL_REQUEST_BYTES >> 10),
            false => words(used_up, all, each, "MiB of requests are being received", "Send fewer at a time"),
        };
        bounds.refuse(Limit::Memory, &path, peer, words)
    })
}

fn peer(request: &Request) -> Option<Peer> {
    let of = request.extensions();
    of.get::<Peer>().or_else(|| of.get::<Option<Peer>>()?.as_ref()).copied()
}

fn words(used_up: &UsedUp, all: usize, each: usize, what: &str, instead: &str) -> String {
    let again = format!("{instead}, or retry later");
    match used_up {
        UsedUp::All => format!("{all} {what}, which is the limit. {again}"),
        UsedUp::Of(Holder::Address(address)) => {
            format!("{each} {what} from {address}, which is the limit of one address. {again}")
        }
        UsedUp::Of(Holder::Token(token)) => {
            format!("{each} {what} with the token {token:?}, which is the limit of one token. {again}")
        }
    }
}
