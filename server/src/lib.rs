//! Around the engine: a command line, an HTTP service, a queue, a clock and keys.
//!
//! [`cli`] one file a subcommand · [`http`] one file a resource · [`jobs`] accepted orders to judgements · [`store`] what survives a kill ·
//! [`issue`] a judged order to signed files · [`jws`] [`keys`] [`verify`] who signed what · [`report`] a payload as a page ·
//! [`staging`] files appear whole or not at all · [`failure`] one line, one code, one status.
//!
//! Nothing here computes a judged number: `judge` and `serve` call the same entry of the engine and write the same files.

pub mod cli;
pub mod failure;
pub mod http;
pub mod issue;
pub mod jobs;
pub mod json;
pub mod jws;
pub mod keys;
pub mod report;
pub mod signal;
pub mod staging;
pub mod store;
pub mod verify;

pub use verimetry_engine::pages::LargePages;

/// The binary: reads the command line, runs it, and turns the outcome into the exit status.
pub fn run() -> std::process::ExitCode {
    cli::run()
}
