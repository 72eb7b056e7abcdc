//! Findings: what was noticed about an input that stops, qualifies or merely accompanies a judgement.

use serde::{Deserialize, Serialize};

/// What a finding does to a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Values stay valid within what the message says.
    Qualify,
    /// Nothing is measured unless the order accepts the finding by its code.
    Stop,
}

/// One finding; `code` is stable, `message` is for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    pub code: String,
    pub severity: Severity,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clause: Option<String>,
    /// The input it is about, by the name used in the order or on the command line's last path component.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input: Option<String>,
}

impl Finding {
    pub fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        Finding { code: code.into(), severity, message: message.into(), clause: None, input: None }
    }
    pub fn stop(code: &str, message: impl Into<String>) -> Self {
        Finding::new(Severity::Stop, code, message)
    }
    pub fn qualify(code: &str, message: impl Into<String>) -> Self {
        Finding::new(Severity::Qualify, code, message)
    }
    pub fn note(code: &str, message: impl Into<String>) -> Self {
        Finding::new(Severity::Note, code, message)
    }
    pub fn clause(mut self, clause: &str) -> Self {
        self.clause = Some(clause.into());
        self
    }
    pub fn about(mut self, input: &str) -> Self {
        self.input = Some(input.into());
        self
    }
}
