//! Who may make which call: in front of every call of gRPC and HTTP (docs/guides/security.md).

mod body;
mod table;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use hyper::body::Body as _;
use tonic::{Code, Status};

use super::{
    error::{Error, taken},
    gate::Refused,
};
use crate::{
    config::Config,
    domain::{Need, Principal, Role},
    oidc::Rejected,
    service::{Denied, NewToken, TokenError, Tokens, UnderWay, operate::RequestMeta},
    store::{self, OpenError},
    telemetry::now_ms,
    traces::traced,
};
use body::bounded;

/// Admits calls by their tokens.
#[derive(Clone, Debug)]
pub(super) struct Access(Arc<Tokens>);

impl Access {
    pub(super) const fn new(tokens: Arc<Tokens>) -> Self {
        Self(tokens)
    }

    /// Lets calls of `router` pass that their tokens allow. `refused` makes the answer to the others.
    pub(super) fn before(&self, router: Router, refused: Refused) -> Router {
        // Inside: who is refused makes no spans.
        traced(router, table::span_name).layer(from_fn_with_state((self.clone(), refused), pass))
    }

    /// Who makes a call. Counts it if it is refused.
    fn admit(&self, path: &str, need: Need, headers: &HeaderMap) -> Result<Principal, Status> {
        // Nobody needs a token, so a header that a proxy added means nothing.
        if self.0.is_open() {
            return Ok(Principal::anybody());
        }
        let routes = |why: &str| is_process(path).then(|| why.to_owned());
        let admitted = match bearer(headers) {
            Ok(token) => self.0.admit(token, now_ms()),
            Err(status) => {
                self.0.refusals().note(Some(&Denied::Unknown), routes(status.message()).as_deref());
                return Err(status);
            }
        };
        let caller = admitted.map_err(|denied| {
            let told = denied.to_string();
            self.0.refusals().note(Some(&denied), routes(&told).as_deref());
            match denied {
                // It may be in order: the provider's keys come soon.
                Denied::Oidc(Rejected::NoKeys { .. }) => Status::unavailable(told),
                _ => Status::unauthenticated(told),
            }
        })?;
        if caller.may(need) {
            return Ok(caller);
        }
        let told = caller.refusal(&format!("call {}", table::call(path)), need);
        self.0.refusals().note(None, routes(&told).as_deref());
        Err(Status::permission_denied(told))
    }

    /// Ends a body once its caller's token does.
    fn bounded(&self, body: Body, caller: &Principal, is_grpc: bool) -> Body {
        let (tokens, of) = (self.0.clone(), caller.clone());
        let is_over = Box::new(move || !tokens.accepts(&of, now_ms()));
        let (tokens, of) = (self.0.clone(), caller.clone());
        bounded(body, is_over, async move { tokens.until_refused(of, now_ms).await }, is_grpc)
    }
}

pub(super) use table::is_stream;

/// Whether a request of this call goes on for as long as its caller likes.
pub(super) fn is_upload(path: &str) -> bool {
    path.ends_with("/ImportPins") || path.ends_with("/ServerReflectionInfo")
}

/// Whether this call may be made by anybody, without a token.
pub(super) fn is_anybodys(path: &str) -> bool {
    table::need(path) == Need::Nothing
}

/// Whether no limit of calls may refuse it: services would stop, or a rollback would not begin.
pub(super) fn is_urgent(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    is_anybodys(path) || matches!(method, "Watch" | "Report" | "Goodbye" | "Rollback" | "Pause")
}

/// Whether only processes make this call that may route: not through the JSON API.
pub(super) fn is_process(path: &str) -> bool {
    table::need(path) == Need::Route
        && !path.starts_with("/api/")
        && matches!(table::call(path).as_str(), "Watch" | "Report")
}

async fn pass(
    State((access, refused)): State<(Access, Refused)>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let need = table::need(path);
    if need == Need::Nothing {
        request.extensions_mut().insert(Principal::anybody());
        return next.run(request).await;
    }
    let caller = match access.admit(path, need, request.headers()) {
        Ok(caller) => caller,
        Err(status) => {
            let is_unknown = status.code() == Code::Unauthenticated;
            let mut response = refused(status);
            if is_unknown {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            return response;
        }
    };
    // A change says what it did, also to somebody whose own token it has ended.
    let is_bounded = table::is_stream(path) || matches!(need, Need::Read | Need::Route);
    request.extensions_mut().insert(caller.clone());
    if caller.hash().is_none() {
        return next.run(request).await;
    }
    // The head is here; the message may come hours later, when the token has ended.
    let request = request.map(|body| match body.is_end_stream() {
        true => body,
        false => access.bounded(body, &caller, false),
    });
    let response = next.run(request).await;
    if !is_bounded || response.body().is_end_stream() {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    response.map(|body| access.bounded(body, &caller, is_grpc))
}

/// The token of a call. `None`: it has none.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Status> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let token = text.and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| Some(token.trim())).ok_or_else(|| {
        Status::unauthenticated(
            "the header authorization is malformed: send it once, as: authorization: Bearer TOKEN",
        )
    })
}

