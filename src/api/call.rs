//! Calls of the gRPC services in this process, with messages that only descriptors know.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    service::Routes,
};

use super::methods::Method;
use crate::domain::Principal;

/// A call that answers once. A stream of requests is one request.
pub(super) async fn unary(
    services: Routes,
    who: Principal,
    method: &Method,
    request: DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let mut grpc = ready(services).await;
    let (path, codec) = (method.path.clone(), Dynamic::answer_of(method));
    let answer = if method.descriptor.is_client_streaming() {
        grpc.client_streaming(made_by(who, tokio_stream::once(request)), path, codec).await
    } else {
        grpc.unary(made_by(who, request), path, codec).await
    };
    Ok(answer?.into_inner())
}

/// A call that answers with a stream.
pub(super) async fn stream(
    services: Routes,
    who: Principal,
    method: &Method,
    request: DynamicMessage,
) -> Result<Streaming<DynamicMessage>, Status> {
    let mut grpc = ready(services).await;
    let codec = Dynamic::answer_of(method);
    Ok(grpc.server_streaming(made_by(who, request), method.path.clone(), codec).await?.into_inner())
}

/// The services trust it: whoever makes this call was authenticated before.
fn made_by<M>(who: Principal, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(who);
    request
}

async fn ready(services: Routes) -> Grpc<Routes> {
    // Answers come from this process, which limits them itself.
    let mut grpc = Grpc::new(services).max_decoding_message_size(usize::MAX);
    let Ok(()) = grpc.ready().await;
    grpc
}

/// Encodes any message, and decodes one kind.
#[derive(Debug)]
struct Dynamic(MessageDescriptor);

impl Dynamic {
    fn answer_of(method: &Method) -> Self {
        Self(method.descriptor.output())
    }
}

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Encoding;
    type Decoder = Self;

    fn encoder(&mut self) -> Encoding {
        Encoding
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Encoding;

impl Encoder for Encoding {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), from);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
