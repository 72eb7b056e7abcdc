//! What planes across a designed strut show of it, from its first node to its second.
//!
//! A strut's own section is the closed curve that `trace` takes for it. Its size is that of its area; its shape is that of the curve through
//! the built surface's facets, which cut off up to `s² / 8R` of a round strut of radius R with facets s long, so that an inscribed circle comes
//! out up to `s² / 4R` too small. A plane across that axis cuts a leaning strut in an ellipse: sections are given across the straight
//! line through the strut's centres instead, to which they are projected.
//! Noise makes every section a little less round: it takes from inscribed circles and axis ratios and adds to circumscribed ones. Known limit:
//! the noise stated of one section's diameter (see `noise`) holds neither what all of the surface has in common nor what the grid does to a
//! single section, up to a third of a voxel.

use nalgebra::{Point2, Point3, Vector2};

use super::section::{axis_ratio, circles_mm};

/// A plane across a designed strut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// Along the axis that it is looked for at from the first node, mm.
    pub at_mm: f64,
    /// The centre of the section; where there is none, the place on the axis.
    pub place: Point3<f64>,
    /// The image reaches there, and neither another strut nor other designed material comes near: the strut is to stand alone.
    pub is_free: bool,
    pub shows: Shows,
}

/// What a plane shows of a strut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shows {
    Section(Profile),
    /// Material on the strut's line but no section of its own: at a node, or where it runs together with other material.
    Material,
    Empty,
    /// The image does not reach there.
    Unseen,
}

impl Shows {
    pub fn name(&self) -> &'static str {
        match self {
            Shows::Section(_) => "section",
            Shows::Material => "material",
            Shows::Empty => "empty",
            Shows::Unseen => "unseen",
        }
    }
}

/// A strut's own section, across its built axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Of the circle of the same area, hollows within it left out.
    pub diameter_mm: f64,
    /// Standard uncertainty of the diameter from noise, mm.
    pub noise_mm: f64,
    /// Of the largest circle about the centre that the outline goes round; 0 where the centre lies outside.
    pub inscribed_mm: f64,
    /// Of the smallest circle about the centre that holds the outline.
    pub circumscribed_mm: f64,
    /// Minor over major axis of the ellipse with the second moments of what the outline encloses: 1 if round.
    pub axis_ratio: f64,
}

impl Profile {
    /// Of an outline in the plane across the designed axis, about its centre there; `slope` is how far the strut goes aside along that axis.
    pub(super) fn of(outline: &[Point2<f64>], centre: &Vector2<f64>, slope: &Vector2<f64>, [diameter_mm, noise_mm]: [f64; 2]) -> Profile {
        let upright = 1.0 / (1.0 + slope.norm_squared()).sqrt();
        let lean = slope.try_normalize(0.0).unwrap_or_else(Vector2::zeros);
        let across = |p: &Point2<f64>| {
            let v = p.coords - centre;
            Point2::from(v - lean * ((1.0 - upright) * v.dot(&lean)))
        };
        let points: Vec<Point2<f64>> = outline.iter().map(across).collect();
        let [inscribed_mm, circumscribed_mm] = circles_mm(&points);
        Profile { diameter_mm, noise_mm, inscribed_mm, circumscribed_mm, axis_ratio: axis_ratio(&points) }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn ellipse(along: [f64; 2], turn: f64) -> Vec<Point2<f64>> {
        let (s, c) = libm::sincos(turn);
        let at = |n: u32| {
            let (y, x) = libm::sincos(TAU * f64::from(n) / 720.0);
            let (x, y) = (along[0] * x, along[1] * y);
            Point2::new(3.0 + c * x - s * y, -1.0 + s * x + c * y)
        };
        (0..720).map(at).collect()
    }

    #[test]
    fn an_ellipse_has_its_axes_and_one_that_only_leans_is_round() {
        let centre = Vector2::new(3.0, -1.0);
        // The polygon's sides lie within (2π/720)²/8 of the curve.
        let facet = 1.0 - 1e-5;
        let p = Profile::of(&ellipse([0.5, 0.3], 0.7), &centre, &Vector2::zeros(), [0.0; 2]);
        assert!(p.circumscribed_mm <= 1.0 && p.circumscribed_mm > 0.9999 && p.inscribed_mm <= 0.6 && p.inscribed_mm > 0.6 * facet);
        assert!((p.axis_ratio - 0.6).abs() < 1e-5, "{p:?}");
        // A round strut of 0.3 mm that goes 0.75 aside for each along leans so that the plane cuts it 1.25 times as long.
        let (s, c) = libm::sincos(1.9);
        let p = Profile::of(&ellipse([0.3 * 1.25, 0.3], 1.9), &centre, &(Vector2::new(c, s) * 0.75), [0.0; 2]);
        assert!(
            (p.axis_ratio - 1.0).abs() < 1e-5 && (p.circumscribed_mm - 0.6).abs() < 1e-5 && (p.inscribed_mm - 0.6).abs() < 1e-5,
            "{p:?}"
        );
    }

    #[test]
    fn a_square_has_the_circles_within_and_around_it_and_no_longer_axis() {
        let square = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)].map(|(x, y)| Point2::new(x, y));
        let p = Profile::of(&square, &Vector2::new(1.0, 1.0), &Vector2::zeros(), [0.0; 2]);
        assert!((p.inscribed_mm - 2.0).abs() < 1e-12 && (p.circumscribed_mm - 8.0_f64.sqrt()).abs() < 1e-12);
        assert!((p.axis_ratio - 1.0).abs() < 1e-12);
        let aside = Profile::of(&square, &Vector2::new(2.5, 1.0), &Vector2::zeros(), [0.0; 2]);
        assert_eq!(aside.inscribed_mm, 0.0);
    }
}
