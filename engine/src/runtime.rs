//! What a computation runs on and answers to: backend, memory budget, progress, cancel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use thiserror::Error;

use crate::Error;
use crate::gpu::{self, Gpu};

/// What the caller asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The GPU where a real one is there, the CPU otherwise; what was taken and why is recorded.
    #[default]
    Auto,
    Cpu,
    /// Fails where there is no adapter.
    Gpu,
}

/// The run was cancelled by its caller.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("the run was cancelled")]
pub struct Cancelled;

impl From<Cancelled> for Error {
    fn from(c: Cancelled) -> Self {
        Error { class: crate::Class::Cancelled, code: "run.cancelled", message: c.to_string() }
    }
}

/// Called with the stage's name and its fraction in [0, 1]; from any thread.
pub type OnProgress = Arc<dyn Fn(&str, f64) + Send + Sync>;

/// Handed by reference to everything that computes. Nothing in it changes a judged number.
pub struct Runtime {
    gpu: Option<Gpu>,
    /// A fault of the GPU is noted and the CPU takes over; otherwise it ends the run.
    falls_back: bool,
    memory_bytes: Option<u64>,
    on_progress: Option<OnProgress>,
    cancel: Arc<AtomicBool>,
    notes: Mutex<Vec<String>>,
}

impl Runtime {
    /// The CPU alone; for tests and as the reference.
    pub fn cpu() -> Self {
        Runtime::with_gpu(None)
    }

    /// The backend asked for. Under `Auto` without a hardware adapter this is the CPU; what was taken and why is noted.
    /// Errors: `gpu.no_adapter` and other faults of the GPU, under `Gpu` alone.
    pub fn open(choice: BackendChoice) -> Result<Self, Error> {
        match choice {
            BackendChoice::Cpu => Ok(Runtime::cpu()),
            BackendChoice::Gpu => Ok(Runtime::with_gpu(Some(Gpu::open(&gpu::Options { accept_software: true, ..Default::default() })?))),
            BackendChoice::Auto => {
                let opened = Gpu::open(&gpu::Options::default());
                let note = match &opened {
                    Ok(gpu) => format!("backend auto took the GPU {}", gpu.name()),
                    Err(e) => format!("backend auto took the CPU: {e}"),
                };
                let runtime = Runtime { falls_back: true, ..Runtime::with_gpu(opened.ok()) };
                runtime.note(note);
                Ok(runtime)
            }
        }
    }

    /// With this GPU, whose faults are errors, or none.
    pub fn with_gpu(gpu: Option<Gpu>) -> Self {
        Runtime { gpu, falls_back: false, memory_bytes: None, on_progress: None, cancel: Arc::default(), notes: Mutex::default() }
    }

    pub fn memory_budget(mut self, bytes: Option<u64>) -> Self {
        self.memory_bytes = bytes;
        self
    }

    pub fn on_progress(mut self, f: OnProgress) -> Self {
        self.on_progress = Some(f);
        self
    }

    /// The GPU where kernels shall use it.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
    }

    /// Makes faults of the GPU notes, with the CPU taking over, as `Auto` does.
    pub fn falls_back(mut self, falls_back: bool) -> Self {
        self.falls_back = falls_back;
        self
    }

    /// Does `task` on the GPU. `None` where there is none, or where it failed and the CPU shall take over, which is noted.
    pub fn on_gpu<R>(&self, task: &str, work: impl FnOnce(&Gpu) -> Result<R, Error>) -> Result<Option<R>, Error> {
        let Some(gpu) = &self.gpu else { return Ok(None) };
        match work(gpu) {
            Ok(result) => Ok(Some(result)),
            Err(e) if self.falls_back && e.code.starts_with("gpu.") => {
                self.note(format!("{task} fell back to the CPU: {e}"));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// Set it to true to make the run end with [`Cancelled`] at its next step.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// What the program takes beside the data, at most: itself, its buffers, and the stacks and tables of its threads (bytes).
    pub fn overhead_bytes() -> u64 {
        (28 << 20) + ((4 * rayon::current_num_threads() as u64) << 20)
    }

    /// Refuses what does not fit the memory budget beside the program itself, before it is taken.
    pub fn afford(&self, what: &str, bytes: u64) -> Result<(), Error> {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let bytes = bytes.saturating_add(Runtime::overhead_bytes());
        match self.memory_bytes {
            Some(budget) if bytes > budget => Err(Error::resource(
                "memory.budget",
                format!(
                    "with {what} {} MiB are needed and the budget is {} MiB: raise --memory, or crop the volume to the part",
                    mib(bytes),
                    mib(budget)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Reports progress and ends a cancelled run. Call it a few hundred times a stage at most.
    pub fn step(&self, stage: &str, fraction: f64) -> Result<(), Cancelled> {
        if let Some(f) = &self.on_progress {
            f(stage, fraction);
        }
        if self.cancel.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
    }

    /// Records a fallback or another fact about how the run was done, for the provenance of the judgement.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut notes = self.notes.lock().unwrap_or_else(|e| e.into_inner());
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Name for the provenance: `cpu` or the adapter's name.
    pub fn backend_name(&self) -> String {
        self.gpu.as_ref().map_or_else(|| "cpu".into(), |g| g.name().to_string())
    }
}
