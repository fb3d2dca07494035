//! The controller's certificate: read at the start, and again when its files change. A new file that can't be used leaves
//! the old certificate in use.

mod error;
mod files;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
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
use tokio::{task::spawn_blocking, time::sleep};
use tonic::Status;

pub use error::TlsError;
use files::Contents;

use super::gate::Refused;
use crate::{
    config::TlsFiles,
    listen::{Certified, Tls},
    telemetry::{TlsView, now_ms},
};

/// Interval between looks at the files.
const LOOK: Duration = Duration::from_secs(1);
/// Paths of HTTP that need no client certificate: probes have none.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The certificate of a controller, and the listeners that use it.
#[derive(Debug)]
pub(super) struct Certificates {
    files: TlsFiles,
    pub(super) grpc: Tls,
    pub(super) http: Tls,
    state: Mutex<Files>,
    is_stale: AtomicBool,
}

#[derive(Debug)]
struct Files {
    /// The contents in use, as a hash.
    digest: [u8; 32],
    expires_s: Option<u64>,
    /// What was wrong at the last look, and whether a warning says so.
    wrong: Option<(String, bool)>,
}

impl Certificates {
    /// Reads the files.
    pub(super) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let contents = Contents::read(&files)?;
        let configs = contents.configs(&files)?;
        if let Some(expired) = contents.expired(&files, now_ms()) {
            tracing::warn!("{expired}");
        }
        files::warn_of_readers(&files);
        let state = Files { digest: contents.digest(), expires_s: contents.expires_s(), wrong: None };
        Ok(Arc::new(Self {
            grpc: Tls::new(configs.grpc, plain()),
            http: Tls::new(configs.http, plain()),
            files,
            state: Mutex::new(state),
            is_stale: AtomicBool::new(false),
        }))
    }

    /// Follows the files, for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            sleep(LOOK).await;
            let this = self.clone();
            // A file system may hang. A look that panics changes nothing.
            let _ = spawn_blocking(move || this.look()).await;
        }
    }

    /// Reads the files, and uses them if they are new and in order.
    fn look(&self) {
        let found = Contents::read(&self.files);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.and_then(|found| {
            if found.digest() == state.digest {
                return Ok(None);
            }
            found.expired(&self.files, now_ms()).map_or(Ok(()), Err)?;
            let configs = found.configs(&self.files)?;
            Ok(Some((found, configs)))
        });
        match found {
            Ok(new) => {
                if let Some((contents, configs)) = new {
                    self.grpc.replace(configs.grpc);
                    self.http.replace(configs.http);
                    (state.digest, state.expires_s) = (contents.digest(), contents.expires_s());
                    files::warn_of_readers(&self.files);
                    let cert = self.files.cert.display();
                    tracing::info!(%cert, "new connections use the new certificate");
                }
                state.wrong = None;
                self.is_stale.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                let why = error.to_string();
                // Files are replaced one after the other: at the first look the others may not be there yet.
                let is_warned = match &state.wrong {
                    Some((known, is_warned)) if *known == why => {
                        if !is_warned {
                            tracing::warn!("the old certificate stays in use: {why}");
                        }
                        self.is_stale.store(true, Ordering::Relaxed);
                        true
                    }
                    _ => false,
                };
                state.wrong = Some((why, is_warned));
            }
        }
    }

    /// For metrics.
    pub(super) fn view(&self) -> TlsView {
        let refused = [("grpc", &self.grpc), ("http", &self.http)];
        let refused = refused.into_iter().flat_map(|(port, tls)| {
            tls.refused().into_iter().map(move |(reason, count)| (port, reason, count))
        });
        TlsView {
            is_stale: self.is_stale.load(Ordering::Relaxed),
            expires_s: self.state.lock().unwrap_or_else(PoisonError::into_inner).expires_s,
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
