//! Evidence files that accompany a judgement: what the report draws besides the payload.
//!
//! [`DeviationSummary`] is the distribution of the signed deviation over the surface: area fractions in equal bins,
//! each vertex weighted with a third of the area around it, so that the result does not depend on tessellation.

use serde::{Deserialize, Serialize};

use crate::mesh::Mesh;
use crate::render::round_length;
use crate::sum;

/// Names under which the files lie beside a judgement.
pub const DEVIATION: &str = "deviation.json";
pub const DEVIATION_MAP: &str = "deviation_map.ply";
pub const DEVIATION_VIEWS: &str = "deviation_views.png";
pub const DEVIATION_VIEWS_LAYOUT: &str = "deviation_views.json";
/// What the names of drawings (`.svg`) and tables (`.csv`) of sections begin with; the section's name follows.
pub const SECTION: &str = "section_";

/// Names of the files about struts, or the cells of a sheet lattice.
pub const STRUTS: &str = "lattice_struts.csv";
pub const CELLS: &str = "lattice_cells.csv";
pub const NODES: &str = "lattice_nodes.csv";
pub const RESIDUE: &str = "lattice_residue.csv";
pub const STRUT_MAP: &str = "lattice_map.ply";
pub const STRUT_VIEWS: &str = "lattice_views.png";
pub const STRUT_VIEWS_LAYOUT: &str = "lattice_views.json";

/// Label of the mark at [`DeviationSummary::worst`] in the picture; the report writes the value there.
pub const WORST_MARK: &str = "worst";

/// Bins of the histogram.
pub const BINS: usize = 80;

