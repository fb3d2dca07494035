//! Answers that a client may already hold: `ETag` and `If-None-Match`.

use axum::{
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};

/// The answer with its tag; 304 without a body if the request says that the client holds it.
pub(crate) fn tagged(request: &HeaderMap, tag: String, answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    if is_held(request, &tag) {
        let (mut head, _) = answer.into_parts();
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(CONTENT_TYPE);
        head.headers.remove(CONTENT_LENGTH);
        answer = Response::from_parts(head, axum::body::Body::empty());
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}

/// The comparison is weak, as the header's always is.
fn is_held(request: &HeaderMap, tag: &str) -> bool {
    let tag = tag.trim_start_matches("W/");
    let held = request.get_all(IF_NONE_MATCH).into_iter().filter_map(|held| held.to_str().ok());
    held.flat_map(|held| held.split(',')).any(|held| {
        let held = held.trim();
        held == "*" || held.trim_start_matches("W/") == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_holds_what_it_names_weakly_or_among_others() {
        for (held, status) in [
            ("\"a\"", 304),
            ("W/\"a\"", 304),
            ("\"b\", W/\"a\"", 304),
            ("*", 304),
            ("\"b\"", 200),
            ("a", 200),
        ] {
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(held))]);
            for tag in ["\"a\"", "W/\"a\""] {
                let answer = tagged(&request, tag.to_owned(), "text");
                assert_eq!(
                    (answer.status().as_u16(), answer.headers()[ETAG].to_str().expect("text")),
                    (status, tag),
                    "{held}"
                );
                assert_eq!(answer.headers().contains_key(CONTENT_TYPE), status == 200, "{held}");
            }
        }
        assert_eq!(tagged(&HeaderMap::new(), "\"a\"".to_owned(), "text").status(), 200);
    }
}
