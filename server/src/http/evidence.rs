//! `/v1/judgements/{id}/evidence/{name}`: the files a judgement rests on.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::problem::Problem;
use super::{Service, file, judgements};
use crate::issue;
use crate::store;

/// Only names that the signed payload lists are looked for on the disk.
pub(super) async fn show(State(service): State<Arc<Service>>, Path((id, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let job = judgements::find(&service, &id).await?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "evidence.unknown", "the judgement has no evidence of this name");
    if !matches!(job.state, store::State::Done { .. }) {
        return Err(unknown());
    }
    let folder = service.jobs.store.result(job.id);
    let payload = issue::read_payload(&folder)?;
    let record = payload.evidence.iter().find(|e| e.name == name).ok_or_else(unknown)?;
    file::response(&issue::evidence_file(&folder, &record.name), &record.media_type).await.map_err(judgements::lost)
}
