//! Directed segments joined to chains by what they begin and end on.

/// Segments that follow each other, by their numbers; of a closed chain the last ends where the first begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    pub segments: Vec<usize>,
    pub closed: bool,
}

/// Every segment in one chain: the open ones first, each from its beginning, then the closed ones, in the order of their first segments.
/// Segments are told by what they begin and end on, such as edges of a mesh, so that no tolerance decides what is joined. O(n log n).
pub fn chains<K: Ord + Copy>(segments: &[[K; 2]]) -> Vec<Chain> {
    let mut begins: Vec<(K, usize)> = segments.iter().enumerate().map(|(n, s)| (s[0], n)).collect();
    let mut ends: Vec<K> = segments.iter().map(|s| s[1]).collect();
    begins.sort_unstable();
    ends.sort_unstable();
    let mut used = vec![false; segments.len()];
    let next = |place: K, used: &[bool]| {
        let from = begins.partition_point(|b| b.0 < place);
        begins[from..].iter().take_while(|b| b.0 == place).map(|b| b.1).find(|&n| !used[n])
    };
    let is_first = |n: &usize| ends.binary_search(&segments[*n][0]).is_err();
    let mut found = vec![];
    for first in (0..segments.len()).filter(is_first).chain(0..segments.len()) {
        if used[first] {
            continue;
        }
        let (mut chain, mut at) = (vec![], Some(first));
        let mut closed = false;
        while let Some(n) = at.filter(|_| !closed) {
            used[n] = true;
            chain.push(n);
            closed = segments[n][1] == segments[first][0];
            at = next(segments[n][1], &used);
        }
        found.push(Chain { segments: chain, closed });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_chains_come_whole_and_first_and_rings_that_touch_come_apart() {
        let ring = |places: [u32; 3]| [[places[0], places[1]], [places[1], places[2]], [places[2], places[0]]];
        let mut segments = vec![[7, 8], [6, 7], [8, 9]];
        segments.extend(ring([1, 2, 3]));
        segments.extend(ring([1, 4, 5]));
        let found = chains(&segments);
        let numbers: Vec<(Vec<usize>, bool)> = found.into_iter().map(|c| (c.segments, c.closed)).collect();
        assert_eq!(numbers, [(vec![1, 0, 2], false), (vec![3, 4, 5], true), (vec![6, 7, 8], true)]);
        assert!(chains::<u32>(&[]).is_empty());
    }
}
