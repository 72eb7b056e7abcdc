//! The report: a payload and its evidence as one self-contained page in Chinese and English, for the screen and for A4.
//!
//! It computes nothing: numbers are rounded for reading and placed on drawings, the exact ones stay in `title` attributes.
//! Whatever the order or a file calls itself is hostile text; every string passes the escaping of the templates. Nothing is
//! fetched and nothing runs: style is inline and pinned by its digest in the content security policy, pictures are data URIs.
//! Evidence is shown only if its bytes match the digest in the payload; what is missing or altered is named as withheld.

mod number;
mod picture;
mod pores;
mod record;
mod results;
mod words;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use thiserror::Error;
use verimetry_engine::evidence::{DEVIATION, DEVIATION_VIEWS, DEVIATION_VIEWS_LAYOUT, DeviationSummary, SECTION};
use verimetry_engine::judgement::{Decision, Payload};
use verimetry_engine::render::Layout;

pub use pores::pore_plot;
use words::words;

#[derive(Debug, Error)]
pub enum ReportError {
    #[error("evidence {name} cannot be read: {cause}; judge the order again with this version")]
    Evidence { name: &'static str, cause: String },
    #[error("the {what} could not be drawn: {cause}")]
    Drawing { what: &'static str, cause: String },
}

impl ReportError {
    pub fn code(&self) -> &'static str {
        match self {
            ReportError::Evidence { .. } => "report.evidence",
            ReportError::Drawing { .. } => "report.drawing",
        }
    }
}

impl From<ReportError> for verimetry_engine::Error {
    fn from(e: ReportError) -> Self {
        match e {
            ReportError::Evidence { .. } => verimetry_engine::Error::input(e.code(), e.to_string()),
            ReportError::Drawing { .. } => verimetry_engine::Error::defect(e.to_string()),
        }
    }
}

/// One signature, already checked by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    pub kid: String,
    /// `engine`, `clinician`, `designer` or `manufacturer`.
    pub role: String,
    /// RFC 3339.
    pub signed_at: Option<String>,
    pub algorithm: String,
    pub holds: bool,
    /// Why it does not hold, or whose key it is.
    pub note: Option<String>,
}

/// The evidence that the page shows, checked against the payload.
#[derive(Default)]
struct Evidence {
    views: Option<(Vec<u8>, Layout)>,
    deviation: Option<DeviationSummary>,
    /// Names of sections and their drawings as SVG.
    sections: Vec<(String, Vec<u8>)>,
    /// Names of files that the payload lists, that this page would show, and that are missing or altered.
    withheld: Vec<String>,
}

impl Evidence {
    fn gather(payload: &Payload, bytes_of: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Evidence, ReportError> {
        let mut withheld = Vec::new();
        let mut take = |name: &str| {
            let record = payload.evidence.iter().find(|e| e.name == name)?;
            let genuine = bytes_of(name).filter(|bytes| hex(&Sha256::digest(bytes)) == record.sha256);
            if genuine.is_none() {
                withheld.push(name.to_owned());
            }
            genuine
        };
        let picture = take(DEVIATION_VIEWS);
        let layout: Option<Layout> = take(DEVIATION_VIEWS_LAYOUT).map(|b| read(DEVIATION_VIEWS_LAYOUT, &b)).transpose()?;
        let deviation = take(DEVIATION).map(|b| read(DEVIATION, &b)).transpose()?;
        let drawings = payload.evidence.iter().filter_map(|e| Some((e, e.name.strip_prefix(SECTION)?.strip_suffix(".svg")?)));
        let sections = drawings.filter_map(|(e, name)| Some((name.to_owned(), take(&e.name)?))).collect();
        Ok(Evidence { views: picture.zip(layout), deviation, sections, withheld })
    }
}

fn read<T: serde::de::DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, ReportError> {
    serde_json::from_slice(bytes).map_err(|e| ReportError::Evidence { name, cause: e.to_string() })
}

/// The page. `evidence` gives the bytes of an evidence file by its name.
pub fn html(payload: &Payload, signatures: &[SignatureLine], evidence: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<String, ReportError> {
    let shown = Evidence::gather(payload, evidence)?;
    let style = format!("{}{}", include_str!("style.css"), running_head(payload));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(style.as_bytes()))
    );
    let page = html! {
        (DOCTYPE)
        html lang="zh-CN" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (words::verdict(payload.decision).zh) " · " (payload.order.fields.id) " · verimetry" }
                style { (PreEscaped(style)) }
            }
            body {
                (head(payload))
                main {
                    (verdict(payload, signatures))
                    (order(payload))
                    (results::table(payload))
                    (picture::deviation(&shown)?)
                    (picture::sections(&shown))
                    (record::findings(payload, &shown))
                    (record::alignment(payload))
                    (results::budgets(payload))
                    (record::inputs(payload))
                    (record::evidence(payload))
                    (record::provenance(&payload.provenance))
                    (record::signatures(payload, signatures))
                    (record::verification())
                }
                footer { span { (payload.id) } span { "T/CAMDI 029-2024" } span { "verimetry " (payload.provenance.version) } }
            }
        }
    };
    Ok(page.into_string())
}

