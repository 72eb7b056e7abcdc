//! What stands behind the results: findings, alignment, inputs, evidence, provenance, signatures, and how to check all of it.

use maud::{Markup, html};
use serde_json::Value;
use verimetry_engine::finding::Severity;
use verimetry_engine::judgement::{AlignmentRecord, Payload, Provenance, Role};

use super::number;
use super::words::{self, words};
use super::{Evidence, SignatureLine};

pub(super) fn findings(payload: &Payload, evidence: &Evidence) -> Markup {
    let tone = |severity: Severity| match severity {
        Severity::Stop => "bad",
        Severity::Qualify => "open",
        Severity::Note => "none",
    };
    html! {
        section #findings {
            h2 { (words("发现", "Findings")) }
            @if payload.findings.is_empty() && evidence.withheld.is_empty() { p.quiet { (words("输入数据无发现。", "Nothing was found about the inputs.")) } }
            @else {
                table.findings { tbody {
                    @for finding in &payload.findings {
                        tr {
                            td.severity.(tone(finding.severity)) { (words::severity(finding.severity)) }
                            td { span.code { (finding.code) } @if let Some(clause) = &finding.clause { " " span.en { (clause) } } }
                            td { (finding.message) @if let Some(input) = &finding.input { " " span.en { "(" (input) ")" } } }
                        }
                    }
                    @for name in &evidence.withheld {
                        tr {
                            td.severity.bad { (words("未采用", "withheld")) }
                            td { span.code { (name) } }
                            td { (words("证据缺失或摘要不符，未予显示。", "The evidence is missing or does not match its digest, and is not shown.")) }
                        }
                    }
                } }
            }
        }
    }
}

pub(super) fn alignment(payload: &Payload) -> Markup {
    let Some(alignment) = &payload.alignment else { return html! {} };
    html! {
        section #alignment {
            h2 { (words("对齐", "Alignment")) }
            div.columns {
                dl {
                    dt { (words("方法", "Method")) } dd { (words::coded(&alignment.method)) }
                    @if let Some(rms) = alignment.rms_mm {
                        dt { (words("残差", "Residual, rms")) } dd { (number::with_exact(&number::plain(rms), rms)) (number::unit("mm")) }
                    }
                    @if let Some(converged) = alignment.converged {
                        dt { (words("迭代", "Iterations")) }
                        dd { (alignment.iterations) ", "
                            @if converged { (words("已收敛", "converged")) } @else { strong.bad { (words("未收敛", "not converged")) } } }
                    }
                    dt { (words("唯一性", "Uniqueness")) } dd { (ambiguity(alignment)) }
                }
                div.matrix {
                    p.en { "nominal ← actual" (number::unit("mm")) }
                    table { tbody { @for line in &alignment.nominal_from_actual { tr { @for x in line { td.num { (number::with_exact(&matrix_entry(*x), *x)) } } } } } }
                }
            }
        }
    }
}

fn ambiguity(alignment: &AlignmentRecord) -> Markup {
    html! {
        @if alignment.ambiguous { strong.open { (words("不唯一", "ambiguous")) } ": " (alignment.ambiguities.join("; ")) }
        @else { (words("唯一", "unambiguous")) }
    }
}

fn matrix_entry(x: f64) -> String {
    format!("{x:.6}").replace('-', "\u{2212}")
}

pub(super) fn inputs(payload: &Payload) -> Markup {
    html! {
        section #inputs {
            h2 { (words("输入数据", "Inputs")) }
            table.files {
                thead { tr { th { (words("用途", "Role")) } th { (words("名称", "Name")) } th.num { (words("字节", "Bytes")) } th { "SHA-256" } } }
                @for input in &payload.inputs {
                    tbody {
                        tr {
                            td { (words::coded(&input.role)) } td { (input.name) } td.num { (number::grouped(input.bytes)) } td.digest { (input.sha256) }
                        }
                        @if input.read.as_object().is_some_and(|o| !o.is_empty()) { tr.read { td {} td colspan="3" { (facts(&input.read)) } } }
                    }
                }
                tbody { tr { td { (words("订单", "order")) } td { (payload.order.fields.id) } td {} td.digest { (payload.order.sha256) } } }
                @if let Some(predecessor) = &payload.predecessor {
                    tbody { tr { td { (words("前一判定", "predecessor")) } td {} td {} td.digest { (predecessor) } } }
                }
            }
        }
    }
}

