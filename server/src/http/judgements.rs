//! `/v1/judgements`: submitting an order with its files, following it, reading what came of it, cancelling it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use super::negotiate::{self, Form};
use super::problem::Problem;
use super::{Service, file, upload};
use crate::failure::Kind;
use crate::issue;
use crate::jobs::Progress;
use crate::store::{self, Acceptance, Job, NewJob};

/// Seconds after which an unfinished judgement is worth another look.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A judgement that is not there yet, or never will be.
#[derive(Serialize)]
struct Status {
    id: Uuid,
    state: &'static str,
    order_id: String,
    accepted: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressJson>,
}

#[derive(Serialize)]
struct ProgressJson {
    stage: String,
    fraction: f64,
}

impl From<Progress> for ProgressJson {
    fn from(p: Progress) -> Self {
        ProgressJson { stage: p.stage, fraction: p.fraction }
    }
}

pub(super) async fn submit(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let wait = wait_preferred(request.headers()).map(|w| w.min(service.limits.wait));
    let form = negotiate::form(request.headers());
    let idempotency_key = idempotency_key(request.headers())?;
    if service.jobs.store.unfinished().await? >= service.limits.unfinished {
        let detail = "too many judgements are waiting; try again later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "service.busy", detail));
    }
    let upload = upload::receive(&service, request).await?;
    let job = NewJob { id: upload.id, order_id: upload.order_id.clone(), request_sha256: upload.request_sha256.clone(), idempotency_key };
    let id = match service.jobs.submit(&job).await? {
        Acceptance::Accepted => upload.keep(),
        Acceptance::Repeats(id) => id,
        Acceptance::KeyReused => {
            let detail = "the Idempotency-Key was used before for another request; use a new one";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency.reused", detail));
        }
    };
    let job = match wait {
        Some(time) => service.jobs.wait(id, time).await?,
        None => service.jobs.store.job(id).await?,
    };
    let job = job.ok_or_else(unknown)?;
    let place = HeaderValue::from_str(&format!("/v1/judgements/{id}")).map_err(|_| unknown())?;
    let mut response = match (&job.state, wait) {
        (store::State::Done { .. } | store::State::Failed(_), Some(_)) => answer(&service, &job, form).await.into_response(),
        _ => status(&service, &job).into_response(),
    };
    response.headers_mut().insert(header::LOCATION, place);
    if let Some(applied) = wait.and_then(|w| HeaderValue::from_str(&format!("wait={}", w.as_secs())).ok()) {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

pub(super) async fn show(State(service): State<Arc<Service>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let job = find(&service, &id).await?;
    answer(&service, &job, negotiate::form(&headers)).await
}

pub(super) async fn cancel(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let job = find(&service, &id).await?;
    if service.jobs.cancel(job.id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    match find(&service, &id).await?.state {
        store::State::Failed(f) if f.kind == Kind::Cancelled => Ok(StatusCode::NO_CONTENT),
        _ => Err(Problem::new(StatusCode::CONFLICT, "judgement.finished", "the judgement has finished; what is finished is never deleted")),
    }
}

/// The job under the identifier of a path.
pub(super) async fn find(service: &Service, id: &str) -> Result<Job, Problem> {
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    service.jobs.store.job(id).await?.ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "judgement.unknown", "there is no judgement under this identifier")
}

/// A file of an issued judgement is not where it was put.
pub(super) fn lost(e: std::io::Error) -> Problem {
    eprintln!("verimetry: a file of an issued judgement cannot be read: {e} [store.lost]");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store.lost", "a file of the judgement cannot be read; tell the operator")
}

/// Done: the judgement in the form wanted. Failed: the problem that ended it. Otherwise 202 with state and progress.
async fn answer(service: &Service, job: &Job, form: Option<Form>) -> Result<Response, Problem> {
    match &job.state {
        store::State::Failed(failure) => Err(Problem::from(failure)),
        store::State::Queued | store::State::Running => Ok(status(service, job)),
        store::State::Done { .. } => {
            let form = form.ok_or_else(|| {
                let detail = "allowed are application/jose+json, application/json and text/html";
                Problem::new(StatusCode::NOT_ACCEPTABLE, "http.not_acceptable", detail)
            })?;
            let name = match form {
                Form::Jws => issue::JWS_FILE,
                Form::Payload => issue::PAYLOAD_FILE,
                Form::Report => issue::REPORT_FILE,
            };
            let mut response = file::response(&service.jobs.store.result(job.id).join(name), form.media_type()).await.map_err(lost)?;
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
            Ok(response)
        }
    }
}

fn status(service: &Service, job: &Job) -> Response {
    let state = match job.state {
        store::State::Queued => "queued",
        store::State::Running => "running",
        store::State::Done { .. } => "done",
        store::State::Failed(_) => "failed",
    };
    let status = Status {
        id: job.id,
        state,
        order_id: job.order_id.clone(),
        accepted: job.accepted.clone(),
        finished: job.finished.clone(),
        progress: service.jobs.progress(job.id).map(ProgressJson::from),
    };
    (StatusCode::ACCEPTED, [(header::RETRY_AFTER, RETRY_AFTER)], Json(status)).into_response()
}

/// `Prefer: wait=N` (RFC 7240), in seconds.
fn wait_preferred(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split([',', ';']));
    let seconds = preferences.filter_map(|p| p.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
    seconds.and_then(|(_, n)| n.trim().trim_matches('"').parse().ok()).map(Duration::from_secs)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request("idempotency.key", "allowed is an Idempotency-Key of 1 to 255 printable ASCII characters")),
    }
}
