//! Real micro-CT with stated values: ours beside them, and what the difference is.

use std::path::{Path, PathBuf};

use verimetry_engine::load::Source;
use verimetry_engine::measure::{self, Envelope, Measurement, Pores};
use verimetry_engine::order::SurfaceOrder;
use verimetry_engine::runtime::Runtime;

use super::Folder;

/// The files of a scan that states no voxels' size, with a sidecar that does; said loudly where they are not beside the checkout.
fn scan(folder: &Folder, path: &str, voxel_mm: f64) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/data/microct").join(path)).find(|p| p.exists());
    let Some(found) = found else {
        eprintln!("SKIPPED: the real files (shared/data) are not here");
        return None;
    };
    let text = format!("spacing_mm = [{voxel_mm}, {voxel_mm}, {voxel_mm}]\n");
    if !found.is_dir() {
        folder.file("scan.toml", text.as_bytes());
        return Some(folder.file("scan.tif", &std::fs::read(found).unwrap()));
    }
    folder.file("voxels.toml", text.as_bytes());
    for file in std::fs::read_dir(found).unwrap().map(|f| f.unwrap().path()).filter(|f| f.extension().is_some_and(|e| e == "tif")) {
        folder.file(&file.file_name().unwrap().to_string_lossy(), &std::fs::read(&file).unwrap());
    }
    Some(folder.0.path().to_path_buf())
}

/// In the whole image, through one grey value or half-way between air and material.
fn pores(path: PathBuf, threshold: Option<f64>) -> Measurement {
    let surface = threshold.map_or_else(SurfaceOrder::default, SurfaceOrder::Value);
    let part = Source { surface, scale_uncertainty: 0.0, ..Source::new(path) };
    measure::pores(&Pores { envelope: Envelope::Volume, ..Pores::new(part) }, &Runtime::cpu()).unwrap()
}

fn value(m: &Measurement, name: &str) -> f64 {
    m.quantities[name].value.unwrap_or_else(|| panic!("{name}: {:?}", m.quantities[name].reason))
}

/// Shares of material that were stated as shares of voxels above a grey value. Through the same value the surface runs between voxel centres,
/// which moves it by up to a tenth of a voxel against the steps of the voxels.
#[test]
fn real_scans_have_the_share_of_material_that_is_stated_of_them() {
    for (path, voxel_mm, threshold, stated) in [
        ("ciclope_trabecular", 0.0195, 63.5, 0.2272),
        ("ciclope_trabecular", 0.0195, 80.5, 0.1884),
        ("puma/100_fiberform.tif", 0.0013, 127.5, 0.13611),
        ("puma/50_artfibers.tif", 0.001, 127.5, 0.10162),
    ] {
        let folder = Folder::new();
        let Some(file) = scan(&folder, path, voxel_mm) else { return };
        let m = pores(file, Some(threshold));
        let (ours, per_voxel) = (1.0 - value(&m, "porosity.total"), value(&m, "structure.surface_density") * voxel_mm);
        let mean = |name: &str| m.quantities[name].value.map(|d| d / voxel_mm);
        println!(
            "{path} above {threshold}: {ours:.4}, stated {stated}; surface {per_voxel:.4} per voxel; walls {:?}, pores {:?} voxels",
            mean("wall.thickness_mean"),
            mean("pore.size_mean")
        );
        assert!((ours - stated).abs() < 0.1 * per_voxel, "{path}: {ours}, stated {stated}");
    }
}

/// A ball of 40 voxels radius, drawn with grey edges.
#[test]
fn a_published_ball_has_its_volume_and_its_diameter() {
    let folder = Folder::new();
    let Some(file) = scan(&folder, "puma/100_sphere_r40.tif", 0.01) else { return };
    let m = pores(file, None);
    let solid = 1.0 - value(&m, "porosity.total");
    let ball = 4.0 / 3.0 * std::f64::consts::PI * 64_000.0;
    // The image reaches from voxel centre to voxel centre, so over 99 voxels.
    let radius = (solid * 99.0 * 99.0 * 99.0 / ball).cbrt() * 40.0;
    println!("radius by volume {radius:.4} voxels, largest ball {:.4}", 50.0 * value(&m, "wall.thickness_d90"));
    assert!((radius - 40.0).abs() < 0.05 && (50.0 * value(&m, "wall.thickness_d90") - 40.0).abs() < 0.1);
}
