//! Compressed frames as bytes: run lengths decoded, headers of the JPEG family held against the image they should be of.

use super::super::fault::Fault;
use super::codec::{bad, undecoded};
use super::image::Image;

/// RLE (PS3.5 annex G): a table of segments, each one byte plane, the most significant first, packed by PackBits.
pub(super) fn rle(packed: &[u8], width: usize, out: &mut [u8]) -> Result<(), Fault> {
    let word = |i: usize| packed.get(4 * i..4 * i + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let segments = word(0).filter(|&n| n == width).ok_or_else(|| bad("its run-length segments are not one a byte of a value"))?;
    for segment in 0..segments {
        let start = word(1 + segment).unwrap_or(usize::MAX);
        let end = if segment + 1 < segments { word(2 + segment).unwrap_or(0) } else { packed.len() };
        let runs = packed.get(start..end).ok_or_else(|| bad("its run-length segments overlap or lie outside"))?;
        let plane = out.iter_mut().skip(width - 1 - segment).step_by(width);
        unpack_bits(runs, plane)?;
    }
    Ok(())
}

fn unpack_bits<'a>(runs: &[u8], mut out: impl ExactSizeIterator<Item = &'a mut u8>) -> Result<(), Fault> {
    let ends = || bad("its run lengths end early");
    let mut runs = runs.iter();
    while out.len() > 0 {
        let count = *runs.next().ok_or_else(ends)? as i8;
        match count {
            0..=127 => {
                for _ in 0..=count {
                    let value = *runs.next().ok_or_else(ends)?;
                    // The last run may be longer than what is left of the plane.
                    if let Some(place) = out.next() {
                        *place = value;
                    }
                }
            }
            -127..=-1 => {
                let value = *runs.next().ok_or_else(ends)?;
                out.by_ref().take((1 - isize::from(count)) as usize).for_each(|place| *place = value);
            }
            i8::MIN => {}
        }
    }
    Ok(())
}

/// The frame header of a JPEG or JPEG-LS stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct JpegFrame {
    /// Second byte of the frame's marker: 0xC0 baseline, 0xC1 extended, 0xC3 lossless, 0xF7 JPEG-LS …
    pub process: u8,
    pub precision: u32,
    pub rows: u32,
    pub columns: u32,
}

