//! Errors as RFC 9457 problem documents.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::failure::{Failure, Kind};
use crate::store::StoreError;

/// `type` is `about:blank`: what a program looks at is the stable `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    status: u16,
    detail: String,
    code: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Problem { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), code: code.into() }
    }

    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }
}

/// What a failed computation or a broken part of the service is to a client.
impl From<&Failure> for Problem {
    fn from(f: &Failure) -> Self {
        let status = match (f.kind, f.code.as_ref()) {
            (_, "disk.full") => StatusCode::INSUFFICIENT_STORAGE,
            (Kind::Usage, _) => StatusCode::BAD_REQUEST,
            (Kind::Input | Kind::Unproven, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (Kind::Resource, _) => StatusCode::SERVICE_UNAVAILABLE,
            (Kind::Cancelled, _) => StatusCode::GONE,
            (Kind::Defect, _) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, f.code.as_ref(), f.message.as_str())
    }
}

impl From<Failure> for Problem {
    fn from(f: Failure) -> Self {
        Problem::from(&f)
    }
}

/// Where the data folder is, is the operator's business: a client learns the code alone.
impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        eprintln!("verimetry: {e} [{}]", e.code());
        match e.code() {
            "disk.full" => Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk.full", "the service has no space left; try again later"),
            code => Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, "the service cannot reach its data; try again later"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::INSUFFICIENT_STORAGE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        response
    }
}
