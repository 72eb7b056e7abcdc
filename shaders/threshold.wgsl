// One item makes one word of 64 voxels of a row. Parameters: kind, nx, words per row, first word in its row, lowest and highest key.

@group(0) @binding(1) var<storage, read> values: array<u32>;
@group(0) @binding(2) var<storage, read_write> mask: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let word = item_of(group, groups, lane);
    if is_past_end(word) { return; }
    let kind = parameter(0u);
    let nx = parameter(1u);
    let per_row = parameter(2u);
    let column = (parameter(3u) + word) % per_row;
    let first = (parameter(3u) + word) / per_row * nx + column * 64u - parameter(3u) * 64u;
    let count = min(nx - column * 64u, 64u);
    var bits = vec2<u32>(0u, 0u);
    for (var b = 0u; b < count; b++) {
        let key = key_of(kind, first + b);
        let inside = !comes_before(key, vec2<u32>(parameter(4u), parameter(5u))) && !comes_before(vec2<u32>(parameter(6u), parameter(7u)), key);
        bits[b / 32u] |= select(0u, 1u, inside) << (b % 32u);
    }
    mask[2u * word] = bits.x;
    mask[2u * word + 1u] = bits.y;
}