/// Marker segments of a JPEG stream up to its scan, each with what it carries.
fn segments(packed: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Fault>> {
    let malformed = || bad("it is no JPEG stream, or one cut short");
    let mut rest = packed.strip_prefix(&[0xFF, 0xD8]);
    let mut begun = false;
    std::iter::from_fn(move || {
        let Some(at) = rest.take() else { return (!std::mem::replace(&mut begun, true)).then(|| Err(malformed())) };
        begun = true;
        // Fill bytes may stand before a marker.
        let filled = at.iter().skip(1).position(|&b| b != 0xFF).filter(|_| at[0] == 0xFF);
        let Some((&[marker, high, low], after)) = filled.and_then(|f| at.get(1 + f..)).and_then(|at| at.split_first_chunk::<3>()) else {
            return Some(Err(malformed()));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(carried) = length.checked_sub(2).and_then(|n| after.get(..n)) else { return Some(Err(malformed())) };
        rest = (marker != 0xDA).then(|| &after[carried.len()..]);
        Some(Ok((marker, carried)))
    })
}

/// The frame of a stream, which must be one grey image of the size that DICOM says, in values of at most `width` bytes.
pub(super) fn jpeg_frame(packed: &[u8], image: &Image, width: usize) -> Result<JpegFrame, Fault> {
    let mut found = None;
    for segment in segments(packed) {
        let (marker, carried) = segment?;
        if !matches!(marker, 0xC0..=0xCF | 0xF7) || matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            continue;
        }
        let &[precision, r1, r0, c1, c0, components, ..] = carried else { return Err(bad("its frame header is cut short")) };
        let [rows, columns] = [[r1, r0], [c1, c0]].map(|b| u32::from(u16::from_be_bytes(b)));
        let frame = JpegFrame { process: marker, precision: precision.into(), rows, columns };
        let size = [rows, columns] == [image.rows, image.columns] && components == 1 && found.is_none();
        if !size || !(2..=16.min(8 * width as u32)).contains(&frame.precision) {
            return Err(bad(&format!(
                "its stream holds {columns} x {rows} pixels of {components} components and {precision} bits, DICOM says {} x {} of 1 and {}",
                image.columns, image.rows, image.bits_allocated
            )));
        }
        found = Some(frame);
    }
    found.ok_or_else(|| bad("its stream has no frame header"))
}

/// Parameters of a JPEG-LS stream within the ranges of ISO 14495-1 (C.2.3, C.2.4.1.1), which its decoder takes for granted.
pub(super) fn check_jpeg_ls(packed: &[u8], frame: &JpegFrame, image: &Image) -> Result<(), Fault> {
    let most = (1u32 << frame.precision) - 1;
    let out_of_range = |what: &str| bad(&format!("{what} of its JPEG-LS stream is out of range"));
    if frame.process != 0xF7 {
        return Err(bad("its stream is not JPEG-LS"));
    }
    let mut max_value = most;
    for segment in segments(packed) {
        let (marker, carried) = segment?;
        match (marker, carried) {
            (0xF8, [1, rest @ ..]) => {
                let Some(&[a, b, c, d, e, f, g, h, i, j]) = rest.first_chunk() else { return Err(out_of_range("a preset")) };
                let [max, t1, t2, t3, reset] = [[a, b], [c, d], [e, f], [g, h], [i, j]].map(|b| u32::from(u16::from_be_bytes(b)));
                max_value = if max == 0 { most } else { max };
                let ascending = [t1, t2, t3].iter().filter(|&&t| t > 0).is_sorted() && t3.max(t2).max(t1) <= max_value;
                if max_value > most || !ascending || !(3..=255.max(max_value)).contains(&reset) {
                    return Err(out_of_range("a preset"));
                }
            }
            (0xF8, _) => return Err(undecoded(image, "with mapping tables")),
            (0xDD, _) => return Err(undecoded(image, "with restart intervals")),
            (0xDA, &[1, _, _, near, 0, _]) if u32::from(near) <= 255.min(max_value / 2) => {}
            (0xDA, _) => return Err(out_of_range("the scan header")),
            _ => {}
        }
    }
    Ok(())
}

/// The size in a JPEG 2000 codestream (ISO 15444-1 A.5.1), bare or in a box, against that of the image.
pub(super) fn check_jpeg_2000(packed: &[u8], image: &Image) -> Result<(), Fault> {
    let stream = codestream(packed).ok_or_else(|| bad("it is no JPEG 2000 stream"))?;
    let word = |at: usize| stream.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let size = |from: usize, to: usize| word(to)?.checked_sub(word(from)?);
    // SOC and SIZ with its length and capabilities, then Xsiz Ysiz XOsiz YOsiz, tile sizes and offsets, components.
    let found = [size(16, 8), size(20, 12)];
    let tile = [word(24), word(28)];
    let components = stream.get(40..42).map(|b| u16::from_be_bytes([b[0], b[1]]));
    let steps = stream.get(43..45);
    if found != [Some(image.columns), Some(image.rows)] || components != Some(1) || steps != Some(&[1, 1]) {
        return Err(bad(&format!("its stream is no grey image of {} x {} pixels", image.columns, image.rows)));
    }
    // A tile takes memory for its tables: not more of them than pixels could make sense of.
    let tiles = |whole: u32, part: Option<u32>| part.filter(|&p| p > 0).map(|p| u64::from(whole.div_ceil(p)));
    let count = tiles(image.columns, tile[0]).zip(tiles(image.rows, tile[1])).map(|(a, b)| a * b);
    match count {
        Some(1..=4096) => Ok(()),
        _ => Err(bad("its stream has more than 4096 tiles")),
    }
}

fn codestream(packed: &[u8]) -> Option<&[u8]> {
    const START: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];
    if packed.starts_with(&START) {
        return Some(packed);
    }
    let mut at = packed;
    while let Some((&[a, b, c, d, kind @ ..], _)) = at.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let inside = at.get(8..if length == 0 { at.len() } else { length })?;
        if &kind == b"jp2c" {
            return inside.starts_with(&START).then_some(inside);
        }
        at = at.get(length.max(8)..)?;
    }
    None
}
