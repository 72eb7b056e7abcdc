//! Memory: what the program says it needs bounds what it takes, and a budget is kept to. Linux alone tells what a process took.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use super::*;

/// Status, what was said, most memory resident at any time (bytes), vertices of the mesh.
fn segment(scan: &std::path::Path, more: &[&str]) -> (Option<i32>, String, u64, u64) {
    let out = scan.with_extension("ply");
    let mut command = Command::new(env!("CARGO_BIN_EXE_verimetry"));
    command.arg("segment").arg(scan).arg("-o").arg(&out).args(["--backend", "cpu", "--threads", "2"]).args(more);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (path, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
        peak = peak.max(line.split_whitespace().next().and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) * 1024);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let done = child.wait_with_output().unwrap();
    let head = std::fs::read(&out).unwrap_or_default();
    let head = String::from_utf8_lossy(&head[..head.len().min(400)]).into_owned();
    let vertices = head.lines().find_map(|l| l.strip_prefix("element vertex ")).and_then(|n| n.parse().ok()).unwrap_or(0);
    (done.status.code(), String::from_utf8(done.stderr).unwrap(), peak, vertices)
}

fn written(folder: &std::path::Path, v: &Volume<u16>) -> std::path::PathBuf {
    let [x, y, z] = v.grid().dims();
    let header = format!(
        "ObjectType = Image\nNDims = 3\nDimSize = {x} {y} {z}\nElementSpacing = 1 1 1\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    );
    let path = folder.join("scan.mha");
    std::fs::write(&path, header.bytes().chain(v.data().iter().flat_map(|v| v.to_le_bytes())).collect::<Vec<u8>>()).unwrap();
    path
}

/// A gyroid of this period within a cube: much surface for its size.
fn gyroid(n: usize, period: f64) -> Volume<u16> {
    scan(
        grid([n; 3]),
        |p| {
            let [(s, c), (t, d), (u, e)] = [p.x, p.y, p.z].map(|x| (2.0 * std::f64::consts::PI * x / period).sin_cos());
            (0.5 - 1.3 * (s * d + t * e + u * c)).clamp(0.0, 1.0)
        },
        0.01,
        5,
    )
}

/// MiB and bytes for each vertex, in the last of the needs that was said.
fn need(said: &str) -> (u64, u64) {
    let words: Vec<&str> = said.lines().find(|l| l.contains("need about")).unwrap_or_default().split(' ').collect();
    let before = |word: &str| words[words.iter().rposition(|w| *w == word).expect(said) - 1].parse().expect(said);
    (before("MiB"), before("bytes"))
}

#[test]
fn what_is_said_to_be_needed_bounds_what_is_taken_and_not_by_much() {
    let folder = tempfile::tempdir().unwrap();
    let ball = ball_ct(grid([170; 3]), Point3::new(85.3, 84.8, 84.6), 70.0, 0.8, 0.01, 3);
    for (name, v) in [("ball", ball), ("gyroid", gyroid(110, 20.0))] {
        let scan = written(folder.path(), &v);
        let (status, said, peak, vertices) = segment(&scan, &[]);
        let (mib, per_vertex) = need(&said);
        let needed = (mib << 20) + per_vertex * vertices;
        println!("{name}: {} MiB said, {} MiB taken, {vertices} vertices", needed >> 20, peak >> 20);
        assert_eq!(status, Some(0), "{said}");
        assert!(peak <= needed && needed < peak * 14 / 10, "{name}: {needed} said, {peak} taken");
    }
}

#[test]
fn a_budget_is_kept_to_whole_slab_by_slab_and_where_it_does_not_suffice() {
    let folder = tempfile::tempdir().unwrap();
    let with = |scan: &std::path::Path, budget: u64| {
        let (status, said, peak, vertices) = segment(scan, &["--memory", &budget.to_string()]);
        println!("{} MiB allowed, {} MiB taken, {vertices} vertices, {status:?}", budget >> 20, peak >> 20);
        assert!(peak <= budget, "{peak} of {budget}: {said}");
        (status, said)
    };
    let mib = |n: u64| (36 + n) << 20; // beside the program on two threads
    let scan = written(folder.path(), &gyroid(110, 20.0));
    let (status, said) = with(&scan, mib(110));
    assert!(status == Some(0) && !said.contains("slices at a time"), "{said}");
    let scan = written(folder.path(), &ball_ct(grid([200; 3]), Point3::new(100.3, 99.8, 99.6), 80.0, 0.8, 0.01, 3));
    let (status, said) = with(&scan, mib(45));
    assert!(status == Some(0) && said.contains("slices at a time"), "{said}");
    let (status, said) = with(&scan, mib(12));
    assert!(status == Some(4) && said.contains("[memory.budget]"), "{said}");
    // More surface than parts have: known only once it is there.
    let scan = written(folder.path(), &gyroid(100, 5.0));
    let (status, said) = with(&scan, mib(55));
    assert!(status == Some(4) && said.contains("[memory.budget]"), "{said}");
}