/// An object of facts as one line of `key value` pairs.
fn facts(value: &Value) -> Markup {
    html! {
        @if let Value::Object(fields) = value {
            @for (key, value) in fields { span.fact { span.en { (key) } " " (brief(value)) } " " }
        } @else { (brief(value)) }
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(items) if items.iter().all(|v| !v.is_object() && !v.is_array()) => {
            items.iter().map(brief).collect::<Vec<_>>().join(" × ")
        }
        other => other.to_string(),
    }
}

pub(super) fn evidence(payload: &Payload) -> Markup {
    html! {
        @if !payload.evidence.is_empty() {
            section #evidence {
                h2 { (words("证据文件", "Evidence")) }
                table.files {
                    thead { tr { th { (words("名称", "Name")) } th { (words("类型", "Type")) } th.num { (words("字节", "Bytes")) } th { "SHA-256" } } }
                    tbody { @for e in &payload.evidence {
                        tr { td { (e.name) } td { (e.media_type) } td.num { (number::grouped(e.bytes)) } td.digest { (e.sha256) } }
                    } }
                }
            }
        }
    }
}

pub(super) fn provenance(provenance: &Provenance) -> Markup {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    html! {
        section #provenance {
            h2 { (words("计算来源", "Provenance")) }
            dl {
                dt { (words("软件", "Software")) } dd { "verimetry " (provenance.version) " " span.en { (provenance.source_revision) } }
                dt { (words("计算后端", "Backend")) } dd { (provenance.backend) @if !provenance.driver.is_empty() { " " span.en { (provenance.driver) } } }
                dt { (words("方法版本", "Methods")) } dd { (list(&mut provenance.methods.iter().map(|(m, v)| format!("{m} {v}")))) }
                dt { (words("参数", "Parameters")) } dd { (facts(&provenance.parameters)) }
                @if !provenance.seeds.is_empty() { dt { (words("随机种子", "Seeds")) } dd { (list(&mut provenance.seeds.iter().map(u64::to_string))) } }
                @for note in &provenance.notes { dt { (words("备注", "Note")) } dd { (note) } }
                dt { (words("用时", "Seconds")) } dd { (list(&mut provenance.seconds.iter().map(|(stage, s)| format!("{stage} {s:.1}")))) }
            }
        }
    }
}

pub(super) fn signatures(payload: &Payload, signatures: &[SignatureLine]) -> Markup {
    let signed = |role: &&Role| signatures.iter().any(|s| s.holds && s.role == role.name());
    let awaited: Vec<&Role> = payload.required_signatures.iter().filter(|r| !signed(r)).collect();
    html! {
        section #signatures {
            h2 { (words("签名", "Signatures")) }
            @if signatures.is_empty() { p.quiet { (words("尚无签名。", "Nobody has signed yet.")) } }
            @else {
                table.signatures {
                    thead { tr { th { (words("角色", "Role")) } th { (words("密钥", "Key")) } th { (words("算法", "Algorithm")) } th { (words("时间", "Time")) } th { (words("状态", "State")) } } }
                    tbody { @for s in signatures {
                        tr {
                            td { (words::coded(&s.role)) }
                            td.digest { (s.kid) }
                            td { (s.algorithm) }
                            td { (s.signed_at.as_deref().unwrap_or("–")) }
                            td.decision.(if s.holds { "good" } else { "bad" }) {
                                @if s.holds { (words("有效", "holds")) } @else { (words("无效", "does not hold")) }
                                @if let Some(note) = &s.note { " " span.en { (note) } }
                            }
                        }
                    } }
                }
            }
            @if !awaited.is_empty() {
                p.awaited { (words("尚待签署", "Still to be signed by")) ": " @for role in awaited { span.role { (words::coded(role.name())) } } }
            }
        }
    }
}

pub(super) fn verification() -> Markup {
    html! {
        section #verify {
            h2 { (words("离线核验", "How to verify offline")) }
            p { (words("本页由已签名的判定数据排版而成，不作任何计算；以判定数据为准。",
                       "This page is typeset from the signed payload and computes nothing; the payload is authoritative.")) }
            pre { code { "verimetry verify judgement.jws.json --jwks keys.json\nverimetry verify judgement.jws.json --replay order.toml" } }
            p.note { (words("第一条核对全部签名与证据摘要；第二条由原始输入重新计算并逐位比较。",
                       "The first checks every signature and evidence digest; the second computes everything again from the inputs and compares bit for bit.")) }
        }
    }
}
