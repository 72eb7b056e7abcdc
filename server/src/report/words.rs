//! The words of the report in Chinese and English: clauses, decisions, terms. One place, so that wording is reviewed as a table.

use maud::{Markup, html};
use verimetry_engine::finding::Severity;
use verimetry_engine::judgement::{Decision, Retention};
use verimetry_engine::order::DeviceClass;

/// A term in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub zh: &'static str,
    pub en: &'static str,
}

pub(super) const fn words(zh: &'static str, en: &'static str) -> Words {
    Words { zh, en }
}

impl maud::Render for Words {
    fn render(&self) -> Markup {
        html! { span lang="zh-CN" { (self.zh) } " " span.en lang="en" { (self.en) } }
    }
}

/// What the clauses of T/CAMDI 029-2024 ask, as short titles of our own.
const CLAUSES: &[(&str, Words)] = &[
    ("4.4.3", words("传输误差", "Transfer error")),
    ("5.2.2", words("订单", "Order")),
    ("5.3.2", words("设计输入", "Design input")),
    ("5.3.5.2", words("配合验证", "Verification of fit")),
    ("6.1", words("生产条件", "Production capability")),
    ("8.3.1", words("判定内容", "Objects of judgement")),
    ("8.3.2.1 a)", words("允差", "Dimensional tolerance")),
    ("8.3.2.1 b)", words("匹配度", "Match with the place of use")),
    ("8.3.2.1 c)", words("精度（最小范围值）", "Precision, shrinkage")),
    ("8.3.2.1 d)", words("表面状态", "Surface condition")),
    ("8.3.2.2 a)", words("孔隙结构", "Pore structure")),
    ("8.3.2.2 b)", words("微观结构", "Lattice and microstructure")),
    ("8.3.2.2 c)", words("解剖结构", "Anatomical form")),
    ("8.3.2.3 a)", words("生物相容性", "Biocompatibility")),
    ("8.3.2.3 b)", words("力学性能", "Mechanical performance")),
    ("8.3.2.4 a)", words("次序性", "Order of the steps")),
    ("8.3.2.4 b)", words("规范性", "Conformity to norms and labels")),
    ("8.3.2.4 c)", words("合法性", "Lawfulness")),
    ("8.3.2.4 d)", words("完整性", "Completeness")),
    ("9.3.4", words("影像适用性", "Suitability of the images")),
    ("9.3.7", words("时效性", "Timeliness")),
    ("10.1.3", words("随访", "Follow-up")),
];

pub(super) fn clause(number: &str) -> Option<Words> {
    let bare = |s: &str| s.split_whitespace().collect::<String>();
    CLAUSES.iter().find(|(n, _)| bare(n) == bare(number)).map(|(_, w)| *w)
}

/// The verdict on the whole device.
pub(super) fn verdict(decision: Decision) -> Words {
    match decision {
        Decision::Conforms => words("符合", "Conforms to the order"),
        Decision::DoesNotConform => words("不符合", "Does not conform to the order"),
        Decision::Undecided => words("无法判定", "Undecided"),
        Decision::NotMeasured => words("未能测量", "Not measured"),
    }
}

/// The status of one requirement.
pub(super) fn status(decision: Decision) -> Words {
    match decision {
        Decision::Conforms => words("合格", "conforms"),
        Decision::DoesNotConform => words("不合格", "does not conform"),
        Decision::Undecided => words("无法判定", "undecided"),
        Decision::NotMeasured => words("未能测量", "not measured"),
    }
}

/// The class name that colours a decision.
pub(super) fn tone(decision: Decision) -> &'static str {
    match decision {
        Decision::Conforms => "good",
        Decision::DoesNotConform => "bad",
        Decision::Undecided => "open",
        Decision::NotMeasured => "none",
    }
}

/// A drawn symbol beside the word: colour alone never carries a decision.
pub(super) fn symbol(decision: Decision) -> Markup {
    let path = match decision {
        Decision::Conforms => "M5.5 12.5 L10.2 17 L18.5 7.5",
        Decision::DoesNotConform => "M7 7 L17 17 M17 7 L7 17",
        Decision::Undecided => "M8.6 9.4 C8.6 4.6 15.4 4.8 15.4 9.2 C15.4 12 12 12 12 14.6 M12 17.7 L12 18.2",
        Decision::NotMeasured => "M7 12 L17 12",
    };
    html! {
        svg.symbol.(tone(decision)) viewBox="0 0 24 24" aria-hidden="true" {
            circle cx="12" cy="12" r="11" {}
            path d=(path) {}
        }
    }
}

pub(super) fn device_class(class: DeviceClass) -> Words {
    match class {
        DeviceClass::Customised => words("定制式", "customised"),
        DeviceClass::PatientMatched => words("患者匹配", "patient-matched"),
    }
}

pub(super) fn severity(severity: Severity) -> Words {
    match severity {
        Severity::Stop => words("停止", "stop"),
        Severity::Qualify => words("限定", "qualify"),
        Severity::Note => words("说明", "note"),
    }
}

/// Terms that the payload carries as codes; `None` leaves the code to speak for itself.
pub(super) fn term(code: &str) -> Option<Words> {
    Some(match code {
        "nominal" => words("设计（名义）", "nominal"),
        "actual" => words("实物（实测）", "actual"),
        "site" => words("使用部位", "site"),
        "region" => words("区域", "region"),
        "best-fit" => words("最佳拟合", "best fit"),
        "datum" => words("基准", "datum"),
        "none" => words("不对齐", "as placed"),
        "clinician" => words("医师", "clinician"),
        "designer" => words("设计者", "designer"),
        "manufacturer" => words("生产者", "manufacturer"),
        "engine" => words("计算", "computed by"),
        "front" => words("前视", "front"),
        "back" => words("后视", "back"),
        "left" => words("左视", "left"),
        "right" => words("右视", "right"),
        "top" => words("俯视", "top"),
        "bottom" => words("仰视", "bottom"),
        "above" => words("轴测（上）", "from above"),
        "below" => words("轴测（下）", "from below"),
        "conformance-probability95" => words("符合概率 ≥ 95 %", "conformance probability of at least 95 %, ISO 14253-1:2017"),
        "simple-acceptance" => words("简单接受", "simple acceptance, JCGM 106"),
        _ => return None,
    })
}

/// A code with its words where there are some.
pub(super) fn coded(code: &str) -> Markup {
    match term(code) {
        Some(words) => html! { (words) },
        None => html! { span.code { (code) } },
    }
}

pub(super) fn retention(retention: &Retention) -> Markup {
    html! {
        @match (retention.class.as_str(), retention.years) {
            ("permanent", _) => { (words("永久保存", "kept permanently")) }
            ("years_after_release", Some(years)) => {
                span lang="zh-CN" { "放行后至少 " (years) " 年" } " " span.en lang="en" { "at least " (years) " years after release" }
            }
            (other, _) => { span.code { (other) } }
        }
        " " span.en { "(" (retention.clause) ")" }
    }
}
