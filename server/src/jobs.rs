//! From accepted orders to judgements: one queue, taken from in order, one computation at a time unless told otherwise.
//!
//! A job that a killed server left running is taken up again at the next start, [`MAX_ATTEMPTS`] times in all, so that an input which brings
//! the process down does not do so for ever. A judgement whose files were complete is not computed again: it is issued as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use uuid::Uuid;
use verimetry_engine::Error;
use verimetry_engine::judge::Judged;
use verimetry_engine::judgement::Stamp;
use verimetry_engine::runtime::{BackendChoice, Runtime};

use crate::failure::{Failure, Kind};
use crate::issue::{self, Summary};
use crate::keys::Key;
use crate::staging::Staged;
use crate::store::{self, Acceptance, Job, NewJob, State, Store, StoreError};

/// How often a job is begun before it counts as the one that brings the server down.
pub const MAX_ATTEMPTS: u32 = 3;

/// The engine's entry: an order file with its inputs beside it to a judgement not yet signed.
pub type Judge = fn(&Path, Stamp, &Runtime) -> Result<Judged, Error>;

/// What computes, and on what.
#[derive(Clone, Copy)]
pub struct Engine {
    pub judge: Judge,
    pub backend: BackendChoice,
    pub memory_bytes: Option<u64>,
}

/// How far a running job is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub stage: String,
    pub fraction: f64,
}

/// A job being computed.
#[derive(Default)]
struct Live {
    cancelled: AtomicBool,
    progress: Mutex<Option<Progress>>,
}

pub struct Jobs {
    pub store: Store,
    engine: Engine,
    key: Key,
    live: Mutex<BTreeMap<Uuid, Arc<Live>>>,
    /// Counts changes of any job's state, for those who wait for one.
    changes: watch::Sender<u64>,
    work: Notify,
    stopping: AtomicBool,
}

impl Jobs {
    /// Takes up what an earlier server left.
    pub async fn open(store: Store, engine: Engine, key: Key) -> Result<Arc<Self>, StoreError> {
        let jobs = Jobs {
            store,
            engine,
            key,
            live: Mutex::default(),
            changes: watch::Sender::new(0),
            work: Notify::new(),
            stopping: AtomicBool::new(false),
        };
        for job in jobs.store.interrupted().await? {
            jobs.take_up(&job).await?;
        }
        Ok(Arc::new(jobs))
    }

