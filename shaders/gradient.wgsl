// One item makes two voxels. Parameters: voxels a row, rows a slice, slices here, first slice wanted, voxels wanted, scales along i, j, k.

@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> magnitudes: array<u32>;

fn code(i: u32, j: u32, k: u32) -> u32 {
    let index = (k * parameter(1u) + j) * parameter(0u) + i;
    return (source[index / 2u] >> (16u * (index % 2u))) & 0xffffu;
}

fn square_of_difference(a: u32, b: u32, scale: u32) -> u32 {
    let difference = ((max(a, b) - min(a, b)) * scale + 128u) / 256u;
    return difference * difference;
}

// The root rounded down: an estimate, put right.
fn root(x: u32) -> u32 {
    var r = min(u32(sqrt(f32(x))), 65534u);
    while r * r > x { r--; }
    while (r + 1u) * (r + 1u) <= x { r++; }
    return r;
}

fn magnitude(voxel: u32) -> u32 {
    if voxel >= parameter(4u) { return 0u; }
    let n = vec3<u32>(parameter(0u), parameter(1u), parameter(2u));
    let i = voxel % n.x;
    let j = voxel / n.x % n.y;
    let k = voxel / (n.x * n.y) + parameter(3u);
    let a = square_of_difference(code(i - min(i, 1u), j, k), code(min(i + 1u, n.x - 1u), j, k), parameter(5u));
    let b = square_of_difference(code(i, j - min(j, 1u), k), code(i, min(j + 1u, n.y - 1u), k), parameter(6u));
    let c = square_of_difference(code(i, j, k - min(k, 1u)), code(i, j, min(k + 1u, n.z - 1u)), parameter(7u));
    return root(a / 4u + b / 4u + c / 4u + (a % 4u + b % 4u + c % 4u) / 4u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let word = item_of(group, groups, lane);
    if is_past_end(word) { return; }
    magnitudes[word] = magnitude(2u * word) | (magnitude(2u * word + 1u) << 16u);
}
