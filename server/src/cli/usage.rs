//! What was wrong with a command line, in one line.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::Failure;

/// Subcommands and options of the contract that this version does not carry.
const LATER: [&str; 8] = ["roughness", "worker", "qualify", "--form", "--s-filter", "--l-filter", "--database", "--store"];

/// Reduces clap's paragraphs to what, found, allowed and remedy.
pub(super) fn failure(error: &clap::Error) -> Failure {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("usage", "no subcommand was given; see 'verimetry --help' for those there are");
    }
    let named = match error.kind() {
        ErrorKind::InvalidSubcommand => context(error, ContextKind::InvalidSubcommand),
        ErrorKind::UnknownArgument => context(error, ContextKind::InvalidArg),
        _ => None,
    };
    if let Some(name) =
        named.as_deref().and_then(|n| LATER.iter().find(|l| n == **l || n.starts_with(&format!("{l} ")) || n.starts_with(&format!("{l}="))))
    {
        return Failure::usage(
            "usage.later",
            format_args!("{name} is not available yet in this version; see 'verimetry --help' for what is"),
        );
    }
    let rendered = error.render().to_string();
    let mut what = String::new();
    for line in rendered.lines() {
        let line = line.trim();
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if !line.is_empty() {
            what.push_str(if what.is_empty() { "" } else { " " });
            what.push_str(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    Failure::usage("usage", format_args!("{what}; see 'verimetry --help'"))
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}
