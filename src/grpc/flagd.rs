//! flagd's evaluation, versions 1 and 2: OpenFeature's flagd providers ask by it (docs/openfeature.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use cutover_core::routing::Error;
use cutover_proto::flagd;
use flagd::v2;
use futures::{Stream, stream};
use prost_types::{Struct, Value, value::Kind};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};
use tonic::{Request, Response, Status};

use super::{caller::principal, status};
use crate::{
    domain::Principal,
    service::{
        Attribute, DecideError, Decider, Delta, Flag, FlagError, FlagErrorCode, PublishedState, Registry,
    },
};

/// Maximum event streams at the same time.
const STREAMS_MAX: usize = 16_384;
/// Interval of messages in a quiet event stream.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Minimum interval between two announcements of changes: some providers ask for all flags after each.
const CHANGES: Duration = Duration::from_secs(1);

/// Answers providers.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    decider: Decider,
    streams: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

type Answer<T> = Result<Response<T>, Status>;
type Events = Pin<Box<dyn Stream<Item = Result<v2::EventStreamResponse, Status>> + Send>>;

/// The same for each version: they have the same messages.
macro_rules! serve {
    ($($version:ident),+) => {$(
        #[tonic::async_trait]
        impl flagd::$version::service_server::Service for Evaluation {
            async fn resolve_all(
                &self,
                request: Request<v2::ResolveAllRequest>,
            ) -> Answer<v2::ResolveAllResponse> {
                let who = principal(&request)?;
                let tenant = tenant(request.into_inner().context)?;
                let flags = self.decider.flags(&who, &tenant).await.into_iter();
                let flags = flags.filter_map(|(key, flag)| Some((key, any(&flag.ok()?)))).collect();
                Ok(Response::new(v2::ResolveAllResponse { flags, metadata: None }))
            }

            async fn resolve_string(
                &self,
                request: Request<v2::ResolveStringRequest>,
            ) -> Answer<v2::ResolveStringResponse> {
                let who = principal(&request)?;
                let v2::ResolveStringRequest { flag_key, context } = request.into_inner();
                let flag = self.flag(&who, &flag_key, context).await?;
                Ok(Response::new(v2::ResolveStringResponse {
                    value: Some(flag.value().to_owned()),
                    reason: flag.reason().to_owned(),
                    variant: Some(flag.variant().to_owned()),
                    metadata: Some(metadata(&flag)),
                }))
            }

            async fn resolve_object(
                &self,
                request: Request<v2::ResolveObjectRequest>,
            ) -> Answer<v2::ResolveObjectResponse> {
                let who = principal(&request)?;
                let v2::ResolveObjectRequest { flag_key, context } = request.into_inner();
                let flag = self.flag(&who, &flag_key, context).await?;
                Ok(Response::new(v2::ResolveObjectResponse {
                    value: Some(metadata(&flag)),
                    reason: flag.reason().to_owned(),
                    variant: Some(flag.variant().to_owned()),
                    metadata: Some(metadata(&flag)),
                }))
            }

            async fn resolve_boolean(
                &self,
                request: Request<v2::ResolveBooleanRequest>,
            ) -> Answer<v2::ResolveBooleanResponse> {
                let who = principal(&request)?;
                Err(self.mismatch(&who, &request.into_inner().flag_key, "boolean"))
            }

            async fn resolve_int(
                &self,
                request: Request<v2::ResolveIntRequest>,
            ) -> Answer<v2::ResolveIntResponse> {
                let who = principal(&request)?;
                Err(self.mismatch(&who, &request.into_inner().flag_key, "integer"))
            }

            async fn resolve_float(
                &self,
                request: Request<v2::ResolveFloatRequest>,
            ) -> Answer<v2::ResolveFloatResponse> {
                let who = principal(&request)?;
                Err(self.mismatch(&who, &request.into_inner().flag_key, "number"))
            }

            type EventStreamStream = Events;

            async fn event_stream(&self, request: Request<v2::EventStreamRequest>) -> Answer<Events> {
                self.events(principal(&request)?).map(Response::new)
            }
        }
    )+};
}

serve!(v1, v2);

impl Evaluation {
    pub(super) fn new(decider: Decider, stop: watch::Receiver<bool>) -> Self {
        Self { decider, streams: Arc::new(Semaphore::new(STREAMS_MAX)), stop }
    }

    async fn flag(&self, who: &Principal, key: &str, context: Option<Struct>) -> Result<Flag, Status> {
        self.decider.flag(who, key, &tenant(context)?).await.map_err(status::flag)
    }

    /// Why there is no value of this type.
    fn mismatch(&self, who: &Principal, key: &str, wanted: &str) -> Status {
        status::flag(match self.decider.registry.state().entry_of(key) {
            _ if !who.covers(key) => DecideError::OutOfScope(who.out_of_scope(key)).into(),
            None => DecideError::from(Error::UnknownMigration(key.to_owned())).into(),
            Some(_) => FlagError::new(
                FlagErrorCode::TypeMismatch,
                format!("{key} is not a {wanted}: ask for a string, which is the stage, or for an object"),
            ),
        })
    }

