//! Real micro-CT with stated values: ours beside them, and what the difference is.

use std::path::{Path, PathBuf};

use nalgebra::Point3;
use verimetry_engine::case::Case;
use verimetry_engine::io;
use verimetry_engine::kernels::{self, Border};
use verimetry_engine::load::{self, Source};
use verimetry_engine::order::{ComponentsOrder, SurfaceOrder};
use verimetry_engine::pores::{Phase, Sizes};
use verimetry_engine::region::Region;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::with_volume;

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

/// A scan and its image between the outermost voxel centres; the surface through one grey value.
fn seen<R>(path: &Path, threshold: f64, measure: impl FnOnce(&Case, (&str, &Region)) -> R) -> R {
    let rt = Runtime::cpu();
    let source = Source { surface: SurfaceOrder::Value(threshold), components: Some(ComponentsOrder::All), ..Source::new(path) };
    let part = load::part("scan", &source, &[], &rt).unwrap().value;
    let volume = io::open_volume(path).unwrap();
    let last = volume.grid().dims().map(|n| (n - 1) as f64);
    let image = Region::Box { min: volume.grid().physical(&Point3::origin()), max: volume.grid().physical(&last.into()) };
    measure(&Case::new(&rt, None, Some(part), None), ("image", &image))
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
        let found = seen(&file, threshold, |case, image| case.porosity(Some(image)).unwrap());
        let (ours, per_voxel) = (1.0 - found.fractions.total, (found.open_surface_per_mm + found.closed_surface_per_mm) * voxel_mm);
        println!("{path} above {threshold}: {ours:.4}, stated {stated}; surface {per_voxel:.4} per voxel");
        assert!((ours - stated).abs() < 0.1 * per_voxel, "{path}: {ours}, stated {stated}, surface {per_voxel} per voxel");
    }
}

/// A ball of 40 voxels radius. Its grey values are a ramp over ten voxels and no blur, so the level is taken as it is.
#[test]
fn a_published_ball_has_its_volume() {
    let folder = Folder::new();
    let Some(file) = scan(&folder, "puma/100_sphere_r40.tif", 0.01) else { return };
    let solid = 1.0 - seen(&file, 127.5, |case, image| case.porosity(Some(image)).unwrap()).fractions.total;
    // The image reaches from voxel centre to voxel centre, so over 99 voxels.
    let radius = (solid * 99.0 * 99.0 * 99.0 / (4.0 / 3.0 * std::f64::consts::PI)).cbrt();
    println!("radius by volume {radius:.4} voxels");
    assert!((radius - 40.0).abs() < 0.05, "{radius}");
}

/// Voids as wide as the image, beside exact local thickness of its voxels. A ball of voxels reaches to the centre of a background voxel, ours to the
/// surface before it and from anywhere, so that a radius differs by half a diagonal of a voxel at most.
#[test]
fn voids_of_a_real_scan_are_as_wide_as_the_exact_local_thickness_of_its_voxels() {
    let folder = Folder::new();
    let Some(file) = scan(&folder, "puma/100_fiberform.tif", 1.0) else { return };
    let volume = io::load_volume(&file).unwrap().volume;
    let rt = Runtime::cpu();
    let solid = with_volume!(&volume, v => kernels::threshold(v, 127.5, &rt).unwrap());
    let squares = kernels::local_thickness(&solid.complement(), Border::Unknown, &rt).unwrap();
    let mut voxels: Vec<f64> = squares.into_iter().filter(|s| *s > 0).map(|s| 2.0 * f64::from(s).sqrt()).collect();
    voxels.sort_by(f64::total_cmp);
    let sizes = seen(&file, 127.5, |case, image| case.sizes(Phase::Pores, Some(image)).unwrap());
    let ours = |of: &dyn Fn(&Sizes) -> f64| 0.5 * (of(&sizes[0]) + of(&sizes[1]));
    let mean = voxels.iter().sum::<f64>() / voxels.len() as f64;
    let quantile = |share: f64| voxels[(share * voxels.len() as f64) as usize];
    let mut told = vec![("mean", ours(&|s| s.mean_mm()), mean)];
    told.extend([("d10", 0.1), ("d50", 0.5), ("d90", 0.9)].map(|(name, share)| (name, ours(&|s| s.quantile_mm(share)), quantile(share))));
    for (name, ours, of_voxels) in told {
        println!("{name}: {ours:.3} voxels, of voxels {of_voxels:.3}");
        assert!((ours - of_voxels).abs() <= 3.0_f64.sqrt(), "{name}: {ours} voxels, of voxels {of_voxels}");
    }
}
