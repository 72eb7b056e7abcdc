//! Options that several subcommands share, and how their values are read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use verimetry_engine::load::Source;
use verimetry_engine::measure::RegionRef;
use verimetry_engine::order::{AlignmentMethod, ComponentsOrder, DEFAULT_SCALE_UNCERTAINTY, LengthUnit, SurfaceName, SurfaceOrder};
use verimetry_engine::runtime::BackendChoice;
use verimetry_engine::section::Plane;

/// Options of every subcommand.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub(super) struct Common {
    /// Where to compute: the GPU where a real one is there (auto), never (cpu), or fail without one (gpu)
    #[arg(long, global = true, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Memory to keep to, such as 512MiB, 4GiB or 4GB
    #[arg(long, global = true, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<u64>,
    /// Print one JSON object on standard output and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no notes on standard error; errors are still told
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Auto,
    Cpu,
    Gpu,
}

impl From<Backend> for BackendChoice {
    fn from(b: Backend) -> Self {
        match b {
            Backend::Auto => BackendChoice::Auto,
            Backend::Cpu => BackendChoice::Cpu,
            Backend::Gpu => BackendChoice::Gpu,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Mm,
    Um,
    Cm,
    M,
    In,
}

impl From<Unit> for LengthUnit {
    fn from(u: Unit) -> Self {
        match u {
            Unit::Mm => LengthUnit::Millimetre,
            Unit::Um => LengthUnit::Micrometre,
            Unit::Cm => LengthUnit::Centimetre,
            Unit::M => LengthUnit::Metre,
            Unit::In => LengthUnit::Inch,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Components {
    Largest,
    All,
}

/// How a volume becomes a surface and a mesh millimetres.
#[derive(Args, Clone, Debug)]
pub(super) struct Reading {
    /// Surface of a volume: adaptive, iso50, otsu or a grey value
    #[arg(long, value_name = "HOW", default_value = "adaptive", value_parser = surface, allow_negative_numbers = true)]
    pub surface: SurfaceOrder,
    /// Bodies of a volume to keep [default: largest; all for pores and lattice]
    #[arg(long, value_enum)]
    pub components: Option<Components>,
    /// Materials in the volume beside air
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub materials: u8,
    /// Which of the materials the part is, counted from the densest
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub material: u8,
    /// Start the search for edges on 3 x 3 x 3 medians of a noisy volume; the edges are those of the volume as it is
    #[arg(long)]
    pub denoise: bool,
    /// Unit of a mesh file's coordinates
    #[arg(long, value_enum, default_value_t = Unit::Mm)]
    pub unit: Unit,
    /// Relative standard uncertainty of the scanner's length scale
    #[arg(long, value_name = "RATIO", default_value_t = DEFAULT_SCALE_UNCERTAINTY, value_parser = length)]
    pub scale_uncertainty: f64,
    /// Standard uncertainty of the points of a scanned mesh, mm
    #[arg(long, value_name = "MM", value_parser = length)]
    pub point_uncertainty: Option<f64>,
}

impl Reading {
    pub fn source(&self, path: &std::path::Path) -> Source {
        let components = self.components.map(|components| match components {
            Components::Largest => ComponentsOrder::Largest,
            Components::All => ComponentsOrder::All,
        });
        Source {
            unit: self.unit.into(),
            surface: self.surface,
            materials: self.materials,
            material: self.material,
            denoise: self.denoise,
            components,
            scale_uncertainty: self.scale_uncertainty,
            point_uncertainty: self.point_uncertainty,
            ..Source::new(path)
        }
    }

    /// The same of a nominal, whose unit may be another.
    pub fn nominal(&self, path: &std::path::Path, unit: Option<Unit>) -> Source {
        let source = self.source(path);
        Source { unit: unit.map_or(source.unit, Into::into), ..source }
    }
}

/// How the actual shape is brought to the nominal.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    BestFit,
    Datum,
    None,
}

impl From<Align> for AlignmentMethod {
    fn from(a: Align) -> Self {
        match a {
            Align::BestFit => AlignmentMethod::BestFit,
            Align::Datum => AlignmentMethod::Datum,
            Align::None => AlignmentMethod::None,
        }
    }
}

/// How the actual shape is brought to the nominal, datums of an order included.
#[derive(Args, Clone, Debug)]
pub(super) struct Alignment {
    #[arg(long, value_enum, default_value_t = Align::BestFit, help = "How the actual shape is brought to the nominal")]
    pub align: Align,
    /// Order that states the datums of --align datum
    #[arg(long, value_name = "FILE", required_if_eq("align", "datum"))]
    pub datums: Option<PathBuf>,
}

/// A region of an order.
#[derive(Args, Clone, Debug)]
pub(super) struct Region {
    /// Order that defines the region
    #[arg(long, value_name = "FILE", requires = "region")]
    pub order: Option<PathBuf>,
    /// Measure in this region of the order only
    #[arg(long, value_name = "NAME", requires = "order")]
    pub region: Option<String>,
}

impl Region {
    pub fn named(&self) -> Option<RegionRef<'_>> {
        Some(RegionRef { order_file: self.order.as_deref()?, name: self.region.as_deref()? })
    }
}

fn surface(text: &str) -> Result<SurfaceOrder, String> {
    match text {
        "adaptive" => Ok(SurfaceOrder::Named(SurfaceName::Adaptive)),
        "iso50" => Ok(SurfaceOrder::Named(SurfaceName::Iso50)),
        "otsu" => Ok(SurfaceOrder::Named(SurfaceName::Otsu)),
        grey => match grey.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(SurfaceOrder::Value(value)),
            _ => Err("allowed are adaptive, iso50, otsu or a grey value such as 1200".into()),
        },
    }
}

/// A number of bytes: a whole number with an optional unit of 1000 (kB, MB, GB, TB) or 1024 (K, KiB, M, MiB, …).
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err("allowed is a whole number with an optional unit, such as 512MiB or 4GB".into()),
    };
    let size = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    match size {
        Some(size) if size > 0 => Ok(size),
        _ => Err("allowed is a whole number above zero with an optional unit, such as 512MiB or 4GB".into()),
    }
}

