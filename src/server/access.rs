//! Who may make which call: in front of every call of gRPC and HTTP (docs/guides/security.md).

mod body;
mod table;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tonic::{Code, Status};

use super::{Error, gate::Refused};
use crate::{
    config::Config,
    domain::{Need, Principal, Role},
    service::{Authenticated, NewToken, Tokens, UnderWay, operate::RequestMeta},
    store,
    telemetry::now_ms,
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
        router.layer(from_fn_with_state((self.clone(), refused), pass))
    }

    fn admit(&self, path: &str, need: Need, headers: &HeaderMap) -> Result<Authenticated, Status> {
        let denied = |error: crate::service::Denied| Status::unauthenticated(error.to_string());
        let admitted = self.0.admit(bearer(headers)?, now_ms()).map_err(denied)?;
        if admitted.principal.may(need) {
            return Ok(admitted);
        }
        Err(Status::permission_denied(admitted.principal.refusal(table::call(path), need)))
    }
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
    let admitted = match access.admit(path, need, request.headers()) {
        Ok(admitted) => admitted,
        Err(status) => {
            let is_unknown = status.code() == Code::Unauthenticated;
            let mut response = refused(status);
            if is_unknown {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            return response;
        }
    };
    let is_stream = table::is_stream(path);
    request.extensions_mut().insert(admitted.principal.clone());
    let response = next.run(request).await;
    if !is_stream {
        return response;
    }
    // It ends with the right to it.
    bounded(response, async move { access.0.until_refused(admitted, now_ms).await })
}

/// The token of a call.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Status> {
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

/// Refuses addresses that others than this machine's users reach, unless the operator wants them. Returns warnings.
pub(super) fn check_exposure(config: &Config, has_tokens: bool) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for (flag, address) in [("grpc", config.grpc), ("http", config.http)] {
        if address.ip().to_canonical().is_loopback() {
            continue;
        }
        let (lacks, advice) = match has_tokens {
            false => (
                "there is no token: whoever reaches it could move tenants",
                format!("Make one first: cutover token create NAME --role admin --store {}", config.store),
            ),
            true => (
                "calls are not encrypted: whoever is on the way could read their tokens",
                "Put a proxy with TLS in front".to_owned(),
            ),
        };
        if !config.insecure {
            return Err(Error::Exposed { flag, address, lacks, advice });
        }
        warnings.push(format!("--{flag} {address} is not a loopback address, and {lacks}"));
    }
    Ok(warnings)
}

/// `cutover token create NAME --role admin --store URL`: makes an admin's token while no controller runs on the store.
/// Whoever can write the store's file needs no token for it.
pub async fn create_admin(
    url: &str,
    name: &str,
    actor: &str,
    reason: &str,
) -> Result<secrecy::SecretString, Error> {
    let _hold = store::hold_store(url, "cutover token create")?;
    let tokens = Arc::new(Tokens::load(store::open_store(url).await?, UnderWay::default()).await?);
    let new = NewToken {
        name: name.to_owned(),
        roles: vec![Role::Admin],
        migrations: Vec::new(),
        expires_ms: None,
    };
    let by = RequestMeta { actor: actor.to_owned(), reason: reason.to_owned(), ..RequestMeta::default() };
    Ok(tokens.create(new, true, &by, now_ms()).await?.0)
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
