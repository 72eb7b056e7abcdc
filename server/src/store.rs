//! What survives a kill: one folder with a SQLite file and the files of every job.
//!
//! ```text
//! DIR/lock                 held by the one server that uses DIR
//! DIR/verimetry.sqlite     jobs and judgements
//! DIR/incoming/ID/         an upload in progress; emptied at start
//! DIR/jobs/ID/inputs/      the order and its files, as accepted
//! DIR/jobs/ID/result/      the signed judgement; there whole or not at all
//! ```
//!
//! A job is accepted when its row is committed, after its files. A judgement is issued when its row is committed, after its files: the row's
//! primary key is the job, so there is one at most. Between the two a kill leaves a result folder that the next start adopts.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Executor, Row};
use thiserror::Error;
use uuid::Uuid;
use verimetry_engine::judgement::Decision;

use crate::failure::{Failure, Kind};
use crate::issue::Summary;

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE jobs (
  id              TEXT PRIMARY KEY,
  state           TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
  order_id        TEXT NOT NULL,
  request_sha256  TEXT NOT NULL,
  idempotency_key TEXT UNIQUE,
  accepted        TEXT NOT NULL,
  finished        TEXT,
  attempts        INTEGER NOT NULL DEFAULT 0,
  error_kind      TEXT,
  error_code      TEXT,
  error_message   TEXT
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE TABLE judgements (
  job            TEXT PRIMARY KEY REFERENCES jobs (id),
  issued         TEXT NOT NULL,
  decision       TEXT NOT NULL,
  payload_sha256 TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
";

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the data folder {path} cannot be used: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the data folder {path} is used by another server; stop it or name another folder with --data")]
    InUse { path: PathBuf },
    #[error("the data folder has schema version {found}, this version of verimetry knows {SCHEMA_VERSION}; use the version that made it or another folder")]
    Version { found: i64 },
    #[error("the disk of the data folder is full; free some space")]
    Full,
    #[error("the job database: {0}")]
    Database(sqlx::Error),
}

impl StoreError {
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => "disk.full",
            StoreError::Folder { .. } => "store.folder",
            StoreError::InUse { .. } => "store.in_use",
            StoreError::Version { .. } => "store.version",
            StoreError::Full => "disk.full",
            StoreError::Database(_) => "store.database",
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(e: sqlx::Error) -> Self {
        // SQLITE_FULL, 13.
        match e.as_database_error().and_then(|d| d.code()) {
            Some(code) if code == "13" => StoreError::Full,
            _ => StoreError::Database(e),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Failure::resource(e.code(), e)
    }
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    Running,
    Done { decision: Decision },
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: Uuid,
    pub order_id: String,
    /// RFC 3339, UTC.
    pub accepted: String,
    pub finished: Option<String>,
    pub attempts: u32,
    pub state: State,
}

/// A job whose files are in place and that is to be accepted.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: Uuid,
    pub order_id: String,
    /// Digest over the names and digests of everything uploaded.
    pub request_sha256: String,
    pub idempotency_key: Option<String>,
}

/// What became of a [`NewJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    Accepted,
    /// The idempotency key was used before for the same request; this is its job.
    Repeats(Uuid),
    /// The idempotency key was used before for another request.
    KeyReused,
}

