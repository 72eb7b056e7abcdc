//! The structure of a DICOM file, walked before any parser takes memory for it: every length lies within the file, sequences nest
//! only so deep, and the pixel data is found. What passes here can be handed to a general parser.

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

/// Where the parts of a file lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub transfer_syntax: String,
    /// Where the data set begins, after the file meta group.
    pub dataset: u64,
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

/// A file begins with 128 bytes of anything, then `DICM`.
pub(in super::super) fn is_dicom(head: &[u8]) -> bool {
    head.get(128..132) == Some(b"DICM")
}

/// Walks a file of `len` bytes of which the first are given.
pub(super) fn walk(bytes: &[u8], len: u64) -> Result<Layout, Stop> {
    let mut walk = Walk { bytes, len, at: 132, explicit: true, big: false };
    let transfer_syntax = walk.meta()?;
    match transfer_syntax.as_str() {
        "1.2.840.10008.1.2" => walk.explicit = false,
        "1.2.840.10008.1.2.2" => walk.big = true,
        "1.2.840.10008.1.2.1.99" => {
            return Err(Fault::TransferSyntax { uid: transfer_syntax, name: "deflated explicit little endian".into() }.into());
        }
        _ => {}
    }
    let dataset = walk.at;
    let (header_end, pixels) = walk.dataset(len, 0)?;
    Ok(Layout { transfer_syntax, dataset, header_end, pixels })
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
    fn meta(&mut self) -> Result<String, Stop> {
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
        let missing = Fault::Attribute { tag: "TransferSyntaxUID (0002,0010)", found: "absent".into(), expected: "a transfer syntax" };
        syntax.ok_or(Stop::Fault(missing))
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

/// Checks that the fragments of a whole file lie within it.
pub(super) fn check_fragments(bytes: &[u8], start: u64) -> Result<(), Fault> {
    let mut walk = Walk { bytes, len: bytes.len() as u64, at: start, explicit: true, big: false };
    let short = |stop| match stop {
        Stop::Fault(fault) => fault,
        Stop::More => Fault::Truncated { format: FORMAT, needed: bytes.len() as u64 + 1, found: bytes.len() as u64 },
    };
    loop {
        let item = walk.element().map_err(short)?;
        match item.tag {
            SEQUENCE_END => return Ok(()),
            ITEM => walk.pass(item.length, walk.len).map_err(short)?,
            other => {
                let (place, found) = (format!("byte {}", walk.at), other.to_string());
                return Err(Fault::Malformed { format: FORMAT, place, found, expected: "a fragment of pixel data" });
            }
        }
    }
}
