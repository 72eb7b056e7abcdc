//! `key`: making a signing key and showing its public half.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use verimetry_engine::Error;

use super::{Outcome, Session, session};
use crate::failure::Failure;
use crate::keys::{self, Key};

/// Make an Ed25519 signing key, or print its public JWK set
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry key new surgeon.pem
  verimetry key public surgeon.pem > surgeon.jwks.json")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key in a new file of mode 0600; nothing is ever overwritten
    #[command(after_help = "Examples:\n  verimetry key new surgeon.pem")]
    New {
        /// File to write [default: signing-key.pem in your configuration folder]
        file: Option<PathBuf>,
    },
    /// Print the public JWK set of a key
    #[command(after_help = "Examples:\n  verimetry key public surgeon.pem > surgeon.jwks.json")]
    Public {
        /// Key file [default: signing-key.pem in your configuration folder]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    match &args.action {
        Action::New { file } => {
            let path = path(file)?;
            let key = Key::generate().map_err(Error::from)?;
            key.write_new(&path).map_err(Error::from)?;
            let kid = key.public().kid();
            session.print(&json!({ "file": path, "kid": kid }), |_| format!("Wrote {}\nKey id {kid}\n", path.display()))?;
        }
        Action::Public { file } => {
            let key = Key::read(&path(file)?).map_err(Error::from)?;
            let set = keys::public_set(&[key.public()]);
            let text = serde_json::to_string_pretty(&set).map_err(|e| Failure::defect(format_args!("the key set is no JSON: {e}")))?;
            session::print(&format!("{text}\n"))?;
        }
    }
    Ok(Outcome::Done)
}

fn path(named: &Option<PathBuf>) -> Result<PathBuf, Failure> {
    match named {
        Some(path) => Ok(path.clone()),
        None => Ok(keys::default_path(|name| std::env::var_os(name)).map_err(Error::from)?),
    }
}
