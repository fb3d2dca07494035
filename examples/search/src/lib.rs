//! Searches one of two indexes: the migration `search` says which one serves a customer.
//!
//! The service reads a copy of data that others write, so it needs only the decision and not the migrator.

use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use cutover_client::{
    Client,
    report::{ErrorClass, Operation, Outcome, StoreRole},
    routing::{self, Stage},
    watch::BeginError,
};

/// The migration's key in the controller.
pub const MIGRATION: &str = "search";

/// Titles by customer. Stands for a search engine.
pub type Index = HashMap<String, Vec<String>>;

/// What the handlers share.
pub struct App {
    /// Decides where a customer's searches go.
    pub client: Client,
    /// The index that is migrated from.
    pub old: Index,
    /// The index that is migrated to.
    pub new: Index,
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/readyz", get(ready))
        .route("/customers/{customer}/search/{word}", get(search))
        .with_state(app)
}

/// Ready once the first snapshot is there.
async fn ready(State(app): State<Arc<App>>) -> StatusCode {
    if app.client.status().revision > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn search(
    State(app): State<Arc<App>>,
    Path((customer, word)): Path<(String, String)>,
) -> Result<Response, Failure> {
    // Held until the answer is there: the controller waits for it before it takes the next step.
    let operation = app.client.begin(MIGRATION, &customer).map_err(Failure)?;
    let (store, index) = match operation.decision.stage() {
        Stage::TargetFirst | Stage::TargetOnly => (StoreRole::Target, &app.new),
        // A hold is short, and the old index is complete until it has ended.
        Stage::SourceOnly | Stage::Dual | Stage::Hold => (StoreRole::Source, &app.old),
    };
    let began = Instant::now();
    let found: Result<Vec<&String>, ErrorClass> =
        Ok(index.get(&customer).into_iter().flatten().filter(|title| title.contains(&word)).collect());
    // The guards roll back if the target fails too often: tell them how each call ended.
    let call = Outcome::Call {
        store,
        operation: Operation::Read,
        latency: began.elapsed(),
        error: found.as_ref().err().copied(),
        found: None,
    };
    app.client.record(MIGRATION, operation.decision.revision, Some(&customer), &[call]);
    let Ok(titles) = found else { return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()) };
    let body = serde_json::json!({ "index": index_name(store), "titles": titles });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

const fn index_name(store: StoreRole) -> &'static str {
    match store {
        StoreRole::Source => "old",
        StoreRole::Target => "new",
    }
}

/// There is no decision. Never search the old index instead: it may be out of date for this customer.
struct Failure(BeginError);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            BeginError::Routing(routing::Error::Tenant(_)) => StatusCode::BAD_REQUEST,
            // A typing error, a migration that was deleted, or an SDK that is too old: retrying won't help.
            BeginError::Routing(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, format!("{}\n", self.0)).into_response()
    }
}
