//! Least largest of linear functions: minimise h with v_i + g_i·x ≤ h and |x_k| ≤ reach, exactly, by the dual simplex.
//!
//! A basis of as many constraints as unknowns with multipliers of at least 0 is a lower bound; the constraint it violates most enters,
//! the one whose multiplier reaches 0 first leaves (Stiefel's exchange). Every basis is solved anew, so nothing drifts.

/// Most shifts, tilts and sizes, and h.
const N: usize = 8;
const EXCHANGES: usize = 400;
const FEASIBLE: f64 = 1e-15;

/// One linear function of x.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    pub value: f64,
    pub slope: [f64; N - 1],
}

pub(super) struct Solution {
    pub x: [f64; N - 1],
    pub h: f64,
    /// Functions that hold h, with their multipliers, which sum to 1.
    pub active: Vec<(usize, f64)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Held {
    Plane(usize),
    Bound { axis: usize, upper: bool },
}

/// Solves over the first `free` unknowns; `None` for no planes or where rounding leaves no basis.
pub(super) fn solve(planes: &[Plane], free: usize, reach: f64) -> Option<Solution> {
    exchanged(planes, free, reach).and_then(|(solution, settled)| settled.then_some(solution))
}

/// A lower bound of the least largest, that itself but for rounding.
pub(super) fn least(planes: &[Plane], free: usize, reach: f64) -> Option<f64> {
    exchanged(planes, free, reach).map(|(solution, _)| solution.h)
}

/// The last basis, and whether nothing violates it any more.
fn exchanged(planes: &[Plane], free: usize, reach: f64) -> Option<(Solution, bool)> {
    let n = free + 1;
    let row = |held: Held| -> ([f64; N], f64) {
        let mut a = [0.0; N];
        match held {
            Held::Plane(i) => {
                a[..free].copy_from_slice(&planes[i].slope[..free]);
                a[free] = -1.0;
                (a, -planes[i].value)
            }
            Held::Bound { axis, upper } => {
                a[axis] = if upper { 1.0 } else { -1.0 };
                (a, reach)
            }
        }
    };
    let first = (0..planes.len()).reduce(|a, b| if planes[b].value > planes[a].value { b } else { a })?;
    // h rests on the highest plane and every x on the bound down which that plane falls: multipliers 1 and |slope|.
    let mut basis: Vec<Held> = (0..free).map(|axis| Held::Bound { axis, upper: planes[first].slope[axis] < 0.0 }).collect();
    basis.push(Held::Plane(first));
    for round in 0..=EXCHANGES {
        let rows: Vec<([f64; N], f64)> = basis.iter().map(|h| row(*h)).collect();
        let matrix = |r: usize, c: usize| rows[r].0[c];
        let y = gauss(n, matrix, |r| rows[r].1)?;
        let transposed = |r: usize, c: usize| rows[c].0[r];
        let multipliers = gauss(n, transposed, |r| if r == free { -1.0 } else { 0.0 })?;
        let h = y[free];
        let height = |i: usize| {
            let p = &planes[i];
            (0..free).fold(p.value, |s, k| s + p.slope[k] * y[k])
        };
        let highest = (0..planes.len()).map(|i| (i, height(i) - h)).fold((0, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { b } else { a });
        let past = |axis: usize| (axis, y[axis].abs() - reach);
        let furthest = (0..free).map(past).fold((0, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { b } else { a });
        let entering = if furthest.1 > 1e-12 * reach && furthest.1 >= highest.1 {
            Some(Held::Bound { axis: furthest.0, upper: y[furthest.0] > 0.0 })
        } else {
            let violated = highest.1 > FEASIBLE * (1.0 + h.abs()) && !basis.contains(&Held::Plane(highest.0));
            violated.then_some(Held::Plane(highest.0))
        };
        let exchange = entering.filter(|_| round < EXCHANGES).and_then(|entering| {
            let target = row(entering).0;
            let weights = gauss(n, transposed, |r| target[r])?;
            let ratio = |k: usize| multipliers[k].max(0.0) / weights[k];
            let leaving = (0..n).filter(|&k| weights[k] > 1e-12).reduce(|a, b| if ratio(b) < ratio(a) { b } else { a })?;
            Some((leaving, entering))
        });
        let Some((leaving, entering)) = exchange else {
            let active = basis.iter().zip(multipliers).filter_map(|(held, m)| match held {
                Held::Plane(i) if m > 1e-14 => Some((*i, m)),
                _ => None,
            });
            let mut x = [0.0; N - 1];
            x[..free].copy_from_slice(&y[..free]);
            return Some((Solution { x, h, active: active.collect() }, entering.is_none()));
        };
        basis[leaving] = entering;
    }
    None
}

/// Gaussian elimination with row pivots.
fn gauss(n: usize, at: impl Fn(usize, usize) -> f64, rhs: impl Fn(usize) -> f64) -> Option<[f64; N]> {
    let mut m = [[0.0; N + 1]; N];
    for (r, row) in m.iter_mut().enumerate().take(n) {
        (0..n).for_each(|c| row[c] = at(r, c));
        row[N] = rhs(r);
    }
    for c in 0..n {
        let pivot = (c..n).reduce(|a, b| if m[b][c].abs() > m[a][c].abs() { b } else { a })?;
        if m[pivot][c].abs() < 1e-300 {
            return None;
        }
        m.swap(c, pivot);
        for r in c + 1..n {
            let f = m[r][c] / m[c][c];
            let above = m[c];
            (c..n).for_each(|k| m[r][k] -= f * above[k]);
            m[r][N] -= f * above[N];
        }
    }
    let mut x = [0.0; N];
    for r in (0..n).rev() {
        x[r] = (m[r][N] - (r + 1..n).map(|c| m[r][c] * x[c]).sum::<f64>()) / m[r][r];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(free: usize, count: usize, seed: u64) -> Vec<Plane> {
        let u = |k: usize| 2.0 * crate::noise::uniform(seed, k as u64) - 1.0;
        let plane = |i: usize| Plane { value: u(16 * i), slope: std::array::from_fn(|k| if k < free { u(16 * i + 1 + k) } else { 0.0 }) };
        (0..count).map(plane).collect()
    }

    #[test]
    fn multipliers_prove_the_least_largest() {
        for seed in 0..200 {
            let (free, count) = (1 + seed as usize % 6, 5 + seed as usize % 60);
            let planes = planes(free, count, seed);
            let s = solve(&planes, free, 1.5).unwrap();
            let at = |p: &Plane, x: &[f64]| p.value + (0..free).map(|k| p.slope[k] * x[k]).sum::<f64>();
            let highest = planes.iter().map(|p| at(p, &s.x)).fold(f64::NEG_INFINITY, f64::max);
            assert!((highest - s.h).abs() < 1e-12 && s.x.iter().all(|x| x.abs() <= 1.5 + 1e-12));
            // Weak duality: with Σλ = 1 any x in the box has max ≥ Σλ(v + g·x) ≥ Σλv − reach·|Σλg|₁.
            let sum: f64 = s.active.iter().map(|a| a.1).sum();
            let value: f64 = s.active.iter().map(|&(i, m)| m * planes[i].value).sum();
            let pull: f64 = (0..free).map(|k| s.active.iter().map(|&(i, m)| m * planes[i].slope[k]).sum::<f64>().abs()).sum();
            assert!((sum - 1.0).abs() < 1e-10 && s.active.iter().all(|a| a.1 >= 0.0));
            assert!((value - 1.5 * pull - s.h).abs() < 1e-10, "seed {seed}: {} against {}", value - 1.5 * pull, s.h);
        }
    }
}