    fn events(&self, who: Principal) -> Result<Events, Status> {
        let permit = self.streams.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{STREAMS_MAX} event streams are open: close one, then try again");
            Status::resource_exhausted(message)
        })?;
        let registry = self.decider.registry.clone();
        let revisions = registry.subscribe();
        let watcher = Watcher {
            who,
            registry,
            revisions,
            stop: self.stop.clone(),
            told: None,
            quiet_until: Instant::now(),
            _permit: permit,
        };
        Ok(Box::pin(stream::unfold(Some(watcher), |watcher| async {
            let mut watcher = watcher?;
            match watcher.next().await {
                Some(event) => Some((Ok(event), Some(watcher))),
                None => {
                    let goodbye = "the controller is shutting down: connect again";
                    Some((Err(Status::unavailable(goodbye)), None))
                }
            }
        })))
    }
}

/// One event stream. It keeps no backlog: what changed is looked up when the reader takes the next message.
struct Watcher {
    /// Only its migrations are announced.
    who: Principal,
    registry: Arc<Registry>,
    revisions: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    /// Changes up to this revision were announced. `None`: the stream has not begun.
    told: Option<u64>,
    /// No changes are announced before.
    quiet_until: Instant,
    /// Held until the reader has gone.
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next message; `None`: the controller stops.
    async fn next(&mut self) -> Option<v2::EventStreamResponse> {
        let Some(mut told) = self.told else {
            self.told = Some(self.registry.state().revision);
            return Some(event("provider_ready", None));
        };
        let keep_alive = Instant::now() + KEEP_ALIVE;
        loop {
            let changes = async {
                sleep_until(self.quiet_until).await;
                self.revisions.changed().await
            };
            tokio::select! {
                changed = changes => changed.ok()?,
                () = sleep_until(keep_alive) => return Some(event("keep_alive", None)),
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
            let state = self.registry.state();
            let changed = changed(&state, &self.who, told);
            told = state.revision;
            self.told = Some(told);
            if !changed.fields.is_empty() {
                self.quiet_until = Instant::now() + CHANGES;
                let flags = Kind::StructValue(changed);
                let data = [("flags".to_owned(), Value { kind: Some(flags) })];
                return Some(event("configuration_change", Some(BTreeMap::from(data))));
            }
        }
    }
}

/// The migrations that changed after a revision; all of them, if that is too long ago.
fn changed(state: &PublishedState, who: &Principal, since: u64) -> Struct {
    let keys: BTreeSet<String> = match state.since(since) {
        Some(deltas) => deltas.map(|delta: &Arc<Delta>| delta.key.to_string()).collect(),
        None => state.entries().map(|entry| entry.migration.key().to_string()).collect(),
    };
    let fields = keys.into_iter().filter(|key| who.covers(key)).map(|key| {
        let kind = if state.entry_of(&key).is_some() { "update" } else { "delete" };
        let change = [("type", kind.into()), ("source", "cutover".into()), ("flagKey", key.clone().into())];
        (
            key,
            change
                .map(|(name, value): (&str, Value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>()
                .into(),
        )
    });
    Struct { fields: fields.collect() }
}

fn event(kind: &str, data: Option<BTreeMap<String, Value>>) -> v2::EventStreamResponse {
    v2::EventStreamResponse { r#type: kind.to_owned(), data: data.map(|fields| Struct { fields }) }
}

fn tenant(context: Option<Struct>) -> Result<String, Status> {
    let key = context.and_then(|mut context| context.fields.remove("targetingKey")?.kind);
    let tenant = match key {
        Some(Kind::StringValue(tenant)) if !tenant.is_empty() => Ok(tenant),
        None | Some(Kind::NullValue(_) | Kind::StringValue(_)) => Err(FlagError::tenant_missing()),
        Some(_) => Err(FlagError::tenant_not_text()),
    };
    tenant.map_err(status::flag)
}

fn any(flag: &Flag) -> v2::AnyFlag {
    v2::AnyFlag {
        reason: flag.reason().to_owned(),
        variant: Some(flag.variant().to_owned()),
        value: Some(v2::any_flag::Value::StringValue(flag.value().to_owned())),
        metadata: Some(metadata(flag)),
    }
}

fn metadata(flag: &Flag) -> Struct {
    let value = |attribute| match attribute {
        Attribute::Text(text) => Value::from(text),
        Attribute::Number(number) => Value::from(number as f64),
        Attribute::Truth(truth) => Value::from(truth),
    };
    let fields = flag.metadata().into_iter().map(|(name, attribute)| (name.to_owned(), value(attribute)));
    Struct { fields: fields.collect() }
}
