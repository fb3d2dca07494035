//! Counts reports that are rejected before anybody reads them.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
};

use crate::telemetry::{Ingest, RefusedReport};

/// Counts reports that are rejected before they are decoded: too large, or not a message.
#[derive(Clone, Debug)]
pub(in crate::grpc) struct Counting<S> {
    pub(in crate::grpc) inner: S,
    pub(in crate::grpc) ingest: Arc<Ingest>,
}

impl<S: NamedService> NamedService for Counting<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Counting<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_report = request.uri().path().ends_with("/Report");
        let (answer, ingest) = (self.inner.call(request), self.ingest.clone());
        Box::pin(async move {
            let answer = answer.await?;
            // An answer that is only a status has it in its head; our own rejections have other codes.
            let refused = Status::from_header_map(answer.headers()).is_some_and(|status| {
                matches!(status.code(), tonic::Code::OutOfRange | tonic::Code::Internal)
            });
            if is_report && refused {
                ingest.refuse(RefusedReport::Unreadable);
            }
            Ok(answer)
        })
    }
}
