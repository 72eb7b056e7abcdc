//! The bundled cases, judged end to end: the truth of every line is known, and the verdict does not depend on the machine.

#[path = "judge/orders.rs"]
mod orders;
mod support;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nalgebra::Point3;
use verimetry_engine::frame::Grid;
use verimetry_engine::gpu;
use verimetry_engine::judge::{Judged, judge};
use verimetry_engine::judgement::{Decision, Stamp, differences};
use verimetry_engine::order::{self, ComponentsOrder};
use verimetry_engine::phantom::{self, Ct, Solid, parts};
use verimetry_engine::runtime::Runtime;

fn order(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cage").join(name)
}

fn stamp() -> Stamp {
    Stamp { id: "test".into(), issued: "2026-11-21T00:00:00Z".into(), source_revision: "test".into(), predecessor: None }
}

fn judged(name: &str, threads: usize, rt: &Runtime) -> Judged {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| judge(&order(name), stamp(), rt)).unwrap()
}

/// The good part on the CPU, judged once for all tests.
fn good() -> &'static Judged {
    static GOOD: OnceLock<Judged> = OnceLock::new();
    GOOD.get_or_init(|| judged("order_good.toml", 2, &Runtime::cpu()))
}

/// Requirements of an order with the truth that stands in the comment before each.
fn truths(name: &str) -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(order(name)).unwrap();
    let mut lines = text.lines();
    let mut found = vec![];
    while let Some(line) = lines.next() {
        if let Some(truth) = line.strip_prefix("[[requirement]] # truth: ") {
            let id = lines.next().unwrap().trim_start_matches("id = ").trim_matches('"');
            found.push((id.to_string(), truth.parse().unwrap()));
        }
    }
    assert!(found.len() >= 10, "the order states its truths");
    found
}

fn same_verdict(a: &Judged, b: &Judged) {
    let found = differences(&a.payload, &b.payload).unwrap();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(a.evidence, b.evidence);
}

#[test]
fn every_line_of_the_good_part_conforms() {
    for line in &good().payload.results {
        assert_eq!(line.decision, Decision::Conforms, "{line:#?}");
    }
    assert_eq!(good().payload.decision, Decision::Conforms);
}

#[test]
fn the_worn_ridge_of_the_faulty_part_is_found_and_nothing_else() {
    let faulty = judged("order_faulty.toml", 2, &Runtime::cpu());
    let failed: Vec<_> = faulty.payload.results.iter().filter(|r| r.decision != Decision::Conforms).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!((failed[0].requirement.as_str(), failed[0].decision), ("T3", Decision::DoesNotConform));
    assert_eq!(faulty.payload.decision, Decision::DoesNotConform);
}

#[test]
fn every_value_covers_its_truth_with_its_expanded_uncertainty() {
    for (id, truth) in truths("order_good.toml") {
        let line = good().payload.results.iter().find(|r| r.requirement == id).unwrap();
        let (value, expanded) = (line.value.unwrap(), line.expanded_uncertainty.unwrap());
        // The truth is printed to four digits, which is the half unit in the last place that is added here.
        let printed = 0.5e-4 * truth.abs().max(1.0);
        assert!((value - truth).abs() <= expanded + printed, "{id} {}: {value} ± {expanded}, truth {truth}", line.quantity);
    }
}

#[test]
fn the_verdict_is_the_same_bits_on_one_thread_and_on_five() {
    same_verdict(good(), &judged("order_good.toml", 1, &Runtime::cpu()));
    same_verdict(good(), &judged("order_good.toml", 5, &Runtime::cpu()));
}

#[test]
fn the_verdict_is_the_same_bits_on_a_gpu_with_large_and_with_tiny_slabs() {
    for slab_bytes in [None, Some(1 << 16)] {
        let options = gpu::Options { slab_bytes, ..gpu::Options::default() };
        let Some(gpu) = support::gpu_with(options) else { return };
        same_verdict(good(), &judged("order_good.toml", 2, &Runtime::with_gpu(Some(gpu))));
    }
}

#[test]
fn nothing_of_this_machine_is_in_the_payload() {
    let text = serde_json::to_string(&good().payload).unwrap();
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR")) && !text.contains("/testdata"), "a path left the machine");
}

