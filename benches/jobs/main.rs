//! Whole jobs on generated inputs, one JSON line each, in the format that comparison scripts of other programs print:
//! `cargo bench --bench jobs -- --data DIR --job J [--size S] [--shape NAME] [--mode M] [--points near|far] [--threads N] [--best N] [--backend cpu|gpu]`.

mod job_a;
mod job_b;
mod job_c;
mod job_d;
mod job_e;
mod job_f;
mod job_g;
mod job_h;
mod job_i;
mod job_j;
mod job_k;
mod job_l;
mod job_m;
mod npy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use verimetry_engine::pages::LargePages;
use verimetry_engine::runtime::{BackendChoice, Runtime};

#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

/// What was asked for on the command line.
pub struct Args {
    pub data: PathBuf,
    pub job: String,
    pub size: Option<String>,
    pub shape: Option<String>,
    pub mode: Option<String>,
    pub points: String,
    pub threads: usize,
    pub best: usize,
    pub budget: Duration,
    pub gpu: bool,
}

/// Stages timed so far and the numbers to agree with.
pub struct Line {
    best: usize,
    budget: Duration,
    stages: Vec<(String, f64)>,
    cpu_s: f64,
    load_s: f64,
    pub size: String,
    pub shape: Option<String>,
    pub mode: String,
    pub digest: Map<String, Value>,
}

impl Line {
    /// Times reading of inputs, which is never part of the job's seconds.
    pub fn load<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = f();
        self.load_s += start.elapsed().as_secs_f64();
        out
    }

    /// Times a stage that is repeated on other inputs: the mean of its runs.
    pub fn mean_stage<T, U>(&mut self, name: &str, inputs: impl Iterator<Item = T>, mut f: impl FnMut(T) -> U) -> Vec<U> {
        reset_peak();
        let (cpu, start) = (cpu_seconds(), Instant::now());
        let out: Vec<U> = inputs.map(&mut f).collect();
        let runs = out.len().max(1) as f64;
        self.stages.push((name.into(), start.elapsed().as_secs_f64() / runs));
        self.cpu_s += (cpu_seconds() - cpu) / runs;
        out
    }

    /// Times one stage: best of several runs, fewer where one is long. Peak memory counts from the first stage on.
    pub fn stage<T>(&mut self, name: &str, mut f: impl FnMut() -> T) -> T {
        if self.stages.is_empty() {
            reset_peak();
        }
        let (mut best, mut out, mut spent) = ((f64::INFINITY, 0.0), None, Duration::ZERO);
        for _ in 0..self.best {
            drop(out.take());
            let (cpu, start) = (cpu_seconds(), Instant::now());
            out = Some(f());
            let wall = start.elapsed();
            spent += wall;
            if wall.as_secs_f64() < best.0 {
                best = (wall.as_secs_f64(), cpu_seconds() - cpu);
            }
            if spent > self.budget {
                break;
            }
        }
        self.stages.push((name.into(), best.0));
        self.cpu_s += best.1;
        out.expect("at least one run")
    }
}

type Job = fn(&Args, &mut Line);

/// Jobs by letter: size, shape and mode where the command line names none.
const JOBS: &[(&str, &str, Option<&str>, &str, Job)] = &[
    ("a", "1m", Some("gyroid"), "signed", job_a::run),
    ("b", "1m", Some("gyroid"), "full", job_b::run),
    ("c", "100k", Some("bracket"), "full", job_c::run),
    ("d", "256", None, "gray", job_d::run),
    ("e", "256", None, "exact", job_e::run),
    ("f", "256", None, "26", job_f::run),
    ("g", "256", None, "gyr", job_g::run),
    ("h", "256", None, "gaussian", job_h::run),
    ("i", "256", None, "report", job_i::run),
    ("j", "4m", Some("gyroid"), "weld", job_j::run),
    ("k", "400", None, "load", job_k::run),
    ("l", "1m", Some("blob"), "measure", job_l::run),
    ("m", "1m", Some("gyroid"), "health", job_m::run),
];

