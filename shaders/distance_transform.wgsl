// Squared distances to the nearest background voxel, separably; one item a voxel. 1 << 30 stands for none.

@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> squares: array<u32>;

const FAR: u32 = 1u << 30u;

// From bits, along i. Parameters: voxels a row, 32-bit words a row, 1 where the outside is background.
@compute @workgroup_size(64)
fn rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let voxel = item_of(group, groups, lane);
    if is_past_end(voxel) { return; }
    let n = parameter(0u);
    let words = parameter(1u);
    let x = voxel % n;
    let first = voxel / n * words;
    var distance = 0xffffu;
    if parameter(2u) == 1u { distance = min(x + 1u, n - x); }
    // To the left, the voxel itself included: the highest zero bit at or below x.
    var word = x / 32u;
    var zeros = ~source[first + word] & (0xffffffffu >> (31u - x % 32u));
    while zeros == 0u && word > 0u {
        word--;
        zeros = ~source[first + word];
    }
    if zeros != 0u { distance = min(distance, x - (word * 32u + firstLeadingBit(zeros))); }
    // To the right; the zero bits that pad a row are no background.
    word = x / 32u;
    zeros = ~source[first + word] & (0xffffffffu << (x % 32u));
    while zeros == 0u && word + 1u < words {
        word++;
        zeros = ~source[first + word];
    }
    let right = word * 32u + countTrailingZeros(zeros);
    if zeros != 0u && right < n { distance = min(distance, right - x); }
    squares[voxel] = select(distance * distance, FAR, distance == 0xffffu);
}

// From squares, along an axis. Parameters: voxels a column, distance between its voxels in memory, 1 where the outside is background.
@compute @workgroup_size(64)
fn columns(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let voxel = item_of(group, groups, lane);
    if is_past_end(voxel) { return; }
    let n = parameter(0u);
    let stride = parameter(1u);
    let y = voxel / stride % n;
    var best = source[voxel];
    if parameter(2u) == 1u {
        let d = min(y + 1u, n - y);
        best = min(best, d * d);
    }
    let reach = max(y, n - 1u - y);
    for (var step = 1u; step <= reach && step * step < best; step++) {
        if step <= y { best = min(best, source[voxel - step * stride] + step * step); }
        if y + step < n { best = min(best, source[voxel + step * stride] + step * step); }
    }
    squares[voxel] = best;
}
