//! How a cell of eight voxels is cut: triangles for each pattern of inside corners, made by rule rather than listed.
//!
//! Rule. Seen from outside the cell, a counter-clockwise walk round a face leaves and enters the material; the contour runs from the edge where it enters to one where it left.
//! A face whose inside corners lie on a diagonal is ambiguous; the asymptotic decider (Nielson & Hamann 1991) joins them where
//! `a c > b d` (values less the threshold, a and c inside), which both cells of the face evaluate alike, so the surface cannot crack.
//! The contours of the six faces close to loops; each loop becomes a disc. Its diagonals never lie in a face, where the neighbour could
//! use the same one: so every edge has exactly two triangles. The few loops that allow no such triangulation get a vertex in the middle.
//! Where the interior test ([`super::interior`]) joins parts of the cell that its faces leave apart, two loops become one tube. The
//! topology is that of the trilinear interpolant.
//!
//! Corners are numbered `dx + 2 dy + 4 dz`; edges 0-3 along x at `dy + 2 dz`, 4-7 along y at `dx + 2 dz`, 8-11 along z at `dx + 2 dy`;
//! 12 and above are vertices in the middle of loops.

use std::sync::OnceLock;

use super::interior;

/// Corners of each face, counter-clockwise seen from outside the cell.
const FACES: [[u8; 4]; 6] = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]];

/// First number of a vertex in the middle of a loop.
pub const CENTRE: u8 = 12;
/// Most vertices that one cell can have in the middle of its loops.
pub const MOST_CENTRES: usize = 4;

/// A way to cut a cell, as it is read when triangles are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// The first triangles, counter-clockwise seen from outside the material: all that most cuts have.
    pub first: [[u8; 3]; FIRST],
    /// How many triangles and vertices in the middle there are.
    pub triangles: u8,
    pub centres: u8,
    pub pattern: u8,
    has_tubes: bool,
    rest: u16,
}

/// Triangles that lie in the cut itself.
pub const FIRST: usize = 4;

/// How the numbers of a cell's twelve edges follow from running numbers along its row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// On top of the running number within this cell: an edge at the cell's low end comes before the one at its high end.
    pub within: [u8; 16],
    /// From this cell to the next.
    pub beyond: [u8; 16],
}

/// All ways to cut a cell, by number.
pub struct Cases {
    cuts: Vec<Cut>,
    rest: Vec<[u8; 3]>,
    /// For each vertex in the middle the edges of its loop, whose mean it is.
    centres: Vec<Vec<Vec<u8>>>,
    steps: [Steps; 256],
    /// Number of the first cut of a pattern; the answers of its ambiguous faces, first face lowest, count from there.
    first: [u16; 256],
    is_ambiguous: [bool; 256],
    ambiguous: Vec<Vec<[u8; 4]>>,
    /// For each cut of discs those that have a tube instead of two of them.
    tubes: Vec<Tubes>,
}

/// The tubes that can stand for two discs of a cut.
#[derive(Clone, Debug, Default)]
struct Tubes {
    /// The part of the cell that each corner belongs to, as the faces join them.
    parts: [u8; 8],
    /// Two parts and the cut whose tube joins them.
    joining: Vec<([u8; 2], u16)>,
}

