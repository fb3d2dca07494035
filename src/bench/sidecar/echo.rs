//! The baseline: tonic over a unix socket without anything behind it.

use std::path::PathBuf;

use cutover_proto::v1::{
    self,
    sidecar_service_server::{SidecarService, SidecarServiceServer},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::{BARE, RECORD_BYTES};
use crate::bench::child::Asks;

/// Serves until the bench is over.
pub(in crate::bench) async fn bare(dir: PathBuf) -> anyhow::Result<()> {
    let listener = UnixListener::bind(dir.join(BARE))?;
    let asks = Asks::ready("");
    let service = SidecarServiceServer::new(Echo);
    let serving =
        Server::builder().add_service(service).serve_with_incoming(UnixListenerStream::new(listener));
    tokio::select! {
        served = serving => Ok(served?),
        () = asks.only_usage() => Ok(()),
    }
}

struct Echo;

type Answer<T> = Result<Response<T>, Status>;

fn absent<T>() -> Answer<T> {
    Err(Status::unimplemented("the echo only decides and gets"))
}

#[tonic::async_trait]
impl SidecarService for Echo {
    /// An answer as long as a sidecar's.
    async fn decide(&self, _: Request<v1::SidecarDecideRequest>) -> Answer<v1::SidecarDecideResponse> {
        Ok(Response::new(v1::SidecarDecideResponse {
            stage: v1::Stage::SourceOnly.into(),
            rung: v1::Rung::SourceOnly.into(),
            revision: 1,
            reason: v1::Reason::Rollout.into(),
            no_fallback: false,
        }))
    }

    async fn get(&self, _: Request<v1::GetRequest>) -> Answer<v1::GetResponse> {
        Ok(Response::new(v1::GetResponse { found: true, raw: Some(RECORD_BYTES.to_vec()), json: None }))
    }

    async fn put(&self, _: Request<v1::PutRequest>) -> Answer<v1::PutResponse> {
        absent()
    }

    async fn put_if(&self, _: Request<v1::PutIfRequest>) -> Answer<v1::PutIfResponse> {
        absent()
    }

    async fn delete(&self, _: Request<v1::DeleteRequest>) -> Answer<v1::DeleteResponse> {
        absent()
    }

    async fn transact(&self, _: Request<v1::TransactRequest>) -> Answer<v1::TransactResponse> {
        absent()
    }

    async fn begin(&self, _: Request<v1::BeginRequest>) -> Answer<v1::BeginResponse> {
        absent()
    }

    async fn stamp(&self, _: Request<v1::StampRequest>) -> Answer<v1::StampResponse> {
        absent()
    }

    async fn end(&self, _: Request<v1::EndRequest>) -> Answer<v1::EndResponse> {
        absent()
    }

    async fn get_sidecar(&self, _: Request<v1::GetSidecarRequest>) -> Answer<v1::GetSidecarResponse> {
        absent()
    }
}
