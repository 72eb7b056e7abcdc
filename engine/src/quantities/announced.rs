//! Names that the contract gives and this version does not measure yet. An order that asks for one is refused by name.

use super::{Definition, Entry};

const fn later(name: &'static str, unit: &'static str, clause: &'static str, zh: &'static str, definition: &'static str) -> Entry {
    Entry { definition: Definition { name, unit, clause, zh, definition, source: "" }, measure: None }
}

const D: &str = "8.3.2.1 d)";

pub const ENTRIES: &[Entry] = &[
    later("shrinkage.volume", "%", "8.3.2.1 c)", "体积收缩率", "100 (1 - actual volume / nominal volume)"),
    later("fit.gap_p95", "mm", "8.3.2.1 b)", "间隙 95 百分位", "95th area-weighted percentile of the gap"),
    later("fit.interference_volume", "mm³", "8.3.2.1 b)", "干涉体积", "volume that device and site share"),
    later("roughness.Sa", "µm", D, "算术平均高度", "arithmetical mean height"),
    later("roughness.Sq", "µm", D, "均方根高度", "root mean square height"),
    later("roughness.Sz", "µm", D, "最大高度", "maximum height"),
    later("roughness.Ssk", "1", D, "偏斜度", "skewness"),
    later("roughness.Sku", "1", D, "陡峭度", "kurtosis"),
    later("roughness.Sdq", "1", D, "均方根梯度", "root mean square gradient"),
    later("roughness.Sdr", "1", D, "展开界面面积比", "developed interfacial area ratio"),
    later("roughness.Ra", "µm", D, "轮廓算术平均偏差", "arithmetical mean deviation of the profile"),
    later("roughness.Rq", "µm", D, "轮廓均方根偏差", "root mean square deviation of the profile"),
    later("roughness.Rz", "µm", D, "轮廓最大高度", "maximum height of the profile"),
];
