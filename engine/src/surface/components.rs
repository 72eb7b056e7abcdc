//! Solid components of a surface and the one that stays.
//!
//! Rule: shells are connected parts of the mesh. A shell whose leftmost crossing along a row of voxels enters the material is the outside of a
//! solid component; one whose leftmost crossing leaves it is the wall of a void, and belongs to the component of the surface that is met first going
//! left through the material. Exact on integers, and consistent with how the mesh joins voxels across ambiguous faces.
//! The largest component is the one with the most material: the volumes of its shells, voids negative.
//! Cost: one pass over the triangles for the shells and one for the volumes; memory [`BYTES_PER_VERTEX`].

use super::extract::IndexMesh;
use crate::finding::Finding;
use crate::forest::{numbered, unite};
use crate::frame::Grid;
use crate::volume::Mask;

/// Memory, at most: points and triangles 48, components and new names 8, what is known of each shell 12, of which there is one in six vertices
/// where all is noise.
pub(super) const BYTES_PER_VERTEX: usize = 68;

/// Components smaller than the largest are listed up to this many.
const LISTED: usize = 5;

/// The component with the most material; the others become one finding.
pub(super) fn largest(mesh: IndexMesh, mask: &Mask, grid: &Grid, findings: &mut Vec<Finding>) -> IndexMesh {
    let mut component = shells(&mesh);
    if component.iter().all(|&c| c == 0) {
        return mesh;
    }
    let shells = component.iter().max().map_or(0, |&c| c as usize + 1);
    let owner = owners(&mesh, mask, &component, shells);
    component.iter_mut().for_each(|c| *c = owner[*c as usize]);

    let volumes = volumes(&mesh, &component, shells);
    let mut solids: Vec<usize> = (0..shells).filter(|&s| owner[s] as usize == s).collect();
    solids.sort_by(|&a, &b| volumes[b].total_cmp(&volumes[a]).then(a.cmp(&b)));
    if solids.len() == 1 {
        return mesh;
    }
    findings.push(listed(&solids, &volumes, grid));
    select(mesh, &component, solids[0] as u32)
}

fn listed(solids: &[usize], volumes: &[f64], grid: &Grid) -> Finding {
    let mm3 = |&s: &usize| volumes[s] * grid.voxel_volume_mm3();
    let sizes: Vec<String> = solids[1..].iter().take(LISTED).map(|s| format!("{:.4}", mm3(s))).collect();
    let more = if solids.len() - 1 > LISTED { " …" } else { "" };
    let rest: f64 = solids[1..].iter().map(mm3).sum();
    let text = format!(
        "{} separate components were left out beside the largest of {:.4} mm³; sizes {}{more} mm³, together {rest:.4} mm³",
        solids.len() - 1,
        mm3(&solids[0]),
        sizes.join(" ")
    );
    Finding::qualify("surface.components", text)
}

/// The shell of each vertex; shells are numbered by their first vertex.
fn shells(mesh: &IndexMesh) -> Vec<u32> {
    let mut parent: Vec<u32> = (0..mesh.vertices.len() as u32).collect();
    for &[a, b, c] in &mesh.triangles {
        unite(&mut parent, a, b);
        unite(&mut parent, a, c);
    }
    // Roots are the lowest vertices of their shells.
    numbered(parent, 0).0
}

/// A crossing along a row: the lower of its two voxels (-1 is the air before the row), the row, its vertex.
#[derive(Clone, Copy)]
struct Crossing {
    low: i64,
    row: [usize; 2],
    vertex: u32,
}

fn crossing(vertex: u32, [i, j, k]: [f64; 3]) -> Option<Crossing> {
    let along = i != i.floor() && j == j.floor() && k == k.floor();
    along.then(|| Crossing { low: i.floor() as i64, row: [j as usize, k as usize], vertex })
}

/// For each shell the shell that is the outside of its component.
fn owners(mesh: &IndexMesh, mask: &Mask, shell: &[u32], shells: usize) -> Vec<u32> {
    let mut leftmost: Vec<Option<Crossing>> = vec![None; shells];
    for (v, &at) in mesh.vertices.iter().enumerate() {
        let best = &mut leftmost[shell[v] as usize];
        if let Some(c) = crossing(v as u32, at)
            && best.is_none_or(|b| c.low < b.low)
        {
            *best = Some(c);
        }
    }
    let inside = |i: i64, [j, k]: [usize; 2]| usize::try_from(i).is_ok_and(|i| i < mask.dims()[0] && mask.get(i, j, k));
    let mut owner: Vec<u32> = (0..shells as u32).collect();
    // Every step goes to the left, so following the owners ends at an outside.
    let mut order: Vec<usize> = (0..shells).collect();
    order.sort_by_key(|&s| leftmost[s].map(|c| c.low));
    for s in order {
        let Some(c) = leftmost[s].filter(|c| inside(c.low, c.row)) else { continue };
        let entered = (0..=c.low).rev().find(|&i| !inside(i - 1, c.row)).unwrap_or(0) - 1;
        if let Some(v) = vertex_at(mesh, c, entered) {
            owner[s] = owner[shell[v] as usize];
        }
    }
    owner
}

/// The vertex of the crossing with the given lower voxel in the row of a crossing. Vertices along a row are numbered consecutively.
fn vertex_at(mesh: &IndexMesh, from: Crossing, low: i64) -> Option<usize> {
    let row = |v: &usize| crossing(*v as u32, mesh.vertices[*v]).filter(|c| c.row == from.row);
    (0..from.vertex as usize).rev().map_while(|v| row(&v).map(|c| (v, c.low))).find(|&(_, l)| l == low).map(|(v, _)| v)
}

/// Material of each component in voxels, by the divergence theorem.
fn volumes(mesh: &IndexMesh, component: &[u32], shells: usize) -> Vec<f64> {
    let mut volumes = vec![0.0; shells];
    for t in &mesh.triangles {
        let [a, b, c] = t.map(|v| mesh.vertices[v as usize]);
        // The flux of (x, 0, 0): x of the centroid times the x part of the area.
        let area_x = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1]);
        volumes[component[t[0] as usize] as usize] += (a[0] + b[0] + c[0]) * area_x / 6.0;
    }
    volumes
}

/// The part of a mesh that belongs to one component, in the same order.
fn select(mut mesh: IndexMesh, component: &[u32], keep: u32) -> IndexMesh {
    let mut renamed = vec![0u32; component.len()];
    let mut count = 0u32;
    for (v, name) in renamed.iter_mut().enumerate() {
        if component[v] == keep {
            mesh.vertices[count as usize] = mesh.vertices[v];
            *name = count;
            count += 1;
        }
    }
    mesh.triangles.retain(|t| component[t[0] as usize] == keep);
    mesh.triangles.iter_mut().for_each(|t| *t = t.map(|v| renamed[v as usize]));
    mesh.vertices.truncate(count as usize);
    mesh.vertices.shrink_to_fit();
    mesh.triangles.shrink_to_fit();
    mesh
}
