//! A body that ends when its caller's token does: of a request, so that nobody is let in by a message that comes after
//! that; of an answer, so that nobody reads on.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use hyper::{
    HeaderMap,
    body::{Frame, SizeHint},
};
use tonic::Status;

struct Bounded {
    body: Body,
    /// Looked at whenever something arrives: timers may be late, after the machine slept.
    is_over: Box<dyn Fn() -> bool + Send>,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Trailers say why it ended.
    is_grpc: bool,
    ended: bool,
}

/// Ends `body` once `is_over`, at the latest when `over` completes. `is_grpc`: it is an answer of gRPC, which ends with
/// trailers.
pub(super) fn bounded(
    body: Body,
    is_over: Box<dyn Fn() -> bool + Send>,
    over: impl Future<Output = ()> + Send + 'static,
    is_grpc: bool,
) -> Body {
    Body::new(Bounded { body, is_over, over: Box::pin(over), is_grpc, ended: false })
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
        let polled = Pin::new(&mut this.body).poll_frame(context);
        // Also what has arrived just now, and the end, by which a handler begins.
        if (this.is_over)() || this.over.as_mut().poll(context).is_ready() {
            this.ended = true;
            let status = Status::unauthenticated("the token was revoked or rotated, or has expired");
            let mut trailers = HeaderMap::new();
            if this.is_grpc && status.add_header(&mut trailers).is_ok() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            return Poll::Ready(Some(Err(axum::Error::new(status))));
        }
        polled
    }

    /// Not by the inner body alone: whoever reads this one has to ask once more.
    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use futures::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    fn endless() -> Body {
        Body::from_stream(stream::repeat("x").map(Ok::<_, std::io::Error>))
    }

    #[tokio::test]
    async fn an_answer_ends_even_if_it_always_has_more() {
        let (end, ends) = tokio::sync::oneshot::channel::<()>();
        let mut body = bounded(endless(), Box::new(|| false), async { _ = ends.await }, false);
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        end.send(()).expect("it waits");
        assert!(body.frame().await.is_some_and(|frame| frame.is_err()), "HTTP is cut off");
        assert!(body.frame().await.is_none());
        let mut body = bounded(endless(), Box::new(|| false), std::future::ready(()), true);
        let trailers = body.frame().await.expect("a frame").expect("no error").into_trailers();
        assert_eq!(trailers.expect("gRPC gets trailers")["grpc-status"], "16");
    }

    #[tokio::test]
    async fn a_request_ends_in_an_error_if_its_end_comes_after_that_of_the_token() {
        for parts in [0, 1] {
            let is_over = Arc::new(AtomicBool::new(false));
            let (looked_at, ends) = (is_over.clone(), is_over.clone());
            // The message is there in time, and the end of the stream is not.
            let parts = stream::iter(vec!["message"; parts]).map(Ok::<_, std::io::Error>);
            let late = stream::once(async move {
                ends.store(true, Ordering::Relaxed);
                Err(std::io::Error::other("never seen"))
            });
            let end = stream::empty();
            let late = late.filter(|_| async { false }).chain(end);
            let inner = Body::from_stream(parts.chain(late));
            let is_over = Box::new(move || looked_at.load(Ordering::Relaxed));
            let body = bounded(inner, is_over, std::future::pending(), false);
            let error = body.collect().await.expect_err("it is not whole");
            assert!(error.to_string().contains("the token was revoked"), "{error}");
        }
    }
}
