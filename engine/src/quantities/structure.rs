//! `structure.`: surface, topology and orientation of a porous structure (names after Bouxsein et al. 2010).

use crate::case::Case;
use crate::error::Error;
use crate::pores::Structure;
use crate::uncertainty::{NOISE, OFFSET, SCALE, merge};

use super::porosity::cannot_carry;
use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.2 b)";

pub const ENTRIES: &[Entry] = &[
    Entry::new(
        "structure.surface_density",
        "1/mm",
        CLAUSE,
        "比表面",
        "area of the surface that faces pores in the envelope / envelope volume",
        "facets of the determined surface",
        surface_density,
    ),
    Entry::new(
        "structure.euler_number",
        "1",
        CLAUSE,
        "欧拉数",
        "Euler number of the solid (components - tunnels + cavities); in a region its additive share",
        "26-connected cells by their corners (Odgaard & Gundersen 1993)",
        euler_number,
    ),
    Entry::new(
        "structure.connectivity_density",
        "1/mm³",
        CLAUSE,
        "连通密度",
        "(1 - Euler number of the solid) / envelope volume",
        "26-connected cells by their corners (Odgaard & Gundersen 1993)",
        connectivity_density,
    ),
    Entry::new(
        "structure.anisotropy",
        "1",
        CLAUSE,
        "各向异性度",
        "1 - shortest / longest principal mean intercept length of the surface that faces pores",
        "ellipsoid of mean intercept lengths (Harrigan & Mann 1984) from the facets",
        anisotropy,
    ),
];

fn of_structure(case: &Case, scope: &Scope, measure: impl Fn([&Structure; 2]) -> Result<Measured, Error>) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let [a, b] = &*case.structure(scope.region)?;
    if a.envelope_mm3 <= 0.0 || b.envelope_mm3 <= 0.0 {
        return Ok(Measured::not("the envelope is smaller than a cell: name a larger region"));
    }
    measure([a, b])
}

fn surface_density(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    of_structure(case, scope, |both| {
        let part = case.actual()?;
        let [a, b] = both.map(|s| s.area_mm2 / s.envelope_mm3);
        let value = 0.5 * (a + b);
        // An offset d changes the area by 2 M d, M the integral of mean curvature; where that of what faces pores is not known, it is taken
        // to be as curved as the rest.
        let of_part = || part.mean_curvature_integral_mm().abs() / part.mesh.area_mm2() * value;
        let curvature = both[0].curvature_mm.map_or_else(of_part, |m| m.abs() / both[0].envelope_mm3);
        let terms = vec![
            Term { name: OFFSET, u: 2.0 * curvature * part.surface_u_mm() },
            Term { name: SCALE, u: value * part.scale_u },
            Term { name: "lattice", u: 0.5 * (a - b).abs() },
        ];
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}

fn euler_number(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    of_structure(case, scope, |both| Ok(counted(both, |euler, _| euler)))
}

fn connectivity_density(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    of_structure(case, scope, |both| Ok(counted(both, |euler, envelope_mm3| (1.0 - euler) / envelope_mm3)))
}

/// What follows from the Euler number and the envelope's volume (mm³). Struts and voids that come and go as the surface moves are its uncertainty.
fn counted([a, b]: [&Structure; 2], of: impl Fn(f64, f64) -> f64) -> Measured {
    let on = |s: &Structure, euler: f64| of(euler, s.envelope_mm3);
    let value = 0.5 * (on(a, a.euler) + on(b, b.euler));
    let change = |way: usize| 0.5 * (on(a, a.euler_moved[way]) + on(b, b.euler_moved[way])) - value;
    let terms = vec![
        Term { name: OFFSET, u: (0.5 * (change(0) * change(0) + change(1) * change(1))).sqrt() },
        Term { name: "lattice", u: 0.5 * (on(a, a.euler) - on(b, b.euler)).abs() },
    ];
    Measured::Value { value, terms: merge(terms) }
}

fn anisotropy(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    of_structure(case, scope, |both| {
        let [Some(a), Some(b)] = both.map(|s| s.anisotropy) else {
            return Ok(Measured::not("no surface faces pores in the envelope: name a region or an envelope where it does"));
        };
        let (part, value) = (case.actual()?, 0.5 * (a.value + b.value));
        // Noise tilts facets: surface that lines run along, if it is smooth, is met as often as the mean size of the tilt says, 0.8 of its
        // standard deviation. A structure without a direction loses nothing.
        let tilt = 2.0_f64.sqrt() * part.typical_noise_mm() / part.noise_length_mm;
        let terms = vec![
            Term { name: NOISE, u: value * 0.8 * tilt },
            Term { name: "sampling", u: 0.5 * (a.sampling_u + b.sampling_u) },
            Term { name: "fit", u: 0.5 * (a.fit_u + b.fit_u) },
            Term { name: "lattice", u: 0.5 * (a.value - b.value).abs() },
        ];
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}
