//! What can be wrong with an order, with where, what was found, what is allowed and what to do.

use std::fmt;

use thiserror::Error;

/// A fault of an order and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderError {
    /// The order's name as the caller gave it; empty where the caller knows it better.
    pub file: String,
    /// Line and column, key or requirement; empty for the whole file.
    pub at: String,
    pub fault: Fault,
}

/// The fault itself. Text taken from the order is shown escaped and cut, so it cannot disturb a terminal or a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("{bytes} bytes; an order has at most {allowed}; put geometry into files and name them")]
    TooLarge { bytes: usize, allowed: usize },
    #[error("not UTF-8 at byte {byte}; save the order as UTF-8 text")]
    Encoding { byte: usize },
    #[error("not valid {language}: {detail}; correct the syntax")]
    Syntax { language: &'static str, detail: String },
    #[error("schema {found} is not read by this version; allowed is \"{}\"", super::SCHEMA)]
    Schema { found: String },
    #[error("{detail}; remove the key or correct its spelling")]
    UnknownKey { detail: String },
    #[error("{detail}; add it")]
    Missing { detail: String },
    #[error("{detail}; give a value of the kind named")]
    Type { detail: String },
    #[error("found {found}; allowed is {allowed}; correct the value")]
    Value { found: String, allowed: &'static str },
    #[error("{what} {name} is given twice; keep one or rename one")]
    Duplicate { what: &'static str, name: String },
    #[error("region {region} is not in the order; known are: {known}; add a [[region]] or correct the name")]
    RegionUnknown { region: String, known: String },
    #[error("{found}; a requirement has min, max or both, or nominal with tolerance, finite, lower not above upper; correct the limits")]
    RequirementLimits { found: String },
    #[error("quantity {quantity} is not in the catalogue; correct the name")]
    QuantityUnknown { quantity: String },
    #[error("path {path} {reason}; name a file in the order's folder, with / between folders")]
    Path { path: String, reason: &'static str },
    #[error("path {path}: {reason}; put the file beside the order or correct the path")]
    File { path: String, reason: String },
}

impl OrderError {
    pub(super) fn new(file: &str, at: impl Into<String>, fault: Fault) -> Self {
        OrderError { file: file.into(), at: at.into(), fault }
    }

    /// Stable code of the fault.
    pub fn code(&self) -> &'static str {
        match self.fault {
            Fault::TooLarge { .. } => "order.too_large",
            Fault::Encoding { .. } => "order.encoding",
            Fault::Syntax { .. } => "order.syntax",
            Fault::Schema { .. } => "order.schema",
            Fault::UnknownKey { .. } => "order.unknown_key",
            Fault::Missing { .. } => "order.missing_key",
            Fault::Type { .. } => "order.type",
            Fault::Value { .. } => "order.value",
            Fault::Duplicate { .. } => "order.duplicate",
            Fault::RegionUnknown { .. } => "order.region_unknown",
            Fault::RequirementLimits { .. } => "order.requirement_limits",
            Fault::QuantityUnknown { .. } => "order.quantity_unknown",
            Fault::Path { .. } => "order.path",
            Fault::File { .. } => "order.file",
        }
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.file, &self.at] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        write!(f, "{}", self.fault)
    }
}

impl std::error::Error for OrderError {}

impl From<OrderError> for crate::Error {
    fn from(e: OrderError) -> Self {
        crate::Error::input(e.code(), e.to_string())
    }
}

/// Foreign text as an error shows it: quoted, control characters escaped, at most 80 characters.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}
