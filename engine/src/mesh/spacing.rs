//! How far the points of a cloud are apart, and the area that each stands for.
//!
//! Around a point of an even cloud the eighth neighbour lies at r with 8 points on the disc πr². Of random points πr²/8 is the area per point without
//! bias, and scatters by 1/√8 (πr² times the density has a gamma distribution of shape 8); where points lie denser each stands for less, so that no
//! place counts more for being scanned twice. The root of its median over up to 4096 points is the spacing: right within a few hundredths for random
//! points, a ninth less on a square grid. Known bias: at the rim of what was scanned half of the disc is empty, and points stand for up to twice their
//! area; at places ten times thinner than most the cap on stray points takes a twentieth. Cost: a search tree, O(n log n).

use kiddo::SquaredEuclidean;
use nalgebra::Point3;
use rayon::prelude::*;

const NEIGHBOURS: usize = 8;
const ASKED: usize = 4096;

/// Farthest that a point may lie aside of the place that it stands for, in spacings: a stray point has no neighbours and still no more surface.
pub const ASIDE: f64 = 2.0;

/// Root of the area that a point stands for (mm); 0 where most points lie upon each other.
pub fn spacing_mm(points: &[Point3<f64>]) -> f64 {
    median_mm2(discs_mm2(points, points.len().div_ceil(ASKED).max(1))).sqrt()
}

/// Area that each point of a cloud stands for (mm²); 0 where nine or more lie upon each other.
pub fn point_areas_mm2(points: &[Point3<f64>]) -> Vec<f64> {
    let mut areas = discs_mm2(points, 1);
    let most = std::f64::consts::PI * ASIDE * ASIDE * median_mm2(areas.clone());
    areas.iter_mut().for_each(|a| *a = a.min(most));
    areas
}

/// An eighth of the disc to the eighth neighbour, of every so-manieth point.
fn discs_mm2(points: &[Point3<f64>], every: usize) -> Vec<f64> {
    let places: Vec<[f64; 3]> = points.iter().map(|p| p.coords.into()).collect();
    let (Some(wanted), Ok(tree)) = (std::num::NonZero::new(NEIGHBOURS + 1), kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&places))
    else {
        return vec![];
    };
    let disc = |place: &[f64; 3]| {
        let near = tree.query(place).nearest_n::<SquaredEuclidean<f64>>(wanted).execute();
        std::f64::consts::PI * near.iter().map(|n| n.distance).fold(0.0, f64::max) / NEIGHBOURS as f64
    };
    places.par_iter().step_by(every).map(disc).collect()
}

fn median_mm2(mut areas: Vec<f64>) -> f64 {
    if areas.is_empty() {
        return 0.0;
    }
    let middle = areas.len() / 2;
    *areas.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::uniform;

    #[test]
    fn even_and_random_clouds_have_the_root_of_the_area_per_point() {
        let grid: Vec<_> = (0..10_000).map(|i| Point3::new(f64::from(i % 100) * 0.3, f64::from(i / 100) * 0.3, 0.0)).collect();
        assert!((spacing_mm(&grid) / 0.3 - 0.886).abs() < 0.02, "{}", spacing_mm(&grid));
        let random: Vec<_> = (0..10_000).map(|i| Point3::new(uniform(1, i) * 30.0, uniform(2, i) * 30.0, 0.0)).collect();
        assert!((spacing_mm(&random) / 0.3 - 1.0).abs() < 0.1, "{}", spacing_mm(&random));
    }

    #[test]
    fn where_points_lie_denser_each_stands_for_less() {
        // 40 000 points left of x = 30, a quarter as many as wide to its right.
        let at = |i: u64| (if i < 40_000 { 0.0 } else { 30.0 }) + 30.0 * uniform(3, i);
        let mut points: Vec<_> = (0..50_000).map(|i| Point3::new(at(i), 30.0 * uniform(4, i), 0.0)).collect();
        points.push(Point3::new(10.0, 10.0, 500.0));
        let areas = point_areas_mm2(&points);
        let [dense, thin] = [0..40_000, 40_000..50_000].map(|r| areas[r].iter().sum::<f64>() / 900.0);
        // Discs reach 0.24 and 0.48 mm. Three sides are rims, where they stand for up to twice their area: 2.4 and 4.8 % more at most; at the fourth
        // those of the thin side reach into the dense one: 1.6 % less at most. The sums scatter by half a per cent.
        assert!((0.99..1.03).contains(&dense) && (0.975..1.055).contains(&thin), "{dense} {thin}");
        // The median over all is what five of eight of the dense ones do not exceed, 1.08 times their mean.
        assert!(
            areas[50_000] < 1.09 * std::f64::consts::PI * ASIDE * ASIDE * 900.0 / 40_000.0,
            "a stray point stands for {} mm²",
            areas[50_000]
        );
    }

    #[test]
    fn points_upon_each_other_have_none() {
        assert_eq!(spacing_mm(&[Point3::origin(); 100]), 0.0);
        assert_eq!(spacing_mm(&[]), 0.0);
        assert_eq!(point_areas_mm2(&[Point3::origin(); 100]), vec![0.0; 100]);
    }
}
