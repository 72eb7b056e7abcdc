//! What every subcommand shares while it runs: the common options, where it may write, and the runtime it computes on.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use verimetry_engine::Error;
use verimetry_engine::runtime::Runtime;

use super::options::Common;
use super::print::Paint;
use crate::failure::Failure;
use crate::keys::{self, Key};

pub(super) struct Session {
    pub common: Common,
    bar: ProgressBar,
}

impl Session {
    /// Sets the number of threads for the whole process.
    pub fn open(common: Common) -> Result<Self, Failure> {
        if let Some(threads) = common.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.into())
                .build_global()
                .map_err(|e| Failure::resource("threads.refused", format_args!("cannot start {threads} threads: {e}; ask for fewer")))?;
        }
        let shows_progress = !common.quiet && io::stderr().is_terminal();
        let target = if shows_progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(1000), target);
        let style =
            ProgressStyle::with_template("{msg:24} [{bar:32}] {percent:>3} %  {elapsed}").expect("the template is constant and valid");
        bar.set_style(style.progress_chars("=> "));
        Ok(Session { common, bar })
    }

    /// The backend that was asked for, with progress on a terminal and an interrupt that cancels.
    pub fn runtime(&self) -> Result<Runtime, Failure> {
        let bar = self.bar.clone();
        let rt =
            Runtime::open(self.common.backend.into())?.memory_budget(self.common.memory).on_progress(Arc::new(move |stage, fraction| {
                if bar.message() != stage {
                    bar.set_message(stage.to_owned());
                }
                bar.set_position((fraction.clamp(0.0, 1.0) * 1000.0) as u64);
            }));
        cancel_on_interrupt(rt.cancel_flag());
        Ok(rt)
    }

    /// The key named, or the user's own, which is made on first use.
    pub fn key(&self, named: Option<&Path>) -> Result<Key, Failure> {
        let Some(path) = named else {
            let (key, path, made) = keys::users_key().map_err(Error::from)?;
            let did = if made { "made and kept a signing key for you" } else { "signing with your key" };
            self.note(&format!("{did}: {} (key id {})", path.display(), key.public().kid()));
            return Ok(key);
        };
        Ok(Key::read(path).map_err(Error::from)?)
    }

    /// Ends the progress bar and tells how the run was done where that was the program's choice (fallbacks).
    pub fn finish(&self, rt: &Runtime) {
        self.bar.finish_and_clear();
        for note in rt.notes() {
            self.note(&note);
        }
    }

    /// One line for people on standard error.
    pub fn note(&self, text: &str) {
        if !self.common.quiet {
            let _ = writeln!(io::stderr(), "verimetry: {text}");
        }
    }

    /// The result: one JSON object under `--json`, otherwise what `human` writes.
    pub fn print(&self, json: &impl Serialize, human: impl FnOnce(&Paint) -> String) -> Result<(), Failure> {
        let text = if self.common.json {
            let mut line = serde_json::to_string_pretty(json).map_err(|e| Failure::defect(format_args!("the result is no JSON: {e}")))?;
            line.push('\n');
            line
        } else {
            human(&Paint::for_stdout())
        };
        print(&text)
    }
}

impl Drop for Session {
    /// Whatever happened, no half-drawn bar stands before the line that tells it.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Writes to standard output. A reader that has left early (`| head`) has what it wanted.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::unwritable("standard output".as_ref(), &e)),
        _ => Ok(()),
    }
}

/// The first interrupt asks the run to end at its next step, so that it cleans up; a second ends the process at once.
fn cancel_on_interrupt(cancel: Arc<AtomicBool>) {
    let waiting = std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        let Ok(signals) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        signals.block_on(async {
            crate::signal::interrupted().await;
            cancel.store(true, Ordering::Relaxed);
            crate::signal::interrupted().await;
            std::process::exit(4);
        });
    });
    // Without the thread an interrupt ends the process as it does by default.
    drop(waiting);
}
