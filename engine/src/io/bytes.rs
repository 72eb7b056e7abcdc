//! Files as bytes: bounded reads, gzip and zlib streams with a known end, writes that leave nothing partial behind.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::fault::{Fault, FileError, quoted};

/// Text headers end long before this.
pub(super) const HEADER_LIMIT: usize = 64 * 1024;

/// Deflate cannot expand further than this (zlib's documentation: 1032 to 1), so that a header which promises more is found out early.
pub(super) const DEFLATE_LIMIT: u64 = 1040;

/// Opens a regular file and gives its length.
pub(super) fn open(path: &Path) -> Result<(File, u64), Fault> {
    let file = File::open(path).map_err(|e| Fault::unreadable(&e))?;
    let meta = file.metadata().map_err(|e| Fault::unreadable(&e))?;
    if !meta.is_file() {
        return Err(Fault::Unreadable { reason: "it is not a regular file".into() });
    }
    Ok((file, meta.len()))
}

/// The first bytes of a file, at most `limit`.
pub(super) fn head(file: &mut File, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![];
    file.rewind().and_then(|()| file.take(limit as u64).read_to_end(&mut bytes)).map_err(|e| Fault::unreadable(&e))?;
    Ok(bytes)
}

/// All bytes of a file; memory is what the file takes on disk.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>, Fault> {
    let (mut file, len) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(|e| Fault::unreadable(&e))?;
    Ok(bytes)
}

/// Fills `out` with the bytes of a file from `at` on.
pub(super) fn read_at(path: &Path, at: u64, out: &mut [u8]) -> Result<(), Fault> {
    let (mut file, len) = open(path)?;
    let needed = at.saturating_add(out.len() as u64);
    if needed > len {
        return Err(Fault::Truncated { format: "the file", needed, found: len });
    }
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(out)).map_err(|e| Fault::unreadable(&e))
}

/// So many bytes from `at` on, which the caller has held against the file's length.
pub(super) fn range(file: &mut File, at: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![];
    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.take(length).read_to_end(&mut bytes));
    let found = read.map_err(|e| Fault::unreadable(&e))? as u64;
    if found == length { Ok(bytes) } else { Err(Fault::Truncated { format: "the file", needed: at + length, found: at + found }) }
}

/// The folder that a file is in; the current one for a bare name.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A plain file name in the folder of `path`: nothing else of the machine can be reached.
pub(super) fn beside(path: &Path, name: &str) -> Result<PathBuf, Fault> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None)) && !name.contains('\\');
    if !plain || name.eq_ignore_ascii_case("LIST") || name.contains('%') {
        return Err(Fault::DataFile { found: quoted(name.as_bytes()) });
    }
    let beside = path.with_file_name(name);
    match open(&beside) {
        Ok(_) => Ok(beside),
        Err(Fault::NotFound) => Err(Fault::DataFile { found: format!("{}, which is not there", quoted(name.as_bytes())) }),
        Err(other) => Err(other),
    }
}

/// A stream of voxels, how many bytes it can give at most, and the format's name for messages.
pub(super) struct Stream {
    pub format: &'static str,
    reader: Box<dyn Read>,
    at_most: u64,
}

impl Stream {
    /// Plain bytes of a file from an offset on.
    pub fn plain(format: &'static str, mut file: File, offset: u64) -> Result<Stream, Fault> {
        let len = file.metadata().map_err(|e| Fault::unreadable(&e))?.len();
        file.seek(SeekFrom::Start(offset)).map_err(|e| Fault::unreadable(&e))?;
        Ok(Stream { format, reader: Box::new(file), at_most: len.saturating_sub(offset) })
    }

    /// Gzip members from an offset of a file on.
    pub fn gzip(format: &'static str, mut file: File, offset: u64) -> Result<Stream, Fault> {
        let len = file.metadata().map_err(|e| Fault::unreadable(&e))?.len();
        file.seek(SeekFrom::Start(offset)).map_err(|e| Fault::unreadable(&e))?;
        let reader = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file));
        Ok(Stream { format, reader: Box::new(reader), at_most: len.saturating_sub(offset).saturating_mul(DEFLATE_LIMIT) })
    }

    /// A bare deflate stream from an offset of a file on.
    pub fn deflate(format: &'static str, mut file: File, offset: u64) -> Result<Stream, Fault> {
        let len = file.metadata().map_err(|e| Fault::unreadable(&e))?.len();
        file.seek(SeekFrom::Start(offset)).map_err(|e| Fault::unreadable(&e))?;
        let reader = flate2::bufread::DeflateDecoder::new(BufReader::with_capacity(1 << 16, file));
        Ok(Stream { format, reader: Box::new(reader), at_most: len.saturating_sub(offset).saturating_mul(DEFLATE_LIMIT) })
    }

    /// A zlib stream from an offset of a file on.
    pub fn zlib(format: &'static str, mut file: File, offset: u64) -> Result<Stream, Fault> {
        let len = file.metadata().map_err(|e| Fault::unreadable(&e))?.len();
        file.seek(SeekFrom::Start(offset)).map_err(|e| Fault::unreadable(&e))?;
        let reader = flate2::bufread::ZlibDecoder::new(BufReader::with_capacity(1 << 16, file));
        Ok(Stream { format, reader: Box::new(reader), at_most: len.saturating_sub(offset).saturating_mul(DEFLATE_LIMIT) })
    }

    /// Passes over bytes.
    pub fn skip(&mut self, bytes: u64) -> Result<(), Fault> {
        let passed = std::io::copy(&mut self.reader.by_ref().take(bytes), &mut std::io::sink()).map_err(|e| self.fault(&e, bytes, 0))?;
        self.at_most = self.at_most.saturating_sub(passed);
        if passed == bytes { Ok(()) } else { Err(self.truncated(bytes, passed)) }
    }

    /// Fails where so many bytes cannot come: call it before taking memory for them.
    pub fn can_give(&self, bytes: u64) -> Result<(), Fault> {
        if bytes <= self.at_most { Ok(()) } else { Err(self.truncated(bytes, self.at_most)) }
    }

    /// Fills the buffer or says what is missing of it.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.truncated(buffer.len() as u64, filled as u64)),
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.fault(&e, buffer.len() as u64, filled as u64)),
            }
        }
        Ok(())
    }

    fn truncated(&self, needed: u64, found: u64) -> Fault {
        Fault::Truncated { format: self.format, needed, found }
    }

    fn fault(&self, e: &std::io::Error, needed: u64, found: u64) -> Fault {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match e.kind() {
            UnexpectedEof => self.truncated(needed, found),
            InvalidData | InvalidInput => Fault::Malformed {
                format: self.format,
                place: format!("byte {found} of the values"),
                found: "a corrupt compressed stream".into(),
                expected: "deflate as RFC 1951 has it",
            },
            _ => Fault::unreadable(e),
        }
    }
}

/// Writes beside the target and renames: the target is whole or not there.
pub(super) fn write(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<(), FileError> {
    let beside = partial(path);
    let written = File::create(&beside).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        content(&mut out)?;
        out.flush()
    });
    written.and_then(|()| std::fs::rename(&beside, path)).map_err(|e| {
        let _ = std::fs::remove_file(&beside); // it may not exist; the error that matters is the first
        Fault::unwritable(&e).of(path)
    })
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}
