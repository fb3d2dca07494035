//! Streams of messages as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt as _, stream};
use prost_reflect::DynamicMessage;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Streaming;

use super::{Api, NO_STORE, STREAMS_MAX, call, failure::Failure, json, methods::Method};
use crate::domain::Principal;

/// Interval of comments in a stream without events, so that both ends notice when the other has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The content type of an event stream.
const EVENTS: &str = "text/event-stream";
/// How long a client should wait before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Refuses whoever has not asked for events by name. A stranger's page can make a browser open any address as an image
/// or a script; where it does not say from which site (plain HTTP to another machine), this tells it from a client.
pub(super) fn check_asked_for(headers: &HeaderMap) -> Result<(), Failure> {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(',')).filter_map(|kind| kind.split(';').next());
    if kinds.any(|kind| kind.trim().eq_ignore_ascii_case(EVENTS)) {
        return Ok(());
    }
    let message = format!("this is an event stream: ask for it with the header accept: {EVENTS}");
    Err(Failure::of(StatusCode::NOT_ACCEPTABLE, "INVALID_ARGUMENT", message))
}

/// One event for each message, and a last one if the stream fails.
pub(super) async fn stream(
    api: &Api,
    who: Principal,
    method: &Method,
    request: DynamicMessage,
) -> Result<Response, Failure> {
    let permit = api.streams.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{STREAMS_MAX} event streams are open: close one, then try again");
        Failure::from(tonic::Status::resource_exhausted(message))
    })?;
    let messages = call::stream(api.services.clone(), who, method, request).await?;
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
