//! From a judged order to its files: signed, readable, and for people.
//!
//! ```text
//! judgement.jws.json   the judgement: payload and signatures
//! judgement.json       the payload, for reading
//! report.html          a rendering of the payload
//! evidence/NAME        what the payload's evidence digests stand for
//! ```

use std::io::Read;
use std::path::{Path, PathBuf};

use verimetry_engine::judge::Judged;
use verimetry_engine::judgement::{Decision, Evidence, Payload};
use verimetry_engine::{Error, io};

use crate::failure::Failure;
use crate::keys::Key;
use crate::report::{self, SignatureLine};
use crate::verify::{SignatureState, Verification};
use crate::{jws, staging, verify};

pub const JWS_FILE: &str = "judgement.jws.json";
pub const PAYLOAD_FILE: &str = verify::READABLE;
pub const REPORT_FILE: &str = "report.html";
pub const EVIDENCE_FOLDER: &str = verify::EVIDENCE;

/// The revision this was built from, where the build told it.
pub const SOURCE_REVISION: &str = match option_env!("VERIMETRY_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// What the store keeps of a judgement, to find it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// RFC 3339, UTC.
    pub issued: String,
    pub decision: Decision,
    pub payload_sha256: String,
}

/// A signed judgement, ready to be written.
pub struct Issued {
    pub payload: Payload,
    payload_sha256: String,
    jws: Vec<u8>,
    report: String,
    evidence: Vec<Evidence>,
}

/// Signs what was judged, as computed by verimetry, and renders its report.
pub fn issue(judged: Judged, key: &Key) -> Result<Issued, Failure> {
    let Judged { payload, evidence } = judged;
    let jws = verify::sign(&payload, key, unix_now())?;
    let verified = verify::verify(&jws, None, None)?;
    let bytes_of = |name: &str| evidence.iter().find(|e| e.name == name).map(|e| e.bytes.clone());
    let report = report(&verified, &bytes_of)?;
    Ok(Issued { payload, payload_sha256: verified.payload_sha256, report, jws, evidence })
}

/// Seconds since 1970, UTC.
pub fn unix_now() -> u64 {
    time::OffsetDateTime::now_utc().unix_timestamp().max(0).unsigned_abs()
}

/// The page of a judgement whose signatures were looked at.
pub fn report(verified: &Verification, evidence: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<String, Failure> {
    let line = |s: &SignatureState| SignatureLine {
        kid: s.kid.clone(),
        role: s.role.name().into(),
        signed_at: rfc3339(s.signed_at),
        algorithm: "Ed25519".into(),
        holds: s.valid,
        note: None,
    };
    let signatures: Vec<_> = verified.signatures.iter().map(line).collect();
    Ok(report::html(&verified.payload, &signatures, evidence).map_err(Error::from)?)
}

/// A time in seconds since 1970, in UTC, where a calendar reaches it.
pub fn rfc3339(unix_seconds: u64) -> Option<String> {
    let time = time::OffsetDateTime::from_unix_timestamp(i64::try_from(unix_seconds).ok()?).ok()?;
    time.format(&time::format_description::well_known::Rfc3339).ok()
}

impl Issued {
    pub fn summary(&self) -> Summary {
        Summary { issued: self.payload.issued.clone(), decision: self.payload.decision, payload_sha256: self.payload_sha256.clone() }
    }

    /// Writes every file into an empty folder, durably.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut readable =
            serde_json::to_vec_pretty(&self.payload).map_err(|e| Failure::defect(format_args!("the payload is no JSON: {e}")))?;
        readable.push(b'\n');
        put(&folder.join(JWS_FILE), &self.jws)?;
        put(&folder.join(PAYLOAD_FILE), &readable)?;
        put(&folder.join(REPORT_FILE), self.report.as_bytes())?;
        let evidence = folder.join(EVIDENCE_FOLDER);
        std::fs::create_dir(&evidence).map_err(|e| Failure::unwritable(&evidence, &e))?;
        for file in &self.evidence {
            put(&evidence.join(&file.name), &file.bytes)?;
        }
        staging::sync(&evidence).map_err(|e| Failure::unwritable(&evidence, &e))
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).and_then(|()| staging::sync(path)).map_err(|e| Failure::unwritable(path, &e))
}

/// Whether a folder holds a judgement's files and nothing else.
pub fn holds_only_a_judgement(folder: &Path) -> std::io::Result<bool> {
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        if ![JWS_FILE, PAYLOAD_FILE, REPORT_FILE, EVIDENCE_FOLDER].iter().any(|ours| name == *ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The payload of the judgement in a folder that this program wrote.
pub fn read_payload(folder: &Path) -> Result<Payload, Failure> {
    let path = folder.join(PAYLOAD_FILE);
    let bytes = std::fs::read(&path).map_err(|e| Failure::unreadable(&path, &e))?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::defect(format_args!("{} is no judgement: {e}", path.display())))
}

/// The summary of the judgement in a folder, where there is one whose signature and evidence hold.
pub fn summary(folder: &Path) -> Option<Summary> {
    let jws = std::fs::read(folder.join(JWS_FILE)).ok()?;
    let verified = verify::verify(&jws, None, Some(folder)).ok().filter(|v| v.holds)?;
    let Payload { issued, decision, .. } = verified.payload;
    Some(Summary { issued, decision, payload_sha256: verified.payload_sha256 })
}

/// The file of a judgement that was named by itself or by its folder, its folder, and its bytes.
pub fn read_judgement(named: &Path) -> Result<(PathBuf, PathBuf, Vec<u8>), Failure> {
    let file = if named.is_dir() { named.join(JWS_FILE) } else { named.to_path_buf() };
    let bytes = read_bounded(&file, jws::MAX_BYTES as u64)?;
    let folder = io::folder_of(&file).to_path_buf();
    Ok((file, folder, bytes))
}

/// What a successor names as its predecessor: the digest of the signed payload, which countersignatures do not change.
pub fn payload_digest(named: &Path) -> Result<String, Failure> {
    let (_, _, bytes) = read_judgement(named)?;
    let verified = verify::verify(&bytes, None, None)?;
    match verified.fault() {
        Some(fault) => Err(fault.into()),
        None => Ok(verified.payload_sha256),
    }
}

/// The bytes of a small file; a larger one is refused before it is read.
pub fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::unreadable(path, &e);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        let what = format_args!("{} has more than the {most} bytes allowed for such a file; name the right one", path.display());
        return Err(Failure::input("file.too_large", what));
    }
    Ok(bytes)
}

pub fn evidence_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(EVIDENCE_FOLDER).join(name)
}
