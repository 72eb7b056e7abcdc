//! Ed25519 keys: made, kept, shown, trusted.
//!
//! A private key is a PKCS#8 PEM file (RFC 8410, version 1 without the public key, which OpenSSL reads too) that only its owner
//! may read; it is written whole or not at all and never overwrites anything. A public key is a JWK (RFC 8037) whose id is its
//! RFC 7638 thumbprint. A key set may bind a key to roles by the private member `roles`; without it a key may sign in any role.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;
use verimetry_engine::io;
use verimetry_engine::judgement::Role;

use crate::json::read_strictly;

const MAX_KEY_BYTES: u64 = 16 << 10;
const MAX_SET_BYTES: usize = 1 << 20;

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("key file {path} exists already; a key is never overwritten; name another file or move it away")]
    Exists { path: String },
    #[error("key file {path}: {reason}; make one with `verimetry key new`")]
    Missing { path: String, reason: String },
    #[error(
        "key file {path} can be read by others (mode {mode:04o}); allowed is 0600; run `chmod 600` on it, or make a new key if it may have been read"
    )]
    OpenToOthers { path: String, mode: u32 },
    #[error("key file {path} is no Ed25519 private key in PKCS#8 PEM; make one with `verimetry key new`")]
    Malformed { path: String },
    #[error("key file {path} cannot be written: {reason}; name a folder that can be written to")]
    Write { path: String, reason: String },
    #[error("no folder for keys: none of XDG_CONFIG_HOME, HOME or APPDATA is an absolute path; set one or name a key with --key")]
    NoHome,
    #[error("the system gives no random numbers: {reason}; try again")]
    NoEntropy { reason: String },
    #[error("the key set is none: {reason}; give the output of `verimetry key public`")]
    Set { reason: String },
}

impl KeyError {
    pub fn code(&self) -> &'static str {
        match self {
            KeyError::Exists { .. } => "key.exists",
            KeyError::Missing { .. } => "key.missing",
            KeyError::OpenToOthers { .. } => "key.open_to_others",
            KeyError::Malformed { .. } => "key.malformed",
            KeyError::Write { .. } => "key.write",
            KeyError::NoHome => "key.no_home",
            KeyError::NoEntropy { .. } => "key.no_entropy",
            KeyError::Set { .. } => "key.set",
        }
    }
}

impl From<KeyError> for verimetry_engine::Error {
    fn from(e: KeyError) -> Self {
        match e {
            KeyError::Write { .. } | KeyError::NoEntropy { .. } => verimetry_engine::Error::resource(e.code(), e.to_string()),
            _ => verimetry_engine::Error::input(e.code(), e.to_string()),
        }
    }
}

/// A private signing key. Its secret is wiped from memory when dropped and never printed.
pub struct Key(SigningKey);

impl Key {
    pub fn generate() -> Result<Key, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(|e| KeyError::NoEntropy { reason: e.to_string() })?;
        Ok(Key::from_secret(&secret))
    }

    /// From the 32 bytes of RFC 8032's private key.
    pub fn from_secret(secret: &[u8; 32]) -> Key {
        Key(SigningKey::from_bytes(secret))
    }

    /// Reads a key file, and refuses one that others can read.
    pub fn read(path: &Path) -> Result<Key, KeyError> {
        let missing = |e: std::io::Error| KeyError::Missing { path: shown(path), reason: e.kind().to_string() };
        let file = std::fs::File::open(path).map_err(missing)?;
        let facts = file.metadata().map_err(missing)?; // of the opened file: the name could be exchanged in between
        if !facts.is_file() {
            return Err(KeyError::Malformed { path: shown(path) });
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = facts.permissions().mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(KeyError::OpenToOthers { path: shown(path), mode });
            }
        }
        let mut pem = Zeroizing::new(String::new());
        file.take(MAX_KEY_BYTES).read_to_string(&mut pem).map_err(|_| KeyError::Malformed { path: shown(path) })?;
        SigningKey::from_pkcs8_pem(&pem).map(Key).map_err(|_| KeyError::Malformed { path: shown(path) })
    }

    /// Writes the key to a new file of mode 0600, making its folder (mode 0700) where there is none.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |e: std::io::Error| KeyError::Write { path: shown(path), reason: e.kind().to_string() };
        let folder = io::folder_of(path);
        make_private_folder(folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?; // of mode 0600 from its first byte
        file.write_all(self.to_pem().as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist_noclobber(path).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => KeyError::Exists { path: shown(path) },
            _ => failed(e.error),
        })?;
        Ok(())
    }

    fn to_pem(&self) -> Zeroizing<String> {
        let version_1 = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        version_1.to_pkcs8_pem(LineEnding::LF).expect("32 bytes always have a PKCS#8 form")
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// The user's own key, made on first use. The flag is true where it was made now, so that the caller can say so.
pub fn users_key() -> Result<(Key, PathBuf, bool), KeyError> {
    users_key_at(&default_path(|name| std::env::var_os(name))?)
}

/// [`users_key`] at a given path.
pub fn users_key_at(path: &Path) -> Result<(Key, PathBuf, bool), KeyError> {
    if path.try_exists().unwrap_or(true) {
        return Ok((Key::read(path)?, path.into(), false));
    }
    let key = Key::generate()?;
    match key.write_new(path) {
        Ok(()) => Ok((key, path.into(), true)),
        // Another run made it at the same moment: there is one key, and it is that one.
        Err(KeyError::Exists { .. }) => Ok((Key::read(path)?, path.into(), false)),
        Err(e) => Err(e),
    }
}

/// `verimetry/signing-key.pem` in the user's configuration folder: `$XDG_CONFIG_HOME` where set, else the system's usual place.
pub fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, KeyError> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| {
        if cfg!(windows) {
            absolute("APPDATA")
        } else if cfg!(target_os = "macos") {
            absolute("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            absolute("HOME").map(|home| home.join(".config"))
        }
    });
    folder.map(|f| f.join("verimetry/signing-key.pem")).ok_or(KeyError::NoHome)
}

fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From RFC 8032's 32 bytes; `None` where they are no point of the curve, or one of small order, under which anything verifies.
    pub fn from_bytes(bytes: &[u8]) -> Option<PublicKey> {
        let key = VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        (!key.is_weak()).then_some(PublicKey(key))
    }

    /// Strict verification (RFC 8032 with the cofactorless equation and canonical encodings only): one signature has one form.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|s| self.0.verify_strict(message, &s).is_ok())
    }

    pub fn jwk(&self) -> Jwk {
        Jwk { kty: "OKP".into(), crv: "Ed25519".into(), x: URL_SAFE_NO_PAD.encode(self.0.as_bytes()) }
    }

    /// RFC 7638 thumbprint, the key's id.
    pub fn kid(&self) -> String {
        let Jwk { kty, crv, x } = self.jwk();
        // Members in the order of their names, as RFC 7638 wants them; none has a character to escape.
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}"}}"#)))
    }
}

/// The public members of an Ed25519 JWK (RFC 8037). Nothing else is read from a key inside a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    pub kty: String,
    pub crv: String,
    pub x: String,
}

impl Jwk {
    /// The key, where this is an Ed25519 one and a sound one.
    pub fn key(&self) -> Option<PublicKey> {
        if (self.kty.as_str(), self.crv.as_str()) != ("OKP", "Ed25519") {
            return None;
        }
        PublicKey::from_bytes(&URL_SAFE_NO_PAD.decode(&self.x).ok()?)
    }
}

/// The public JWK set of these keys (RFC 7517).
pub fn public_set(keys: &[PublicKey]) -> Value {
    let jwk = |key: &PublicKey| {
        let Jwk { kty, crv, x } = key.jwk();
        json!({ "kty": kty, "crv": crv, "x": x, "kid": key.kid(), "alg": "Ed25519", "use": "sig" })
    };
    json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() })
}

/// Keys that a verifier trusts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySet(Vec<Trusted>);

#[derive(Clone, Debug, PartialEq)]
struct Trusted {
    key: PublicKey,
    /// Roles the key may sign in; any where the set says nothing.
    roles: Option<Vec<Role>>,
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds are passed over (RFC 7517 section 5); a private key in it is an error.
    pub fn read(bytes: &[u8]) -> Result<KeySet, KeyError> {
        let fault = |reason: &str| KeyError::Set { reason: reason.into() };
        if bytes.len() > MAX_SET_BYTES {
            return Err(fault("it has more than 1 MiB"));
        }
        let set = read_strictly(bytes).map_err(|e| fault(&e))?;
        let jwks = set.get("keys").and_then(Value::as_array).ok_or_else(|| fault("it has no array `keys`"))?;
        if jwks.iter().any(|jwk| jwk.get("d").is_some()) {
            return Err(fault("it holds a private key (member `d`), which must not be given away"));
        }
        let ed25519 = jwks.iter().filter(|jwk| jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519");
        let keys =
            ed25519.map(trusted).collect::<Option<Vec<_>>>().ok_or_else(|| fault("one of its keys is unsound or has an unknown role"))?;
        if keys.is_empty() { Err(fault("it holds no Ed25519 key")) } else { Ok(KeySet(keys)) }
    }

    /// The key of this id.
    pub fn key(&self, kid: &str) -> Option<PublicKey> {
        self.0.iter().map(|t| t.key).find(|k| k.kid() == kid)
    }

    /// Whether the key may sign in the role.
    pub fn trusts(&self, key: &PublicKey, role: Role) -> bool {
        self.0.iter().any(|t| t.key == *key && t.roles.as_ref().is_none_or(|roles| roles.contains(&role)))
    }
}

fn trusted(jwk: &Value) -> Option<Trusted> {
    let key = Jwk { kty: "OKP".into(), crv: "Ed25519".into(), x: jwk["x"].as_str()?.into() }.key()?;
    let roles = match jwk.get("roles") {
        Some(roles) => Some(serde_json::from_value(roles.clone()).ok()?),
        None => None,
    };
    Some(Trusted { key, roles })
}
