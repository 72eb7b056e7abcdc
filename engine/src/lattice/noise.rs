//! How noise of the built surface averages along curves and over areas.
//!
//! Vertices of a scan are placed by bundles of voxels with the weights (1 - r²/R²)², so that the noise of two of them hangs together as far as their
//! bundles overlap. The mean along a curve or over an area that is long against R has the variance of a point, times the integral of that
//! correlation over a line or over the plane, divided by the length or the area. That holds around struts too: those of R and more in radius
//! have 1.02 times the variance of a plane (sum over the voxels of all bundles around them). Curvature corrections add to a point's noise and nothing
//! to long means, which is left out. Known limit: beside nodes, where the surface bends both ways, diameters scatter by up to a sixth more than stated.

use std::f64::consts::PI;

use crate::surface::noise_area;

/// Noise of surface points and how far it hangs together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard uncertainty of a point, mm.
    pub u_mm: f64,
    /// Integral of the correlation along a line, mm, and over a plane, mm².
    line_mm: f64,
    plane_mm2: f64,
}

/// Of the weights (1 - r²)² of discs of radius 1: ∫(∫w dx)² dy over ∫w² dx dy = π/5.
const LINE: f64 = 131_072.0 / (31_185.0 * PI);

impl Noise {
    /// Of points placed by bundles of voxels of a radius.
    pub fn of_bundles(u_mm: f64, radius_mm: f64) -> Noise {
        Noise { u_mm, line_mm: LINE * radius_mm, plane_mm2: noise_area(radius_mm) }
    }

    /// Of points that are independent beyond a distance.
    pub fn of_points(u_mm: f64, apart_mm: f64) -> Noise {
        Noise { u_mm, line_mm: apart_mm, plane_mm2: apart_mm * apart_mm }
    }

    /// Standard uncertainty of the mean along a curve of a length, mm.
    pub(super) fn along_mm(&self, length_mm: f64) -> f64 {
        self.u_mm * (self.line_mm / length_mm).min(1.0).sqrt()
    }

    /// Standard uncertainty of the mean over a band of a length and a width, mm.
    pub(super) fn over_mm(&self, length_mm: f64, width_mm: f64) -> f64 {
        self.along_mm(length_mm).min(self.u_mm * (self.plane_mm2 / (length_mm * width_mm)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_overlapping_bundles_scatter_as_the_integrals_of_their_correlation_say() {
        // White noise on cells of 1/40, which a bundle averages; the variance of a mean is the sum of the squares of what it takes of each cell.
        const N: i32 = 40;
        let weight = |i: i32, j: i32| {
            let inside = 1.0 - f64::from(i * i + j * j) / f64::from(N * N);
            if inside > 0.0 { inside * inside } else { 0.0 }
        };
        let (side, mut point, mut all) = (1.0 / f64::from(N), 0.0, 0.0);
        let mut line = 0.0;
        for j in -N..=N {
            let row: f64 = (-N..=N).map(|i| weight(i, j)).sum();
            point += (-N..=N).map(|i| weight(i, j) * weight(i, j)).sum::<f64>();
            (line, all) = (line + row * row, all + row);
        }
        let plane = noise_area(1.0);
        assert!((line * side / point / LINE - 1.0).abs() < 1e-3, "{} and {LINE}", line * side / point);
        assert!((all * all * side * side / point / plane - 1.0).abs() < 1e-3, "{} and {plane}", all * all * side * side / point);
        let noise = Noise::of_bundles(3.0, 0.5);
        assert!((noise.along_mm(50.0 * LINE) - 0.3).abs() < 1e-12 && noise.along_mm(0.1) == 3.0);
        assert!(
            (noise.over_mm(5.0, 5.0 * noise_area(0.5) / 0.25) - 0.3).abs() < 1e-12
                && noise.over_mm(50.0 * LINE, 0.01) == noise.along_mm(50.0 * LINE)
        );
    }
}