pub struct Store {
    root: PathBuf,
    pool: SqlitePool,
    /// Held while the store is open; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl Store {
    /// Opens or makes the folder, alone.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        let folder = |source| StoreError::Folder { path: root.to_path_buf(), source };
        fs::create_dir_all(root.join("jobs")).map_err(folder)?;
        let lock = File::create(root.join("lock")).map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: root.to_path_buf() }),
            Err(TryLockError::Error(e)) => return Err(folder(e)),
        }
        let incoming = root.join("incoming");
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(folder)?;
        }
        fs::create_dir(&incoming).map_err(folder)?;
        let options = SqliteConnectOptions::new()
            .filename(root.join("verimetry.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let store = Store { root: root.to_path_buf(), pool, _lock: lock };
        store.make_schema().await?;
        store.remove_orphans().await?;
        Ok(store)
    }

    async fn make_schema(&self) -> Result<(), StoreError> {
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await?;
        match found {
            0 => {
                let mut transaction = self.pool.begin().await?;
                transaction.execute(SCHEMA).await?;
                Ok(transaction.commit().await?)
            }
            SCHEMA_VERSION => Ok(()),
            found => Err(StoreError::Version { found }),
        }
    }

    /// Files whose job was never accepted: the server was killed between the two.
    async fn remove_orphans(&self) -> Result<(), StoreError> {
        let jobs = self.root.join("jobs");
        let folder = |source| StoreError::Folder { path: jobs.clone(), source };
        for entry in fs::read_dir(&jobs).map_err(folder)? {
            let entry = entry.map_err(folder)?;
            let known = match entry.file_name().to_str().and_then(|n| Uuid::from_str(n).ok()) {
                Some(id) => self.job(id).await?.is_some(),
                // Not ours: left alone.
                None => true,
            };
            if !known {
                fs::remove_dir_all(entry.path()).map_err(folder)?;
            }
        }
        Ok(())
    }

    /// Where an upload is collected before it is accepted.
    pub fn incoming(&self, id: Uuid) -> PathBuf {
        self.root.join("incoming").join(id.to_string())
    }

    /// The folder of everything that belongs to a job.
    pub fn folder(&self, id: Uuid) -> PathBuf {
        self.root.join("jobs").join(id.to_string())
    }

    pub fn order_file(&self, id: Uuid) -> PathBuf {
        self.folder(id).join("inputs").join(ORDER_FILE)
    }

    pub fn result(&self, id: Uuid) -> PathBuf {
        self.folder(id).join("result")
    }

    /// Commits the job as queued; what is accepted here is judged, whatever happens to the process.
    pub async fn accept(&self, job: &NewJob) -> Result<Acceptance, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO jobs (id, state, order_id, request_sha256, idempotency_key, accepted) VALUES ($1, 'queued', $2, $3, $4, $5)
             ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(job.id.to_string())
        .bind(&job.order_id)
        .bind(&job.request_sha256)
        .bind(&job.idempotency_key)
        .bind(now())
        .execute(&self.pool)
        .await?
        .rows_affected();
        if inserted == 1 {
            return Ok(Acceptance::Accepted);
        }
        let (id, request): (String, String) = sqlx::query_as("SELECT id, request_sha256 FROM jobs WHERE idempotency_key = $1")
            .bind(&job.idempotency_key)
            .fetch_one(&self.pool)
            .await?;
        Ok(if request == job.request_sha256 { Acceptance::Repeats(parse_id(&id)?) } else { Acceptance::KeyReused })
    }

    pub async fn job(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query(
            "SELECT jobs.*, judgements.decision FROM jobs LEFT JOIN judgements ON judgements.job = jobs.id WHERE jobs.id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| job_of(&row)).transpose()
    }

    /// How many jobs are queued or running.
    pub async fn unfinished(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')").fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// Takes the oldest queued job and counts the attempt.
    pub async fn claim(&self) -> Result<Option<Uuid>, StoreError> {
        let id: Option<String> = sqlx::query_scalar(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1
             WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id",
        )
        .fetch_optional(&self.pool)
        .await?;
        id.as_deref().map(parse_id).transpose()
    }

    /// Issues the judgement whose files are in place. False where the job is no longer running: it was cancelled and has none.
    pub async fn issue(&self, id: Uuid, summary: &Summary) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let running = sqlx::query("UPDATE jobs SET state = 'done', finished = $2 WHERE id = $1 AND state = 'running'")
            .bind(id.to_string())
            .bind(now())
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        if running == 0 {
            return Ok(false);
        }
        sqlx::query("INSERT INTO judgements (job, issued, decision, payload_sha256) VALUES ($1, $2, $3, $4)")
            .bind(id.to_string())
            .bind(&summary.issued)
            .bind(word(summary.decision))
            .bind(&summary.payload_sha256)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends an unfinished job without a judgement. False where it was finished already.
    pub async fn fail(&self, id: Uuid, failure: &Failure) -> Result<bool, StoreError> {
        let changed = sqlx::query(
            "UPDATE jobs SET state = 'failed', finished = $2, error_kind = $3, error_code = $4, error_message = $5
             WHERE id = $1 AND state IN ('queued', 'running')",
        )
        .bind(id.to_string())
        .bind(now())
        .bind(failure.kind.word())
        .bind(failure.code.as_ref())
        .bind(&failure.message)
        .execute(&self.pool)
        .await?
        .rows_affected();
        Ok(changed == 1)
    }

    /// Gives a running job back, not counting the attempt: the server stops, the job is not at fault.
    pub async fn give_back(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET state = 'queued', attempts = max(attempts - 1, 0) WHERE id = $1 AND state = 'running'")
            .bind(id.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Jobs that a killed server left running.
    pub async fn interrupted(&self) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query("SELECT jobs.*, NULL AS decision FROM jobs WHERE state = 'running' ORDER BY id").fetch_all(&self.pool).await?;
        rows.iter().map(job_of).collect()
    }

    /// Queues an interrupted job again; the attempt stays counted.
    pub async fn retry(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET state = 'queued' WHERE id = $1 AND state = 'running'").bind(id.to_string()).execute(&self.pool).await?;
        Ok(())
    }

    /// Answers where the database does.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// What the order is called among its files.
pub const ORDER_FILE: &str = "order.toml";

/// The time, RFC 3339 in UTC to the second.
pub fn now() -> String {
    let now = time::OffsetDateTime::now_utc().replace_nanosecond(0).expect("0 is a valid nanosecond");
    now.format(&time::format_description::well_known::Rfc3339).expect("a UTC time of this era can be written in RFC 3339")
}

fn job_of(row: &SqliteRow) -> Result<Job, StoreError> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    let state = match text("state")?.as_deref() {
        Some("queued") => State::Queued,
        Some("running") => State::Running,
        Some("done") => State::Done { decision: decision_of(text("decision")?.as_deref())? },
        _ => State::Failed(Failure {
            kind: Kind::of_word(&text("error_kind")?.unwrap_or_default()),
            code: text("error_code")?.unwrap_or_default().into(),
            message: text("error_message")?.unwrap_or_default(),
        }),
    };
    Ok(Job {
        id: parse_id(&row.try_get::<String, _>("id")?)?,
        order_id: row.try_get("order_id")?,
        accepted: row.try_get("accepted")?,
        finished: text("finished")?,
        attempts: row.try_get::<i64, _>("attempts")?.try_into().unwrap_or(u32::MAX),
        state,
    })
}

fn parse_id(text: &str) -> Result<Uuid, StoreError> {
    Uuid::from_str(text).map_err(|e| StoreError::Database(sqlx::Error::Decode(Box::new(e))))
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Conforms => "conforms",
        Decision::DoesNotConform => "does_not_conform",
        Decision::Undecided => "undecided",
        Decision::NotMeasured => "not_measured",
    }
}

fn decision_of(found: Option<&str>) -> Result<Decision, StoreError> {
    let all = [Decision::Conforms, Decision::DoesNotConform, Decision::Undecided, Decision::NotMeasured];
    let decision = all.into_iter().find(|d| Some(word(*d)) == found);
    decision.ok_or_else(|| StoreError::Database(sqlx::Error::ColumnNotFound("decision".into())))
}
