//! The curved surface between the corners of facets, against bodies of closed form.

use std::f64::consts::PI;

use nalgebra::Point3;
use verimetry_engine::frame::Bounds;
use verimetry_engine::mesh::Bulge;
use verimetry_engine::phantom::parts;

#[test]
fn a_ball_of_facets_has_the_balls_volume_area_and_radius() {
    // Against what the facets alone lack, for facets from a fifth to a twentieth of the radius.
    for n in [6, 12, 24] {
        let radius = 2.0;
        let mesh = parts::ball(Point3::new(1.0, -2.0, 0.5), radius, n).mesh;
        let bulge = Bulge::of(&mesh);
        let volume = 4.0 / 3.0 * PI * radius * radius * radius;
        let lacking = volume - mesh.volume_mm3();
        assert!((lacking - bulge.total_mm3(&mesh)).abs() < 0.06 * lacking, "{n}: {lacking} {}", bulge.total_mm3(&mesh));
        let area = 4.0 * PI * radius * radius;
        let stretched: f64 = (0..mesh.triangles().len()).map(|t| 0.5 * mesh.area_vector(t).norm() * bulge.stretch(&mesh, t)).sum();
        assert!((area - stretched).abs() < 0.1 * (area - mesh.area_mm2()), "{n}: {area} {stretched}");
        for t in (0..mesh.triangles().len()).step_by(7) {
            let [a, b, c] = mesh.corners(t);
            let middle = Point3::from((a.coords + b.coords + c.coords) / 3.0);
            let away = (middle - Point3::new(1.0, -2.0, 0.5)).norm();
            let short = radius - away;
            assert!((short - bulge.height_mm(&mesh, t, &middle)).abs() < 0.2 * short, "{n}: {short}");
            assert_eq!(bulge.height_mm(&mesh, t, &a), 0.0);
        }
    }
}

#[test]
fn the_faces_of_a_block_bulge_beside_its_edges_alone() {
    let block = parts::cuboid(&Bounds { min: Point3::origin(), max: Point3::from([8.0; 3]) }, 8).mesh;
    let bulge = Bulge::of(&block);
    for t in 0..block.triangles().len() {
        let [a, b, c] = block.corners(t);
        let middle = Point3::from((a.coords + b.coords + c.coords) / 3.0);
        let from_edge =
            (0..3).filter(|&n| (middle[n] - 4.0).abs() < 3.999).map(|n| 4.0 - (middle[n] - 4.0).abs()).fold(f64::INFINITY, f64::min);
        let height = bulge.height_mm(&block, t, &middle);
        assert!(height.abs() <= if from_edge > 2.0 { 1e-15 } else { 0.1 * 2.0_f64.sqrt() }, "{height} mm at {middle}");
    }
}
