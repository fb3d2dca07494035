//! Streams of messages as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse as _, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use prost_reflect::DynamicMessage;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Streaming;

use super::{Api, NO_STORE, STREAMS_MAX, call, failure::Failure, json, methods::Method};

/// Interval of comments in a stream without events, so that both ends notice when the other has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long a client should wait before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// One event for each message, and a last one if the stream fails.
pub(super) async fn stream(api: &Api, method: &Method, request: DynamicMessage) -> Result<Response, Failure> {
    let permit = api.streams.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{STREAMS_MAX} event streams are open: close one, then try again");
        Failure::from(tonic::Status::resource_exhausted(message))
    })?;
    let messages = call::stream(api.services.clone(), method, request).await?;
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    Ok(([NO_STORE], Sse::new(events(messages, permit)).keep_alive(keep_alive)).into_response())
}

/// The permit is held until the client has gone.
fn events(
    messages: Streaming<DynamicMessage>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let first = Event::default().retry(RETRY).comment("connected");
    let rest = messages.map(move |message| {
        let _ = &permit;
        Ok(match message {
            Ok(message) => Event::default().data(json::of(&message).to_string()),
            Err(status) => Event::default().event("error").data(Failure::from(status).json().to_string()),
        })
    });
    stream::once(async { Ok(first) }).chain(rest)
}
