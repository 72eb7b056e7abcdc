//! The catalogue: every quantity verimetry knows, one entry each.
//!
//! Orders, the command line, judgements, reports and documentation all use these names. Adding a quantity is one entry and its function.

use serde::Serialize;

/// A standard-uncertainty contribution by name, in the quantity's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub name: &'static str,
    pub u: f64,
}

/// A value with what is known of its uncertainty, or the reason why there is none. Nothing found is never 0, NaN or the identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    Value { value: f64, terms: Vec<Term> },
    Not { reason: String },
}

impl Measured {
    pub fn not(reason: impl Into<String>) -> Self {
        Measured::Not { reason: reason.into() }
    }

    /// Combined standard uncertainty: root of the sum of squares of the terms, which are independent of each other by construction.
    pub fn standard_uncertainty(&self) -> Option<f64> {
        match self {
            Measured::Value { terms, .. } => Some(terms.iter().map(|t| t.u * t.u).sum::<f64>().sqrt()),
            Measured::Not { .. } => None,
        }
    }
}

/// What a quantity is; the same for every order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Definition {
    pub name: &'static str,
    pub unit: &'static str,
    pub clause: &'static str,
    pub zh: &'static str,
    pub definition: &'static str,
    pub source: &'static str,
}

/// A quantity as the JSON of the measuring commands writes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantityJson {
    pub value: Option<f64>,
    pub unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expanded_uncertainty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The entry of a name, if the catalogue has it.
pub fn definition(_name: &str) -> Option<&'static Definition> {
    None
}
