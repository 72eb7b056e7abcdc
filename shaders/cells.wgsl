// One item counts one row of cells. Parameters: 32-bit words a row, rows a slice, slices here, slice behind the first layer of cells.

@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<vec4<u32>>;

// Word w of row (j, k); -1 as an unsigned number, like all beyond the ends, is outside.
fn word(j: u32, k: u32, w: u32) -> u32 {
    if w >= parameter(0u) || j >= parameter(1u) || k >= parameter(2u) { return 0u; }
    return mask[(k * parameter(1u) + j) * parameter(0u) + w];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group, groups, lane);
    if is_past_end(row) { return; }
    let j = row % (parameter(1u) + 1u);
    let k = row / (parameter(1u) + 1u) + parameter(3u);
    var carry = vec4<u32>();
    var sum = vec4<u32>();
    // One word more: the last cell may lie beyond the last voxel's word.
    for (var w = 0u; w <= parameter(0u); w++) {
        let high = vec4<u32>(word(j - 1u, k - 1u, w), word(j, k - 1u, w), word(j - 1u, k, w), word(j, k, w));
        let low = (high << vec4<u32>(1u)) | carry;
        carry = high >> vec4<u32>(31u);
        let either = high | low;
        let both = high & low;
        let any_corner = either.x | either.y | either.z | either.w;
        let all_corners = both.x & both.y & both.z & both.w;
        sum += countOneBits(vec4<u32>(low.w ^ high.w, high.z ^ high.w, high.y ^ high.w, any_corner & ~all_corners));
    }
    counts[row] = sum;
}
