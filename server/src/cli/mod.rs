//! The command line: one file a subcommand, each a `Args` (what clap reads) and a `run` (what is done).
//!
//! Standard output carries the result and nothing else; progress, notes and the one line of an error go to standard error. The exit status is
//! the outcome: 0 done (`judge`: conforms) · 10 does not conform · 11 undecided or not measured · 2 usage · 3 input · 4 backend or resource ·
//! 5 signature or replay · 70 a defect. A panic anywhere below is caught here and is a defect, told in one line.

mod backends;
mod compare;
mod countersign;
mod dimension;
mod fit;
mod inspect;
mod judge;
mod key;
mod lattice;
mod measurement;
mod options;
mod pores;
mod print;
mod schema;
mod segment;
mod serve;
mod session;
mod shrinkage;
mod usage;
mod verify;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use options::Common;
use session::Session;

/// What a subcommand that ran to its end leaves as exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    DoesNotConform,
    /// Undecided or not measured.
    Undecided,
}

impl Outcome {
    fn exit_status(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::DoesNotConform => 10,
            Outcome::Undecided => 11,
        }
    }
}

const ABOUT: &str = "Tells whether a personalised, additively manufactured medical device was built as it was ordered";

const EXAMPLES: &str = "\
Examples:
  verimetry judge order.toml --out result       judge a part; result/report.html is for people
  verimetry verify result                       check signatures and evidence, offline
  verimetry compare design.stl scan.ply         alignment and deviation of two shapes
  verimetry inspect ct/                         what a file or DICOM folder is

Exit status:
  0 done (judge: conforms)   10 does not conform   11 undecided or not measured
  2 wrong usage   3 bad input or order   4 backend or resource   5 signature or replay does not hold   70 a defect of verimetry";

#[derive(Parser)]
#[command(name = "verimetry", version, about = ABOUT, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    Judge(judge::Args),
    Verify(verify::Args),
    Countersign(countersign::Args),
    Inspect(inspect::Args),
    Segment(segment::Args),
    Compare(compare::Args),
    Dimension(dimension::Args),
    Shrinkage(shrinkage::Args),
    Pores(pores::Args),
    Lattice(lattice::Args),
    Fit(fit::Args),
    Serve(serve::Args),
    Key(key::Args),
    Schema(schema::Args),
    Backends(backends::Args),
}

/// Reads the command line of this process, runs it and tells its outcome.
pub fn run() -> ExitCode {
    // Mesa's device selection asks a Wayland compositor for its favourite and complains on standard error where there is none.
    // Which adapter is taken does not depend on it: they are chosen by their kind.
    // SAFETY: the process has no other thread yet.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        let what = info.payload_as_str().unwrap_or("no message");
        // The first panic is the cause; others follow from it.
        lock(&PANIC).get_or_insert_with(|| format!("{what} (at {place})"));
    }));
    let outcome = catch_unwind(AssertUnwindSafe(|| parse_and_run(std::env::args_os()))).unwrap_or_else(|_| {
        let what = lock(&PANIC).take().unwrap_or_default();
        Err(Failure::defect(format_args!("a defect of verimetry itself: {what}; please report it with what led to it")))
    });
    match outcome {
        Ok(outcome) => ExitCode::from(outcome.exit_status()),
        Err(failure) => {
            // Nobody is left to tell where this fails.
            let _ = writeln!(std::io::stderr(), "verimetry: {failure}");
            ExitCode::from(failure.kind.exit_status())
        }
    }
}

static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn parse_and_run(args: impl Iterator<Item = std::ffi::OsString>) -> Result<Outcome, Failure> {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() => return Err(usage::failure(&e)),
        Err(help) => {
            // The reader of a help text may leave early.
            let _ = help.print();
            return Ok(Outcome::Done);
        }
    };
    let session = Session::open(cli.common)?;
    match cli.command {
        Command::Judge(args) => judge::run(&args, &session),
        Command::Verify(args) => verify::run(&args, &session),
        Command::Countersign(args) => countersign::run(&args, &session),
        Command::Inspect(args) => inspect::run(&args, &session),
        Command::Segment(args) => segment::run(&args, &session),
        Command::Compare(args) => compare::run(&args, &session),
        Command::Dimension(args) => dimension::run(&args, &session),
        Command::Shrinkage(args) => shrinkage::run(&args, &session),
        Command::Pores(args) => pores::run(&args, &session),
        Command::Lattice(args) => lattice::run(&args, &session),
        Command::Fit(args) => fit::run(&args, &session),
        Command::Serve(args) => serve::run(&args, &session),
        Command::Key(args) => key::run(&args, &session),
        Command::Schema(args) => schema::run(&args, &session),
        Command::Backends(args) => backends::run(&args, &session),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_explains_itself_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says nothing");
            let after = command.get_after_help().map(|h| h.to_string()).unwrap_or_default();
            assert!(after.contains(&format!("verimetry {name}")), "{name} has no example");
        }
    }
}
