//! Is a judgement what was signed, by whom, and are its evidence files the ones it names? Everything offline.
//!
//! Accepts the bytes of a judgement, the keys the caller trusts (or none: then the keys inside the signatures show that the bytes
//! are whole, and nothing is trusted) and the folder of the evidence. A document that cannot be read is an error; what can be read
//! is answered item by item in [`Verification`], and [`Verification::fault`] is the first reason not to rely on it.
//!
//! Signatures that were taken away: the engine's must be there; the roles that release the device stand in the signed payload,
//! and those without a signature are listed in `missing_roles`. A judgement that misses them holds and is not releasable.

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use verimetry_engine::Error;
use verimetry_engine::judgement::{EvidenceRecord, Payload, Role, SCHEMA};
use verimetry_engine::order;

use crate::json::{canonical, read_strictly};
use crate::jws::{JUDGEMENT, Jws, JwsError, MAX_BYTES, Signature};
use crate::keys::{Key, KeySet};

/// Name of the readable payload beside a judgement. Where it is there, it must say what the signed one says.
pub const READABLE: &str = "judgement.json";

/// What was checked and what came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Everything that was checked holds.
    pub holds: bool,
    /// Every signature is by a key that the caller trusts in its role.
    pub trusted: bool,
    /// Says so where nothing could be trusted because no key set was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    pub signatures: Vec<SignatureState>,
    /// Roles that release the device and have not signed.
    pub missing_roles: Vec<Role>,
    pub evidence: Vec<EvidenceState>,
    /// SHA-256 of the signed payload: what a successor names as its predecessor.
    pub payload_sha256: String,
    #[serde(skip)]
    pub payload: Payload,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignatureState {
    pub kid: String,
    pub role: Role,
    /// Seconds since 1970, UTC, as the signer says.
    pub signed_at: u64,
    pub valid: bool,
    pub trusted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvidenceState {
    pub name: String,
    /// `None` where no folder was given to look in.
    pub ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Verification {
    /// The first reason not to rely on the judgement, of class signature.
    pub fn fault(&self) -> Option<Error> {
        let signed_by = |s: &SignatureState| format!("the signature of key {} as {}", s.kid, s.role.name());
        if let Some(s) = self.signatures.iter().find(|s| !s.valid) {
            return Some(Error::signature("signature.invalid", format!("{} does not hold; ask for the original file", signed_by(s))));
        }
        if !self.signatures.iter().any(|s| s.role == Role::Engine) {
            return Some(Error::signature("signature.missing", "no signature of the role engine; ask for the original file"));
        }
        if self.note.is_none()
            && let Some(s) = self.signatures.iter().find(|s| !s.trusted)
        {
            let message = format!(
                "{} holds but is not trusted: the key set lacks this key in this role; add it if you know whose it is",
                signed_by(s)
            );
            return Some(Error::signature("signature.untrusted", message));
        }
        let bad = self.evidence.iter().find(|e| e.ok == Some(false))?;
        let fault = bad.fault.as_deref().unwrap_or("differs");
        Some(Error::signature("signature.evidence", format!("evidence {:?}: {fault}; ask for the original file", bad.name)))
    }
}

/// Checks every signature and every evidence digest.
pub fn verify(judgement: &[u8], trusted: Option<&KeySet>, evidence_folder: Option<&Path>) -> Result<Verification, Error> {
    let jws = Jws::read(judgement, JUDGEMENT)?;
    let payload = payload_of(&jws)?;
    let signatures: Vec<_> = jws.signatures().iter().map(|s| check_signature(s, &jws, trusted)).collect();
    let mut evidence: Vec<_> = payload.evidence.iter().map(|e| check_evidence(e, evidence_folder)).collect();
    evidence.extend(evidence_folder.and_then(|folder| check_readable(folder, jws.payload())));
    let signed = |role: &Role| signatures.iter().any(|s| s.valid && s.role == *role);
    let mut v = Verification {
        holds: false,
        trusted: signatures.iter().all(|s| s.trusted),
        note: trusted.is_none().then_some("not trusted: no key set given"),
        missing_roles: payload.required_signatures.iter().filter(|r| !signed(r)).copied().collect(),
        payload_sha256: hex(&Sha256::digest(jws.payload())),
        signatures,
        evidence,
        payload,
    };
    v.holds = v.fault().is_none();
    Ok(v)
}

/// Signs a payload as the engine: the bytes of `judgement.jws.json`. `signed_at` is in seconds since 1970, UTC.
pub fn sign(payload: &Payload, key: &Key, signed_at: u64) -> Result<Vec<u8>, Error> {
    let mut jws = Jws::unsigned(&payload.to_value()?)?;
    jws.sign(JUDGEMENT, key, Role::Engine, signed_at)?;
    Ok(jws.to_bytes())
}

/// Adds a signature to the same payload. The signatures that are there must hold; the engine's own role is not given away.
pub fn countersign(judgement: &[u8], key: &Key, role: Role, signed_at: u64) -> Result<Vec<u8>, Error> {
    if role == Role::Engine {
        let message = "role \"engine\" cannot countersign; allowed are clinician, designer, manufacturer; name one of them";
        return Err(Error::signature("signature.role", message));
    }
    let mut jws = Jws::read(judgement, JUDGEMENT)?;
    payload_of(&jws)?;
    if let Some(fault) = verify(judgement, None, None)?.fault() {
        return Err(fault);
    }
    jws.sign(JUDGEMENT, key, role, signed_at)?;
    Ok(jws.to_bytes())
}

fn payload_of(jws: &Jws) -> Result<Payload, Error> {
    let malformed = |reason: String| Error::from(JwsError::Malformed { reason: format!("payload: {reason}") });
    let payload: Payload = serde_json::from_slice(jws.payload()).map_err(|e| malformed(e.to_string()))?;
    if payload.schema != SCHEMA {
        return Err(malformed(format!("schema {:?}; allowed is {SCHEMA:?}", payload.schema)));
    }
    Ok(payload)
}

fn check_signature(s: &Signature, jws: &Jws, trusted: Option<&KeySet>) -> SignatureState {
    let key = s.embedded_key().or_else(|| trusted.and_then(|set| set.key(s.kid())));
    let valid = key.is_some_and(|key| s.holds(jws, &key));
    let trusted = valid && key.zip(trusted).is_some_and(|(key, set)| set.trusts(&key, s.role()));
    SignatureState { kid: s.kid().into(), role: s.role(), signed_at: s.signed_at(), valid, trusted }
}

fn check_evidence(record: &EvidenceRecord, folder: Option<&Path>) -> EvidenceState {
    let fault = folder.and_then(|folder| evidence_fault(record, folder).err());
    EvidenceState { name: record.name.clone(), ok: folder.map(|_| fault.is_none()), fault }
}

fn evidence_fault(record: &EvidenceRecord, folder: &Path) -> Result<(), String> {
    let path = order::resolve(folder, &record.name).map_err(|e| e.fault.to_string())?;
    let facts = path.metadata().map_err(|e| e.kind().to_string())?;
    if !facts.is_file() || facts.len() != record.bytes {
        return Err(format!("{} bytes were signed, {} are there", record.bytes, facts.len()));
    }
    let file = std::fs::File::open(&path).map_err(|e| e.kind().to_string())?;
    let mut hasher = Sha256::new();
    let mut rest = file.take(record.bytes);
    let mut chunk = vec![0; 1 << 16];
    loop {
        match rest.read(&mut chunk).map_err(|e| e.kind().to_string())? {
            0 => break,
            n => hasher.update(&chunk[..n]), // n is at most the buffer's length
        }
    }
    let found = hex(&hasher.finalize());
    if found == record.sha256 { Ok(()) } else { Err(format!("SHA-256 {} was signed, {found} is there", record.sha256)) }
}

/// The readable payload beside the judgement, where there is one: people read it instead of the signed bytes.
fn check_readable(folder: &Path, signed: &[u8]) -> Option<EvidenceState> {
    let path = folder.join(READABLE);
    if !path.try_exists().unwrap_or(true) {
        return None;
    }
    let fault = readable_fault(&path, signed).err();
    Some(EvidenceState { name: READABLE.into(), ok: Some(fault.is_none()), fault })
}

fn readable_fault(path: &Path, signed: &[u8]) -> Result<(), String> {
    let facts = path.metadata().map_err(|e| e.kind().to_string())?;
    if !facts.is_file() || facts.len() > MAX_BYTES as u64 {
        return Err("is no file of at most 32 MiB".into());
    }
    let bytes = std::fs::read(path).map_err(|e| e.kind().to_string())?;
    let value: Value = read_strictly(&bytes)?;
    if canonical(&value)? == signed { Ok(()) } else { Err("does not say what the signed payload says".into()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