impl Cases {
    pub fn get() -> &'static Cases {
        static CASES: OnceLock<Cases> = OnceLock::new();
        CASES.get_or_init(Cases::generate)
    }

    /// The number of the cut for a pattern of inside corners. `joined([a, b, c, d])` says whether the inside corners a and c of an
    /// ambiguous face are joined across it, b and d being outside. `values` are those of the corners less the threshold, `None` where
    /// some lie beyond the volume: asked for where the interior can differ from what the faces show.
    #[inline]
    pub fn number(&self, pattern: u8, joined: impl Fn([u8; 4]) -> bool, values: impl FnOnce() -> Option<[f64; 8]>) -> u16 {
        let mut number = self.first[pattern as usize];
        if self.is_ambiguous[pattern as usize] {
            let faces = self.ambiguous[pattern as usize].iter().enumerate();
            number += faces.map(|(n, &face)| u16::from(joined(face)) << n).sum::<u16>();
        }
        if self.cuts[number as usize].has_tubes { self.through(number, values()) } else { number }
    }

    /// The cut with the tube that the interior asks for, or the one without.
    #[inline(never)]
    fn through(&self, number: u16, values: Option<[f64; 8]>) -> u16 {
        let tubes = &self.tubes[number as usize];
        let Some(values) = values else { return number };
        let parts = interior::meetings(&values).map(|pair| pair.map(|corner| tubes.parts[corner as usize])).filter(|[a, b]| a != b);
        let cut = |[a, b]: [u8; 2]| tubes.joining.iter().find(|(pair, _)| *pair == [a.min(b), a.max(b)]).map(|tube| tube.1);
        parts.filter_map(cut).next().unwrap_or(number)
    }

    #[inline]
    pub fn cut(&self, number: u16) -> &Cut {
        &self.cuts[number as usize]
    }

    /// The triangles beyond the first ones.
    #[inline]
    pub fn rest(&self, cut: &Cut) -> &[[u8; 3]] {
        &self.rest[cut.rest as usize..][..usize::from(cut.triangles).saturating_sub(FIRST)]
    }

    #[inline]
    pub fn steps(&self, pattern: u8) -> &Steps {
        &self.steps[pattern as usize]
    }

    /// For each vertex in the middle the edges of its loop, whose mean it is.
    pub fn centres(&self, number: u16) -> &[Vec<u8>] {
        &self.centres[number as usize]
    }

    fn add(&mut self, pattern: u8, discs: Discs, tubes: Tubes) {
        let (triangles, centres) = (discs.triangles.len() as u8, discs.centres.len() as u8);
        let mut cut = Cut { pattern, triangles, centres, has_tubes: !tubes.joining.is_empty(), ..Cut::default() };
        cut.first.iter_mut().zip(&discs.triangles).for_each(|(to, from)| *to = *from);
        cut.rest = self.rest.len() as u16;
        self.rest.extend(discs.triangles.into_iter().skip(FIRST));
        self.cuts.push(cut);
        self.centres.push(discs.centres);
        self.tubes.push(tubes);
    }

    fn generate() -> Cases {
        let mut cases = Cases {
            cuts: vec![],
            rest: vec![],
            centres: vec![],
            steps: std::array::from_fn(|pattern| steps(pattern as u8)),
            first: [0; 256],
            is_ambiguous: [false; 256],
            ambiguous: vec![],
            tubes: vec![],
        };
        let mut later = vec![];
        for pattern in 0..=255u8 {
            let faces: Vec<usize> = (0..6).filter(|&f| is_ambiguous(pattern, FACES[f])).collect();
            cases.first[pattern as usize] = cases.cuts.len() as u16;
            cases.is_ambiguous[pattern as usize] = !faces.is_empty();
            for answers in 0..1u32 << faces.len() {
                let joined = |face: usize| faces.iter().position(|&f| f == face).is_some_and(|n| answers >> n & 1 == 1);
                let loops = loops(pattern, joined);
                let parts = parts(pattern, joined);
                for (pair, [a, b]) in tubes(pattern, &parts, &loops) {
                    later.push((cases.cuts.len(), pair, tube_and_discs(&loops, a, b)));
                }
                cases.add(pattern, discs(&loops), Tubes { parts, joining: vec![] });
            }
            // The corner the decider starts from is an inside one.
            let turned = |f: usize| {
                let [a, b, c, d] = FACES[f];
                if inside(pattern, a) { [a, b, c, d] } else { [b, c, d, a] }
            };
            cases.ambiguous.push(faces.iter().map(|&f| turned(f)).collect());
        }
        // The cuts with a tube come after all that are counted from a pattern.
        for (without, pair, found) in later {
            cases.tubes[without].joining.push((pair, cases.cuts.len() as u16));
            cases.cuts[without].has_tubes = true;
            cases.add(cases.cuts[without].pattern, found, Tubes::default());
        }
        cases
    }
}