    async fn take_up(&self, job: &Job) -> Result<(), StoreError> {
        if let Some(summary) = issue::summary(&self.store.result(job.id)) {
            self.store.issue(job.id, &summary).await?;
        } else if job.attempts >= MAX_ATTEMPTS {
            let attempts = job.attempts;
            let failure =
                Failure::defect(format_args!("the server ended {attempts} times while it computed this judgement; it is not tried again"));
            self.store.fail(job.id, &failure).await?;
        } else {
            self.store.retry(job.id).await?;
        }
        Ok(())
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    pub async fn submit(&self, job: &NewJob) -> Result<Acceptance, StoreError> {
        let acceptance = self.store.accept(job).await?;
        self.work.notify_one();
        Ok(acceptance)
    }

    pub fn progress(&self, id: Uuid) -> Option<Progress> {
        let live = lock(&self.live).get(&id).cloned()?;
        lock(&live.progress).clone()
    }

    /// The job when it has finished, or as it is when the time is over.
    pub async fn wait(&self, id: Uuid, time: Duration) -> Result<Option<Job>, StoreError> {
        let mut changes = self.changes.subscribe();
        let finished = async {
            loop {
                let job = self.store.job(id).await?;
                if !job.as_ref().is_some_and(|j| matches!(j.state, State::Queued | State::Running)) {
                    return Ok(job);
                }
                if changes.changed().await.is_err() {
                    return Ok(job);
                }
            }
        };
        match tokio::time::timeout(time, finished).await {
            Ok(outcome) => outcome,
            Err(_) => self.store.job(id).await,
        }
    }

    /// Ends an unfinished job. False where it had finished.
    pub async fn cancel(&self, id: Uuid) -> Result<bool, StoreError> {
        let cancelled = self.store.fail(id, &Failure::new(Kind::Cancelled, "run.cancelled", "the run was cancelled")).await?;
        if let Some(live) = lock(&self.live).get(&id) {
            live.cancelled.store(true, Ordering::Relaxed);
        }
        self.tell_change();
        Ok(cancelled)
    }

    /// Computes until [`Jobs::stop`], `workers` jobs at a time.
    pub async fn work(self: Arc<Self>, workers: usize) {
        let mut running = JoinSet::new();
        for _ in 0..workers.max(1) {
            running.spawn(self.clone().work_in_turn());
        }
        running.join_all().await;
    }

    async fn work_in_turn(self: Arc<Self>) {
        while !self.stopping.load(Ordering::Relaxed) {
            match self.store.claim().await {
                Ok(Some(id)) => self.clone().run(id).await,
                Ok(None) => self.work.notified().await,
                Err(e) => self.report(&e).await,
            }
        }
        // The next of the workers shall see it too.
        self.work.notify_one();
    }

    /// Gives running jobs back and lets the workers end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for live in lock(&self.live).values() {
            live.cancelled.store(true, Ordering::Relaxed);
        }
        self.work.notify_one();
    }

    async fn run(self: Arc<Self>, id: Uuid) {
        let live = Arc::new(Live::default());
        lock(&self.live).insert(id, live.clone());
        if self.stopping.load(Ordering::Relaxed) {
            live.cancelled.store(true, Ordering::Relaxed);
        }
        self.tell_change();
        let jobs = self.clone();
        let computed = tokio::task::spawn_blocking(move || jobs.compute(id, &live)).await;
        let outcome = computed.unwrap_or_else(|e| Err(Failure::defect(format_args!("a defect of verimetry itself: {e}"))));
        // What was computed is not lost to a database that is busy or full for a while.
        while let Err(e) = self.record(id, &outcome).await {
            self.report(&e).await;
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
        }
        lock(&self.live).remove(&id);
        self.tell_change();
    }

    /// Leaves the signed judgement in the job's result folder.
    fn compute(&self, id: Uuid, live: &Arc<Live>) -> Result<Summary, Failure> {
        if let Some(summary) = issue::summary(&self.store.result(id)) {
            return Ok(summary);
        }
        let rt = Runtime::open(self.engine.backend)?.memory_budget(self.engine.memory_bytes);
        let (cancel, seen) = (rt.cancel_flag(), live.clone());
        let rt = rt.on_progress(Arc::new(move |stage, fraction| {
            if seen.cancelled.load(Ordering::Relaxed) {
                cancel.store(true, Ordering::Relaxed);
            }
            *lock(&seen.progress) = Some(Progress { stage: stage.to_owned(), fraction });
        }));
        rt.step("load", 0.0).map_err(Error::from)?;
        let stamp = Stamp { id: id.to_string(), issued: store::now(), source_revision: issue::SOURCE_REVISION.into(), predecessor: None };
        let judged = (self.engine.judge)(&self.store.order_file(id), stamp, &rt)?;
        let issued = issue::issue(judged, &self.key)?;
        let folder = Staged::folder(&self.store.result(id))?;
        issued.write(folder.path())?;
        folder.place()?;
        Ok(issued.summary())
    }

    async fn record(&self, id: Uuid, outcome: &Result<Summary, Failure>) -> Result<(), StoreError> {
        match outcome {
            Ok(summary) => {
                self.store.issue(id, summary).await?;
            }
            Err(f) if f.kind == Kind::Cancelled && self.stopping.load(Ordering::Relaxed) => self.store.give_back(id).await?,
            Err(failure) => {
                self.store.fail(id, failure).await?;
            }
        }
        Ok(())
    }

    /// Tells the operator and gives the fault time to pass.
    async fn report(&self, error: &StoreError) {
        eprintln!("verimetry: {error} [{}]", error.code());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    fn tell_change(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
