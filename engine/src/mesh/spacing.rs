//! How far the points of a cloud are apart.
//!
//! Around a point of an even cloud the eighth neighbour lies at r with 8 points on the disc πr²; the median of πr²/8 over up to 4096 points is
//! the area per point, its root the spacing: right within a few hundredths for random points, a ninth less on a square grid.
//! Cost: a search tree, O(n log n).

use kiddo::SquaredEuclidean;
use nalgebra::Point3;

const NEIGHBOURS: usize = 8;
const ASKED: usize = 4096;

/// Root of the area that a point stands for (mm); 0 where most points lie upon each other.
pub fn spacing_mm(points: &[Point3<f64>]) -> f64 {
    let places: Vec<[f64; 3]> = points.iter().map(|p| p.coords.into()).collect();
    let (Some(wanted), Ok(tree)) = (std::num::NonZero::new(NEIGHBOURS + 1), kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&places))
    else {
        return 0.0;
    };
    let farthest = |place: &[f64; 3]| {
        let near = tree.query(place).nearest_n::<SquaredEuclidean<f64>>(wanted).execute();
        near.iter().map(|n| n.distance).fold(0.0, f64::max)
    };
    let mut squared: Vec<f64> = places.iter().step_by(places.len().div_ceil(ASKED).max(1)).map(farthest).collect();
    if squared.is_empty() {
        return 0.0;
    }
    let middle = squared.len() / 2;
    let median = *squared.select_nth_unstable_by(middle, f64::total_cmp).1;
    (std::f64::consts::PI * median / NEIGHBOURS as f64).sqrt()
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
    fn points_upon_each_other_have_none() {
        assert_eq!(spacing_mm(&[Point3::origin(); 100]), 0.0);
        assert_eq!(spacing_mm(&[]), 0.0);
    }
}
