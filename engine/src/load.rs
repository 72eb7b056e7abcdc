//! Files to the parts of a case, with the record of what was read and the findings on the way.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::case::{Part, Site};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::finding::Finding;
use crate::inspect::{self, Item};
use crate::io::{self, Loaded, MeshFile, SliceSource, VolumeFile, with_voxel_type};
use crate::judgement::InputRecord;
use crate::lattice::{self, Design};
use crate::mesh::Mesh;
use crate::mesh::edges::Edges;
use crate::order::{ComponentsOrder, DEFAULT_SCALE_UNCERTAINTY, LengthUnit, SurfaceName, SurfaceOrder};
use crate::region::Region;
use crate::runtime::Runtime;
use crate::surface::{self, Determined, Keep, Method};
use crate::volume::{MOST_REACH, Slices};

/// A volume or mesh, with how to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub path: PathBuf,
    pub unit: LengthUnit,
    pub surface: SurfaceOrder,
    /// Bodies of a volume to keep; `None` leaves it to what is measured: the largest, or all of them where loose ones count.
    pub components: Option<ComponentsOrder>,
    /// Materials in the volume beside air, and which of them the part is, counted from the densest.
    pub materials: u8,
    pub material: u8,
    /// Whether the search for edges starts on medians of the voxels.
    pub denoise: bool,
    pub scale_uncertainty: f64,
    /// Standard uncertainty of a mesh's points, mm.
    pub point_uncertainty: Option<f64>,
}

impl Source {
    /// A file read with the defaults of the command line.
    pub fn new(path: impl Into<PathBuf>) -> Source {
        Source {
            path: path.into(),
            unit: LengthUnit::default(),
            surface: SurfaceOrder::default(),
            components: None,
            materials: 1,
            material: 1,
            denoise: false,
            scale_uncertainty: DEFAULT_SCALE_UNCERTAINTY,
            point_uncertainty: None,
        }
    }
}

/// Something read, the record of its bytes, and what was found about it.
pub struct Read<T> {
    pub value: T,
    pub record: InputRecord,
    pub findings: Vec<Finding>,
}

/// Standard uncertainty of a scanned mesh's points where nobody states one, mm: what structured-light scanners of implants
/// and teeth reach (order of magnitude; a finding says that it was assumed).
pub const ASSUMED_POINT_UNCERTAINTY_MM: f64 = 0.02;

/// Reads a mesh in its unit.
pub fn mesh(role: &str, name: &str, path: &Path, unit: LengthUnit) -> Result<Read<Mesh>, Error> {
    let file = io::load_mesh(path)?;
    let (closed, findings) = health(&file, name);
    let record = record_of_mesh(role, name, path, &file, closed)?;
    Ok(Read { value: in_millimetres(file, unit)?, record, findings })
}

/// Reads the closed mesh of a region in the nominal's frame, or in the part's.
pub fn region(role: &str, name: &str, path: &Path, unit: LengthUnit) -> Result<Read<Region>, Error> {
    let Read { value, record, findings } = mesh(role, name, path, unit)?;
    let edges = Edges::of(&value);
    let open = format!("is open: {} of its edges do not join two triangles that run along it both ways", edges.irregular().count());
    let wrong = if !edges.are_balanced() {
        Some(open.as_str())
    } else {
        (value.volume_mm3() <= 0.0).then_some("encloses nothing: its triangles face inwards")
    };
    match wrong {
        Some(wrong) => {
            Err(Error::input("region.not_closed", format!("the {role} {name} {wrong}; give a closed mesh whose triangles face outwards")))
        }
        None => Ok(Read { value: Region::Mesh(Box::new(MeshDistance::build(&value))), record, findings }),
    }
}

/// Reads the built part: a mesh or point cloud as it is, a volume through its determined surface. `accepted` names findings of severity
/// `stop` that do not stop.
pub fn part(name: &str, source: &Source, accepted: &[String], rt: &Runtime) -> Result<Read<Part>, Error> {
    let of_volume = |(found, record, findings): Found| Read { value: Part::from_volume(found, source.scale_uncertainty), record, findings };
    if let Some(found) = streamed(name, source, accepted, false, rt)? {
        return Ok(of_volume(found));
    }
    match io::load(&source.path)? {
        Loaded::Mesh(file) => {
            let (closed, mut findings) = health(&file, name);
            let record = record_of_mesh("actual", name, &source.path, &file, closed)?;
            findings.extend(assumed(source).map(|f| f.about(name)));
            let mesh = in_millimetres(file, source.unit)?;
            Ok(Read { value: Part::from_mesh(mesh, point_uncertainty(source), source.scale_uncertainty), record, findings })
        }
        Loaded::Cloud(file) => {
            let findings = file.findings.iter().cloned().chain(assumed(source)).map(|f| f.about(name)).collect();
            let record = record("actual", name, std::slice::from_ref(&source.path), &Item::Cloud(inspect::cloud_item(name, &file)))?;
            let part = Part::from_cloud(in_millimetres(file, source.unit)?, point_uncertainty(source), source.scale_uncertainty);
            let mut read = Read { value: part, record, findings };
            read.findings.extend(of_cloud(&read.value).map(|f| f.about(name)));
            Ok(read)
        }
        Loaded::Volume(file) => whole(name, source, file, accepted, rt).map(of_volume),
    }
}