#[test]
fn an_order_for_a_later_quantity_is_refused_by_name_before_anything_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(order("order_good.toml")).unwrap().replacen("deviation.abs_p99", "roughness.Sa", 1);
    let path = folder.path().join("order.toml");
    std::fs::write(&path, text).unwrap();
    let error = judge(&path, stamp(), &Runtime::cpu()).unwrap_err();
    assert_eq!(error.code, "quantity.unavailable");
    assert!(error.message.contains("roughness.Sa"));
}

/// An order about a scanned ball beside a smaller one, with more of its actual part, that asks these quantities.
fn order_of_balls(more: &str, quantities: &[&str]) -> String {
    let head = "schema = \"verimetry/order/1\"\norder = { id = \"O\", device = \"Ball\", device_id = \"U\", device_class = \"customised\", implantable = true, \
                patient = \"P\", image_acquired = \"2026-10-02\", design_completed = \"2026-10-09\" }\nnominal = { file = \"n.stl\" }\n\
                alignment = { method = \"none\" }\n";
    let asked = |(n, quantity): (usize, &&str)| {
        format!("[[requirement]]\nid = \"T{n}\"\nclause = \"8.3.2.2 b)\"\nquantity = \"{quantity}\"\nmin = 0.0\nmax = 1000.0\n")
    };
    let asked: String = quantities.iter().enumerate().map(asked).collect();
    format!("{head}actual = {{ file = \"a.mha\", scale_uncertainty = 0.0{more} }}\n{asked}")
}

#[test]
fn an_order_keeps_all_bodies_of_a_scan_where_it_asks_what_all_of_them_have_and_else_the_largest() {
    let kept = |more: &str, quantities: &[&str]| order::parse(order_of_balls(more, quantities).as_bytes(), "o.toml").unwrap().components();
    let of_all =
        ["porosity.total", "pore.size_d50", "wall.thickness_mean", "structure.anisotropy", "defect.closed_count", "lattice.missing"];
    for quantity in of_all {
        assert_eq!(kept("", &["body.volume", quantity]), ComponentsOrder::All, "{quantity}");
        assert_eq!(kept(", components = \"largest\"", &[quantity]), ComponentsOrder::Largest, "{quantity}");
    }
    for quantity in ["body.volume", "deviation.abs_p99", "dimension.value", "image.contrast"] {
        assert_eq!(kept("", &[quantity]), ComponentsOrder::Largest, "{quantity}");
        assert_eq!(kept(", components = \"all\"", &[quantity]), ComponentsOrder::All, "{quantity}");
    }

    let folder = tempfile::tempdir().unwrap();
    let ball = |x: f64, radius_mm: f64| Solid::Ball { centre: Point3::new(x, 0.0, 0.0), radius_mm };
    let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd: 200.0, seed: 5 };
    let grid = Grid::aligned([66, 42, 42], [0.1; 3], Point3::new(-2.05, -2.05, -2.05)).unwrap();
    let scan = ct.scan(&Solid::Union(vec![ball(0.0, 1.5), ball(3.2, 0.8)]), &grid).unwrap();
    std::fs::write(folder.path().join("a.mha"), phantom::metaimage(&scan)).unwrap();
    std::fs::write(folder.path().join("n.stl"), phantom::stl(&parts::ball(Point3::origin(), 1.5, 20).mesh)).unwrap();
    let volume = |quantities: &[&str]| {
        let path = folder.path().join("o.toml");
        std::fs::write(&path, order_of_balls("", quantities)).unwrap();
        let judged = judge(&path, stamp(), &Runtime::cpu()).unwrap();
        let line = &judged.payload.results[0];
        (line.value.unwrap(), line.expanded_uncertainty.unwrap())
    };
    let cubes = |radii: &[f64]| radii.iter().map(|r| 4.0 / 3.0 * std::f64::consts::PI * r * r * r).sum::<f64>();
    for (quantities, radii) in [(vec!["body.volume"], vec![1.5]), (vec!["body.volume", "porosity.total"], vec![1.5, 0.8])] {
        let (found, expanded) = volume(&quantities);
        assert!((found - cubes(&radii)).abs() < expanded, "{quantities:?}: {found} ± {expanded}, truth {}", cubes(&radii));
    }
}
