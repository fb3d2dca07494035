//! The body of a request, which counts while it is received, and has an end.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::shares::{Share, UsedUp};

/// Longest time for the body of a request, as a whole.
const RECEIVING: Duration = Duration::from_secs(30);

pub(super) struct Metered<F> {
    body: Body,
    share: Share,
    /// What to say when there is no room.
    refused: F,
    until: Option<Pin<Box<Sleep>>>,
}

/// Counts the bytes of `body` in `share` until it is dropped. It may take 30 s.
pub(super) fn metered<F>(body: Body, share: Share, refused: F) -> Body
where
    F: Fn(&UsedUp) -> Status + Send + Unpin + 'static,
{
    Body::new(Metered { body, share, refused, until: None })
}

impl<F: Fn(&UsedUp) -> Status + Unpin> hyper::body::Body for Metered<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let grown = this.share.grow(bytes).map_err(|why| axum::Error::new((this.refused)(&why)));
                Poll::Ready(Some(grown.map(|()| frame)))
            }
            Poll::Pending => {
                // Most are there at once, and need no timer.
                let until = this.until.get_or_insert_with(|| Box::pin(sleep(RECEIVING)));
                until.as_mut().poll(context).map(|()| {
                    let words = format!("the request did not arrive within {} s", RECEIVING.as_secs());
                    Some(Err(axum::Error::new(Status::deadline_exceeded(words))))
                })
            }
            ended => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
