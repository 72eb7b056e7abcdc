//! `/healthz` the process answers · `/readyz` it can take work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Service;
use super::problem::Problem;

pub(super) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

pub(super) async fn ready(State(service): State<Arc<Service>>) -> Result<Json<Value>, Problem> {
    service.jobs.store.ping().await?;
    let unfinished = service.jobs.store.unfinished().await?;
    Ok(Json(json!({ "status": "ok", "unfinished": unfinished })))
}
