//! A map of the struts or walls on the nominal's surface: what is missing can be shown only there.

use nalgebra::Point3;

use super::{AsBuilt, Followed, State};
use crate::io::VertexField;
use crate::mesh::Mesh;
use crate::region::Region;

/// How far from its strut's designed surface a vertex still belongs to it, in diameters.
const REACH: f64 = 0.25;

/// By how much what the design has at each vertex of the nominal is thinner (−) or thicker (+) than designed, mm: by all of it where it is
/// missing. NaN where there is no strut or wall, or none is measured, and on what lies beyond a region: struts whose middle does, and places
/// of walls.
pub fn map(as_built: &AsBuilt, nominal: &Mesh, region: Option<&Region>) -> VertexField {
    let holds = |p: &Point3<f64>| region.is_none_or(|r| r.contains(p));
    match as_built {
        AsBuilt::Struts(followed) => VertexField { name: "diameter_deviation_mm".into(), values: shortfall_mm(followed, nominal, holds) },
        AsBuilt::Walls(walls) => {
            let inside = |(value, p): (f64, &Point3<f64>)| if holds(p) { value } else { f64::NAN };
            let values = walls.shortfall_mm().into_iter().zip(nominal.vertices()).map(inside).collect();
            VertexField { name: "thickness_deviation_mm".into(), values }
        }
    }
}

/// For every vertex of the nominal, by how much the strut it lies on is thinner (−) or thicker (+) than designed, mm: the whole diameter where
/// it is missing or broken. NaN on what is no strut, or not measured.
fn shortfall_mm(followed: &Followed, nominal: &Mesh, holds: impl Fn(&Point3<f64>) -> bool) -> Vec<f64> {
    let vertices = nominal.vertices();
    let mut nearest = vec![(f64::INFINITY, u32::MAX); vertices.len()];
    // Vertices by x, so that each strut looks at its own alone.
    let mut order: Vec<u32> = (0..vertices.len() as u32).collect();
    order.sort_by(|&a, &b| vertices[a as usize].x.total_cmp(&vertices[b as usize].x).then(a.cmp(&b)));
    for strut in 0..followed.struts.len() {
        let segment = followed.design.segment(strut);
        let hull = segment.hull(2.0 * REACH * segment.radius_mm);
        let first = order.partition_point(|&v| vertices[v as usize].x < hull.min.x);
        for &v in order[first..].iter().take_while(|&&v| vertices[v as usize].x <= hull.max.x) {
            let p: &Point3<f64> = &vertices[v as usize];
            if hull.contains(p) {
                let outside = segment.axis_distance_mm(p) - segment.radius_mm;
                if outside <= 2.0 * REACH * segment.radius_mm && outside.abs() < nearest[v as usize].0 {
                    nearest[v as usize] = (outside.abs(), strut as u32);
                }
            }
        }
    }
    let told: Vec<bool> = (0..followed.struts.len()).map(|s| holds(&followed.design.segment(s).middle())).collect();
    let value = |&(_, strut): &(f64, u32)| {
        let Some(traced) = followed.struts.get(strut as usize).filter(|_| told[strut as usize]) else { return f64::NAN };
        let designed = followed.design.struts()[strut as usize].diameter_mm;
        match (traced.state, traced.diameter_mm) {
            (State::Missing | State::Broken, _) => -designed,
            (state, Some(d)) if state.is_whole() => d - designed,
            _ => f64::NAN,
        }
    };
    nearest.iter().map(value).collect()
}
