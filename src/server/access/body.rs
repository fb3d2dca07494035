//! An answer that ends when its caller's right to it does.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tonic::Status;

/// The body of an answer.
struct Bounded {
    body: Body,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Trailers say why it ended.
    is_grpc: bool,
    ended: bool,
}

/// Ends the answer's body once `over` completes.
pub(super) fn bounded(response: Response, over: impl Future<Output = ()> + Send + 'static) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    response.map(|body| Body::new(Bounded { body, over: Box::pin(over), is_grpc, ended: false }))
}

impl hyper::body::Body for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if this.over.as_mut().poll(context).is_ready() {
            this.ended = true;
            let status = Status::unauthenticated("the token was revoked or rotated, or has expired");
            let mut trailers = HeaderMap::new();
            if this.is_grpc && status.add_header(&mut trailers).is_ok() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            return Poll::Ready(Some(Err(axum::Error::new(status))));
        }
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    fn endless(kind: &'static str) -> Response {
        let parts = stream::repeat("x").map(Ok::<_, std::io::Error>);
        ([(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response()
    }

    #[tokio::test]
    async fn a_stream_ends_even_if_it_always_has_more() {
        let (end, ends) = tokio::sync::oneshot::channel::<()>();
        let mut body = bounded(endless("text/event-stream"), async { _ = ends.await }).into_body();
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        end.send(()).expect("it waits");
        assert!(body.frame().await.is_some_and(|frame| frame.is_err()), "HTTP is cut off");
        assert!(body.frame().await.is_none());
        let mut body = bounded(endless("application/grpc"), std::future::ready(())).into_body();
        let trailers = body.frame().await.expect("a frame").expect("no error").into_trailers();
        assert_eq!(trailers.expect("gRPC gets trailers")["grpc-status"], "16");
    }
}
