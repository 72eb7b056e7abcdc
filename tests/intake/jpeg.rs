//! JPEG streams by the book (ITU-T T.81): one grey component, every code of a table as long as the others.

/// The lossless process with one of its seven predictors.
pub fn lossless(values: &[u16], columns: usize, precision: u8, predictor: u8) -> Vec<u8> {
    let mut bits = Bits::default();
    for (n, &value) in values.iter().enumerate() {
        let (i, j) = (n % columns, n / columns);
        let at = |back: usize| i32::from(values[n - back]);
        let predicted = match (i, j, predictor) {
            (0, 0, _) => 1 << (precision - 1),
            (_, 0, _) => at(1),
            (0, ..) => at(columns),
            (_, _, 1) => at(1),
            (_, _, 2) => at(columns),
            (_, _, 3) => at(columns + 1),
            (_, _, 4) => at(1) + at(columns) - at(columns + 1),
            (_, _, 5) => at(1) + ((at(columns) - at(columns + 1)) >> 1),
            (_, _, 6) => at(columns) + ((at(1) - at(columns + 1)) >> 1),
            _ => (at(1) + at(columns)) >> 1,
        };
        // Modulo 2^16, from -32767 to 32768.
        let difference = i32::from((i32::from(value) - predicted) as u16 as i16);
        let difference = if difference == -32768 { 32768 } else { difference };
        let size = size_of_number(difference);
        bits.put(size, 5);
        if size < 16 {
            bits.number(difference, size);
        }
    }
    let frame = frame(precision, columns, values.len() / columns);
    let segments = [(0xC4, table(0, 5, &(0..17).collect::<Vec<u8>>())), (0xC3, frame), (0xDA, vec![1, 1, 0, predictor, 0, 0])];
    stream(&segments, bits)
}

/// A process with cosines and quantisers of 1: marker 0xC0 baseline, 0xC1 extended.
pub fn cosine(values: &[u8], columns: usize, marker: u8) -> Vec<u8> {
    let rows = values.len() / columns;
    let sizes: Vec<u8> = [0x00, 0xF0].into_iter().chain((0..16).flat_map(|run| (1..11).map(move |size| run << 4 | size))).collect();
    let (mut bits, mut before) = (Bits::default(), 0);
    for (top, left) in (0..rows).step_by(8).flat_map(|top| (0..columns).step_by(8).map(move |left| (top, left))) {
        let pixel = |i: usize, j: usize| f64::from(values[(top + j).min(rows - 1) * columns + (left + i).min(columns - 1)]) - 128.0;
        let coefficients = transformed(pixel);
        let size = size_of_number(coefficients[0] - before);
        bits.put(size, 4);
        bits.number(coefficients[0] - before, size);
        before = coefficients[0];
        let mut run = 0;
        for &c in &coefficients[1..] {
            if c == 0 {
                run += 1;
                continue;
            }
            let mut code = |symbol: u8| bits.put(sizes.iter().position(|&s| s == symbol).expect("a symbol") as u32, 8);
            (0..run / 16).for_each(|_| code(0xF0));
            let size = size_of_number(c);
            code((run % 16) << 4 | size as u8);
            bits.number(c, size);
            run = 0;
        }
        if run > 0 {
            bits.put(0, 8); // the end of the block
        }
    }
    let quantisers = [vec![0], vec![1; 64]].concat();
    let tables = [table(0, 4, &(0..12).collect::<Vec<u8>>()), table(0x10, 8, &sizes)].concat();
    stream(&[(0xDB, quantisers), (marker, frame(8, columns, rows)), (0xC4, tables), (0xDA, vec![1, 1, 0, 0, 63, 0])], bits)
}

/// Cosine coefficients of 8 x 8 pixels in the order of the zigzag.
fn transformed(pixel: impl Fn(usize, usize) -> f64) -> [i32; 64] {
    let wave = |x: usize, u: usize| libm::cos((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0);
    let scale = |u: usize| if u == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
    let mut places: Vec<(usize, usize)> = (0..64).map(|n| (n % 8, n / 8)).collect();
    // Along the diagonals, up and down in turn.
    places.sort_by_key(|&(u, v)| (u + v, if (u + v) % 2 == 0 { u } else { v }));
    std::array::from_fn(|n| {
        let (u, v) = places[n];
        let sum: f64 = (0..64).map(|p| pixel(p % 8, p / 8) * wave(p % 8, u) * wave(p / 8, v)).sum();
        (0.25 * scale(u) * scale(v) * sum).round() as i32
    })
}

fn frame(precision: u8, columns: usize, rows: usize) -> Vec<u8> {
    let [h, w] = [rows, columns].map(|n| (n as u16).to_be_bytes());
    vec![precision, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]
}

/// A table whose symbols have codes of the same length, in order.
fn table(kind: u8, length: usize, symbols: &[u8]) -> Vec<u8> {
    let mut counts = [0; 16];
    counts[length - 1] = symbols.len() as u8;
    [&[kind], &counts[..], symbols].concat()
}

fn stream(segments: &[(u8, Vec<u8>)], bits: Bits) -> Vec<u8> {
    let mut out = vec![0xFF, 0xD8];
    for (marker, body) in segments {
        out.extend([0xFF, *marker]);
        out.extend((body.len() as u16 + 2).to_be_bytes());
        out.extend(body);
    }
    out.extend(bits.finish());
    out.extend([0xFF, 0xD9]);
    out
}

/// Bits that a number takes without its sign.
fn size_of_number(number: i32) -> u32 {
    32 - number.unsigned_abs().leading_zeros()
}

#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, length: u32) {
        self.pending = self.pending << length | u64::from(value);
        self.count += length;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.pending >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }

    /// The bits of a number after its size: negative ones less one.
    fn number(&mut self, number: i32, size: u32) {
        let bits = if number < 0 { number - 1 } else { number };
        self.put(bits as u32 & ((1 << size) - 1), size);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put((1 << (8 - self.count)) - 1, 8 - self.count);
        }
        self.out
    }
}
