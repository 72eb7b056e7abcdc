// Order-preserving keys (high word, low word) of packed values; prepended by kernels that declare `values`.

fn key_of(kind: u32, index: u32) -> vec2<u32> {
    switch kind {
        case 0u: { return vec2<u32>(0u, (values[index / 4u] >> (8u * (index % 4u))) & 0xffu); }
        case 1u: { return vec2<u32>(0u, ((values[index / 4u] >> (8u * (index % 4u))) & 0xffu) ^ 0x80u); }
        case 2u: { return vec2<u32>(0u, (values[index / 2u] >> (16u * (index % 2u))) & 0xffffu); }
        case 3u: { return vec2<u32>(0u, ((values[index / 2u] >> (16u * (index % 2u))) & 0xffffu) ^ 0x8000u); }
        case 4u: { return vec2<u32>(0u, values[index]); }
        case 5u: { return vec2<u32>(0u, values[index] ^ 0x80000000u); }
        case 6u: {
            let v = select(values[index], 0u, values[index] == 0x80000000u);
            return vec2<u32>(0u, select(v | 0x80000000u, ~v, v >= 0x80000000u));
        }
        default: {
            var v = vec2<u32>(values[2u * index + 1u], values[2u * index]);
            if v.x == 0x80000000u && v.y == 0u { v.x = 0u; }
            return select(vec2<u32>(v.x | 0x80000000u, v.y), ~v, v.x >= 0x80000000u);
        }
    }
}

fn comes_before(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x < b.x || (a.x == b.x && a.y < b.y);
}
