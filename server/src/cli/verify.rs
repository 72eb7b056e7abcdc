//! `verify`: does a judgement hold, and does it come out the same again?

use std::path::PathBuf;

use serde::Serialize;
use verimetry_engine::judgement::{Difference, Stamp, differences};

use super::print::{Column, Paint, Table, Tone, decision, plain};
use super::{Outcome, Session};
use crate::failure::Failure;
use crate::issue;
use crate::keys::KeySet;
use crate::verify::{Verification, verify};

/// Largest key set.
const KEY_SET_BYTES: u64 = 1 << 20;

/// Check every signature and evidence digest of a judgement, offline; recompute it on demand
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry verify result
  verimetry verify result/judgement.jws.json --jwks hospital.jwks.json
  verimetry verify result --replay order.toml --backend cpu

Without --jwks the keys inside the signatures show that nothing was changed, not who signed. Exit status 5: something does not hold.")]
pub(super) struct Args {
    /// judgement.jws.json, or its folder
    judgement: PathBuf,
    /// Keys to trust: a JWK set, as 'verimetry key public' prints
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Recompute this order and compare every judged number bit for bit
    #[arg(long, value_name = "ORDER")]
    replay: Option<PathBuf>,
}

#[derive(Serialize)]
struct Checked<'a> {
    id: &'a str,
    decision: verimetry_engine::judgement::Decision,
    #[serde(flatten)]
    verification: &'a Verification,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Replay>,
}

#[derive(Serialize)]
struct Replay {
    holds: bool,
    differences: Vec<Difference>,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let trusted = match &args.jwks {
        Some(path) => {
            let set = issue::read_bounded(path, KEY_SET_BYTES)?;
            Some(KeySet::read(&set).map_err(verimetry_engine::Error::from)?)
        }
        None => None,
    };
    let (_, folder, bytes) = issue::read_judgement(&args.judgement)?;
    let verification = verify(&bytes, trusted.as_ref(), Some(&folder))?;
    let fault = verification.fault();
    // What was not signed so is not worth recomputing.
    let replay = match (&args.replay, &fault) {
        (Some(order), None) => Some(replay(order, &verification, session)?),
        _ => None,
    };
    let payload = &verification.payload;
    let checked = Checked { id: &payload.id, decision: payload.decision, verification: &verification, replay };
    session.print(&checked, |paint| human(&checked, *paint))?;
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    match checked.replay.as_ref().and_then(|r| r.differences.first().map(|first| (r.differences.len(), first))) {
        Some((count, first)) => {
            let what = format_args!(
                "the replay differs from the judgement in {count} places, first {}; the inputs or the program are others",
                first.pointer
            );
            Err(Failure::unproven("replay.differs", what))
        }
        None => Ok(Outcome::Done),
    }
}

fn replay(order: &std::path::Path, verification: &Verification, session: &Session) -> Result<Replay, Failure> {
    let payload = &verification.payload;
    let stamp = Stamp {
        id: payload.id.clone(),
        issued: payload.issued.clone(),
        source_revision: payload.provenance.source_revision.clone(),
        predecessor: payload.predecessor.clone(),
    };
    if payload.provenance.source_revision != issue::SOURCE_REVISION {
        session.note(&format!(
            "the judgement was made by revision {}, this is {}",
            payload.provenance.source_revision,
            issue::SOURCE_REVISION
        ));
    }
    let rt = session.runtime()?;
    let again = verimetry_engine::judge::judge(order, stamp, &rt)?;
    session.finish(&rt);
    let differences = differences(payload, &again.payload)?;
    Ok(Replay { holds: differences.is_empty(), differences })
}

fn human(checked: &Checked, paint: Paint) -> String {
    let v = checked.verification;
    let (word, tone) = decision(checked.decision);
    let mut text = format!("Judgement {}: {}\n\n", checked.id, paint.text(tone, word));
    let mut table = Table::new(&[("Signature", Column::Left), ("Key", Column::Left), ("Signed at", Column::Left), ("State", Column::Left)]);
    for s in &v.signatures {
        let state = match (s.valid, s.trusted) {
            (false, _) => ("does not hold", Tone::Bad),
            (true, true) => ("holds, trusted", Tone::Good),
            (true, false) if v.note.is_some() => ("holds", Tone::Good),
            (true, false) => ("holds, not trusted", Tone::Bad),
        };
        table.row(vec![
            plain(s.role.name()),
            plain(&s.kid),
            plain(issue::rfc3339(s.signed_at).unwrap_or_else(|| "?".into())),
            (state.0.to_owned(), state.1),
        ]);
    }
    text.push_str(&table.render(paint));
    if !v.evidence.is_empty() {
        let mut table = Table::new(&[("Evidence", Column::Left), ("State", Column::Left)]);
        for e in &v.evidence {
            let state = match e.ok {
                Some(true) => ("as signed".to_owned(), Tone::Good),
                Some(false) => (e.fault.clone().unwrap_or_else(|| "differs".into()), Tone::Bad),
                None => ("not looked at".to_owned(), Tone::Doubtful),
            };
            table.row(vec![plain(&e.name), state]);
        }
        text.push_str(&format!("\n{}", table.render(paint)));
    }
    if let Some(note) = v.note {
        text.push_str(&format!("\n{}\n", paint.text(Tone::Doubtful, note)));
    }
    if !v.missing_roles.is_empty() {
        let missing: Vec<_> = v.missing_roles.iter().map(|r| r.name()).collect();
        text.push_str(&format!("\nNot releasable yet: not signed by {}\n", missing.join(", ")));
    }
    if let Some(replay) = &checked.replay {
        text.push_str(&self::differing(replay, paint));
    }
    text
}

fn differing(replay: &Replay, paint: Paint) -> String {
    if replay.holds {
        return format!("\n{}\n", paint.text(Tone::Good, "Replay: every judged number is the same, bit for bit"));
    }
    let mut table = Table::new(&[("Differs", Column::Left), ("Signed", Column::Left), ("Recomputed", Column::Left)]);
    let shown = |v: &Option<serde_json::Value>| plain(v.as_ref().map(|v| v.to_string()).unwrap_or_else(|| "nothing".into()));
    for d in &replay.differences {
        table.row(vec![plain(&d.pointer), shown(&d.expected), shown(&d.found)]);
    }
    format!("\n{}", table.render(paint))
}
