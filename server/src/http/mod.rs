//! The HTTP service: one file a resource, thin handlers over [`crate::jobs`] and [`crate::store`].
//!
//! It answers on loopback unless told otherwise, since this version has no API keys: whoever reaches it may submit and read. Requests that a
//! web page of another origin makes a browser send are refused ([`guard`]). Errors are RFC 9457 problems with the engine's stable codes.

mod evidence;
mod file;
mod guard;
mod health;
mod judgements;
mod jwks;
mod negotiate;
mod problem;
mod upload;

use std::future::{Future, IntoFuture};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;

use crate::failure::Failure;
use crate::jobs::{Engine, Jobs};
use crate::keys::Key;
use crate::store::Store;
use problem::Problem;

/// How long unfinished requests may still take when the service stops.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All bytes of one request.
    pub upload_bytes: u64,
    /// Parts of one upload: a CT series has one per slice.
    pub parts: usize,
    /// Jobs queued or running.
    pub unfinished: u64,
    /// Longest time that `Prefer: wait` is honoured for.
    pub wait: Duration,
    /// Longest time between two pieces of an upload.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            upload_bytes: 4 << 30,
            parts: 10_000,
            unfinished: 256,
            wait: Duration::from_secs(300),
            stall: Duration::from_secs(60),
        }
    }
}

/// Everything a service is started with.
pub struct Settings {
    pub listener: TcpListener,
    pub data: PathBuf,
    pub key: Key,
    pub engine: Engine,
    pub limits: Limits,
    /// Judgements computed at the same time.
    pub workers: usize,
    /// Answers under any host name; otherwise under loopback names alone.
    pub allow_remote: bool,
}

/// What handlers see.
pub(crate) struct Service {
    pub jobs: Arc<Jobs>,
    pub limits: Limits,
    pub allow_remote: bool,
}

/// Serves until `stop` completes; then gives running jobs back and returns. `ready` is told the address once requests are answered.
pub fn serve(settings: Settings, ready: impl FnOnce(SocketAddr), stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::resource("service.threads", format_args!("cannot start the service: {e}")))?;
    let outcome = runtime.block_on(run(settings, ready, stop));
    // A computation that does not heed its cancellation in time is given up; its job is taken up at the next start.
    runtime.shutdown_timeout(GRACE);
    outcome
}

async fn run(settings: Settings, ready: impl FnOnce(SocketAddr), stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Failure> {
    let socket = |e: std::io::Error| Failure::resource("service.socket", format_args!("cannot listen: {e}"));
    settings.listener.set_nonblocking(true).map_err(socket)?;
    let address = settings.listener.local_addr().map_err(socket)?;
    let listener = tokio::net::TcpListener::from_std(settings.listener).map_err(socket)?;
    let store = Store::open(&settings.data).await?;
    let jobs = Jobs::open(store, settings.engine, settings.key).await?;
    let service = Arc::new(Service { jobs: jobs.clone(), limits: settings.limits, allow_remote: settings.allow_remote });
    let working = tokio::spawn(jobs.clone().work(settings.workers));

    let (stopped, mut told) = tokio::sync::watch::channel(false);
    let stopping = {
        let jobs = jobs.clone();
        async move {
            stop.await;
            jobs.stop();
            stopped.send_replace(true);
        }
    };
    ready(address);
    let serving = axum::serve(listener, router(service)).with_graceful_shutdown(stopping);
    let overdue = async {
        // The sender lives in the server's own shutdown future, so it is told before it goes.
        let _ = told.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving.into_future() => served.map_err(socket)?,
        () = overdue => {}
    }
    jobs.stop();
    let _ = tokio::time::timeout(GRACE, working).await;
    jobs.store.close().await;
    Ok(())
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/judgements", axum::routing::post(judgements::submit))
        .route("/v1/judgements/{id}", get(judgements::show).delete(judgements::cancel))
        .route("/v1/judgements/{id}/evidence/{name}", get(evidence::show))
        .route("/.well-known/jwks.json", get(jwks::show))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "http.not_found", "there is nothing under this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "http.method", "the resource does not know this method")
        })
        // Uploads are counted as they stream; nothing else reads a body.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(service.clone(), guard::guard))
        .with_state(service)
}