/// Low ends of the edges whose numbers run in one lane: an edge of the low end and the one opposite share their running number along y and z.
fn steps(pattern: u8) -> Steps {
    let crossed =
        |e: u8| u8::from(ends(e).map(|c| inside(pattern, c)) == [true, false] || ends(e).map(|c| inside(pattern, c)) == [false, true]);
    let mut steps = Steps::default();
    for e in 0..4u8 {
        steps.beyond[e as usize] = crossed(e);
    }
    for e in (4..12u8).step_by(2) {
        steps.within[e as usize + 1] = crossed(e);
        steps.beyond[e as usize] = crossed(e);
        steps.beyond[e as usize + 1] = crossed(e);
    }
    steps
}

fn inside(pattern: u8, corner: u8) -> bool {
    pattern >> corner & 1 == 1
}

fn is_ambiguous(pattern: u8, [a, b, c, d]: [u8; 4]) -> bool {
    let [a, b, c, d] = [a, b, c, d].map(|corner| inside(pattern, corner));
    a == c && b == d && a != b
}

/// The edge between two neighbouring corners.
fn edge(a: u8, b: u8) -> u8 {
    let low = a & b;
    match a ^ b {
        1 => low >> 1,
        2 => 4 + (low & 1) + (low >> 2 << 1),
        _ => 8 + low,
    }
}

/// The corners at the ends of an edge.
pub fn ends(edge: u8) -> [u8; 2] {
    let n = edge & 3;
    let (low, step) = match edge >> 2 {
        0 => (n << 1, 1),
        1 => ((n & 1) + (n >> 1 << 2), 2),
        _ => (n, 4),
    };
    [low, low + step]
}

/// Contours of the faces, linked to loops of edges.
fn loops(pattern: u8, joined: impl Fn(usize) -> bool) -> Vec<Vec<u8>> {
    let mut next = [None::<u8>; 12];
    for (f, face) in FACES.iter().enumerate() {
        let leaves = |n: usize| inside(pattern, face[n % 4]) && !inside(pattern, face[(n + 1) % 4]);
        let enters = |n: usize| !inside(pattern, face[n % 4]) && inside(pattern, face[(n + 1) % 4]);
        let name = |n: usize| edge(face[n % 4], face[(n + 1) % 4]);
        for n in (0..4).filter(|&n| leaves(n)) {
            // Joined corners: the contour rounds the outside corner ahead; otherwise the inside corner behind.
            let to = if joined(f) { n + 1 } else { (n + 1..n + 4).rev().find(|&m| enters(m)).expect("who leaves has entered") };
            next[name(to) as usize] = Some(name(n));
        }
    }
    let mut loops = vec![];
    for start in 0..12 {
        let (mut at, mut found) = (start, vec![]);
        while let Some(to) = next[at].take() {
            found.push(at as u8);
            at = to as usize;
        }
        if !found.is_empty() {
            loops.push(found);
        }
    }
    loops
}

/// Triangles of a cut.
#[derive(Clone, Debug, Default)]
struct Discs {
    triangles: Vec<[u8; 3]>,
    /// For each vertex in the middle the edges of its loop.
    centres: Vec<Vec<u8>>,
}

/// The part of the cell that each corner belongs to: neighbours alike, and across faces where they are joined. Named by its lowest corner.
fn parts(pattern: u8, joined: impl Fn(usize) -> bool) -> [u8; 8] {
    let mut parts = [0, 1, 2, 3, 4, 5, 6, 7];
    let mut unite = |a: u8, b: u8| {
        let (x, y) = (parts[a as usize], parts[b as usize]);
        parts.iter_mut().filter(|p| **p == x.max(y)).for_each(|p| *p = x.min(y));
    };
    for [a, b] in (0..12).map(ends) {
        if inside(pattern, a) == inside(pattern, b) {
            unite(a, b);
        }
    }
    for (f, &[a, b, c, d]) in FACES.iter().enumerate().filter(|(_, face)| is_ambiguous(pattern, **face)) {
        let [p, q] = if inside(pattern, a) == joined(f) { [a, c] } else { [b, d] };
        unite(p, q);
    }
    parts
}

