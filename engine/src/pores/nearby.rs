//! Boxes by their distance from a box, the nearest first.
//!
//! A tree of boxes, halved at the median of their centres along the longest axis, and a queue of what was met of it and not yet told (Hjaltason &
//! Samet 1999). Cost: 64 bytes a box; some logarithm of their number for each that is told.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use nalgebra::Vector3;

use crate::frame::Bounds;

/// Distance between two boxes (mm).
pub(super) fn apart_mm(a: &Bounds, b: &Bounds) -> f64 {
    let between = [0, 1, 2].map(|n| (a.min[n] - b.max[n]).max(b.min[n] - a.max[n]).max(0.0));
    Vector3::from(between).norm()
}

pub(super) struct Boxes {
    /// A node is followed by those of its first half.
    nodes: Vec<Node>,
}

struct Node {
    bounds: Bounds,
    holds: Holds,
}

enum Holds {
    /// The number of a box.
    One(usize),
    /// Nodes: the next one and this.
    Two(usize),
}

impl Boxes {
    /// Of boxes with their numbers.
    pub fn of(mut boxes: Vec<(Bounds, usize)>) -> Boxes {
        let mut tree = Boxes { nodes: Vec::with_capacity(2 * boxes.len()) };
        if !boxes.is_empty() {
            tree.grow(&mut boxes);
        }
        tree
    }

    fn grow(&mut self, boxes: &mut [(Bounds, usize)]) {
        let all = |boxes: &[(Bounds, usize)]| Bounds::of(boxes.iter().flat_map(|(b, _)| [&b.min, &b.max]));
        let (at, bounds) = (self.nodes.len(), all(boxes));
        if let [(_, number)] = boxes {
            self.nodes.push(Node { bounds, holds: Holds::One(*number) });
            return;
        }
        let axis = (bounds.max - bounds.min).imax();
        let middle = boxes.len() / 2;
        boxes.select_nth_unstable_by(middle, |a, b| a.0.centre()[axis].total_cmp(&b.0.centre()[axis]).then(a.1.cmp(&b.1)));
        self.nodes.push(Node { bounds, holds: Holds::Two(0) });
        let (first, second) = boxes.split_at_mut(middle);
        self.grow(first);
        self.nodes[at].holds = Holds::Two(self.nodes.len());
        self.grow(second);
    }

    /// Distance (mm) and number of every box, ascending.
    pub fn ascending(&self, from: &Bounds) -> impl Iterator<Item = (f64, usize)> {
        // Distances are not negative, so their bits ascend with them. Nodes before boxes, so that all boxes at one distance are met before one is told.
        let entry = |node: usize| {
            let away = apart_mm(&self.nodes[node].bounds, from).to_bits();
            match self.nodes[node].holds {
                Holds::One(number) => Reverse((away, 1, number)),
                Holds::Two(_) => Reverse((away, 0, node)),
            }
        };
        let mut waiting = BinaryHeap::new();
        waiting.extend((!self.nodes.is_empty()).then(|| entry(0)));
        std::iter::from_fn(move || {
            loop {
                let Reverse((away, kind, at)) = waiting.pop()?;
                if kind == 1 {
                    return Some((f64::from_bits(away), at));
                }
                if let Holds::Two(second) = self.nodes[at].holds {
                    waiting.extend([entry(at + 1), entry(second)]);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Point3;

    use super::*;
    use crate::noise::uniform;

    #[test]
    fn boxes_come_in_the_order_of_their_distance_and_then_of_their_numbers() {
        let boxes: Vec<(Bounds, usize)> = (0..200)
            .map(|n| {
                let u = |m: u64| uniform(11, 7 * n as u64 + m);
                // On a grid, so that many are equally far; a few are large.
                let min = Point3::new((10.0 * u(0)).floor(), (10.0 * u(1)).floor(), (10.0 * u(2)).floor());
                let size = if n % 40 == 0 { 5.0 } else { 0.5 };
                (Bounds { min, max: min + Vector3::new(size * u(3), size * u(4), 0.25) }, n)
            })
            .collect();
        let tree = Boxes::of(boxes.clone());
        for (from, _) in &boxes {
            let mut all: Vec<(f64, usize)> = boxes.iter().map(|(b, n)| (apart_mm(from, b), *n)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            assert!(tree.ascending(from).eq(all));
        }
        assert_eq!(Boxes::of(vec![]).ascending(&boxes[0].0).count(), 0);
    }
}
