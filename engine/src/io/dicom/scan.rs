//! The structure of a DICOM file, walked before any parser takes memory for it: every length lies within the file, sequences nest
//! only so deep, and the pixel data is found. What passes here can be handed to a general parser.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::super::fault::Fault;

const FORMAT: &str = "DICOM";
const NESTING: usize = 16;
const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How data elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Implicit,
    Explicit,
    BigEndian,
}

/// What comes before the data set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    /// `None` where the file does not say.
    pub transfer_syntax: Option<String>,
    /// Where the data set begins.
    pub dataset: u64,
}

/// Where the parts of a data set lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Elements {
    /// Where the pixel data element begins, or the end of the file.
    pub header_end: u64,
    pub pixels: Option<Pixels>,
}

/// The value of the pixel data element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pixels {
    pub start: u64,
    /// `None` where the pixel data comes in fragments.
    pub length: Option<u64>,
}

/// Why a walk ended early: more bytes of the file are needed, or the file is at fault.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    More,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

/// A file begins with 128 bytes of anything, then `DICM`; some lack both and begin with their first element.
pub(in super::super) fn is_dicom(head: &[u8]) -> bool {
    head.get(128..132) == Some(b"DICM") || begins_bare(head)
}

/// Two first elements of group 2 or 8 with ascending tags and short values: no other format begins so.
fn begins_bare(head: &[u8]) -> bool {
    let plain = match head {
        [2 | 8, 0, _, 0, a, b, ..] if VR::from_binary([*a, *b]).is_some() => Plain::Explicit,
        [8, 0, _, 0, ..] => Plain::Implicit,
        [0, 8, 0, _, a, b, ..] if VR::from_binary([*a, *b]).is_some() => Plain::BigEndian,
        _ => return false,
    };
    let mut walk = Walk::at(head, u64::MAX, 0, plain);
    let short = |e: &Element| e.length <= 256 && matches!(e.tag.0, 2 | 8);
    let Some(first) = walk.element().ok().filter(short) else { return false };
    walk.at += u64::from(first.length);
    walk.element().is_ok_and(|second| short(&second) && second.tag > first.tag)
}

/// Reads the file meta group of a file of `len` bytes of which the first are given.
pub(super) fn meta(bytes: &[u8], len: u64) -> Result<Meta, Stop> {
    let start = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let mut walk = Walk::at(bytes, len, start, Plain::Explicit);
    let transfer_syntax = walk.meta()?;
    Ok(Meta { transfer_syntax, dataset: walk.at })
}

/// The way in which a data set without a transfer syntax is written, by its first element.
pub(super) fn guess(dataset: &[u8]) -> Plain {
    match dataset {
        [_, _, _, _, a, b, ..] if VR::from_binary([*a, *b]).is_none() => Plain::Implicit,
        [0, _, ..] => Plain::BigEndian,
        _ => Plain::Explicit,
    }
}

/// Walks the data set that begins at `at`.
pub(super) fn elements(bytes: &[u8], len: u64, at: u64, plain: Plain) -> Result<Elements, Stop> {
    let (header_end, pixels) = Walk::at(bytes, len, at, plain).dataset(len, 0)?;
    Ok(Elements { header_end, pixels })
}

struct Walk<'a> {
    bytes: &'a [u8],
    len: u64,
    at: u64,
    explicit: bool,
    big: bool,
}

struct Element {
    tag: Tag,
    vr: Option<VR>,
    length: u32,
}

