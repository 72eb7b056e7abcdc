//! Names that the contract gives and this version does not measure yet. An order that asks for one is refused by name.

use super::{Definition, Entry};

const fn later(name: &'static str, unit: &'static str, clause: &'static str, zh: &'static str, definition: &'static str) -> Entry {
    Entry { definition: Definition { name, unit, clause, zh, definition, source: "" }, measure: None }
}

const D: &str = "8.3.2.1 d)";
const A: &str = "8.3.2.2 a)";
const B: &str = "8.3.2.2 b)";

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
    later("porosity.interconnectivity", "1", "8.3.2.3 a)", "孔隙连通率", "open porosity / total porosity"),
    later("pore.size_mean", "mm", A, "平均孔径", "volume-weighted mean local pore diameter"),
    later("pore.size_sd", "mm", A, "孔径标准差", "standard deviation of the local pore diameter"),
    later("pore.size_d10", "mm", A, "孔径 d10", "10th percentile of the local pore diameter"),
    later("pore.size_d50", "mm", A, "孔径 d50", "median local pore diameter"),
    later("pore.size_d90", "mm", A, "孔径 d90", "90th percentile of the local pore diameter"),
    later("pore.in_range", "1", A, "孔径合格体积分数", "fraction of pore volume within given diameters"),
    later("pore.throat_x", "mm", A, "X 向喉道直径", "largest sphere that percolates along x"),
    later("pore.throat_y", "mm", A, "Y 向喉道直径", "largest sphere that percolates along y"),
    later("pore.throat_z", "mm", A, "Z 向喉道直径", "largest sphere that percolates along z"),
    later("pore.accessible", "1", "8.3.2.3 a)", "可达孔隙分数", "fraction of pore volume that a given sphere reaches from outside"),
    later("wall.thickness_mean", "mm", B, "平均壁厚", "volume-weighted mean local wall thickness"),
    later("wall.thickness_sd", "mm", B, "壁厚标准差", "standard deviation of the local wall thickness"),
    later("wall.thickness_min", "mm", B, "最小壁厚", "smallest local wall thickness"),
    later("wall.thickness_d10", "mm", B, "壁厚 d10", "10th percentile of the local wall thickness"),
    later("wall.thickness_d50", "mm", B, "壁厚 d50", "median local wall thickness"),
    later("wall.thickness_d90", "mm", B, "壁厚 d90", "90th percentile of the local wall thickness"),
    later("structure.surface_density", "1/mm", B, "比表面", "surface area / envelope volume"),
    later("structure.euler_number", "1", B, "欧拉数", "Euler number of the solid"),
    later("structure.connectivity_density", "1/mm³", B, "连通密度", "(1 - Euler number) / envelope volume"),
    later("structure.anisotropy", "1", B, "各向异性度", "1 - smallest / largest principal mean intercept length"),
    later("defect.count", "1", "8.3.2.3 b)", "缺陷数", "closed voids inside the solid"),
    later("defect.largest_diameter", "mm", "8.3.2.3 b)", "最大缺陷直径", "largest inscribed diameter of a void"),
    later("defect.largest_volume", "mm³", "8.3.2.3 b)", "最大缺陷体积", "volume of the largest void"),
    later("defect.total_fraction", "1", "8.3.2.3 b)", "缺陷体积分数", "void volume / solid volume"),
    later("defect.nearest_to_surface", "mm", "8.3.2.3 b)", "缺陷距表面最小距离", "smallest distance of a void to the surface"),
    later("lattice.struts", "1", B, "支柱数", "struts of the nominal"),
    later("lattice.missing", "1", B, "缺失支柱数", "struts without material over more than half their length"),
    later("lattice.broken", "1", B, "断裂支柱数", "struts with a gap between solid ends"),
    later("lattice.thin", "1", B, "过细支柱数", "struts thinner than their lower limit"),
    later("lattice.strut_diameter_mean", "mm", B, "支柱平均直径", "mean area-equivalent strut diameter"),
    later("lattice.strut_diameter_sd", "mm", B, "支柱直径标准差", "standard deviation of strut diameters"),
    later("lattice.waviness_rms", "mm", B, "支柱波纹度", "root mean square offset of strut centres from their axis"),
    later("lattice.node_offset_p95", "mm", B, "节点偏移 95 百分位", "95th percentile of node displacement"),
    later("lattice.cell_a", "mm", B, "晶胞 a", "first lattice vector's length"),
    later("lattice.cell_b", "mm", B, "晶胞 b", "second lattice vector's length"),
    later("lattice.cell_c", "mm", B, "晶胞 c", "third lattice vector's length"),
];
