//! `/.well-known/jwks.json`: the keys this service signs with.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Service;
use crate::keys;

pub(super) async fn show(State(service): State<Arc<Service>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], keys::public_set(&[service.jobs.key().public()]).to_string())
}