impl Walk<'_> {
    fn at(bytes: &[u8], len: u64, at: u64, plain: Plain) -> Walk<'_> {
        Walk { bytes, len, at, explicit: plain != Plain::Implicit, big: plain == Plain::BigEndian }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let end = self.at + N as u64;
        if end > self.len {
            return Err(Fault::Truncated { format: FORMAT, needed: end, found: self.len }.into());
        }
        let raw = self.bytes.get(self.at as usize..end as usize).ok_or(Stop::More)?;
        self.at = end;
        raw.try_into().map_err(|_| Stop::More)
    }

    fn u16(&mut self) -> Result<u16, Stop> {
        let raw = self.take::<2>()?;
        Ok(if self.big { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        let raw = self.take::<4>()?;
        Ok(if self.big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    fn element(&mut self) -> Result<Element, Stop> {
        let tag = Tag(self.u16()?, self.u16()?);
        if tag.0 == 0xFFFE || !self.explicit {
            return Ok(Element { tag, vr: None, length: self.u32()? });
        }
        let place = self.at;
        let code = self.take::<2>()?;
        let Some(vr) = VR::from_binary(code) else {
            let found = super::super::fault::quoted(&code);
            return Err(
                Fault::Malformed { format: FORMAT, place: format!("byte {place}"), found, expected: "a value representation" }.into()
            );
        };
        let short = matches!(
            vr,
            VR::AE
                | VR::AS
                | VR::AT
                | VR::CS
                | VR::DA
                | VR::DS
                | VR::DT
                | VR::FL
                | VR::FD
                | VR::IS
                | VR::LO
                | VR::LT
                | VR::PN
                | VR::SH
                | VR::SL
                | VR::SS
                | VR::ST
                | VR::TM
                | VR::UI
                | VR::UL
                | VR::US
        );
        let length = if short {
            self.u16()?.into()
        } else {
            self.u16()?;
            self.u32()?
        };
        Ok(Element { tag, vr: Some(vr), length })
    }

    /// Passes over a value that must lie before `end`.
    fn pass(&mut self, length: u32, end: u64) -> Result<(), Stop> {
        let needed = self.at + u64::from(length);
        if needed > end {
            return Err(Fault::Truncated { format: FORMAT, needed, found: end }.into());
        }
        self.at = needed;
        Ok(())
    }

    /// The file meta group; gives the transfer syntax.
    fn meta(&mut self) -> Result<Option<String>, Stop> {
        let mut syntax = None;
        loop {
            let start = self.at;
            let group = if start + 2 > self.len { 0 } else { self.u16()? };
            self.at = start;
            if group != 2 {
                break;
            }
            let element = self.element()?;
            let value = self.at;
            self.pass(element.length, self.len)?;
            if element.tag == Tag(2, 0x10) {
                let raw = self.bytes.get(value as usize..self.at as usize).ok_or(Stop::More)?;
                syntax = Some(String::from_utf8_lossy(raw).trim_end_matches(['\0', ' ']).to_string());
            }
        }
        Ok(syntax.filter(|uid: &String| !uid.is_empty()))
    }

    /// Elements until `end`, an item's end or, on the top level, the pixel data.
    fn dataset(&mut self, end: u64, depth: usize) -> Result<(u64, Option<Pixels>), Stop> {
        while self.at < end {
            let start = self.at;
            let element = self.element()?;
            if element.tag == ITEM_END && depth > 0 {
                return Ok((self.at, None));
            }
            if element.tag == PIXEL_DATA && depth == 0 {
                return Ok((start, Some(self.pixels(&element)?)));
            }
            let listed = || StandardDataDictionary.by_tag(element.tag).map(|e| e.vr().relaxed());
            let sequence = element.vr.or_else(listed) == Some(VR::SQ) || element.length == UNDEFINED;
            if sequence {
                self.sequence(&element, end, depth)?;
            } else {
                self.pass(element.length, end)?;
            }
        }
        Ok((self.at, None))
    }

    fn sequence(&mut self, sequence: &Element, end: u64, depth: usize) -> Result<(), Stop> {
        let malformed = |at: u64, found: String, expected| {
            Stop::Fault(Fault::Malformed { format: FORMAT, place: format!("byte {at}"), found, expected })
        };
        if depth == NESTING {
            return Err(malformed(self.at, format!("sequences nested deeper than {NESTING}"), "fewer levels"));
        }
        let defined = sequence.length != UNDEFINED;
        let last = if defined { self.at + u64::from(sequence.length) } else { end };
        if last > end {
            return Err(Fault::Truncated { format: FORMAT, needed: last, found: end }.into());
        }
        // Items of unknown elements are implicit, whatever the file around them is.
        let explicit = self.explicit;
        self.explicit = explicit && sequence.vr != Some(VR::UN);
        while self.at < last {
            let item = self.element()?;
            match item.tag {
                SEQUENCE_END if !defined => break,
                ITEM if item.length == UNDEFINED => drop(self.dataset(last, depth + 1)?),
                ITEM => {
                    let item_end = self.at + u64::from(item.length);
                    if item_end > last {
                        return Err(Fault::Truncated { format: FORMAT, needed: item_end, found: last }.into());
                    }
                    self.dataset(item_end, depth + 1)?;
                }
                other => return Err(malformed(self.at, other.to_string(), "an item of a sequence")),
            }
        }
        self.explicit = explicit;
        Ok(())
    }

    fn pixels(&mut self, element: &Element) -> Result<Pixels, Stop> {
        let start = self.at;
        if element.length != UNDEFINED {
            self.pass(element.length, self.len)?;
            return Ok(Pixels { start, length: Some(element.length.into()) });
        }
        Ok(Pixels { start, length: None })
    }
}

/// Fragments of pixel data as offset and length, the first of them the offset table, read item by item: nothing else of the file is.
pub(super) fn fragments(file: &mut File, len: u64, start: u64) -> Result<Vec<(u64, u64)>, Fault> {
    let mut found = vec![];
    let mut at = start;
    loop {
        let mut item = [0u8; 8];
        if at + 8 > len {
            // Some writers leave the last delimiter out; anything else after a fragment is no end.
            return if at == len && found.len() > 1 {
                Ok(found)
            } else {
                Err(Fault::Truncated { format: FORMAT, needed: at + 8, found: len })
            };
        }
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut item)).map_err(|e| Fault::unreadable(&e))?;
        let [a, b, c, d, length @ ..] = item;
        let tag = Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let length = u64::from(u32::from_le_bytes(length));
        match tag {
            SEQUENCE_END => return Ok(found),
            ITEM if at + 8 + length <= len => found.push((at + 8, length)),
            ITEM => return Err(Fault::Truncated { format: FORMAT, needed: at + 8 + length, found: len }),
            other => {
                let (place, found) = (format!("byte {at}"), other.to_string());
                return Err(Fault::Malformed { format: FORMAT, place, found, expected: "a fragment of pixel data" });
            }
        }
        at += 8 + length;
    }
}
