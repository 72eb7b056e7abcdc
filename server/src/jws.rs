//! JWS in the general JSON serialisation (RFC 7515 section 7.2): several parties sign one payload.
//!
//! Algorithm `Ed25519` (RFC 9864; `EdDSA` of RFC 8037 is accepted from others). The protected header carries everything that is
//! said about a signature: `alg`, `typ`, `kid` (RFC 7638 thumbprint), `jwk`, `role`, `iat` (seconds since 1970, UTC). There is no
//! unprotected header. `role` is not marked critical: a verifier that does not know roles still learns that the bytes are whole, and
//! stock JOSE libraries stay able to verify; a `crit` that names anything else than what is read here is refused (section 4.1.11).
//!
//! One document has one form: base64url without padding and with zero trailing bits, no equal keys, no unknown members, a payload
//! that equals its own canonical form (RFC 8785), strict Ed25519. So no byte of a file can change without a refusal, but for
//! white space between JSON tokens. Accepts up to [`MAX_BYTES`] and [`MAX_SIGNATURES`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use verimetry_engine::judgement::Role;

use crate::json::{canonical, read_strictly};
use crate::keys::{Jwk, Key, PublicKey};

/// Largest JWS in bytes.
pub const MAX_BYTES: usize = 32 << 20;
/// Most signatures on one payload.
pub const MAX_SIGNATURES: usize = 64;
/// `typ` of a judgement: what was signed for one purpose cannot be shown for another (RFC 8725 section 3.11).
pub const JUDGEMENT: &str = "verimetry-judgement+jws";

const ALGORITHMS: [&str; 2] = ["Ed25519", "EdDSA"];
const UNDERSTOOD: [&str; 2] = ["role", "iat"];

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JwsError {
    #[error("the signed document has {bytes} bytes; allowed are {MAX_BYTES}")]
    TooLarge { bytes: usize },
    #[error("the signed document is no JWS in the general JSON serialisation: {reason}; ask for the original file")]
    Malformed { reason: String },
    #[error("the payload is not in canonical form (RFC 8785), so it is not what was signed here; ask for the original file")]
    NotCanonical,
    #[error("algorithm {found:?}; allowed are Ed25519 and EdDSA; have it signed again")]
    Algorithm { found: String },
    #[error("header parameter {found:?} is marked critical and is not known to this version; verify with a newer one")]
    Critical { found: String },
    #[error("the document is of type {found:?}; expected is {expected:?}; give a judgement")]
    Kind { found: String, expected: String },
    #[error("key {kid} has signed as {role} already; a key signs once in a role; nothing needs to be done", role = role.name())]
    SignedAlready { kid: String, role: Role },
    #[error("{count} signatures; allowed are 1 to {MAX_SIGNATURES}")]
    Count { count: usize },
}

impl JwsError {
    pub fn code(&self) -> &'static str {
        match self {
            JwsError::TooLarge { .. } => "signature.too_large",
            JwsError::Malformed { .. } => "signature.malformed",
            JwsError::NotCanonical => "signature.not_canonical",
            JwsError::Algorithm { .. } => "signature.algorithm",
            JwsError::Critical { .. } => "signature.critical",
            JwsError::Kind { .. } => "signature.kind",
            JwsError::SignedAlready { .. } => "signature.signed_already",
            JwsError::Count { .. } => "signature.count",
        }
    }
}

impl From<JwsError> for verimetry_engine::Error {
    fn from(e: JwsError) -> Self {
        verimetry_engine::Error::signature(e.code(), e.to_string())
    }
}

fn malformed(reason: impl Into<String>) -> JwsError {
    JwsError::Malformed { reason: reason.into() }
}

/// A payload and its signatures, well-formed; whether they hold is [`Signature::holds`].
#[derive(Clone, Debug, PartialEq)]
pub struct Jws {
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// As it was signed: base64url of the header's bytes.
    protected: String,
    header: Header,
    signature: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    role: Role,
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwk: Option<Jwk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    payload: String,
    signatures: Vec<WrittenSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    protected: String,
    signature: String,
}

impl Jws {
    /// A document without signatures yet. The payload's canonical form is what is signed.
    pub fn unsigned(payload: &Value) -> Result<Jws, JwsError> {
        Ok(Jws { payload: canonical(payload).map_err(malformed)?, signatures: Vec::new() })
    }

