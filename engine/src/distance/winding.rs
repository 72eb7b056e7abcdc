//! Generalised winding number: how many times the surface goes round a point, also for open or tangled surfaces.
//!
//! w = (1/4π) Σ Ω with Ω by van Oosterom & Strackee (1983); groups of triangles that are far away (farther than [`FAR`] of their
//! radii) act through their dipole and its first moment (Barill et al. 2018, equations 12 to 14). 1 inside, 0 outside.

use nalgebra::{Matrix3, Point3, Vector3};

use crate::mesh::Mesh;

const WIDTH: usize = 8;
/// Error of the expansion falls as FAR⁻³: below 0.01 in all, against the 0.2 that decides.
const FAR: f64 = 3.0;

struct Group {
    centre: Point3<f64>,
    radius_mm: f64,
    /// Σ area · normal, and Σ area · (centroid − centre) ⊗ normal.
    dipole: Vector3<f64>,
    moment: Matrix3<f64>,
}

/// Groups of eight triangles, of eight such groups, and so on, over triangles in an order that keeps neighbours together.
pub(super) struct Winding {
    levels: Vec<Vec<Group>>,
}

impl Winding {
    /// On one thread: it is built when the first query needs it, and a thread that waits for others there may be given one of
    /// their queries, which would wait for it.
    pub fn build(mesh: &Mesh, order: &[u32]) -> Self {
        let mut levels: Vec<Vec<Group>> = vec![order.chunks(WIDTH).map(|members| group(mesh, members)).collect()];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let above = below.chunks(WIDTH).map(joined).collect();
            levels.push(above);
        }
        Winding { levels }
    }

    /// `order` is the one it was built over.
    pub fn at(&self, mesh: &Mesh, order: &[u32], p: &Point3<f64>) -> f64 {
        self.of_group(mesh, order, p, self.levels.len() - 1, 0) / (4.0 * std::f64::consts::PI)
    }

    fn of_group(&self, mesh: &Mesh, order: &[u32], p: &Point3<f64>, level: usize, index: usize) -> f64 {
        let group = &self.levels[level][index];
        let away = group.centre - p;
        let distance2 = away.norm_squared();
        if distance2 > FAR * FAR * group.radius_mm * group.radius_mm {
            return group.far_field(&away, distance2);
        }
        let first = index * WIDTH;
        if level == 0 {
            let members = &order[first..(first + WIDTH).min(order.len())];
            return members.iter().map(|&t| solid_angle(p, &mesh.corners(t as usize))).sum();
        }
        (first..(first + WIDTH).min(self.levels[level - 1].len())).map(|child| self.of_group(mesh, order, p, level - 1, child)).sum()
    }
}

impl Group {
    fn far_field(&self, away: &Vector3<f64>, distance2: f64) -> f64 {
        let cube = distance2 * distance2.sqrt();
        // ∇(x/|x|³) = I/|x|³ − 3 x xᵀ/|x|⁵, contracted with the moment.
        let dipole = self.dipole.dot(away) / cube;
        let gradient = (self.moment.trace() - 3.0 * (self.moment * away).dot(away) / distance2) / cube;
        dipole + gradient
    }
}

fn group(mesh: &Mesh, members: &[u32]) -> Group {
    let bounds =
        crate::frame::Bounds::of(members.iter().flat_map(|&t| mesh.triangles()[t as usize].iter().map(|&v| &mesh.vertices()[v as usize])));
    let centre = bounds.centre();
    let (mut dipole, mut moment) = (Vector3::zeros(), Matrix3::zeros());
    for &t in members {
        let area = mesh.area_vector(t as usize) * 0.5;
        let [a, b, c] = mesh.corners(t as usize);
        let centroid = ((a - centre) + (b - centre) + (c - centre)) / 3.0;
        dipole += area;
        moment += centroid * area.transpose();
    }
    Group { centre, radius_mm: 0.5 * bounds.diagonal_mm(), dipole, moment }
}

/// A group of groups; a moment about another centre gains the dipole times the way.
fn joined(members: &[Group]) -> Group {
    let (mut low, mut high) = (Point3::from([f64::INFINITY; 3]), Point3::from([f64::NEG_INFINITY; 3]));
    for g in members {
        let radius = Vector3::repeat(g.radius_mm);
        (low, high) = (low.inf(&(g.centre - radius)), high.sup(&(g.centre + radius)));
    }
    let centre = nalgebra::center(&low, &high);
    let radius_mm = members.iter().map(|g| (g.centre - centre).norm() + g.radius_mm).fold(0.0, f64::max);
    let (mut dipole, mut moment) = (Vector3::zeros(), Matrix3::zeros());
    for g in members {
        dipole += g.dipole;
        moment += g.moment + (g.centre - centre) * g.dipole.transpose();
    }
    Group { centre, radius_mm, dipole, moment }
}

fn solid_angle(p: &Point3<f64>, [a, b, c]: &[Point3<f64>; 3]) -> f64 {
    let (a, b, c) = (a - p, b - p, c - p);
    let (la, lb, lc) = (a.norm(), b.norm(), c.norm());
    let volume = a.dot(&b.cross(&c));
    let denominator = la * lb * lc + a.dot(&b) * lc + b.dot(&c) * la + c.dot(&a) * lb;
    2.0 * libm::atan2(volume, denominator)
}