/// Heads every printed page with the judgement's id, where the id holds nothing that could leave a CSS string.
fn running_head(payload: &Payload) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if payload.id.chars().all(harmless) { format!("@page{{@top-left{{content:\"{}\"}}}}\n", payload.id) } else { String::new() }
}

fn head(payload: &Payload) -> Markup {
    html! {
        header {
            div {
                h1 { span lang="zh-CN" { "医工交互判定报告" } span.en lang="en" { "Judgement of a personalised medical device" } }
                p.en { "T/CAMDI 029-2024 · " (words("第 8 章 判定", "clause 8, judgement")) }
            }
            dl.stamp {
                dt { (words("编号", "Judgement")) } dd { (payload.id) }
                dt { (words("签发", "Issued")) } dd { (payload.issued) }
            }
        }
    }
}

fn verdict(payload: &Payload, signatures: &[SignatureLine]) -> Markup {
    let count = |decision: Decision| payload.results.iter().filter(|r| r.decision == decision).count();
    let kinds = [Decision::Conforms, Decision::DoesNotConform, Decision::Undecided, Decision::NotMeasured];
    let holding = signatures.iter().filter(|s| s.holds).count();
    let word = words::verdict(payload.decision);
    html! {
        section.verdict.(words::tone(payload.decision)) {
            (words::symbol(payload.decision))
            div.word {
                p.proposal { (words("判定建议", "Proposed judgement")) }
                p.zh lang="zh-CN" { (word.zh) }
                p.en lang="en" { (word.en) }
            }
            ul.counts {
                @for kind in kinds { @if count(kind) > 0 { li { b { (count(kind)) } " " (words::status(kind)) } } }
                li { b { (holding) "/" (signatures.len()) } " " (words("签名有效", "signatures hold")) }
            }
        }
        p.note { (words("判定由医师、设计者与生产者签署后成立（8.2）。", "It becomes a judgement by the signatures of clinician, designer and manufacturer (8.2).")) }
    }
}

fn order(payload: &Payload) -> Markup {
    let order = &payload.order.fields;
    let implantable = if order.implantable { words("植入", "implantable") } else { words("非植入", "not implantable") };
    let rules = payload.results.iter().fold(Vec::new(), |mut seen: Vec<&str>, r| {
        if !seen.contains(&r.rule.as_str()) {
            seen.push(&r.rule);
        }
        seen
    });
    html! {
        section #order {
            h2 { (words("订单与器械", "Order and device")) }
            dl.grid {
                div.wide { dt { (words("器械", "Device")) } dd { (order.device) } }
                div.wide { dt { (words("唯一识别码", "Unique device identification")) } dd.number { (order.device_id) } }
                div { dt { (words("订单", "Order")) } dd { (order.id) } }
                div { dt { (words("患者（假名）", "Patient, pseudonym")) } dd { (order.patient) } }
                div { dt { (words("类别", "Class")) } dd { (words::device_class(order.device_class)) ", " (implantable) } }
                div { dt { (words("影像采集", "Images acquired")) } dd.number { (order.image_acquired) } }
                div { dt { (words("设计完成", "Design completed")) } dd.number { (order.design_completed) } }
                div { dt { (words("记录保存", "Retention")) } dd { (words::retention(&payload.retention)) } }
                @for rule in rules { div.full { dt { (words("判定规则", "Decision rule")) } dd { (words::coded(rule)) } } }
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
