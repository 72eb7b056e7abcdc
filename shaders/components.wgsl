// One item unites the runs of one 64-bit word of a row with the rows they touch; which joins are needed is derived in components.rs.
// Parameters: words per row, rows per slice, number of the first run, connectivity (0: 6, 1: 18, 2: 26). Words are (low, high).

@group(0) @binding(1) var<storage, read> mask: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> before: array<u32>;
@group(0) @binding(3) var<storage, read_write> parents: array<atomic<u32>>;

struct Wide { word: vec2<u32>, next: vec2<u32>, previous: vec2<u32> }
struct Joins { level: vec2<u32>, up: vec2<u32>, down: vec2<u32> }

fn later(w: vec2<u32>, carry: u32) -> vec2<u32> {
    return vec2<u32>((w.x << 1u) | carry, (w.y << 1u) | (w.x >> 31u));
}

fn earlier(w: vec2<u32>, carry: u32) -> vec2<u32> {
    return vec2<u32>((w.x >> 1u) | (w.y << 31u), (w.y >> 1u) | (carry << 31u));
}

fn carry_into(word: u32) -> u32 {
    if word % parameter(0u) == 0u { return 0u; }
    return mask[word - 1u].y >> 31u;
}

fn wide(there: bool, word: u32) -> Wide {
    if !there { return Wide(vec2<u32>(), vec2<u32>(), vec2<u32>()); }
    let bits = mask[word];
    var after = 0u;
    if (word + 1u) % parameter(0u) != 0u { after = mask[word + 1u].x & 1u; }
    return Wide(bits, earlier(bits, after), later(bits, carry_into(word)));
}

fn number(word: u32, bit: u32) -> u32 {
    let bits = mask[word];
    let starts = bits & ~later(bits, carry_into(word));
    var upto = vec2<u32>(starts.x, starts.y << (31u - bit % 32u));
    if bit < 32u { upto = vec2<u32>(starts.x << (31u - bit), 0u); }
    return before[word] - parameter(2u) + countOneBits(upto.x) + countOneBits(upto.y) - 1u;
}

fn root(start: u32) -> u32 {
    var run = start;
    loop {
        let parent = atomicLoad(&parents[run]);
        if parent == run { break; }
        run = parent;
    }
    return run;
}

// Parents only ever become smaller, so every retry starts nearer to the root and the last one ends.
fn unite(first: u32, second: u32) {
    var a = first;
    var b = second;
    loop {
        a = root(a);
        b = root(b);
        if a == b { break; }
        let high = max(a, b);
        let low = min(a, b);
        let was = atomicMin(&parents[high], low);
        if was == high { break; }
        a = was;
        b = low;
    }
}

fn touching(a: Wide, b: Wide, diagonal: bool) -> Joins {
    var joins = Joins(a.word & b.word & ~(a.previous & b.previous), vec2<u32>(), vec2<u32>());
    if diagonal {
        joins.up = a.word & b.next & ~a.next & ~b.word;
        joins.down = a.word & b.previous & ~a.previous & ~b.word;
    }
    return joins;
}

fn aside(here: Wide, below: Wide, other: Wide, beside: Wide) -> Joins {
    let between = ~(below.word | beside.word);
    var joins = Joins(here.word & other.word & between, vec2<u32>(), vec2<u32>());
    if parameter(3u) == 2u {
        joins.up = here.word & other.next & between & ~(below.next | beside.next);
        joins.down = here.word & other.previous & between & ~(below.previous | beside.previous);
    }
    return joins;
}

fn join(here: u32, other: u32, joins: Joins) {
    for (var half = 0u; half < 2u; half++) {
        var left = joins.level[half] | joins.up[half] | joins.down[half];
        while left != 0u {
            let b = countTrailingZeros(left);
            let bit = half * 32u + b;
            let run = number(here, bit);
            if ((joins.level[half] >> b) & 1u) == 1u { unite(run, number(other, bit)); }
            if ((joins.up[half] >> b) & 1u) == 1u { unite(run, number(other + (bit + 1u) / 64u, (bit + 1u) % 64u)); }
            if ((joins.down[half] >> b) & 1u) == 1u { unite(run, number(other - select(0u, 1u, bit == 0u), (bit + 63u) % 64u)); }
            left &= left - 1u;
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let word = item_of(group, groups, lane);
    if is_past_end(word) { return; }
    if all(mask[word] == vec2<u32>()) { return; }
    let per_row = parameter(0u);
    let per_slice = per_row * parameter(1u);
    let has_left = word % per_slice >= per_row;
    let has_right = word % per_slice < per_slice - per_row;
    let has_below = word >= per_slice;
    let diagonal = parameter(3u) > 0u;
    let here = wide(true, word);
    let left = wide(has_left, word - per_row);
    if has_left { join(word, word - per_row, touching(here, left, diagonal)); }
    if !has_below { return; }
    let below_left = wide(has_left, word - per_slice - per_row);
    let below = wide(true, word - per_slice);
    var joins = touching(here, below, diagonal);
    joins.level &= ~(left.word & below_left.word);
    join(word, word - per_slice, joins);
    if !diagonal { return; }
    if has_left { join(word, word - per_slice - per_row, aside(here, below, below_left, left)); }
    if has_right {
        join(word, word - per_slice + per_row, aside(here, below, wide(true, word - per_slice + per_row), wide(true, word + per_row)));
    }
}