fn point_uncertainty(source: &Source) -> f64 {
    source.point_uncertainty.unwrap_or(ASSUMED_POINT_UNCERTAINTY_MM)
}

fn assumed(source: &Source) -> Option<Finding> {
    let message = format!(
        "the standard uncertainty of the scanned points is not stated; {ASSUMED_POINT_UNCERTAINTY_MM} mm is assumed: state `point_uncertainty` from the scanner's calibration"
    );
    source.point_uncertainty.is_none().then(|| Finding::qualify("mesh.point_uncertainty_assumed", message))
}

/// What a cloud leaves open.
fn of_cloud(part: &Part) -> Option<Finding> {
    let (spacing, aside) = (part.spacing_mm?, part.reach_aside_mm()?);
    let message = format!(
        "the actual part is a cloud of {} points about {spacing:.4} mm apart: each weighs by the area that its neighbours leave it and stands for the surface up to {aside:.4} mm around it; what needs a surface is not measured: mesh the scan for it",
        part.mesh.vertices().len()
    );
    Some(Finding::qualify("cloud.no_surface", message))
}

/// A determined surface, the record of its volume, and what was found about it.
type Found = (Determined, InputRecord, Vec<Finding>);

/// Reads a volume and determines its surface: read whole where that fits the memory budget, slab by slab with the same bits otherwise.
pub fn surface_of(name: &str, source: &Source, accepted: &[String], rt: &Runtime) -> Result<Found, Error> {
    match streamed(name, source, accepted, false, rt)? {
        Some(found) => Ok(found),
        None => whole(name, source, io::load_volume(&source.path)?, accepted, rt),
    }
}

/// The surface of a volume in memory; slab by slab after all where there is more surface than the budget holds beside the voxels.
fn whole(name: &str, source: &Source, file: VolumeFile, accepted: &[String], rt: &Runtime) -> Result<Found, Error> {
    let found = determined(name, source, &file, accepted, rt);
    drop(file); // the voxels are not needed beside what is measured on their surface
    match found {
        Err(e) if e.code == "memory.budget" => streamed(name, source, accepted, true, rt)?.ok_or(e),
        found => found,
    }
}

/// What a volume will need, in one line; `None` of what is no volume.
pub fn need(name: &str, source: &Source, rt: &Runtime) -> Option<String> {
    let volume = io::open_volume(&source.path).ok()?;
    let ([nx, ny, nz], mib) = (volume.grid().dims(), |bytes: u64| bytes.div_ceil(1 << 20));
    let (certain, per_vertex) = (certain_need(&volume), surface::BYTES_PER_VERTEX);
    let voxels = format!("{name}: {nx} x {ny} x {nz} voxels of {}", volume.voxel_type().name());
    let Some(budget) = rt.memory_bytes().filter(|&budget| likely_need(&volume) > budget && volume.is_streamable()) else {
        return Some(format!("{voxels} need about {} MiB and {per_vertex} bytes for each vertex of the surface", mib(certain)));
    };
    let (at_once, held) = slab_need(&volume, budget, source.denoise);
    let per_vertex = per_vertex + 2 * NEAR_VOXELS * volume.voxel_type().bytes();
    Some(format!(
        "{voxels} need about {} MiB; read {at_once} slices at a time they need {} MiB and about {per_vertex} bytes for each vertex of the surface",
        mib(likely_need(&volume)),
        mib(held + Runtime::overhead_bytes())
    ))
}

/// Voxels on each side of a vertex that are held while it is refined, about.
const NEAR_VOXELS: usize = 16;
/// Surface vertices for every voxel on the faces of the volume's box, in a part with pores and struts.
const VERTICES_PER_FACE_VOXEL: u64 = 4;

