//! The numbers after the header of a PLY file, one after the other, in any of its three encodings.

use super::super::fault::{Fault, quoted};
use super::header::{Element, Encoding, Kind, Property, Scalar};

/// A cursor over the body.
pub(super) struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
}

impl<'a> Values<'a> {
    pub fn new(bytes: &'a [u8], at: usize, encoding: Encoding) -> Self {
        Values { bytes, at, encoding }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The least a number takes: its size, or one digit and one blank (no blank after the last).
    fn least(&self, scalar: Scalar) -> usize {
        if self.encoding == Encoding::Ascii { 2 } else { scalar.bytes() }
    }

    /// Fails where the rest of the file is too short for the element even if all its lists are empty.
    pub fn can_hold(&self, element: &Element) -> Result<(), Fault> {
        let least = |p: &Property| match p.kind {
            Kind::Scalar(scalar) => self.least(scalar),
            Kind::List { count, .. } => self.least(count),
        };
        let each: usize = element.properties.iter().map(least).sum();
        let needed = (each as u64).saturating_mul(element.count as u64);
        if needed > self.left() as u64 + 1 { Err(self.truncated(needed)) } else { Ok(()) }
    }

    fn truncated(&self, needed: u64) -> Fault {
        Fault::Truncated { format: "PLY", needed: self.at as u64 + needed, found: self.bytes.len() as u64 }
    }

    /// The next number. Every type here is exact in `f64`.
    pub fn next(&mut self, scalar: Scalar) -> Result<f64, Fault> {
        if self.encoding == Encoding::Ascii {
            return self.next_word();
        }
        let mut raw = [0u8; 8];
        let size = scalar.bytes();
        let source = self.bytes.get(self.at..self.at + size).ok_or_else(|| self.truncated(size as u64))?;
        raw[..size].copy_from_slice(source);
        if self.encoding == Encoding::Big {
            raw[..size].reverse();
        }
        self.at += size;
        let [a, b, c, d, ..] = raw;
        Ok(match scalar {
            Scalar::I8 => f64::from(a as i8),
            Scalar::U8 => f64::from(a),
            Scalar::I16 => f64::from(i16::from_le_bytes([a, b])),
            Scalar::U16 => f64::from(u16::from_le_bytes([a, b])),
            Scalar::I32 => f64::from(i32::from_le_bytes([a, b, c, d])),
            Scalar::U32 => f64::from(u32::from_le_bytes([a, b, c, d])),
            Scalar::F32 => f64::from(f32::from_le_bytes([a, b, c, d])),
            Scalar::F64 => f64::from_le_bytes(raw),
        })
    }

    fn next_word(&mut self) -> Result<f64, Fault> {
        let rest = &self.bytes[self.at..];
        let start = rest.iter().position(|b| !b.is_ascii_whitespace()).ok_or_else(|| self.truncated(1))?;
        let length = rest[start..].iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        let place = self.at + start;
        self.at = place + length;
        let number = std::str::from_utf8(word).ok().and_then(|w| w.parse().ok());
        number.ok_or_else(|| Fault::Malformed { format: "PLY", place: format!("byte {place}"), found: quoted(word), expected: "a number" })
    }

    /// The length of a list, after a check that so many items can follow.
    pub fn list_length(&mut self, count: Scalar, item: Scalar) -> Result<usize, Fault> {
        let place = self.at;
        let length = self.next(count)?;
        if !(0.0..=f64::from(u32::MAX)).contains(&length) || length.fract() != 0.0 {
            let found = format!("a list of {length}");
            return Err(Fault::Malformed { format: "PLY", place: format!("byte {place}"), found, expected: "a whole number from 0 on" });
        }
        let needed = (length as u64).saturating_mul(self.least(item) as u64);
        if needed > self.left() as u64 + 1 { Err(self.truncated(needed)) } else { Ok(length as usize) }
    }

    pub fn skip_property(&mut self, property: &Property) -> Result<(), Fault> {
        match property.kind {
            Kind::Scalar(scalar) => self.next(scalar).map(|_| ()),
            Kind::List { count, item } => {
                let length = self.list_length(count, item)?;
                (0..length).try_for_each(|_| self.next(item).map(|_| ()))
            }
        }
    }

    pub fn skip(&mut self, element: &Element) -> Result<(), Fault> {
        (0..element.count).try_for_each(|_| element.properties.iter().try_for_each(|p| self.skip_property(p)))
    }
}
