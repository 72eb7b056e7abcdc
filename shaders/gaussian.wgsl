// One item sums one voxel's neighbours along an axis. Parameters: distance between neighbours in memory, voxels along the axis
// in `source`, the same in `sums`, where the first of `sums` lies among those of `source`, reach of the weights.

@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<u32>;

struct Line { first: u32, at: u32 }

fn line_of(item: u32) -> Line {
    let stride = parameter(0u);
    let along = item / stride;
    return Line(along / parameter(2u) * parameter(1u) * stride + item % stride, along % parameter(2u) + parameter(3u));
}

// Beyond the ends the outermost voxels go on.
fn before(line: Line, d: u32) -> u32 {
    return line.first + (line.at - min(line.at, d)) * parameter(0u);
}

fn behind(line: Line, d: u32) -> u32 {
    return line.first + min(line.at + d, parameter(1u) - 1u) * parameter(0u);
}

fn code(index: u32) -> u32 {
    return (source[index / 2u] >> (16u * (index % 2u))) & 0xffffu;
}

// From 16-bit codes.
@compute @workgroup_size(64)
fn codes(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let voxel = item_of(group, groups, lane);
    if is_past_end(voxel) { return; }
    let line = line_of(voxel);
    var sum = 128u + weights[0] * code(before(line, 0u));
    for (var d = 1u; d <= parameter(4u); d++) {
        sum += weights[d] * (code(before(line, d)) + code(behind(line, d)));
    }
    sums[voxel] = sum / 256u;
}

// From 256ths of codes: 40-bit sums as their low 32 bits and as sums without the low 8 bits of the addends.
@compute @workgroup_size(64)
fn fixed(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let voxel = item_of(group, groups, lane);
    if is_past_end(voxel) { return; }
    let line = line_of(voxel);
    let centre = source[before(line, 0u)];
    var low = weights[0] * centre;
    var high = weights[0] * (centre >> 8u);
    for (var d = 1u; d <= parameter(4u); d++) {
        let pair = source[before(line, d)] + source[behind(line, d)];
        low += weights[d] * pair;
        high += weights[d] * (pair >> 8u);
    }
    let lost = low - (high << 8u) + 32768u;
    sums[voxel] = (high + (lost >> 8u)) >> 8u;
}