fn mask_bytes([nx, ny, nz]: [usize; 3]) -> u64 {
    (nx.div_ceil(64) * 8 * ny * nz) as u64
}

/// Bytes that a volume needs in memory whatever its surface.
fn certain_need(volume: &SliceSource) -> u64 {
    Runtime::overhead_bytes() + volume.bytes() + mask_bytes(volume.grid().dims())
}

/// The same with a surface as parts have it.
fn likely_need(volume: &SliceSource) -> u64 {
    let [nx, ny, nz] = volume.grid().dims().map(|n| n as u64);
    certain_need(volume) + VERTICES_PER_FACE_VOXEL * 2 * (nx * ny + ny * nz + nz * nx) * surface::BYTES_PER_VERTEX as u64
}

/// Slices to read at a time, for a sixteenth of the budget; bytes of these, of those that passes look at beside them, of their medians where the
/// search starts on them, of the mask, and of the packed and unpacked slices that threads are at.
fn slab_need(slices: &SliceSource, budget: u64, denoise: bool) -> (usize, u64) {
    let [nx, ny, nz] = slices.grid().dims();
    let slice = (nx * ny * slices.voxel_type().bytes()) as u64;
    let at_once = (budget / 16 / slice.max(1)).clamp(1, nz as u64);
    let decoding = if slices.is_packed() { 2 * rayon::current_num_threads() as u64 } else { 0 };
    let looked_at = at_once + 2 * MOST_REACH as u64;
    let medians = if denoise { looked_at * (nx * ny * size_of::<u16>()) as u64 } else { 0 };
    (at_once as usize, (looked_at + decoding) * slice + medians + mask_bytes(slices.grid().dims()))
}

/// The surface of a volume that exceeds the memory budget, or of any with `anyway`, read slab by slab; `None` where it does not, or is no
/// volume of slices.
fn streamed(name: &str, source: &Source, accepted: &[String], anyway: bool, rt: &Runtime) -> Result<Option<Found>, Error> {
    let Some(budget) = rt.memory_bytes() else { return Ok(None) };
    // What cannot be opened is told by reading it whole.
    let Ok(mut slices) = io::open_volume(&source.path) else { return Ok(None) };
    if !slices.is_streamable() {
        rt.afford(&format!("the voxels of {name}"), certain_need(&slices) - Runtime::overhead_bytes())?;
        return Ok(None);
    }
    if likely_need(&slices) <= budget && !anyway {
        return Ok(None);
    }
    slices.measurable(accepted)?;
    let (at_once, held) = slab_need(&slices, budget, source.denoise);
    rt.afford("slabs and mask", held)?;
    rt.note(format!("{name} exceeds the memory budget and was read {at_once} slices at a time"));
    rt.step("load", 0.5)?;
    let values = slices.values(at_once)?;
    let item = Item::Volume(inspect::slices_item(name, &slices, &values));
    slices.findings.extend(values.findings);
    slices.measurable(accepted)?;
    let record = record("actual", name, &slices.files, &item)?;
    let options = options(source);
    let found = with_voxel_type!(slices.voxel_type(), T => {
        let read = |range: std::ops::Range<usize>, out: &mut Vec<T>| slices.read(range, out);
        let rescale = || Error::defect("a file's rescale is checked when it is opened");
        let slabs = Slices::read(*slices.grid(), slices.rescale(), at_once, Box::new(read)).ok_or_else(rescale)?;
        surface::determine_slices(&slabs, &options, rt)?
    });
    let findings = slices.findings.iter().chain(&found.findings).map(|f| f.clone().about(name)).collect();
    Ok(Some((found, record, findings)))
}

fn options(source: &Source) -> surface::Options {
    surface::Options {
        method: match source.surface {
            SurfaceOrder::Named(SurfaceName::Adaptive) => Method::Adaptive,
            SurfaceOrder::Named(SurfaceName::Iso50) => Method::Iso50,
            SurfaceOrder::Named(SurfaceName::Otsu) => Method::Otsu,
            SurfaceOrder::Value(v) => Method::Value(v),
        },
        keep: match source.components.unwrap_or_default() {
            ComponentsOrder::Largest => Keep::Largest,
            ComponentsOrder::All => Keep::All,
        },
        materials: source.materials,
        material: source.material,
        start: None,
        denoise: source.denoise,
    }
}