/// Pairs of parts that a tube could join, with the two loops it takes: both loops bound the part in between.
fn tubes(pattern: u8, parts: &[u8; 8], loops: &[Vec<u8>]) -> Vec<([u8; 2], [usize; 2])> {
    // The parts on the inner and the outer side of a loop.
    let sides = |ring: &Vec<u8>| {
        let [a, b] = ends(ring[0]);
        let (inner, outer) = if inside(pattern, a) { (a, b) } else { (b, a) };
        [inner, outer].map(|c| parts[c as usize])
    };
    let mut found = vec![];
    for (a, b) in (0..loops.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
        let (one, other) = (sides(&loops[a]), sides(&loops[b]));
        for side in 0..2 {
            if one[1 - side] == other[1 - side] {
                found.push(([one[side].min(other[side]), one[side].max(other[side])], [a, b]));
            }
        }
    }
    found
}

/// Triangles of a cut with a tube between two of its loops. Diagonals of the tube that lie in faces are taken out again, and what they leave
/// open gets a vertex in the middle.
fn tube_and_discs(loops: &[Vec<u8>], a: usize, b: usize) -> Discs {
    let others: Vec<Vec<u8>> = (0..loops.len()).filter(|&l| l != a && l != b).map(|l| loops[l].clone()).collect();
    let mut found = discs(&others);
    let mut tube = tube(&loops[a], &loops[b]);
    let first = tube.iter().position(|(diagonal, _)| diagonal.is_some()).expect("two loops have diagonals that are in no face");
    tube.rotate_left(first);
    for piece in tube.chunk_by(|_, (diagonal, _)| diagonal.is_none()) {
        let triangles: Vec<[u8; 3]> = piece.iter().map(|(_, triangle)| *triangle).collect();
        if triangles.len() == 1 {
            found.triangles.extend(triangles);
        } else {
            found.fan(rim(&triangles));
        }
    }
    found
}

/// The corners around a piece of triangles, in their sense of turning.
fn rim(triangles: &[[u8; 3]]) -> Vec<u8> {
    let edges: Vec<(u8, u8)> = triangles.iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]).collect();
    let outer: Vec<(u8, u8)> = edges.iter().copied().filter(|&(a, b)| !edges.contains(&(b, a))).collect();
    let next = |from: &u8| outer.iter().find(|(a, _)| a == from).map(|(_, b)| *b);
    std::iter::successors(Some(outer[0].0), next).take(outer.len()).collect()
}

/// A step of a strip: the squared length of the diagonal that it starts from, `None` in a face, and its triangle.
type Step = (Option<u32>, [u8; 3]);

/// The strip between two loops whose diagonals are all different, the fewest of them in faces, and then shortest in sum of squares.
fn tube(a: &[u8], b: &[u8]) -> Vec<Step> {
    let (n, m) = (a.len(), b.len());
    // A strip is a diagonal to start from and a step along one of the loops for each triangle: a set bit along the first one.
    let steps = (0..1u32 << (n + m)).filter(|steps| steps.count_ones() as usize == n);
    let strips = steps.flat_map(|steps| (0..m).map(move |start| (steps, start))).filter_map(|(steps, start)| strip(a, b, steps, start));
    let cost = |strip: &Vec<Step>| (strip.iter().filter(|s| s.0.is_none()).count(), strip.iter().filter_map(|s| s.0).sum::<u32>());
    strips.min_by_key(cost).expect("a strip that changes loops at every step uses no diagonal twice")
}

/// A strip, unless it uses a diagonal twice.
fn strip(a: &[u8], b: &[u8], steps: u32, start: usize) -> Option<Vec<Step>> {
    let (mut i, mut j) = (0, start);
    let (mut diagonals, mut strip) = (vec![], vec![]);
    for step in 0..a.len() + b.len() {
        let (p, q) = (a[i], b[j]);
        if diagonals.contains(&(p, q)) {
            return None;
        }
        diagonals.push((p, q));
        // One loop is followed forwards and the other backwards, since both turn around the material the same way.
        if steps >> step & 1 == 1 {
            i = (i + 1) % a.len();
            strip.push((diagonal(p, q), [p, a[i], q]));
        } else {
            j = (j + b.len() - 1) % b.len();
            strip.push((diagonal(p, q), [b[j], q, p]));
        }
    }
    Some(strip)
}

