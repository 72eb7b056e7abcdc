// One item counts one voxel. Parameters: kind, bins, key where these bins end, 1 where that end is included,
// 1 where every code has a bin.

@group(0) @binding(1) var<storage, read> values: array<u32>;
@group(0) @binding(2) var<storage, read> edges: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let voxel = item_of(group, groups, lane);
    if is_past_end(voxel) { return; }
    let key = key_of(parameter(0u), voxel);
    let end = vec2<u32>(parameter(2u), parameter(3u));
    let ends_before = comes_before(key, end) || (parameter(4u) == 1u && all(key == end));
    if comes_before(key, edges[0]) || !ends_before { return; }
    if parameter(5u) == 1u {
        atomicAdd(&counts[key.y - edges[0].y], 1u);
        return;
    }
    // The last bin whose edge is not above the key.
    var low = 0u;
    var high = parameter(1u);
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if comes_before(key, edges[middle]) { high = middle; } else { low = middle; }
    }
    atomicAdd(&counts[low], 1u);
}
