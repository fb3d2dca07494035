//! Reads and writes orders by HTTP. The migrator keeps them in the source, the target or both, as the
//! customer's stage says.

mod failure;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cutover_client::{
    migrator::{Edit, Migrator, WriteError},
    store::document::Number,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use failure::Failure;

/// How long the service retries a write whose outcome is unknown. When the target fails, the guards have rolled
/// back within that time.
pub const RETRY_FOR: Duration = Duration::from_secs(3);

/// An order, in JSON and in both stores. Attributes that others store with it survive `add_line`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// An exact decimal number, `"12.50"` in JSON.
    pub total: Number,
    /// For the parcel service.
    pub note: Option<String>,
    /// What was ordered.
    #[serde(default)]
    pub lines: Vec<Line>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub article: String,
    /// How many.
    pub count: u32,
    /// The request that added it: a repeated request adds it once.
    #[serde(default)]
    pub request: String,
}

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    /// The orders.
    pub orders: Migrator,
    /// [`RETRY_FOR`], or less in tests.
    pub retry_for: Duration,
}

type Answer = Result<Response, Failure>;

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/customers/{customer}/orders/{id}", get(read).put(write).delete(delete))
        .route("/customers/{customer}/orders/{id}/lines", post(add_line))
        .with_state(app)
}

async fn read(State(app): State<App>, Path((customer, id)): Path<(String, String)>) -> Answer {
    match app.orders.get::<Order>(&customer, &id).await? {
        Some(order) => Ok(json(StatusCode::OK, &order)),
        None => Err(Failure::not_found()),
    }
}

/// The client chooses the id, so it can repeat the request: the result is the same.
async fn write(State(app): State<App>, Path((customer, id)): Path<(String, String)>, body: Bytes) -> Answer {
    let order: Order = parse(&body)?;
    app.retry(|| app.orders.put(&customer, &id, &order)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn delete(State(app): State<App>, Path((customer, id)): Path<(String, String)>) -> Answer {
    app.retry(|| app.orders.delete(&customer, &id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Adds a line. A repeated request must have no further effect, so the order remembers each line's request.
async fn add_line(
    State(app): State<App>,
    Path((customer, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let request = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let request = request.ok_or_else(|| Failure::invalid("send an Idempotency-Key"))?;
    let line = Line { request: request.to_owned(), ..parse(&body)? };
    let exists = Arc::new(AtomicBool::new(false));
    let add = |line: Line, exists: Arc<AtomicBool>| {
        move |order: Option<Order>| {
            exists.store(order.is_some(), Ordering::Relaxed);
            match order {
                Some(mut order) if order.lines.iter().all(|other| other.request != line.request) => {
                    order.lines.push(line.clone());
                    Edit::Put(order)
                }
                // There is no order, or an earlier attempt has added the line.
                _ => Edit::Keep,
            }
        }
    };
    app.retry(|| app.orders.mutate(&customer, &id, add(line.clone(), exists.clone()))).await?;
    if !exists.load(Ordering::Relaxed) {
        return Err(Failure::not_found());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl App {
    /// Repeats a write while its outcome is unknown. Each attempt is a new write, so only for those whose
    /// repetition has no further effect.
    async fn retry<T, F>(&self, write: impl Fn() -> F) -> Result<T, WriteError>
    where
        F: Future<Output = Result<T, WriteError>>,
    {
        let deadline = Instant::now() + self.retry_for;
        let mut pause = Duration::from_millis(100);
        loop {
            match write().await {
                Err(WriteError::Indeterminate(_)) if Instant::now() + pause < deadline => sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::invalid(&error.to_string()))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
