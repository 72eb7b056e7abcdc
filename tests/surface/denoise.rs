//! The start on medians: fewer specks in noisy volumes, the same edges in all.

use super::*;

const RADIUS: f64 = 13.0;
const BLUR: f64 = 0.9;

fn centre() -> Point3<f64> {
    Point3::new(20.13, 19.81, 20.37)
}

fn ball(noise: f64, denoise: bool) -> Determined {
    let options = Options { denoise, ..Options::default() };
    determine_with(ball_ct(grid([40; 3]), centre(), RADIUS, BLUR, noise, 11), &options)
}

#[test]
fn edges_stay_where_they_are() {
    for noise in [0.0, 0.03] {
        let (plain, denoised) = (ball(noise, false), ball(noise, true));
        let [plain_mm, denoised_mm] = [&plain, &denoised].map(|found| mean_radius(&found.mesh, centre()));
        println!("noise {noise}: {:+.5} and {:+.5}", plain_mm - RADIUS, denoised_mm - RADIUS);
        assert!((denoised_mm - plain_mm).abs() < 0.005, "noise {noise}: {plain_mm} and {denoised_mm}");
        assert!((denoised_mm - RADIUS).abs() < 0.01 + 2.0 * denoised.u_offset_mm);
        assert!(
            denoised.findings.iter().any(|f| f.code == "surface.denoised") && plain.findings.iter().all(|f| f.code != "surface.denoised")
        );
    }
}

#[test]
fn noise_that_speckles_the_iso_surface_leaves_a_ball_of_medians_in_one_piece() {
    let (plain, denoised) = (ball(0.15, false), ball(0.15, true));
    println!("Euler numbers {} and {}", euler_of_closed(&plain.mesh), euler_of_closed(&denoised.mesh));
    assert!(euler_of_closed(&plain.mesh) != 2, "noise of a seventh of the contrast tears the iso-surface");
    assert_eq!(euler_of_closed(&denoised.mesh), 2);
    let error = mean_radius(&denoised.mesh, centre()) - RADIUS;
    println!("radius {error:+.4} u {:.4}", denoised.u_offset_mm);
    assert!(error.abs() < 3.0 * denoised.u_offset_mm, "{error}");
}

#[test]
fn a_surface_that_stays_where_it_starts_does_not_start_on_medians() {
    let options = Options { method: Method::Iso50, denoise: true, ..Options::default() };
    let error =
        surface::determine(&Voxel::wrap(ball_ct(grid([40; 3]), centre(), RADIUS, BLUR, 0.0, 1)), &options, &Runtime::cpu()).unwrap_err();
    assert_eq!(error.code, "surface.denoise");
}