/// A finite number, zero or more.
pub(super) fn length(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("allowed is a number, zero or more".into()),
    }
}

/// Two limits, `LO,HI`, in millimetres.
pub(super) fn limits(text: &str) -> Result<[f64; 2], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok().filter(|v: &f64| v.is_finite())).collect();
    match numbers.as_deref() {
        Some([low, high]) if low < high => Ok([*low, *high]),
        _ => Err("allowed are two numbers LO,HI with LO below HI, such as -0.1,0.1".into()),
    }
}

/// A plane: an axis or a normal, `=`, and how far along it the plane lies, mm. Its name is its text, fit for the name of a file.
pub(super) fn plane(text: &str) -> Result<(String, Plane), String> {
    let allowed = || "allowed are x=MM, y=MM, z=MM or NX,NY,NZ=MM, such as z=5.5 or 1,1,0=10".to_string();
    let (normal, along) = text.split_once('=').ok_or_else(allowed)?;
    let normal = match normal.trim() {
        "x" => [1.0, 0.0, 0.0],
        "y" => [0.0, 1.0, 0.0],
        "z" => [0.0, 0.0, 1.0],
        numbers => {
            let numbers: Option<Vec<f64>> = numbers.split(',').map(|n| n.trim().parse().ok()).collect();
            numbers.and_then(|n| n.try_into().ok()).ok_or_else(allowed)?
        }
    };
    let along = along.trim().parse().ok().filter(|mm: &f64| mm.abs() < 1e6).ok_or_else(allowed)?;
    let named = text.chars().filter(|c| !c.is_whitespace()).map(|c| if c == '=' || c == ',' { '_' } else { c }).collect();
    let direction = Plane::new([0.0; 3].into(), normal.into()).ok_or_else(allowed)?.normal;
    Plane::new((direction * along).into(), direction).map(|plane| (named, plane)).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_axes_or_normals_with_a_distance() {
        let (name, found) = plane("z=5.5").unwrap();
        assert_eq!((name.as_str(), found.at.z, found.normal.z, found.right.x, found.up.y), ("z_5.5", 5.5, 1.0, 1.0, 1.0));
        let (name, found) = plane("0,3,4=-10").unwrap();
        assert!(name == "0_3_4_-10" && (found.at.y + 6.0).abs() < 1e-12 && (found.at.z + 8.0).abs() < 1e-12);
        for silly in ["", "z", "w=1", "0,0,0=1", "1,2=3", "z=far", "x=nan", "1,2,3,4=5", "x=1e9"] {
            assert!(plane(silly).is_err(), "{silly} was accepted");
        }
    }

    #[test]
    fn sizes_are_read_with_both_kinds_of_unit_and_silly_ones_refused() {
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("4GB"), Ok(4_000_000_000));
        assert_eq!(bytes("123"), Ok(123));
        for silly in ["", "0", "-1", "4XB", "1.5GB", "99999999999TiB", "GB"] {
            assert!(bytes(silly).is_err(), "{silly} was accepted");
        }
    }

    #[test]
    fn limits_are_two_numbers_in_order() {
        assert_eq!(limits("-0.1,0.2"), Ok([-0.1, 0.2]));
        for silly in ["", "1", "0.2,-0.1", "nan,1", "1,2,3", "-inf,1"] {
            assert!(limits(silly).is_err(), "{silly} was accepted");
        }
    }
}
