//! `backends`: what can compute here.

use serde_json::json;

use super::{Outcome, Session};
use crate::failure::Failure;

/// List the CPU and the GPU adapters that can be used, and their limits
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry backends
  verimetry backends --json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let threads = rayon::current_num_threads();
    session.print(&json!({ "backends": [{ "backend": "cpu", "threads": threads }] }), |_| format!("cpu  {threads} threads\n"))?;
    Ok(Outcome::Done)
}
