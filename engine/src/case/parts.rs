//! What a case is about: the design, the built part, and anatomy or a mating device, each with what is known of its errors.

use crate::frame::Grid;
use crate::mesh::edges::{self, Edges};
use crate::mesh::{ASIDE, Bulge, Mesh, spacing_mm};
use crate::surface::{Determined, ImageQuality, Unresolved};

/// The design.
pub struct Nominal {
    pub mesh: Mesh,
    /// Standard uncertainty that its facets add, mm.
    pub chord_u_mm: f64,
}

impl Nominal {
    /// `chord_error_mm` is the largest distance between facets and design where the order states it; else it is estimated
    /// from the facets' angles. Bounds ±c of unknown distribution: u = c/√3 (JCGM 100:2008 4.3.7).
    pub fn new(mesh: Mesh, chord_error_mm: Option<f64>) -> Nominal {
        let chord = chord_error_mm.unwrap_or_else(|| edges::sagitta_mm(&mesh, &Edges::of(&mesh)));
        Nominal { mesh, chord_u_mm: chord / 3.0_f64.sqrt() }
    }
}

/// The built part: its surface in the frame it was scanned in, with what is known of its errors.
pub struct Part {
    pub mesh: Mesh,
    /// Standard uncertainty of each vertex along its normal from noise, mm.
    pub point_u_mm: Vec<f32>,
    /// Standard uncertainty of a surface offset common to all points, mm.
    pub offset_u_mm: f64,
    /// Relative standard uncertainty of the length scale.
    pub scale_u: f64,
    /// Standard uncertainty that its facets add to volumes and areas, mm.
    pub chord_u_mm: f64,
    /// Distance beyond which errors of points are independent, mm.
    pub noise_length_mm: f64,
    /// Edge of the cells that volumes are integrated on, mm.
    pub cell_mm: f64,
    /// Volume that the mesh lacks because its facets cut across the curved surface through their corners, mm³; 0 where nobody knows.
    pub facet_loss_mm3: f64,
    /// The curved surface over each facet; `None` where nobody knows it.
    pub bulge: Option<Bulge>,
    /// Why the surface encloses no volume, where it does not.
    pub not_closed: Option<String>,
    /// Of a point cloud, how far its points are apart (root of the area per point), mm; there is no surface then, and every point weighs by the
    /// area that it stands for.
    pub spacing_mm: Option<f64>,
    /// Bits of [`crate::surface::flag`] of each vertex, of a determined surface.
    pub flags: Vec<u16>,
    pub image: Option<ImageQuality>,
    /// Where the image shows neither air nor material; `None` where that cannot be told, and of meshes.
    pub unresolved: Option<Unresolved>,
    /// Where the image lies, in the frame it was scanned in.
    pub grid: Option<Grid>,
    edges: Edges,
}

impl Part {
    /// A determined surface; noise is independent beyond the bundles of voxels that place its vertices, about two voxels.
    pub fn from_volume(determined: Determined, scale_u: f64) -> Part {
        let Determined { mesh, vertex_u_mm, u_offset_mm, facet_loss_mm3, bulge, image, unresolved, grid, flags, .. } = determined;
        let voxel = image.voxel_mm;
        let largest = voxel.iter().copied().fold(0.0, f64::max);
        let smallest = voxel.iter().copied().fold(f64::INFINITY, f64::min);
        let part = Part::new(mesh, vertex_u_mm, u_offset_mm, scale_u, 2.0 * largest, smallest, Some(image));
        Part { facet_loss_mm3, bulge: Some(bulge), flags, unresolved, grid: Some(grid), ..part }
    }

    /// A scanned point cloud ([`Mesh::of_points`]); its points' uncertainty counts as a mesh's does.
    pub fn from_cloud(cloud: Mesh, point_u_mm: f64, scale_u: f64) -> Part {
        let (points, diagonal) = (cloud.vertices().len(), cloud.bounds().diagonal_mm());
        let spacing_mm = spacing_mm(cloud.vertices());
        let noise_length_mm = spacing_mm.max(diagonal / 1000.0);
        let part = Part::new(cloud, vec![point_u_mm as f32; points], point_u_mm, scale_u, noise_length_mm, diagonal / 300.0, None);
        Part { not_closed: Some("it is a point cloud".into()), spacing_mm: Some(spacing_mm), ..part }
    }

