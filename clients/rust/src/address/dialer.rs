//! Opens the connections of a channel: to one candidate, or to whichever leads when the connection is opened.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tonic::codegen::{Service, http::Uri};

use super::{Address, place::Candidate};
use crate::host::{self, BoxError, Bytes, Connector};

/// Opens connections.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    address: Address,
    /// `None`: whoever leads.
    only: Option<Candidate>,
}

impl Dialer {
    /// To whoever leads.
    pub(super) fn of(address: &Address) -> Self {
        Self { address: address.clone(), only: None }
    }

    /// To this one alone.
    pub(super) fn to(address: &Address, candidate: Candidate) -> Self {
        Self { address: address.clone(), only: Some(candidate) }
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Box<dyn Bytes>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, only } = self.clone();
        Box::pin(async move {
            let candidate = match only {
                Some(candidate) => candidate,
                None => address.leading(None).await?.candidate,
            };
            let place = &address.places[candidate.place];
            let tls = place.is_tls.then(|| (place.host.clone(), address.access.tls().clone()));
            let connector = Connector::new(address.connect_timeout, tls, candidate.ip);
            host::dial(place.endpoint.uri().clone(), connector).await
        })
    }
}