fn main() {
    let args = parse();
    let Some((_, size, shape, mode, job)) = JOBS.iter().find(|j| j.0 == args.job) else {
        eprintln!("no job {:?}; there are: {}", args.job, JOBS.iter().map(|j| j.0).collect::<Vec<_>>().join(" "));
        std::process::exit(2);
    };
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global().expect("first use of the pool");
    let mut line = Line {
        best: args.best,
        budget: args.budget,
        stages: vec![],
        cpu_s: 0.0,
        load_s: 0.0,
        size: args.size.clone().unwrap_or_else(|| (*size).into()),
        shape: args.shape.clone().or(shape.map(Into::into)),
        mode: args.mode.clone().unwrap_or_else(|| (*mode).into()),
        digest: Map::new(),
    };
    let before = calibration();
    job(&args, &mut line);
    let peak = peak_mib();
    let seconds: f64 = line.stages.iter().map(|s| s.1).sum();
    let mut out = json!({
        "job": args.job, "peer": if args.gpu { "verimetry_gpu" } else { "verimetry" }, "size": line.size, "shape": line.shape, "mode": line.mode,
        "seconds": round(seconds), "stages": line.stages.iter().map(|(n, s)| (n.clone(), round(*s))).collect::<BTreeMap<_, _>>(),
        "load_s": round(line.load_s), "peak_rss_mib": peak, "cpu_s": round(line.cpu_s), "cores_used": (line.cpu_s / seconds.max(1e-9) * 100.0).round() / 100.0,
        "calib_s": [before, calibration()], "digest": line.digest,
    });
    if args.job == "a" {
        out["points"] = json!(args.points);
    }
    println!("{out}");
}

/// What the kernels run on.
fn runtime(args: &Args) -> Runtime {
    Runtime::open(if args.gpu { BackendChoice::Gpu } else { BackendChoice::Cpu }).expect("the backend asked for")
}

fn parse() -> Args {
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    let mut words = std::env::args().skip(1).filter(|w| w != "--bench");
    while let Some(word) = words.next() {
        match word.strip_prefix("--").zip(words.next()) {
            Some((key, value)) => given.insert(key.into(), value),
            None => usage(),
        };
    }
    let mut take = |key: &str| given.remove(key);
    let number = |text: Option<String>, default: usize| text.map_or(default, |t| t.parse().unwrap_or_else(|_| usage()));
    let args = Args {
        data: take("data").unwrap_or_else(|| usage()).into(),
        job: take("job").unwrap_or_else(|| usage()),
        size: take("size"),
        shape: take("shape"),
        mode: take("mode"),
        points: take("points").unwrap_or_else(|| "near".into()),
        threads: number(take("threads"), std::thread::available_parallelism().map_or(1, |n| n.get())),
        best: number(take("best"), 3),
        budget: Duration::from_secs(number(take("budget"), 12) as u64),
        gpu: take("backend").as_deref() == Some("gpu"),
    };
    if given.is_empty() { args } else { usage() }
}

fn usage() -> ! {
    eprintln!(
        "usage: cargo bench --bench jobs -- --data DIR --job J [--size S] [--shape NAME] [--mode M] [--points near|far] [--threads N] [--best N] [--budget S] [--backend cpu|gpu]"
    );
    std::process::exit(if std::env::args().len() <= 2 { 0 } else { 2 })
}

fn round(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}

/// User and system seconds of this process (clock ticks are 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5"); // absent outside Linux: the peak then counts from the start
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Seconds of a fixed single-threaded sort, to tell a slow machine from a slow program.
fn calibration() -> f64 {
    let mut state = 1u64;
    let values: Vec<u64> = (0..2_000_000)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state
        })
        .collect();
    let sort = || {
        let mut copy = values.clone();
        let start = Instant::now();
        copy.sort_unstable();
        start.elapsed().as_secs_f64()
    };
    round((0..3).map(|_| sort()).fold(f64::INFINITY, f64::min))
}
