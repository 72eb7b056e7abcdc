//! `countersign`: another party signs the same payload (8.2.2).

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;
use verimetry_engine::judgement;

use super::{Outcome, Session};
use crate::failure::Failure;
use crate::issue;
use crate::keys::Key;
use crate::staging::Staged;
use crate::verify;

/// Add a signature to a judgement
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry countersign result --key surgeon.pem --role clinician
  verimetry countersign result/judgement.jws.json --key maker.pem --role manufacturer

The judgement is checked first, evidence included: nothing is added to one that does not hold. Its file is replaced whole.")]
pub(super) struct Args {
    /// judgement.jws.json, or its folder
    judgement: PathBuf,
    /// Ed25519 key to sign with
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// As what the key's owner signs
    #[arg(long, value_enum)]
    role: Role,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Role {
    Clinician,
    Designer,
    Manufacturer,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let role = match args.role {
        Role::Clinician => judgement::Role::Clinician,
        Role::Designer => judgement::Role::Designer,
        Role::Manufacturer => judgement::Role::Manufacturer,
    };
    let key = Key::read(&args.key).map_err(verimetry_engine::Error::from)?;
    let (file, folder, bytes) = issue::read_judgement(&args.judgement)?;
    if let Some(fault) = verify::verify(&bytes, None, Some(&folder))?.fault() {
        return Err(fault.into());
    }
    let signed = verify::countersign(&bytes, &key, role, issue::unix_now())?;
    let staged = Staged::file(&file)?;
    std::fs::write(staged.path(), &signed).map_err(|e| Failure::unwritable(&file, &e))?;
    staged.place()?;
    let after = verify::verify(&signed, None, None)?;
    let (kid, missing) = (key.public().kid(), &after.missing_roles);
    let json = json!({ "judgement": after.payload.id, "role": role, "kid": kid, "missing_roles": missing });
    session.print(&json, |_| {
        let missing: Vec<_> = missing.iter().map(|r| r.name()).collect();
        let rest = if missing.is_empty() { "all required signatures are there".into() } else { format!("still to sign: {}", missing.join(", ")) };
        format!("Signed {} as {} with key {kid}; {rest}\n", file.display(), role.name())
    })?;
    Ok(Outcome::Done)
}
