//! What hangs together: a union-find forest over numbers, whose roots are the smallest of their trees, so that what it tells is the same for any
//! order of unions.

/// The root of a number's tree; paths are halved on the way (Tarjan & van Leeuwen 1984).
#[inline(always)]
pub(crate) fn root(parents: &mut [u32], mut at: u32) -> u32 {
    loop {
        let parent = parents[at as usize];
        if parent == at {
            return at;
        }
        let above = parents[parent as usize];
        parents[at as usize] = above;
        at = above;
    }
}

/// Joins the trees of two numbers under the smaller root.
#[inline(always)]
pub(crate) fn unite(parents: &mut [u32], a: u32, b: u32) {
    let (low, high) = (a.min(b), a.max(b));
    let (above, own) = (parents[low as usize], parents[high as usize]);
    if above == own {
        return; // most often: what hangs together already
    }
    if own == high {
        // Almost as often: a number alone so far. A root is the smallest of its tree, so what is smaller is in another one.
        parents[high as usize] = above;
        return;
    }
    let (a, b) = (root(parents, above), root(parents, own));
    parents[a.max(b) as usize] = a.min(b);
}

/// The parent of every number becomes its root.
pub(crate) fn flatten(parents: &mut [u32]) {
    (0..parents.len() as u32).for_each(|n| parents[n as usize] = root(parents, n));
}

/// Turns a forest into the numbers of its trees, in the order of their roots from `first` on, and how many there are.
pub(crate) fn numbered(mut parents: Vec<u32>, first: u32) -> (Vec<u32>, u32) {
    let mut count = 0;
    for at in 0..parents.len() {
        let parent = parents[at] as usize;
        parents[at] = if parent == at {
            count += 1;
            first + count - 1
        } else {
            parents[parent] // before `at`, hence a number already
        };
    }
    (parents, count)
}
