// Each voxel's largest ball; one item a slice of a ball. Integers, so the order of items does not matter.
// Parameters: voxels a row, rows a slice, first slice held, slices held, slices of a ball above and below its centre.

@group(0) @binding(1) var<storage, read> balls: array<vec4<u32>>; // column, row, slice, squared radius
@group(0) @binding(2) var<storage, read_write> squares: array<atomic<u32>>;

// The largest integer whose square is below n, for n from 1 on; the root in floats may be off by one.
fn below(n: u32) -> u32 {
    var root = u32(sqrt(f32(n)));
    while root * root >= n { root--; }
    while (root + 1u) * (root + 1u) < n { root++; }
    return root;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group, groups, lane);
    if is_past_end(item) { return; }
    let nx = parameter(0u);
    let ny = parameter(1u);
    let first = parameter(2u);
    let tall = parameter(4u);
    let ball = balls[item / (2u * tall + 1u)];
    // Slices below the first wrap around to beyond the last.
    let slice = ball.z + item % (2u * tall + 1u) - tall - first;
    if slice >= parameter(3u) { return; }
    let up = max(slice + first, ball.z) - min(slice + first, ball.z);
    let disc = ball.w - up * up;
    let wide = below(disc);
    for (var row = ball.y - min(ball.y, wide); row <= min(ball.y + wide, ny - 1u); row++) {
        let across = max(row, ball.y) - min(row, ball.y);
        let half = below(disc - across * across);
        let start = (slice * ny + row) * nx;
        for (var i = ball.x - min(ball.x, half); i <= min(ball.x + half, nx - 1u); i++) {
            atomicMax(&squares[start + i], ball.w);
        }
    }
}
