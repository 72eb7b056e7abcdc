//! `backends`: what can compute here.

use serde::Serialize;
use verimetry_engine::gpu::{self, AdapterKind};

use super::print::{Column, Paint, Table, plain};
use super::{Outcome, Session};
use crate::failure::Failure;

/// List the CPU and the GPU adapters that can be used, and their limits
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry backends
  verimetry backends --json")]
pub(super) struct Args {}

#[derive(Serialize)]
struct Backends {
    cpu: Cpu,
    gpu: Vec<Adapter>,
}

#[derive(Serialize)]
struct Cpu {
    threads: usize,
}

#[derive(Serialize)]
struct Adapter {
    name: String,
    kind: &'static str,
    /// `auto` takes hardware alone; `gpu` takes software too.
    auto: bool,
    driver: String,
    interface: String,
    largest_binding_bytes: u64,
    largest_buffer_bytes: u64,
}

pub(super) fn run(_args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let adapter = |a: gpu::AdapterInfo| Adapter {
        kind: kind(a.kind),
        auto: a.kind != AdapterKind::Software,
        name: a.name,
        driver: a.driver,
        interface: a.backend,
        largest_binding_bytes: a.largest_binding_bytes,
        largest_buffer_bytes: a.largest_buffer_bytes,
    };
    let backends = Backends { cpu: Cpu { threads: rayon::current_num_threads() }, gpu: gpu::adapters().into_iter().map(adapter).collect() };
    session.print(&backends, |paint| human(&backends, *paint))?;
    Ok(Outcome::Done)
}

fn kind(kind: AdapterKind) -> &'static str {
    match kind {
        AdapterKind::Discrete => "discrete",
        AdapterKind::Integrated => "integrated",
        AdapterKind::Virtual => "virtual",
        AdapterKind::Other => "other",
        AdapterKind::Software => "software",
    }
}

fn human(backends: &Backends, paint: Paint) -> String {
    let heading = ["Backend", "Kind", "Name", "Driver", "Interface", "Taken by", "Largest binding"];
    let mut table = Table::new(&heading.map(|name| (name, Column::Left)));
    let threads = format!("{} threads", backends.cpu.threads);
    table.row(
        [String::from("cpu"), String::new(), threads, String::new(), String::new(), "auto, cpu".into(), String::new()].map(plain).into(),
    );
    for a in &backends.gpu {
        let taken = if a.auto { "auto, gpu" } else { "gpu" };
        let binding = format!("{} MiB", a.largest_binding_bytes >> 20);
        table.row(["gpu", a.kind, &a.name, &a.driver, &a.interface, taken, &binding].map(plain).into());
    }
    table.render(paint)
}