/// The squared length of a diagonal between two edges' middles, in half voxels; `None` if it lies in a face.
fn diagonal(from: u8, to: u8) -> Option<u32> {
    let middle = |e: u8| {
        let [a, b] = ends(e);
        [0, 1, 2].map(|axis| i32::from(a >> axis & 1) + i32::from(b >> axis & 1))
    };
    let (p, q) = (middle(from), middle(to));
    let in_a_face = (0..3).any(|axis| p[axis] == q[axis] && p[axis] != 1);
    (!in_a_face).then(|| (0..3).map(|a| (p[a] - q[a]).pow(2) as u32).sum())
}

fn discs(loops: &[Vec<u8>]) -> Discs {
    let mut cut = Discs::default();
    for ring in loops {
        match triangulate(ring) {
            Some(triangles) => cut.triangles.extend(triangles),
            None => cut.fan(ring.clone()),
        }
    }
    cut
}

impl Discs {
    /// Adds triangles around a vertex in the middle of a ring of edges.
    fn fan(&mut self, ring: Vec<u8>) {
        let centre = CENTRE + self.centres.len() as u8;
        self.triangles.extend((0..ring.len()).map(|n| [ring[n], ring[(n + 1) % ring.len()], centre]));
        self.centres.push(ring);
        assert!(self.centres.len() <= MOST_CENTRES, "a cell of twelve edges has at most four rings");
    }
}

/// The triangulation of a loop whose diagonals are shortest in sum of squares, none of them in a face; `None` if there is none.
fn triangulate(ring: &[u8]) -> Option<Vec<[u8; 3]>> {
    const NEVER: u32 = u32::MAX / 4;
    let n = ring.len();
    let weight = |i: usize, j: usize| if j - i == 1 || j - i == n - 1 { 0 } else { diagonal(ring[i], ring[j]).unwrap_or(NEVER) };
    // Minimum-weight triangulation of the polygon i..=j, by length of the chain.
    let mut best = vec![vec![(0u32, 0usize); n]; n];
    for length in 2..n {
        for i in 0..n - length {
            let j = i + length;
            let at = |m: usize| (best[i][m].0 + best[m][j].0 + weight(i, j)).min(NEVER);
            best[i][j] = (i + 1..j).map(|m| (at(m), m)).min().expect("a chain of three has a middle");
        }
    }
    let mut triangles = vec![];
    let mut open = vec![(0, n - 1)];
    while let Some((i, j)) = open.pop() {
        if j - i > 1 {
            let m = best[i][j].1;
            triangles.push([ring[i], ring[m], ring[j]]);
            open.extend([(i, m), (m, j)]);
        }
    }
    (best[0][n - 1].0 < NEVER).then_some(triangles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_uses_each_crossed_edge_once_and_no_other() {
        let cases = Cases::get();
        for pattern in 0..=255u8 {
            let crossed = (0..12).filter(|&e| {
                let [a, b] = ends(e);
                assert_eq!(edge(a, b), e);
                inside(pattern, a) != inside(pattern, b)
            });
            let crossed: Vec<u8> = crossed.collect();
            for cut in cases.cuts.iter().filter(|cut| cut.pattern == pattern) {
                let first = &cut.first[..FIRST.min(cut.triangles.into())];
                let mut used: Vec<u8> = first.iter().chain(cases.rest(cut)).flatten().copied().filter(|&e| e < CENTRE).collect();
                used.sort_unstable();
                used.dedup();
                assert_eq!(used, crossed, "pattern {pattern}");
            }
        }
        assert!([0, 255].iter().all(|&p| cases.cut(cases.number(p, |_| true, || None)).triangles == 0));
    }
}