/// The command that makes the first token.
fn first_token(config: &Config) -> String {
    format!("cutover token create NAME --role admin --store {}", store::shown_store(&config.store))
}

/// Refuses a store without tokens where the operator expects some: it may be an old backup, or another file. An identity
/// provider alone is not enough: nobody could get in while it is away.
pub(super) fn check_closed(config: &Config, has_tokens: bool) -> Result<(), Error> {
    let wants = match &config.oidc {
        _ if has_tokens => return Ok(()),
        Some(_) => "[oidc] needs an admin's token beside it, for services and for when the provider is away",
        None if config.require_tokens => "--require-tokens forbids that",
        None => return Ok(()),
    };
    Err(Error::NoTokens {
        store: store::shown_store(&config.store).into_owned(),
        wants,
        command: first_token(config),
    })
}

/// Refuses addresses that others than this machine's users reach, unless TLS protects what is sent, and tokens or client
/// certificates say who may call; or unless the operator wants them all the same. Returns warnings.
pub(super) fn check_exposure(config: &Config, has_tokens: bool) -> Result<Vec<String>, Error> {
    let knows_clients = has_tokens || config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let (lacks, advice) = match (knows_clients, &config.tls) {
        (true, Some(_)) => return Ok(Vec::new()),
        (false, None) => (
            "there is no token: whoever reaches it could move tenants",
            format!("Make one first: {}", first_token(config)),
        ),
        (false, Some(_)) => (
            "there is no token, and clients need no certificate: whoever reaches it could move tenants",
            format!("Make a token first: {}. Or require certificates: --tls-client-ca FILE", first_token(config)),
        ),
        (true, None) => (
            "calls are not encrypted: whoever is on the way could read their tokens",
            "Give it a certificate: --tls-cert FILE --tls-key FILE. Or put a proxy with TLS in front, and add --insecure"
                .to_owned(),
        ),
    };
    let addresses = [("grpc", config.grpc), ("http", config.http)];
    let exposed = addresses.into_iter().filter(|(_, address)| !address.ip().to_canonical().is_loopback());
    match exposed.clone().next() {
        Some((flag, address)) if !config.insecure => Err(Error::Exposed { flag, address, lacks, advice }),
        _ => Ok(exposed
            .map(|(flag, address)| format!("--{flag} {address} is not a loopback address, and {lacks}"))
            .collect()),
    }
}

/// `cutover token create NAME --role admin --store URL`: makes an admin's token while no controller runs on the store.
/// Whoever can write the store's file needs no token for it.
pub async fn create_admin(
    url: &str,
    name: &str,
    actor: &str,
    reason: &str,
) -> Result<secrecy::SecretString, Error> {
    const ME: &str = "cutover token create";
    let by = RequestMeta { actor: actor.to_owned(), reason: reason.to_owned(), ..RequestMeta::default() };
    // Nobody proves a name here, so it must not look like one that was proven in the history of tokens.
    by.check_texts().and_then(|()| by.check_unproven()).map_err(TokenError::Invalid)?;
    let _hold = store::hold_store(url, ME).map_err(|error| match error {
        OpenError::InUse { store, who } => Error::Led { store, who },
        other => other.into(),
    })?;
    let store = store::open_store(url).await?;
    let lease = store.lease();
    if let Some(lease) = &lease {
        lease.lead_or_refuse(ME).await.map_err(|leader| taken(&leader, &store::shown_store(url)))?;
    }
    let tokens = Arc::new(Tokens::load(store, UnderWay::default()).await?);
    let new = NewToken {
        name: name.to_owned(),
        roles: vec![Role::Admin],
        migrations: Vec::new(),
        expires_ms: None,
    };
    let created = tokens.create(new, None, &by, now_ms()).await;
    if let Some(lease) = &lease {
        lease.vacate().await;
    }
    Ok(created?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_one_well_formed_header() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(|token| token.map(str::to_owned)).map_err(|status| status.code())
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["Bearer abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(of(&["bearer  abc "]), Ok(Some("abc".to_owned())));
        for wrong in [&["abc"][..], &["Basic abc"], &["Bearer a", "Bearer b"], &[""]] {
            assert_eq!(of(wrong), Err(Code::Unauthenticated), "{wrong:?}");
        }
    }
}
