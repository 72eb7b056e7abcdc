// One item searches one point in one subtree, within the best found so far. Parameters: leaves, triangles, number of the first triangle.

struct Nearest { squared: f32, triangle: u32 }

@group(0) @binding(1) var<storage, read> nodes: array<f32>;
@group(0) @binding(2) var<storage, read> corners: array<f32>;
@group(0) @binding(3) var<storage, read> points: array<f32>;
@group(0) @binding(4) var<storage, read_write> nearest: array<Nearest>;

const LEAF: u32 = 4u;

fn corner(index: u32) -> vec3<f32> {
    return vec3<f32>(corners[3u * index], corners[3u * index + 1u], corners[3u * index + 2u]);
}

fn to_bounds(p: vec3<f32>, node: u32) -> f32 {
    let low = vec3<f32>(nodes[6u * node], nodes[6u * node + 1u], nodes[6u * node + 2u]);
    let high = vec3<f32>(nodes[6u * node + 3u], nodes[6u * node + 4u], nodes[6u * node + 5u]);
    let d = max(max(low - p, p - high), vec3<f32>());
    return dot(d, d);
}

fn to_edge(p: vec3<f32>, a: vec3<f32>, b: vec3<f32>) -> f32 {
    let edge = b - a;
    let length_squared = dot(edge, edge);
    var t = 0.0;
    if length_squared > 0.0 { t = clamp(dot(p - a, edge) / length_squared, 0.0, 1.0); }
    let d = p - a - edge * t;
    return dot(d, d);
}

fn to_triangle(p: vec3<f32>, triangle: u32) -> f32 {
    let a = corner(3u * triangle);
    let b = corner(3u * triangle + 1u);
    let c = corner(3u * triangle + 2u);
    var squared = min(min(to_edge(p, a, b), to_edge(p, b, c)), to_edge(p, c, a));
    let n = cross(b - a, c - a);
    let nn = dot(n, n);
    let over = dot(cross(b - a, p - a), n) >= 0.0 && dot(cross(c - b, p - b), n) >= 0.0 && dot(cross(a - c, p - c), n) >= 0.0;
    if over && nn > 0.0 {
        let height = dot(p - a, n);
        squared = min(squared, height * height / nn);
    }
    return squared;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let point = item_of(group, groups, lane);
    if is_past_end(point) { return; }
    let p = vec3<f32>(points[3u * point], points[3u * point + 1u], points[3u * point + 2u]);
    let leaves = parameter(0u);
    var best = nearest[point];
    var waiting: array<u32, 32>;
    var distances: array<f32, 32>;
    waiting[0] = 1u;
    distances[0] = to_bounds(p, 1u);
    var depth = 1u;
    while depth > 0u {
        depth--;
        if !(distances[depth] < best.squared) { continue; }
        let node = waiting[depth];
        if node >= leaves {
            let first = (node - leaves) * LEAF;
            for (var t = first; t < min(first + LEAF, parameter(1u)); t++) {
                let squared = to_triangle(p, t);
                if squared < best.squared { best = Nearest(squared, parameter(2u) + t); }
            }
            continue;
        }
        // The nearer child is taken first, so one node a level waits.
        let left = to_bounds(p, 2u * node);
        let right = to_bounds(p, 2u * node + 1u);
        let far = select(0u, 1u, right > left);
        waiting[depth] = 2u * node + far;
        distances[depth] = select(left, right, far == 1u);
        waiting[depth + 1u] = 2u * node + 1u - far;
        distances[depth + 1u] = select(right, left, far == 1u);
        depth += 2u;
    }
    nearest[point] = best;
}