/// Determines the surface of a volume that was read.
pub fn determined(name: &str, source: &Source, file: &VolumeFile, accepted: &[String], rt: &Runtime) -> Result<Found, Error> {
    let record = record_of_volume(name, file)?;
    let volume = file.measurable(accepted)?;
    rt.afford(&format!("the voxels of {name}"), volume.bytes() as u64 + mask_bytes(volume.grid().dims()))?;
    let found = surface::determine(volume, &options(source), rt)?;
    let findings = file.findings.iter().chain(&found.findings).map(|f| f.clone().about(name)).collect();
    Ok((found, record, findings))
}

/// Reads anatomy or a mating device.
pub fn site(name: &str, path: &Path, unit: LengthUnit, u_mm: Option<f64>) -> Result<Read<Site>, Error> {
    let Read { value, record, mut findings } = mesh("site", name, path, unit)?;
    if u_mm.is_none() {
        let message = "the standard uncertainty of the site's surface is not stated and counts as 0: state `point_uncertainty` of the site (bone from clinical CT: 0.1 to 0.3 mm)";
        findings.push(Finding::qualify("site.uncertainty_unstated", message).clause("8.3.2.1 b)").about(name));
    }
    Ok(Read { value: Site { mesh: value, u_mm: u_mm.unwrap_or(0.0) }, record, findings })
}

/// Reads a list of designed struts.
pub fn struts(name: &str, path: &Path) -> Result<Read<Design>, Error> {
    let bytes = io::read_bounded(path, lattice::MAX_BYTES as u64)?;
    let design = Design::parse(&bytes)?;
    let read = serde_json::json!({ "kind": "struts", "nodes": design.nodes().len(), "struts": design.struts().len() });
    let sha256 = hex(&Sha256::digest(&bytes));
    let record = InputRecord { role: "struts".into(), name: name.into(), bytes: bytes.len() as u64, sha256, read };
    Ok(Read { value: design, record, findings: vec![] })
}

fn in_millimetres(file: MeshFile, unit: LengthUnit) -> Result<Mesh, Error> {
    if file.states_unit || unit == LengthUnit::Millimetre {
        return Ok(file.mesh);
    }
    let factor = unit.millimetres();
    Ok(Mesh::new(file.mesh.vertices().iter().map(|p| p * factor).collect(), file.mesh.triangles().to_vec())?)
}

/// Whether a mesh is closed, and everything found about it.
fn health(file: &MeshFile, name: &str) -> (bool, Vec<Finding>) {
    let health = crate::health::examine(&file.mesh);
    let findings = file.findings.iter().cloned().chain(health.findings()).map(|f| f.about(name)).collect();
    (health.closed(), findings)
}

fn record_of_mesh(role: &str, name: &str, path: &Path, file: &MeshFile, closed: bool) -> Result<InputRecord, Error> {
    record(role, name, &[path.to_path_buf()], &Item::Mesh(inspect::mesh_item(name, file, closed)))
}

fn record_of_volume(name: &str, file: &VolumeFile) -> Result<InputRecord, Error> {
    record("actual", name, &file.files, &Item::Volume(inspect::volume_item(name, file)))
}

/// Size and digest of an input. Several files (a folder) have the digest of their digests in slice order: names do not enter,
/// because the names of medical images can tell whose they are.
fn record(role: &str, name: &str, files: &[PathBuf], item: &Item) -> Result<InputRecord, Error> {
    let mut bytes = 0;
    let mut digests = Vec::with_capacity(files.len());
    for path in files {
        let mut file = std::fs::File::open(path).map_err(|e| unreadable(name, &e))?;
        let mut hasher = Sha256::new();
        bytes += digest_into(&mut file, &mut hasher).map_err(|e| unreadable(name, &e))?;
        digests.push(hasher.finalize());
    }
    let sha256 = match digests.as_slice() {
        [one] => hex(one),
        many => hex(&many.iter().fold(Sha256::new(), |h, d| h.chain_update(d)).finalize()),
    };
    let read = serde_json::to_value(item).map_err(|e| Error::defect(format!("what was read of {name} cannot be written: {e}")))?;
    Ok(InputRecord { role: role.into(), name: name.into(), bytes, sha256, read })
}

fn digest_into(file: &mut std::fs::File, hasher: &mut Sha256) -> std::io::Result<u64> {
    let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
    loop {
        let n = std::io::Read::read(file, &mut buffer)?;
        if n == 0 {
            return Ok(bytes);
        }
        hasher.update(&buffer[..n]);
        bytes += n as u64;
    }
}

fn unreadable(name: &str, e: &std::io::Error) -> Error {
    Error::input("file.unreadable", format!("{name} cannot be read: {e}; check the file and its permissions"))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