    /// Reads a document of type `kind` and refuses whatever is not well-formed, known and canonical.
    pub fn read(bytes: &[u8], kind: &str) -> Result<Jws, JwsError> {
        if bytes.len() > MAX_BYTES {
            return Err(JwsError::TooLarge { bytes: bytes.len() });
        }
        let written: Written =
            read_strictly(bytes).and_then(|v| serde_json::from_value(v).map_err(|e| e.to_string())).map_err(malformed)?;
        if !(1..=MAX_SIGNATURES).contains(&written.signatures.len()) {
            return Err(JwsError::Count { count: written.signatures.len() });
        }
        let payload = decode("payload", &written.payload)?;
        let value = read_strictly(&payload).map_err(|e| malformed(format!("payload: {e}")))?;
        if canonical(&value).map_err(malformed)? != payload {
            return Err(JwsError::NotCanonical);
        }
        let mut jws = Jws { payload, signatures: Vec::new() };
        for s in written.signatures {
            jws.push(Signature::read(s, kind)?)?;
        }
        Ok(jws)
    }

    /// The document as a file: one line of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures: Vec<_> = self
            .signatures
            .iter()
            .map(|s| json!({ "protected": s.protected, "signature": URL_SAFE_NO_PAD.encode(&s.signature) }))
            .collect();
        let mut text = json!({ "payload": URL_SAFE_NO_PAD.encode(&self.payload), "signatures": signatures }).to_string();
        text.push('\n');
        text.into_bytes()
    }

    /// Adds a signature. `signed_at` is in seconds since 1970, UTC.
    pub fn sign(&mut self, kind: &str, key: &Key, role: Role, signed_at: u64) -> Result<(), JwsError> {
        let public = key.public();
        let header = Header {
            alg: ALGORITHMS[0].into(),
            typ: kind.into(),
            kid: public.kid(),
            role,
            iat: signed_at,
            jwk: Some(public.jwk()),
            crit: None,
        };
        let value = serde_json::to_value(&header).map_err(|e| malformed(e.to_string()))?;
        let protected = URL_SAFE_NO_PAD.encode(canonical(&value).map_err(malformed)?);
        let signature = key.sign(&self.signing_input(&protected)).to_vec();
        self.push(Signature { protected, header, signature })
    }

    fn push(&mut self, new: Signature) -> Result<(), JwsError> {
        if self.signatures.iter().any(|s| (s.kid(), s.role()) == (new.kid(), new.role())) {
            return Err(JwsError::SignedAlready { kid: new.header.kid, role: new.header.role });
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(JwsError::Count { count: MAX_SIGNATURES + 1 });
        }
        self.signatures.push(new);
        Ok(())
    }

    /// RFC 7515 section 5.1 step 8.
    fn signing_input(&self, protected: &str) -> Vec<u8> {
        [protected.as_bytes(), b".", URL_SAFE_NO_PAD.encode(&self.payload).as_bytes()].concat()
    }

    /// The canonical bytes that are signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl Signature {
    fn read(written: WrittenSignature, kind: &str) -> Result<Signature, JwsError> {
        let bytes = decode("protected", &written.protected)?;
        let value = read_strictly(&bytes).map_err(|e| malformed(format!("protected header: {e}")))?;
        // The algorithm is looked at first: of a header that is not ours, it is what matters.
        match value.get("alg").and_then(Value::as_str) {
            Some(alg) if ALGORITHMS.contains(&alg) => {}
            other => return Err(JwsError::Algorithm { found: other.unwrap_or("none").into() }),
        }
        let header: Header = serde_json::from_value(value).map_err(|e| malformed(format!("protected header: {e}")))?;
        if header.typ != kind {
            return Err(JwsError::Kind { found: header.typ, expected: kind.into() });
        }
        if let Some(critical) = &header.crit {
            if let Some(unknown) = critical.iter().find(|c| !UNDERSTOOD.contains(&c.as_str())) {
                return Err(JwsError::Critical { found: unknown.clone() });
            }
            if critical.is_empty() {
                return Err(malformed("protected header: `crit` is empty"));
            }
        }
        let signature = decode("signature", &written.signature)?;
        Ok(Signature { protected: written.protected, header, signature })
    }

    /// Whether the signature holds over the document's payload under this key, and the key is the one it names.
    pub fn holds(&self, document: &Jws, key: &PublicKey) -> bool {
        self.header.kid == key.kid()
            && self.header.jwk.as_ref().is_none_or(|jwk| jwk.key() == Some(*key))
            && key.verifies(&document.signing_input(&self.protected), &self.signature)
    }

    /// The key that the signature brings along: enough to see that the bytes are whole, not whose they are.
    pub fn embedded_key(&self) -> Option<PublicKey> {
        self.header.jwk.as_ref().and_then(Jwk::key)
    }

    /// Id of the key: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    pub fn role(&self) -> Role {
        self.header.role
    }

    /// Seconds since 1970, UTC, as the signer says.
    pub fn signed_at(&self) -> u64 {
        self.header.iat
    }
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(format!("{what} is not base64url without padding")))
}
