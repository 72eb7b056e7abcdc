//! The orders of the bundled case, with the truth of every requirement beside it.

use std::fmt::Write as _;

use super::measure::{BOXES, HOLE};
use super::{BUILT_OFFSET_MM, BUILT_SCALE, Built, CHORD_ERROR_MM, WEAR_MM};

/// A requirement of both orders and the true values for the good and for the worn part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requirement {
    pub id: &'static str,
    pub clause: &'static str,
    pub quantity: &'static str,
    pub region: Option<&'static str>,
    pub limits: Limits,
    /// Further keys of the requirement, as TOML.
    pub more: &'static str,
    /// Radius of the patch, where the quantity takes one, mm.
    pub patch_mm: f64,
    /// Limits that `in_tolerance` counts area within, mm.
    pub within: [f64; 2],
    pub truth: [f64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limits {
    Min(f64),
    Max(f64),
    Both(f64, f64),
}

impl Limits {
    pub fn contains(self, value: f64) -> bool {
        match self {
            Limits::Min(min) => value >= min,
            Limits::Max(max) => value <= max,
            Limits::Both(min, max) => (min..=max).contains(&value),
        }
    }

    fn toml(self) -> String {
        match self {
            Limits::Min(min) => format!("min = {min}"),
            Limits::Max(max) => format!("max = {max}"),
            Limits::Both(min, max) => format!("min = {min}\nmax = {max}"),
        }
    }
}

const fn line(
    id: &'static str,
    clause: &'static str,
    quantity: &'static str,
    region: Option<&'static str>,
    limits: Limits,
    truth: [f64; 2],
) -> Requirement {
    Requirement { id, clause, quantity, region, limits, more: "", patch_mm: 0.3, within: [-0.1, 0.1], truth }
}

/// All requirements. The worn ridge breaks `T3` and no other.
pub fn requirements() -> Vec<Requirement> {
    use Limits::{Both, Max, Min};
    let (tolerance, fit, precision, pores) = ("8.3.2.1 a)", "8.3.2.1 b)", "8.3.2.1 c)", "8.3.2.2 a)");
    vec![
        Requirement { more: "key = true\n", ..line("T1", tolerance, "deviation.abs_p99", Some("lower_face"), Max(0.1), [0.0086, 0.009]) },
        Requirement { more: "patch = 0.3\n", ..line("T2", tolerance, "deviation.peak_max", None, Max(0.15), [0.0158, 0.0163]) },
        Requirement { more: "patch = 0.3\n", ..line("T3", tolerance, "deviation.peak_min", Some("ridge"), Min(-0.15), [0.007, -0.3752]) },
        line("T4", tolerance, "deviation.abs_p99", Some("hole"), Max(0.12), [0.0124, 0.0135]),
        Requirement { more: "within = [-0.1, 0.1]\n", ..line("T5", tolerance, "deviation.in_tolerance", None, Min(0.95), [1.0, 0.9982]) },
        line("T6", tolerance, "deviation.missing_p95", None, Max(0.12), [0.0133, 0.0135]),
        line("T7", tolerance, "deviation.coverage", None, Min(0.95), [1.0; 2]),
        line("T8", tolerance, "body.volume", None, Both(850.0, 930.0), [891.96, 891.49]),
        line("F1", fit, "fit.gap_mean", Some("lower_face"), Both(0.1, 0.3), [0.1918, 0.1931]),
        line("F2", fit, "fit.gap_max", Some("lower_face"), Max(0.4), [0.2717, 0.2735]),
        line("F3", fit, "fit.interference_max", Some("lower_face"), Max(0.05), [0.0; 2]),
        line("S1", precision, "shrinkage.isotropic", None, Both(-0.5, 0.5), [0.05; 2]),
        line("S2", precision, "shrinkage.offset", None, Both(-0.1, 0.1), [0.01; 2]),
        line("P1", pores, "porosity.total", Some("porous"), Both(0.2, 0.5), [0.3959, 0.3959]),
        line("P2", pores, "porosity.open", Some("porous"), Min(0.2), [0.3959, 0.3959]),
        line("P3", pores, "porosity.closed", Some("porous"), Max(0.02), [0.0; 2]),
    ]
}

/// The order of a built part, TOML.
pub fn order(part: Built) -> Vec<u8> {
    let (which, said) = match part {
        Built::Good => (0, "The part is as ordered: every requirement conforms.".to_string()),
        Built::WornRidge => (1, format!("The ridge is worn off by up to {WEAR_MM} mm: T3 does not conform, the others do.")),
    };
    let mut text = format!(
        r#"# A phantom: the part and its CT are computed, so the truth of every line is known and stands beside it.
# Built {:.2} % too small with the surface {BUILT_OFFSET_MM:.3} mm outside. {said}
schema = "verimetry/order/1"

[order]
id = "EXAMPLE-CAGE-{}"
device = "Lumbar interbody cage, patient-specific (phantom)"
device_id = "(01)06901234567892(21)C-041{}"
device_class = "customised"
implantable = true
patient = "P-7f3a"
image_acquired = "2026-10-02"
design_completed = "2026-10-09"

[nominal]
file = "design.stl"
unit = "mm"
chord_error = {CHORD_ERROR_MM}

[actual]
file = "ct_{}.mha"
surface = "adaptive"
scale_uncertainty = 0.0005

[site]
file = "site.stl"
unit = "mm"
chord_error = {CHORD_ERROR_MM}

[alignment]
method = "best-fit"

[declared]
shrinkage = [0.0, 0.0, 0.0]
"#,
        100.0 * (1.0 - BUILT_SCALE),
        part.stem().to_uppercase(),
        7 + which,
        part.stem(),
    );
    for (name, min, max) in BOXES {
        let _ = write!(text, "\n[[region]]\nname = \"{name}\"\nshape = {{ box = {{ min = {min:?}, max = {max:?} }} }}\n");
    }
    let [from, to, [radius, ..]] = HOLE;
    let _ = write!(text, "\n[[region]]\nname = \"hole\"\nshape = {{ cylinder = {{ from = {from:?}, to = {to:?}, radius = {radius} }} }}\n");
    for r in requirements() {
        let region = r.region.map(|name| format!("region = \"{name}\"\n")).unwrap_or_default();
        let (truth, limits) = (r.truth[which], r.limits.toml());
        let _ = write!(
            text,
            "\n[[requirement]] # truth: {truth}\nid = \"{}\"\nclause = \"{}\"\nquantity = \"{}\"\n{region}{}{limits}\n",
            r.id, r.clause, r.quantity, r.more
        );
    }
    text.into_bytes()
}
