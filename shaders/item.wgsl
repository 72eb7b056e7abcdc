// Prepended to every program: parameters[0..2] is the range of items of this submission, the kernel's own parameters follow.

@group(0) @binding(0) var<storage, read> parameters: array<u32>;

// The item of an invocation; workgroups of 64 are laid out in two dimensions. A kernel returns at once where `is_past_end`.
fn item_of(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return parameters[0] + (group.y * groups.x + group.x) * 64u + lane;
}

fn is_past_end(item: u32) -> bool {
    return item >= parameters[1];
}

fn parameter(index: u32) -> u32 {
    return parameters[2u + index];
}
