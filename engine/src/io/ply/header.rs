//! The header of a PLY file: which elements follow, how many, with which properties.

use super::super::bytes::HEADER_LIMIT;
use super::super::fault::{Fault, quoted};

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Encoding {
    Ascii,
    Little,
    Big,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn parse(word: &str) -> Option<Scalar> {
        Some(match word {
            "char" | "int8" => Scalar::I8,
            "uchar" | "uint8" => Scalar::U8,
            "short" | "int16" => Scalar::I16,
            "ushort" | "uint16" => Scalar::U16,
            "int" | "int32" => Scalar::I32,
            "uint" | "uint32" => Scalar::U32,
            "float" | "float32" => Scalar::F32,
            "double" | "float64" => Scalar::F64,
            _ => return None,
        })
    }

    pub fn bytes(self) -> usize {
        match self {
            Scalar::I8 | Scalar::U8 => 1,
            Scalar::I16 | Scalar::U16 => 2,
            Scalar::I32 | Scalar::U32 | Scalar::F32 => 4,
            Scalar::F64 => 8,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Scalar(Scalar),
    List { count: Scalar, item: Scalar },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    pub name: String,
    pub count: usize,
    pub properties: Vec<Property>,
}

#[derive(Debug)]
pub(super) struct Header {
    pub encoding: Encoding,
    pub elements: Vec<Element>,
    /// Where the values begin.
    pub body: usize,
}

impl Header {
    pub fn parse(bytes: &[u8]) -> Result<Header, Fault> {
        let (mut encoding, mut elements, mut at) = (None, Vec::<Element>::new(), 0);
        let (found, mut number) = (bytes.len() as u64, 0);
        loop {
            let rest = &bytes[at..];
            let Some(length) = rest.iter().position(|&b| b == b'\n' || b == b'\r') else {
                return Err(Fault::Truncated { format: "PLY header", needed: found + 1, found });
            };
            if at + length > HEADER_LIMIT {
                return Err(Fault::TooLarge { what: "its header", found, allowed: HEADER_LIMIT as u64 });
            }
            number += 1;
            let line = &rest[..length];
            // A line ends with LF, CR LF or CR.
            at += length + if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
            let malformed = |expected| Fault::Malformed { format: "PLY", place: format!("line {number}"), found: quoted(line), expected };
            let text = String::from_utf8_lossy(line);
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            match words.as_slice() {
                ["ply"] | [] | ["comment" | "obj_info", ..] => {}
                ["format", form, _version] => {
                    encoding = Some(match *form {
                        "ascii" => Encoding::Ascii,
                        "binary_little_endian" => Encoding::Little,
                        "binary_big_endian" => Encoding::Big,
                        _ => return Err(malformed("ascii, binary_little_endian or binary_big_endian")),
                    });
                }
                ["element", name, count] => {
                    let count = count.parse().map_err(|_| malformed("a whole number of elements"))?;
                    elements.push(Element { name: (*name).into(), count, properties: vec![] });
                }
                ["property", kind @ .., name] => {
                    let element = elements.last_mut().ok_or_else(|| malformed("an element before its properties"))?;
                    let kind = property(kind).ok_or_else(|| malformed("a property of a known type"))?;
                    element.properties.push(Property { name: (*name).into(), kind });
                }
                ["end_header"] => {
                    let encoding = encoding.ok_or_else(|| malformed("a format line before the end of the header"))?;
                    return Ok(Header { encoding, elements, body: at });
                }
                _ => return Err(malformed("format, element, property, comment or end_header")),
            }
        }
    }
}

fn property(words: &[&str]) -> Option<Kind> {
    match words {
        ["list", count, item] => {
            let count = Scalar::parse(count).filter(|s| !matches!(s, Scalar::F32 | Scalar::F64))?;
            Some(Kind::List { count, item: Scalar::parse(item)? })
        }
        [scalar] => Some(Kind::Scalar(Scalar::parse(scalar)?)),
        _ => None,
    }
}
