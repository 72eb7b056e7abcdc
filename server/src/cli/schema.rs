//! `schema`: the JSON Schema of the documents.

use clap::ValueEnum;

use super::{Outcome, Session, session};
use crate::failure::Failure;

/// Print the JSON Schema of an order or a judgement
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry schema order > order.schema.json
  verimetry schema judgement")]
pub(super) struct Args {
    #[arg(value_enum)]
    document: Document,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Document {
    /// What was asked for (verimetry/order/1)
    Order,
    /// The payload of a judgement (verimetry/judgement/1)
    Judgement,
}

pub(super) fn run(args: &Args, _session: &Session) -> Result<Outcome, Failure> {
    let schema = match args.document {
        Document::Order => verimetry_engine::order::schema(),
        Document::Judgement => verimetry_engine::judgement::schema(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(|e| Failure::defect(format_args!("the schema is no JSON: {e}")))?;
    session::print(&format!("{text}\n"))?;
    Ok(Outcome::Done)
}
