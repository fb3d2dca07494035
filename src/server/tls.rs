//! The controller's certificate: read at the start, and again when its files change. A new file that can't be used leaves
//! the old certificate in use.

mod error;
mod files;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tonic::Status;

pub use error::TlsError;
pub use files::certificate_ends_s;
use files::{Configs, Contents, Pair};

use super::gate::Refused;
use crate::{
    config::TlsFiles,
    listen::{Certified, Tls},
    telemetry::{TlsView, now_ms},
};

/// Interval between looks at the files.
const LOOK: Duration = Duration::from_secs(1);
/// A look that takes longer hangs, as on a network's file system.
const HANGS: Duration = Duration::from_secs(10);
/// Paths of HTTP that need no client certificate: probes have none.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The certificate of a controller, and the listeners that use it.
pub(super) struct Certificates {
    files: TlsFiles,
    pub(super) grpc: Tls,
    pub(super) http: Tls,
    expires_s: watch::Sender<Option<u64>>,
    state: Mutex<Files>,
    is_stale: AtomicBool,
}

struct Files {
    used: Arc<Contents>,
    /// What was wrong at the last look, and whether a warning says so.
    wrong: Option<(String, bool)>,
}

impl Certificates {
    /// Reads the files. `is_process` knows the paths of calls that only processes make that may route.
    pub(super) fn load(files: TlsFiles, is_process: fn(&str) -> bool) -> Result<Arc<Self>, TlsError> {
        let contents = Contents::read(&files)?;
        let configs = contents.configs(&files)?;
        if let Err(error) = contents.pair.check_time(&files, now_ms()) {
            tracing::warn!("{error}");
        }
        files::warn_of_readers(&files);
        let expires_s = contents.pair.expires_s();
        let state = Files { used: Arc::new(contents), wrong: None };
        Ok(Arc::new(Self {
            grpc: Tls::new(configs.grpc, plain(), is_process),
            http: Tls::new(configs.http, plain(), is_process),
            files,
            expires_s: watch::Sender::new(expires_s),
            state: Mutex::new(state),
            is_stale: AtomicBool::new(false),
        }))
    }

    /// Follows the files, for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            sleep(LOOK).await;
            let this = self.clone();
            let mut look = spawn_blocking(move || this.look());
            let looked = match timeout(HANGS, &mut look).await {
                Ok(looked) => looked,
                Err(_) => {
                    let why = format!("reading its files takes longer than {} s", HANGS.as_secs());
                    self.warn_once(why, true);
                    look.await
                }
            };
            if let Err(error) = looked {
                self.warn_once(format!("reading its files failed: {error}"), true);
            }
        }
    }

    /// Reads the files, and uses them if they are new and in order.
    fn look(&self) {
        let used = self.state().used.clone();
        let (found, wrong) = self.renewed(&used);
        if let Some((contents, configs)) = found {
            self.grpc.replace(configs.grpc);
            self.http.replace(configs.http);
            if contents.pair.is(&used.pair) {
                tracing::info!("new connections need a client certificate of the new CAs");
            } else {
                files::warn_of_readers(&self.files);
                let cert = self.files.cert.display();
                tracing::info!(%cert, "new connections use the new certificate");
            }
            self.expires_s.send_replace(contents.pair.expires_s());
            self.state().used = Arc::new(contents);
        }
        match wrong {
            None => {
                self.state().wrong = None;
                self.is_stale.store(false, Ordering::Relaxed);
            }
            // Files are replaced one after the other: at the first look the others may not be there yet.
            Some(error) => self.warn_once(error.to_string(), false),
        }
    }

    /// What is to be used from now on if the files have changed, and what is wrong with them. CAs are used without a new
    /// certificate that can't be: one that was removed must let nobody in.
    fn renewed(&self, used: &Contents) -> (Option<(Contents, Configs)>, Option<TlsError>) {
        let (pair, wrong) = match self.new_pair(used) {
            Ok(pair) => (pair, None),
            Err(error) => (used.pair.clone(), Some(error)),
        };
        let found = match Contents::read_client_ca(&self.files) {
            Ok(client_ca) => Contents { pair, client_ca },
            Err(error) => return (None, Some(error)),
        };
        if found.is(used) {
            return (None, wrong);
        }
        match found.configs(&self.files) {
            Ok(configs) => (Some((found, configs)), wrong),
            Err(error) => (None, Some(error)),
        }
    }

    /// The certificate and its key in the files, if they can be used.
    fn new_pair(&self, used: &Contents) -> Result<Arc<Pair>, TlsError> {
        let pair = Arc::new(Pair::read(&self.files)?);
        if pair.is(&used.pair) {
            return Ok(pair);
        }
        pair.check_time(&self.files, now_ms())?;
        Contents { pair: pair.clone(), client_ca: used.client_ca.clone() }.configs(&self.files)?;
        Ok(pair)
    }

    /// Warns of what is wrong, once for each cause: at once, or when it is seen for the second time.
    fn warn_once(&self, why: String, at_once: bool) {
        let mut state = self.state();
        let known = state.wrong.take().filter(|(known, _)| *known == why);
        let is_due = known.is_some() || at_once;
        let is_warned = known.is_some_and(|(_, is_warned)| is_warned);
        if is_due {
            self.is_stale.store(true, Ordering::Relaxed);
        }
        if is_due && !is_warned {
            tracing::warn!("the old certificate or the old client CAs stay in use: {why}");
        }
        state.wrong = Some((why, is_due));
    }

    fn state(&self) -> MutexGuard<'_, Files> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the certificate in use ends, in seconds since 1970. `None`: unknown.
    pub(super) fn expires_s(&self) -> watch::Receiver<Option<u64>> {
        self.expires_s.subscribe()
    }

    /// For metrics.
    pub(super) fn view(&self) -> TlsView {
        let refused = [("grpc", &self.grpc), ("http", &self.http)];
        let refused = refused.into_iter().flat_map(|(port, tls)| {
            tls.refused().into_iter().map(move |(reason, count)| (port, reason, count))
        });
        TlsView {
            is_stale: self.is_stale.load(Ordering::Relaxed),
            expires_s: *self.expires_s.borrow(),
            refused: refused.collect(),
        }
    }

    /// Lets requests of `router` pass whose connections have a client certificate, if one is required. On HTTP the handshake
    /// leaves it open, so that probes get through. `refused` makes the answer to the others.
    pub(super) fn before(self: &Arc<Self>, router: Router, refused: Refused) -> Router {
        if self.files.client_ca.is_none() {
            return router;
        }
        router.layer(from_fn_with_state((self.clone(), refused), pass))
    }
}

async fn pass(
    State((certificates, refused)): State<(Arc<Certificates>, Refused)>,
    request: Request,
    next: Next,
) -> Response {
    if request.extensions().get::<Certified>().is_some() || PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let why =
        "this controller requires a client certificate: connect with one that its --tls-client-ca has signed";
    certificates.http.refuse_uncertified(why);
    refused(Status::unauthenticated(why))
}

/// Answers requests that come without TLS, whichever protocol they use.
fn plain() -> Router {
    const WHY: &str = "this port takes connections with TLS only: use https:// instead of http://";
    Router::new().fallback(async |request: Request| {
        let kind = request.headers().get(header::CONTENT_TYPE);
        match kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
            true => Status::unauthenticated(WHY).into_http(),
            false => (StatusCode::BAD_REQUEST, format!("{WHY}\n")).into_response(),
        }
    })
}