    /// A scanned mesh. What part of a scanner's point uncertainty is common to all points a mesh cannot tell, so it counts
    /// both ways, as noise and as offset.
    pub fn from_mesh(mesh: Mesh, point_u_mm: f64, scale_u: f64) -> Part {
        let mean_edge = (mesh.area_mm2() / mesh.triangles().len() as f64 * 4.0 / 3.0_f64.sqrt()).sqrt();
        let (points, diagonal) = (mesh.vertices().len(), mesh.bounds().diagonal_mm());
        Part::new(mesh, vec![point_u_mm as f32; points], point_u_mm, scale_u, mean_edge.max(diagonal / 1000.0), diagonal / 300.0, None)
    }

    fn new(
        mesh: Mesh,
        point_u_mm: Vec<f32>,
        offset_u_mm: f64,
        scale_u: f64,
        noise_length_mm: f64,
        cell_mm: f64,
        image: Option<ImageQuality>,
    ) -> Part {
        let edges = Edges::of(&mesh);
        let not_closed = if !edges.are_closed() {
            Some(format!("{} of its edges are open, non-manifold or turned around", edges.irregular().count()))
        } else if mesh.volume_mm3() <= 0.0 {
            Some("its triangles face inwards".into())
        } else {
            None
        };
        let chord_u_mm = edges::sagitta_mm(&mesh, &edges) / 3.0_f64.sqrt();
        // Lattices finer than 1/400 of the part cost memory and say nothing new.
        let cell_mm = cell_mm.max(mesh.bounds().diagonal_mm() / 400.0);
        Part {
            mesh,
            point_u_mm,
            offset_u_mm,
            scale_u,
            chord_u_mm,
            noise_length_mm,
            cell_mm,
            facet_loss_mm3: 0.0,
            bulge: None,
            not_closed,
            spacing_mm: None,
            flags: vec![],
            image,
            unresolved: None,
            grid: None,
            edges,
        }
    }

    /// Largest distance aside of a point of a cloud at which it still stands for the surface, mm: on a random cloud one place in a hundred thousand
    /// lies farther from its nearest point.
    pub fn reach_aside_mm(&self) -> Option<f64> {
        self.spacing_mm.map(|spacing| ASIDE * spacing)
    }

    /// How far points of the surface are apart, mm: the median over the facets of their shortest sides.
    pub fn point_spacing_mm(&self) -> f64 {
        let side = |t: usize| {
            let [a, b, c] = self.mesh.corners(t);
            (b - a).norm().min((c - b).norm()).min((a - c).norm())
        };
        let mut sides: Vec<f64> = (0..self.mesh.triangles().len()).map(side).collect();
        let middle = sides.len() / 2;
        if sides.is_empty() { 0.0 } else { *sides.select_nth_unstable_by(middle, f64::total_cmp).1 }
    }

    /// Longest edge of the scan's voxels, mm; 0 of a mesh.
    pub fn voxel_mm(&self) -> f64 {
        self.image.as_ref().map_or(0.0, |i| i.voxel_mm.iter().copied().fold(0.0, f64::max))
    }

    /// Standard uncertainty of the surface as a whole along its normal, facets included, mm.
    pub fn surface_u_mm(&self) -> f64 {
        (self.offset_u_mm * self.offset_u_mm + self.chord_u_mm * self.chord_u_mm).sqrt()
    }

    /// Standard uncertainty of a typical point from noise, mm.
    pub fn typical_noise_mm(&self) -> f64 {
        let mut noise = self.point_u_mm.clone();
        let middle = noise.len() / 2;
        if noise.is_empty() { 0.0 } else { f64::from(*noise.select_nth_unstable_by(middle, f32::total_cmp).1) }
    }

    /// Integral of the mean curvature over the surface, mm.
    pub fn mean_curvature_integral_mm(&self) -> f64 {
        edges::mean_curvature_integral_mm(&self.mesh, &self.edges)
    }
}

/// Anatomy or a mating device, in the nominal frame.
pub struct Site {
    pub mesh: Mesh,
    /// Standard uncertainty of its surface, mm.
    pub u_mm: f64,
}
