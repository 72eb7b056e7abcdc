//! `judge`: the main job.

use std::path::{Path, PathBuf};

use uuid::Uuid;
use verimetry_engine::judgement::{Decision, Payload, Stamp};

use super::print::{Column, Paint, Table, Tone, decision, findings, limits, plain, value_and_uncertainty};
use super::{Outcome, Session};
use crate::failure::Failure;
use crate::issue::{self, JWS_FILE, REPORT_FILE};
use crate::staging::Staged;
use crate::store;

/// Judge a built part: run a whole order and sign what comes of it
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry judge order.toml --out result
  verimetry judge order.toml --out result --key signing.pem --backend cpu
  verimetry judge order.toml --json | jq .decision

Writes judgement.jws.json (the signed judgement), judgement.json (its payload, for reading), report.html and evidence/ into the output
folder: all of them or none. Exit status: 0 conforms, 10 does not conform, 11 undecided or not measured.")]
pub(super) struct Args {
    /// The order, TOML or JSON, with its files beside it
    order: PathBuf,
    /// Folder to write; an earlier judgement there is replaced, other content is not [default: <ORDER>-judgement here]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Ed25519 key to sign with [default: one made and kept in your configuration folder]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The judgement before this one in the same case
    #[arg(long, value_name = "FILE")]
    predecessor: Option<PathBuf>,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let out = args.out.clone().unwrap_or_else(|| default_folder(&args.order));
    refuse_other_content(&out)?;
    let predecessor = args.predecessor.as_deref().map(issue::payload_digest).transpose()?;
    // Made before the work, so that a place that cannot be written to is told at once.
    let folder = Staged::folder(&out)?;
    let key = session.key(args.key.as_deref())?;
    let rt = session.runtime()?;
    let stamp = Stamp { id: Uuid::now_v7().to_string(), issued: store::now(), source_revision: issue::SOURCE_REVISION.into(), predecessor };
    let judged = verimetry_engine::judge::judge(&args.order, stamp, &rt)?;
    let issued = issue::issue(judged, &key)?;
    rt.step("write", 1.0).map_err(verimetry_engine::Error::from)?;
    issued.write(folder.path())?;
    refuse_other_content(&out)?;
    let replaces = out.join(JWS_FILE).exists();
    folder.place_instead()?;
    session.finish(&rt);
    if replaces {
        session.note(&format!("replaced the judgement that was in {}", out.display()));
    }
    session.print(&issued.payload, |paint| human(&issued.payload, &out, *paint))?;
    Ok(match issued.payload.decision {
        Decision::Conforms => Outcome::Done,
        Decision::DoesNotConform => Outcome::DoesNotConform,
        Decision::Undecided | Decision::NotMeasured => Outcome::Undecided,
    })
}

fn default_folder(order: &Path) -> PathBuf {
    let stem = order.file_stem().and_then(|s| s.to_str()).unwrap_or("order");
    PathBuf::from(format!("{stem}-judgement"))
}

/// Nothing but an earlier judgement is ever replaced.
fn refuse_other_content(out: &Path) -> Result<(), Failure> {
    match issue::holds_only_a_judgement(out) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let what = format_args!("the folder {} holds other files than a judgement; name an empty or new one with --out", out.display());
            Err(Failure::usage("out.occupied", what))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Failure::unwritable(out, &e)),
    }
}

fn human(payload: &Payload, out: &Path, paint: Paint) -> String {
    let fields = &payload.order.fields;
    let mut text = format!("{}  {}  {}\n\n", paint.text(Tone::Strong, &fields.id), fields.device, fields.device_id);
    text.push_str(&results(payload, paint));
    for result in &payload.results {
        if let Some(reason) = &result.reason {
            text.push_str(&format!("  {}: {reason}\n", paint.text(Tone::Doubtful, &result.requirement)));
        }
    }
    if let Some(alignment) = payload.alignment.as_ref().filter(|a| a.ambiguous) {
        text.push_str(&format!("\n{}: {}\n", paint.text(Tone::Doubtful, "The alignment is ambiguous"), alignment.ambiguities.join("; ")));
    }
    text.push_str(&findings(&payload.findings, paint));
    let (word, tone) = decision(payload.decision);
    let whole = match payload.decision {
        Decision::Conforms => "The part conforms to its order: every requirement does.".to_owned(),
        Decision::DoesNotConform => format!("The part does not conform to its order: {}.", named(payload, Decision::DoesNotConform)),
        Decision::Undecided | Decision::NotMeasured => {
            let open = [named(payload, Decision::Undecided), named(payload, Decision::NotMeasured)];
            let open: Vec<_> = open.into_iter().filter(|n| !n.is_empty()).collect();
            format!("Whether the part conforms to its order is {word}: {}.", open.join(", "))
        }
    };
    text.push_str(&format!("\n{}\n\nReport     {}\n", paint.text(tone, &whole), out.join(REPORT_FILE).display()));
    text.push_str(&format!("Judgement  {}\n", out.join(JWS_FILE).display()));
    text
}

/// The requirements of one outcome, by name.
fn named(payload: &Payload, outcome: Decision) -> String {
    let names: Vec<&str> = payload.results.iter().filter(|r| r.decision == outcome).map(|r| r.requirement.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("{} {}", names.join(", "), decision(outcome).0) }
}

fn results(payload: &Payload, paint: Paint) -> String {
    let mut table = Table::new(&[
        ("Clause", Column::Left),
        ("Requirement", Column::Left),
        ("Quantity", Column::Left),
        ("Region", Column::Left),
        ("Value", Column::Right),
        ("± U", Column::Right),
        ("Unit", Column::Left),
        ("Limits", Column::Left),
        ("p", Column::Right),
        ("Decision", Column::Left),
    ]);
    let mut by_clause: Vec<_> = payload.results.iter().collect();
    by_clause.sort_by(|a, b| a.clause.cmp(&b.clause));
    for result in by_clause {
        let (value, u) = value_and_uncertainty(result.value, result.expanded_uncertainty);
        let (word, tone) = decision(result.decision);
        table.row(vec![
            plain(&result.clause),
            plain(&result.requirement),
            plain(&result.quantity),
            plain(result.region.as_deref().unwrap_or_default()),
            plain(value),
            plain(u),
            plain(if result.unit == "1" { "" } else { &result.unit }),
            plain(limits(&result.limits)),
            plain(result.conformance_probability.map(|p| format!("{p:.3}")).unwrap_or_default()),
            (word.to_owned(), tone),
        ]);
    }
    table.render(paint)
}