/// `deviation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviationSummary {
    /// Always `mm`.
    pub unit: String,
    /// One more than there are bins, rising.
    pub bin_edges_mm: Vec<f64>,
    /// Share of the measured area in each bin; `below`, these and `above` add up to 1.
    pub area_fraction: Vec<f64>,
    /// Share of the measured area outside the bins.
    pub below: f64,
    pub above: f64,
    /// Share of the whole area that carries no value.
    pub unmeasured: f64,
    pub limits_mm: Option<[f64; 2]>,
    /// The vertex of largest absolute deviation; `null` where nothing was measured.
    pub worst: Option<Worst>,
    /// Ends of the colours and of the bins.
    pub range_mm: [f64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worst {
    pub point_mm: [f64; 3],
    pub value_mm: f64,
}

impl DeviationSummary {
    /// Of a value per vertex (mm, NaN where unmeasured), over a range that [`display_range_mm`] or the caller chooses.
    pub fn of(mesh: &Mesh, values_mm: &[f64], limits_mm: Option<[f64; 2]>, range_mm: [f64; 2]) -> Self {
        let areas = mesh.vertex_areas_mm2();
        let [low, high] = range_mm;
        let bin_of = |value: f64| {
            let at = (value - low) / (high - low) * BINS as f64;
            if at < 0.0 {
                0
            } else if value > high {
                BINS + 1
            } else {
                1 + (at as usize).min(BINS - 1)
            }
        };
        let count = values_mm.len().min(areas.len());
        let unmeasured = BINS + 2;
        let add = |mut bins: Vec<f64>, v: usize| {
            let value = values_mm[v];
            bins[if value.is_nan() { unmeasured } else { bin_of(value) }] += areas[v];
            bins
        };
        let join = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let bins = sum::fold(count, || vec![0.0; BINS + 3], add, join);
        let measured: f64 = bins[..unmeasured].iter().sum();
        let share = |area: f64, of: f64| if of > 0.0 { area / of } else { 0.0 };
        DeviationSummary {
            unit: "mm".into(),
            bin_edges_mm: (0..=BINS).map(|i| low + (high - low) * i as f64 / BINS as f64).collect(),
            area_fraction: bins[1..=BINS].iter().map(|&a| share(a, measured)).collect(),
            below: share(bins[0], measured),
            above: share(bins[BINS + 1], measured),
            unmeasured: share(bins[unmeasured], measured + bins[unmeasured]),
            limits_mm,
            worst: worst(mesh, values_mm),
            range_mm,
        }
    }
}

/// The vertex of largest absolute deviation, the first of equals.
pub fn worst(mesh: &Mesh, values_mm: &[f64]) -> Option<Worst> {
    let found = values_mm.iter().zip(mesh.vertices()).filter(|(v, _)| !v.is_nan());
    found.fold(None, |best: Option<Worst>, (&value_mm, p)| match best {
        Some(b) if b.value_mm.abs() >= value_mm.abs() => Some(b),
        _ => Some(Worst { point_mm: [p.x, p.y, p.z], value_mm }),
    })
}

/// A range for colours and bins, symmetric about 0: round, wide enough for the limits and for 99.5 % of the vertices,
/// but never more than four times the limits, so that what lies within them keeps its colours apart.
pub fn display_range_mm(values_mm: &[f64], limits_mm: Option<[f64; 2]>) -> [f64; 2] {
    let mut magnitudes: Vec<f64> = values_mm.iter().filter(|v| v.is_finite()).map(|v| v.abs()).collect();
    magnitudes.sort_unstable_by(f64::total_cmp);
    let spread = magnitudes.get(magnitudes.len().saturating_sub(1) * 995 / 1000).copied().unwrap_or(0.0);
    let widest = limits_mm.map(|[low, high]| low.abs().max(high.abs())).filter(|l| *l > 0.0);
    let wanted = widest.map_or(spread, |l| spread.clamp(1.25 * l, 4.0 * l)).clamp(1e-4, 1e5);
    let step = round_length(wanted / 4.0); // of 4 to 10 steps, the first multiple that reaches
    let multiple = |n: u32| format!("{:.6}", f64::from(n) * step).parse().unwrap_or(wanted); // 0.3, not 0.30000000000000004
    let half = (1..=10).map(multiple).find(|h| *h >= wanted).unwrap_or(wanted);
    [-half, half]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    fn quad() -> Mesh {
        // Two triangles of 1 and 3 mm² that share no vertex: vertex areas are 1/3 and 1 mm².
        let p = |x: f64, y: f64| Point3::new(x, y, 0.0);
        Mesh::new(vec![p(0., 0.), p(2., 0.), p(0., 1.), p(10., 0.), p(13., 0.), p(10., 2.)], vec![[0, 1, 2], [3, 4, 5]]).unwrap()
    }

    #[test]
    fn every_part_of_the_area_is_counted_once() {
        let values = [-0.052, 0.25, f64::NAN, 0.032, 0.032, -0.31]; // no value on an edge of a bin
        let s = DeviationSummary::of(&quad(), &values, None, [-0.2, 0.2]);
        let measured = 2.0 / 3.0 + 3.0;
        assert!((s.area_fraction.iter().sum::<f64>() + s.below + s.above - 1.0).abs() < 1e-15);
        assert!((s.below - 1.0 / measured).abs() < 1e-15 && (s.above - 1.0 / 3.0 / measured).abs() < 1e-15);
        assert!((s.unmeasured - 1.0 / 12.0).abs() < 1e-15);
        let holds = |v: f64| (0..BINS).find(|&b| s.bin_edges_mm[b] <= v && v < s.bin_edges_mm[b + 1]).unwrap();
        assert!((s.area_fraction[holds(0.032)] - 2.0 / measured).abs() < 1e-15);
        assert_eq!(s.worst, Some(Worst { point_mm: [10.0, 2.0, 0.0], value_mm: -0.31 }));
    }

    #[test]
    fn nothing_measured_has_no_worst_point() {
        let s = DeviationSummary::of(&quad(), &[f64::NAN; 6], None, [-1.0, 1.0]);
        assert_eq!((s.worst, s.unmeasured), (None, 1.0));
    }

    #[test]
    fn the_range_is_round_and_holds_the_limits() {
        assert_eq!(display_range_mm(&[0.02, -0.03], Some([-0.1, 0.1])), [-0.14, 0.14]);
        assert_eq!(display_range_mm(&[7.0; 1000], Some([-0.1, 0.1])), [-0.4, 0.4]);
        assert_eq!(display_range_mm(&[0.5], None), [-0.5, 0.5]);
        assert_eq!(display_range_mm(&[], None)[1], 1e-4);
    }
}
