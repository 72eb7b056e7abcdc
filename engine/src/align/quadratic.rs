//! Small convex quadratic programmes: min ½ xᵀ diag(h) x + gᵀ x subject to aᵢ · x ≤ bᵢ, few unknowns and any number of constraints.
//!
//! Dual active set (Goldfarb & Idnani 1983): from the unconstrained minimum the most violated constraint is taken in turn, so that of a
//! million constraints only those that bind, and a few that did for a while, are ever factorised. Everything active is solved anew
//! at each step (at most [`UNKNOWNS`] rows), the smallest index wins among equals: the bits depend on the input alone.
//! A linear programme is solved with small h: for h below a threshold the minimum is one of the linear programme (Mangasarian 1984).

use nalgebra::{SMatrix, SVector};

use crate::linear::pseudo_inverse;

/// Unknowns that do not take part have h = 1 and no entries in g and a.
pub(super) const UNKNOWNS: usize = 7;
pub(super) type Unknowns = SVector<f64, UNKNOWNS>;

/// a · x ≤ b.
#[derive(Clone, Copy)]
pub(super) struct Constraint {
    pub a: Unknowns,
    pub b: f64,
}

/// A minimum with the constraints that hold it and their multipliers (≥ 0): h x + g + Σ uᵢ aᵢ = 0.
pub(super) struct Minimum {
    pub x: Unknowns,
    /// Index and multiplier, in the order of entering.
    pub active: Vec<(usize, f64)>,
    /// No constraint is violated by more than the tolerance.
    pub solved: bool,
}

const STEPS: usize = 2000;

/// Constraints violated by no more than `tolerance` hold.
pub(super) fn minimise(h: &Unknowns, g: &Unknowns, constraints: &[Constraint], tolerance: f64) -> Minimum {
    let inverse = h.map(|v| 1.0 / v);
    let mut x = -inverse.component_mul(g);
    let mut active: Vec<(usize, f64)> = Vec::new();
    let mut steps = 0;
    while let Some(entering) = most_violated(constraints, &x, tolerance, &active) {
        let n = -constraints[entering].a; // n · x ≥ −b
        let mut multiplier = 0.0;
        loop {
            steps += 1;
            if steps > STEPS {
                return Minimum { x, active, solved: false };
            }
            let normals: Vec<Unknowns> = active.iter().map(|&(i, _)| -constraints[i].a).collect();
            let (z, r) = directions(&inverse, &normals, &n);
            let along = z.dot(&n);
            let whole = if along > 1e-13 * n.component_mul(&inverse).dot(&n) {
                (-constraints[entering].b - n.dot(&x)).max(0.0) / along
            } else {
                f64::INFINITY
            };
            // The first active constraint whose multiplier would turn negative.
            let leaving = active
                .iter()
                .zip(&r)
                .enumerate()
                .filter(|(_, (_, r))| **r > 1e-12)
                .map(|(k, ((_, u), r))| (k, u / r))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let partial = leaving.map_or(f64::INFINITY, |l| l.1);
            let step = whole.min(partial);
            if !step.is_finite() {
                return Minimum { x, active, solved: false }; // contradictory constraints
            }
            if whole.is_finite() {
                x += z * step;
            }
            active.iter_mut().zip(&r).for_each(|((_, u), r)| *u -= step * r);
            multiplier += step;
            if whole <= partial {
                active.push((entering, multiplier));
                break;
            }
            if let Some((k, _)) = leaving {
                active.remove(k);
            }
        }
    }
    Minimum { x, active, solved: true }
}

fn most_violated(constraints: &[Constraint], x: &Unknowns, tolerance: f64, active: &[(usize, f64)]) -> Option<usize> {
    let mut worst = (tolerance, None);
    for (i, c) in constraints.iter().enumerate() {
        let over = c.a.dot(x) - c.b;
        if over > worst.0 && active.iter().all(|&(k, _)| k != i) {
            worst = (over, Some(i));
        }
    }
    worst.1
}

/// Primal step z = (H⁻¹ − H⁻¹ N (Nᵀ H⁻¹ N)⁻¹ Nᵀ H⁻¹) n, and the change r = (Nᵀ H⁻¹ N)⁻¹ Nᵀ H⁻¹ n of the active multipliers.
fn directions(inverse: &Unknowns, normals: &[Unknowns], n: &Unknowns) -> (Unknowns, Vec<f64>) {
    let straight = inverse.component_mul(n);
    let m = normals.len().min(UNKNOWNS);
    if m == 0 {
        return (straight, vec![]);
    }
    let gram =
        SMatrix::<f64, UNKNOWNS, UNKNOWNS>::from_fn(
            |i, j| {
                if i < m && j < m { normals[i].dot(&inverse.component_mul(&normals[j])) } else { 0.0 }
            },
        );
    let right = Unknowns::from_fn(|i, _| if i < m { normals[i].dot(&straight) } else { 0.0 });
    let r = pseudo_inverse(&gram, 1e-14) * right;
    let pulled = (0..m).fold(Unknowns::zeros(), |sum, k| sum + normals[k] * r[k]);
    (straight - inverse.component_mul(&pulled), (0..m).map(|k| r[k]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknowns(values: &[f64]) -> Unknowns {
        Unknowns::from_fn(|i, _| values.get(i).copied().unwrap_or(0.0))
    }

    #[test]
    fn a_corner_holds_the_minimum_with_the_multipliers_of_its_faces() {
        // The point of x ≤ 1, y ≤ 2 nearest to (3, 5): the corner, pulled by 2 and 3.
        let constraints = [Constraint { a: unknowns(&[1.0]), b: 1.0 }, Constraint { a: unknowns(&[0.0, 1.0]), b: 2.0 }];
        let m = minimise(&Unknowns::repeat(1.0), &unknowns(&[-3.0, -5.0]), &constraints, 1e-12);
        assert!(m.solved && (m.x - unknowns(&[1.0, 2.0])).norm() < 1e-14);
        let multiplier = |i: usize| m.active.iter().find(|a| a.0 == i).map_or(0.0, |a| a.1);
        assert!((multiplier(0) - 2.0).abs() < 1e-14 && (multiplier(1) - 3.0).abs() < 1e-14);
    }

    #[test]
    fn random_programmes_meet_the_conditions_of_a_minimum() {
        for seed in 0..200 {
            let random = |k: u64| crate::noise::normal(seed, k);
            let constraints: Vec<Constraint> = (0..300)
                .map(|i| Constraint { a: Unknowns::from_fn(|k, _| random(i * 10 + k as u64)), b: 0.1 + random(i * 10 + 8).abs() })
                .collect();
            let (h, g) = (Unknowns::repeat(0.3), Unknowns::from_fn(|k, _| 5.0 * random(90_000 + k as u64)));
            let m = minimise(&h, &g, &constraints, 1e-11);
            assert!(m.solved && constraints.iter().all(|c| c.a.dot(&m.x) <= c.b + 1e-10));
            let pull = m.active.iter().fold(h.component_mul(&m.x) + g, |sum, &(i, u)| sum + constraints[i].a * u);
            assert!(pull.norm() < 1e-8 && m.active.iter().all(|a| a.1 >= 0.0), "seed {seed}: {}", pull.norm());
        }
    }
}
