//! What the trilinear interpolant joins inside a cell though no face shows it.
//!
//! Rule, after Chernyaev's slices (1995), made complete: in a slice of a cell across z the interpolant is bilinear, and every part of it, inside or
//! outside, holds a corner of the slice. So parts of the cell that the cell's faces leave apart can meet only in a slice whose inside
//! corners lie on a diagonal: there the inside corners p and q meet where `p q > r s`, the outside ones r and s where `p q < r s`.
//! All four are linear in z; whether either holds anywhere between the cell's lowest and highest slice is asked of a parabola.
//! One direction of slices tells all. Known limit: values within rounding errors of a saddle may go either way.

/// Pairs of corners, both inside or both outside, that meet in a slice; those that faces join too are among them.
/// Values are less the threshold, at the corners `dx + 2 dy + 4 dz`; 0 counts as inside.
pub fn meetings(values: &[f64; 8]) -> impl Iterator<Item = [u8; 2]> {
    [[0, 3, 1, 2], [1, 2, 0, 3]].into_iter().flat_map(|columns| {
        let [p, q, r, s] = columns.map(|c| Column::of(values, c));
        let [lower, upper] = [&p, &q, &r, &s].iter().enumerate().fold([0.0f64, 1.0f64], |[low, high], (n, c)| {
            let [from, to] = c.where_sign(n < 2);
            [low.max(from), high.min(to)]
        });
        let product = |z: f64| p.at(z) * q.at(z) - r.at(z) * s.at(z);
        let square = p.slope * q.slope - r.slope * s.slope;
        let linear = p.low * q.slope + q.low * p.slope - r.low * s.slope - s.low * r.slope;
        // The parabola's vertex where it lies between, otherwise an end again.
        let vertex = -0.5 * linear / square;
        let vertex = if vertex > lower && vertex < upper { vertex } else { lower };
        let seen = [lower, upper, vertex].map(product);
        let any = |holds: fn(f64) -> bool| lower < upper && seen.into_iter().any(holds);
        let inside = any(|x| x > 0.0).then(|| [p.end(true), q.end(true)]);
        let outside = any(|x| x < 0.0).then(|| [r.end(false), s.end(false)]);
        [inside, outside].into_iter().flatten()
    })
}

/// An edge of the cell along z: linear from its lower to its upper corner.
struct Column {
    corner: u8,
    low: f64,
    slope: f64,
    high: f64,
}

impl Column {
    fn of(values: &[f64; 8], corner: usize) -> Column {
        let (low, high) = (values[corner], values[corner + 4]);
        Column { corner: corner as u8, low, slope: high - low, high }
    }

    fn at(&self, z: f64) -> f64 {
        self.low + z * self.slope
    }

    /// Where the column is inside, or outside; from above to below where it is nowhere.
    fn where_sign(&self, inside: bool) -> [f64; 2] {
        let crossing = || -self.low / self.slope;
        match ((self.low >= 0.0) == inside, (self.high >= 0.0) == inside) {
            (true, true) => [0.0, 1.0],
            (true, false) => [0.0, crossing()],
            (false, true) => [crossing(), 1.0],
            (false, false) => [1.0, 0.0],
        }
    }

    /// A corner of the column that is inside, or outside.
    fn end(&self, inside: bool) -> u8 {
        if (self.low >= 0.0) == inside { self.corner } else { self.corner + 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_joined(values: [f64; 8], pair: [u8; 2]) -> bool {
        meetings(&values).any(|met| met == pair || met == [pair[1], pair[0]])
    }

    #[test]
    fn opposite_corners_meet_in_the_middle_only_if_they_outweigh_the_others() {
        // Two inside corners at the ends of a diagonal of the cell; at its centre the mean decides: 2 a - 6 against 0.
        let cell = |a: f64| [0, 1, 2, 3, 4, 5, 6, 7].map(|c| if c == 0 || c == 7 { a } else { -1.0 });
        assert!(are_joined(cell(3.5), [0, 7]) && !are_joined(cell(2.5), [0, 7]));
        // Turned inside out it is the outside that meets.
        assert!(are_joined(cell(3.5).map(|v| -v), [0, 7]) && !are_joined(cell(2.5).map(|v| -v), [0, 7]));
    }
}
