//! One error for callers of the engine: a stable code, one line with remedy, and the class that decides the exit status.

use thiserror::Error;

/// Decides the exit status of the command line and the HTTP status of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The order or an input is at fault (exit 3).
    Input,
    /// Backend or resource (exit 4).
    Resource,
    /// The caller cancelled (exit 4).
    Cancelled,
    /// A signature, an evidence digest or a replay does not hold (exit 5).
    Signature,
    /// A defect of verimetry itself (exit 70).
    Defect,
}

/// Any module's error, reduced to what a caller needs. The message is one line: what, where, found, allowed, remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} [{code}]")]
pub struct Error {
    pub class: Class,
    pub code: &'static str,
    pub message: String,
}

impl Error {
    pub fn input(code: &'static str, message: impl Into<String>) -> Self {
        Error { class: Class::Input, code, message: one_line(message.into()) }
    }
    pub fn resource(code: &'static str, message: impl Into<String>) -> Self {
        Error { class: Class::Resource, code, message: one_line(message.into()) }
    }
    pub fn signature(code: &'static str, message: impl Into<String>) -> Self {
        Error { class: Class::Signature, code, message: one_line(message.into()) }
    }
    pub fn defect(message: impl Into<String>) -> Self {
        Error { class: Class::Defect, code: "verimetry.defect", message: one_line(message.into()) }
    }
}

fn one_line(message: String) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
