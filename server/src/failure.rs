//! Why something was not done: one line, one stable code, and the kind that decides exit and HTTP status.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::path::Path;

use thiserror::Error;
use verimetry_engine::error::Class;

/// Decides the exit status of the command line and the HTTP status of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command or request is at fault (exit 2).
    Usage,
    /// The order or an input is at fault (exit 3).
    Input,
    /// Backend or resource (exit 4).
    Resource,
    /// The caller cancelled (exit 4).
    Cancelled,
    /// A signature, digest or replay does not hold (exit 5).
    Unproven,
    /// A defect of verimetry itself (exit 70).
    Defect,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Usage, Kind::Input, Kind::Resource, Kind::Cancelled, Kind::Unproven, Kind::Defect];

    pub fn exit_status(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Input => 3,
            Kind::Resource | Kind::Cancelled => 4,
            Kind::Unproven => 5,
            Kind::Defect => 70,
        }
    }

    /// The word a job's record keeps.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Input => "input",
            Kind::Resource => "resource",
            Kind::Cancelled => "cancelled",
            Kind::Unproven => "unproven",
            Kind::Defect => "defect",
        }
    }

    /// The kind of a word; an unknown word is a defect.
    pub fn of_word(word: &str) -> Kind {
        Kind::ALL.into_iter().find(|k| k.word() == word).unwrap_or(Kind::Defect)
    }
}

/// What a caller is told. The message is one line: what, where, found, allowed, remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} [{code}]")]
pub struct Failure {
    pub kind: Kind,
    pub code: Cow<'static, str>,
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Failure { kind, code: code.into(), message: one_line(&message.to_string()) }
    }
    pub fn usage(code: &'static str, message: impl Display) -> Self {
        Failure::new(Kind::Usage, code, message)
    }
    pub fn input(code: &'static str, message: impl Display) -> Self {
        Failure::new(Kind::Input, code, message)
    }
    pub fn resource(code: &'static str, message: impl Display) -> Self {
        Failure::new(Kind::Resource, code, message)
    }
    pub fn unproven(code: &'static str, message: impl Display) -> Self {
        Failure::new(Kind::Unproven, code, message)
    }
    pub fn defect(message: impl Display) -> Self {
        Failure::new(Kind::Defect, "verimetry.defect", message)
    }

    /// A file that was named could not be read.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => "file.not_found",
            io::ErrorKind::PermissionDenied => "file.denied",
            _ => "file.unreadable",
        };
        Failure::input(code, format_args!("cannot read {}: {}", path.display(), plain(error)))
    }

    /// A file or folder could not be written.
    pub fn unwritable(path: &Path, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::StorageFull { "disk.full" } else { "file.unwritable" };
        Failure::resource(code, format_args!("cannot write {}: {}", path.display(), plain(error)))
    }
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// One line without control characters: what it quotes (names, paths) may be anybody's bytes.
fn one_line(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<verimetry_engine::Error> for Failure {
    fn from(e: verimetry_engine::Error) -> Self {
        let kind = match e.class {
            Class::Input => Kind::Input,
            Class::Resource => Kind::Resource,
            Class::Cancelled => Kind::Cancelled,
            Class::Signature => Kind::Unproven,
            Class::Defect => Kind::Defect,
        };
        Failure::new(kind, e.code, e.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_again_by_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_word(kind.word()), kind);
        }
    }

    #[test]
    fn a_message_with_escapes_and_newlines_stays_one_printable_line() {
        let failure = Failure::input("file.not_found", "cannot read a\n\u{1b}[31mb");
        assert_eq!(failure.to_string(), "cannot read a [31mb [file.not_found]");
    }
}
