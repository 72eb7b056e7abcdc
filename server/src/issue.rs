//! From a judged order to its files: signed, readable, and for people.
//!
//! ```text
//! judgement.jws.json   the judgement: payload and signatures
//! judgement.json       the payload, for reading
//! report.html          a rendering of the payload
//! evidence/NAME        what the payload's evidence digests stand for
//! ```

use std::path::{Path, PathBuf};

use verimetry_engine::case::Judged;
use verimetry_engine::judgement::{Decision, Evidence, Payload};

use crate::failure::Failure;
use crate::staging;

pub const JWS_FILE: &str = "judgement.jws.json";
pub const PAYLOAD_FILE: &str = "judgement.json";
pub const REPORT_FILE: &str = "report.html";
pub const EVIDENCE_FOLDER: &str = "evidence";

/// The revision this was built from, where the build told it.
pub const SOURCE_REVISION: &str = match option_env!("VERIMETRY_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
