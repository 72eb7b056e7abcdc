//! Pictures and the report: colours where they belong, the same bytes on any number of threads, a page that holds every
//! number of the payload, nothing from outside and nothing a hostile name could run.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use nalgebra::Point3;
use sha2::{Digest, Sha256};
use verimetry_engine::evidence::{self, DeviationSummary, WORST_MARK};
use verimetry_engine::finding::Finding;
use verimetry_engine::judgement::*;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::{DeviceClass, Header, Limits};
use verimetry_engine::render::{Mark, Options, Sheet, ViewLayout, colour, deviation_views};
use verimetry_server::report::{self, SignatureLine};

// ---- pictures ----

/// A closed surface over a grid that wraps around both ways; `at` maps two turns in [0, 1) to a point.
fn wrapped(around: u32, across: u32, at: impl Fn(f64, f64) -> [f64; 3]) -> Mesh {
    let vertices = (0..around * across)
        .map(|i| Point3::from(at(f64::from(i / across) / f64::from(around), f64::from(i % across) / f64::from(across))));
    let index = |i: u32, j: u32| (i % around) * across + j % across;
    let cells = (0..around).flat_map(|i| (0..across).map(move |j| (i, j)));
    let triangles = cells.flat_map(|(i, j)| {
        let [a, b, c, d] = [index(i, j), index(i + 1, j), index(i + 1, j + 1), index(i, j + 1)];
        [[a, b, c], [a, c, d]]
    });
    Mesh::new(vertices.collect(), triangles.collect()).unwrap()
}

/// A ball of 10 mm, oriented outward; its poles are small closed rings of degenerate triangles.
fn ball(steps: u32) -> Mesh {
    wrapped(2 * steps, steps, |u, v| {
        // Down the one side of a meridian and no way back: a wrapped grid whose last strip has no area.
        let (phi, theta) = (TAU * u, std::f64::consts::PI * (v * f64::from(steps) / f64::from(steps - 1)));
        [10.0 * theta.sin() * phi.cos(), 10.0 * theta.sin() * phi.sin(), -10.0 * theta.cos()]
    })
}

/// A ring-shaped cage: kidney outline, superelliptic section.
fn cage(around: u32, across: u32) -> Mesh {
    wrapped(around, across, |u, v| {
        let (a, b) = (TAU * u, TAU * v);
        let soft = |x: f64| x.signum() * x.abs().powf(0.45);
        let radius = 10.0 + 2.2 * (2.0 * a).cos() - 1.2 * a.sin() + 3.6 * soft(b.cos());
        [radius * a.cos(), radius * a.sin(), (4.4 + 0.8 * a.sin()) * soft(b.sin())]
    })
}

/// A smooth shrinkage with waviness and one seeded bump of 0.16 mm.
fn cage_deviation(mesh: &Mesh) -> Vec<f64> {
    let bump = Point3::new(-11.0, -6.0, 3.0);
    let value = |p: &Point3<f64>| {
        let waves = 0.022 * (0.7 * p.x).sin() * (0.6 * p.y + 0.3).cos() + 0.015 * (0.9 * p.z + 0.2 * p.x).sin();
        -0.018 * (p.coords.norm() - 10.0) / 4.0 + waves + 0.16 * (-(p - bump).norm_squared() / 5.0).exp()
    };
    mesh.vertices().iter().map(value).collect()
}

fn pixels(sheet: &Sheet) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(&sheet.png)).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!((info.width, info.height), (sheet.layout.width_px, sheet.layout.height_px));
    assert_eq!(info.color_type, png::ColorType::Rgb);
    rgb
}

fn pixel(rgb: &[u8], sheet: &Sheet, x: f64, y: f64) -> [u8; 3] {
    let at = (y as usize * sheet.layout.width_px as usize + x as usize) * 3;
    [rgb[at], rgb[at + 1], rgb[at + 2]]
}

fn centre(view: &ViewLayout) -> (f64, f64) {
    (f64::from(view.x_px) + 0.5 * f64::from(view.width_px), f64::from(view.y_px) + 0.5 * f64::from(view.height_px - view.band_px))
}

fn small() -> Options {
    Options { width_px: 960, max_height_px: 800 }
}

#[test]
fn a_face_seen_square_on_has_exactly_the_colour_of_the_scale() {
    let mesh = ball(60);
    for value in [-0.2, -0.08, 0.0, 0.05, 0.13, 0.7] {
        let sheet = deviation_views(&mesh, &vec![value; mesh.vertices().len()], [-0.2, 0.2], &[], small()).unwrap();
        let rgb = pixels(&sheet);
        for view in &sheet.layout.views {
            let (x, y) = centre(view);
            assert_eq!(pixel(&rgb, &sheet, x, y), colour::of(value, [-0.2, 0.2]), "{value} in {}", view.name);
        }
        assert_eq!(pixel(&rgb, &sheet, 2.0, 2.0), [255; 3], "the ground is white");
    }
}

#[test]
fn unmeasured_surface_is_grey() {
    let mesh = ball(40);
    let values: Vec<f64> = mesh.vertices().iter().map(|p| if p.z > 0.0 { f64::NAN } else { 0.1 }).collect();
    let sheet = deviation_views(&mesh, &values, [-0.2, 0.2], &[], small()).unwrap();
    let rgb = pixels(&sheet);
    let seen = |name: &str| {
        let (x, y) = centre(sheet.layout.views.iter().find(|v| v.name == name).unwrap());
        pixel(&rgb, &sheet, x, y)
    };
    assert_eq!((seen("top"), seen("bottom")), (colour::UNMEASURED, colour::of(0.1, [-0.2, 0.2])));
}

#[test]
fn a_picture_has_the_same_bytes_on_one_thread_and_on_many() {
    let mesh = cage(120, 48);
    let values = cage_deviation(&mesh);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| deviation_views(&mesh, &values, [-0.2, 0.2], &[], small()).unwrap())
    };
    assert_eq!(on(1), on(7));
}

#[test]
fn neighbouring_triangles_leave_no_gap_and_a_part_fills_the_area_it_covers() {
    let mesh = ball(80);
    let sheet = deviation_views(&mesh, &vec![0.2; mesh.vertices().len()], [-0.2, 0.2], &[], small()).unwrap();
    let rgb = pixels(&sheet);
    let view = &sheet.layout.views[0];
    let (x0, y0) = (view.x_px as usize, view.y_px as usize);
    let picture = (0..view.width_px as usize).flat_map(|x| (0..(view.height_px - view.band_px) as usize).map(move |y| (x, y)));
    let ground = |(x, y): &(usize, usize)| pixel(&rgb, &sheet, (x0 + x) as f64, (y0 + y) as f64) == [255; 3];
    let covered = picture.clone().filter(|at| !ground(at)).count() as f64;
    let radius = 10.0 / sheet.layout.mm_per_pixel;
    let (cx, cy) = centre(view);
    assert!(picture.filter(|&(x, y)| ((x0 + x) as f64 - cx).hypot((y0 + y) as f64 - cy) < radius - 2.0).all(|at| !ground(&at)));
    // Pixels that the limb touches count whole: half a pixel more all around.
    let disc = std::f64::consts::PI * (radius + 0.5) * (radius + 0.5);
    assert!((covered / disc - 1.0).abs() < 0.01, "{covered} of {disc}");
}

#[test]
fn a_mark_is_reported_where_it_is_seen_and_nowhere_else() {
    let mesh = ball(60);
    let mark = Mark { point: Point3::new(0.0, 0.0, 10.0), label: WORST_MARK.into() };
    let sheet = deviation_views(&mesh, &vec![0.0; mesh.vertices().len()], [-1.0, 1.0], &[mark], small()).unwrap();
    let find = |name: &str| sheet.layout.views.iter().find(|v| v.name == name).unwrap();
    let (top, bottom) = (find("top"), find("bottom"));
    assert!(bottom.marks.is_empty() && find("below").marks.is_empty());
    let ((x, y), seen) = (centre(top), &top.marks[0]);
    assert!((seen.x_px - x).abs() < 1.0 && (seen.y_px - y).abs() < 1.0 && seen.facing > 0.99);
    let above = &find("above").marks[0];
    // Seen from (1, -1, 1) the pole stands 10 mm times the cosine of its elevation above the middle.
    let raised = centre(find("above")).1 - above.y_px;
    assert!((raised * sheet.layout.mm_per_pixel - 10.0 * (2.0f64 / 3.0).sqrt()).abs() < 0.1);
}

#[test]
fn the_scale_bar_is_round_and_true() {
    let mesh = cage(60, 24);
    let sheet = deviation_views(&mesh, &cage_deviation(&mesh), [-0.2, 0.2], &[], Options::default()).unwrap();
    let layout = &sheet.layout;
    assert!([1.0, 2.0, 5.0, 10.0, 20.0].contains(&layout.scale_bar.length_mm));
    assert!((layout.scale_bar.length_px * layout.mm_per_pixel - layout.scale_bar.length_mm).abs() < 1e-9);
    let back: verimetry_engine::render::Layout = serde_json::from_slice(&serde_json::to_vec(layout).unwrap()).unwrap();
    assert_eq!(&back, layout);
}

#[test]
fn the_picture_of_a_dense_part_stays_below_a_megabyte() {
    let (around, across) = if std::env::var_os("VERIMETRY_LONG").is_some() { (1000, 500) } else { (200, 100) };
    let mesh = cage(around, across);
    let values = cage_deviation(&mesh);
    let start = std::time::Instant::now();
    let sheet = deviation_views(&mesh, &values, [-0.2, 0.2], &[], Options::default()).unwrap();
    println!("{} triangles, {} bytes, {:.2} s", mesh.triangles().len(), sheet.png.len(), start.elapsed().as_secs_f64());
    assert!((10_000..1_000_000).contains(&sheet.png.len()));
}

// ---- the page ----

struct Case {
    payload: Payload,
    files: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn page(&self) -> String {
        report::html(&self.payload, &signatures(), &|name| self.files.get(name).cloned()).unwrap()
    }
}

fn signatures() -> Vec<SignatureLine> {
    let line = |role: &str, kid: &str, time: &str| SignatureLine {
        kid: kid.into(),
        role: role.into(),
        signed_at: Some(time.into()),
        algorithm: "Ed25519".into(),
        holds: true,
        note: None,
    };
    let mut lines = vec![
        line("engine", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "2026-10-12T08:14:03Z"),
        line("manufacturer", "9Zt1o0VvYQm2cJmYI0Jx1bT5m7E0nq2l0uJk3aXw0dE", "2026-10-12T09:40:51Z"),
        line("clinician", "bq0m8T2rQmZC0i8o2dQwQ0s5c1d8c5Q1v0oY3u7p2bA", "2026-10-13T02:05:17Z"),
    ];
    lines[2].holds = false;
    lines[2].note = Some("the key is not in the set given".into());
    lines
}

struct Row(
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<f64>,
    &'static str,
    Option<f64>,
    [Option<f64>; 2],
    Option<f64>,
    Decision,
    &'static str,
);

fn results() -> Vec<ResultRecord> {
    use Decision::*;
    let rows = [
        Row(
            "T1",
            "8.3.2.1 a)",
            "deviation.abs_p99",
            Some("endplate"),
            Some(0.05837),
            "mm",
            Some(0.02914),
            [None, Some(0.1)],
            Some(0.99786),
            Conforms,
            "",
        ),
        Row(
            "T2",
            "8.3.2.1 a)",
            "deviation.peak_max",
            Some("body"),
            Some(0.16172),
            "mm",
            Some(0.03021),
            [None, Some(0.1)],
            Some(2.23e-5),
            DoesNotConform,
            "the patch around (−11.0, −6.0, 3.0) mm lies outside the part as designed",
        ),
        Row(
            "T3",
            "8.3.2.1 a)",
            "deviation.in_tolerance",
            None,
            Some(0.98214),
            "1",
            Some(0.00731),
            [Some(0.95), None],
            Some(0.99999),
            Conforms,
            "",
        ),
        Row(
            "T4",
            "8.3.2.1 a)",
            "deviation.mean",
            Some("hole"),
            Some(-0.0713),
            "mm",
            Some(0.0488),
            [Some(-0.1), Some(0.1)],
            Some(0.88034),
            Undecided,
            "the uncertainty cannot carry the limit: a voxel of 0.06 mm or less, or a scale uncertainty of 0.001 or less, would",
        ),
        Row(
            "F1",
            "8.3.2.1 b)",
            "fit.gap_mean",
            Some("seat"),
            Some(0.2113),
            "mm",
            Some(0.0412),
            [None, Some(0.3)],
            Some(0.99998),
            Conforms,
            "",
        ),
        Row("S1", "8.3.2.1 c)", "shrinkage.z", None, Some(0.12), "%", Some(0.31), [Some(-0.5), Some(0.5)], Some(0.99282), Conforms, ""),
        Row(
            "P1",
            "8.3.2.2 a)",
            "porosity.total",
            Some("porous"),
            Some(0.6471),
            "1",
            Some(0.0184),
            [Some(0.6), Some(0.7)],
            Some(0.99999),
            Conforms,
            "",
        ),
        Row(
            "P2",
            "8.3.2.2 a)",
            "porosity.closed",
            Some("porous"),
            None,
            "1",
            None,
            [None, Some(0.02)],
            None,
            NotMeasured,
            "fewer than five voxels span a strut; a voxel of 0.04 mm or less would carry it",
        ),
    ];
    let budget = |u: f64| {
        [("edge", 0.62), ("scale", 0.55), ("surface offset", 0.41), ("pose", 0.31), ("chord", 0.19)]
            .map(|(name, share)| Contribution { name: name.into(), u: 0.5 * u * share })
            .to_vec()
    };
    rows.into_iter()
        .map(|Row(requirement, clause, quantity, region, value, unit, expanded, [min, max], p, decision, reason)| ResultRecord {
            requirement: requirement.into(),
            clause: clause.into(),
            quantity: quantity.into(),
            region: region.map(Into::into),
            value,
            unit: unit.into(),
            expanded_uncertainty: expanded,
            budget: expanded.map(budget).unwrap_or_default(),
            limits: Limits { min, max },
            rule: "conformance-probability95".into(),
            conformance_probability: p,
            decision,
            reason: (!reason.is_empty()).then(|| reason.into()),
            zone: None,
            evidence: vec![evidence::DEVIATION.into()],
        })
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn case(mesh: &Mesh, options: Options) -> Case {
    let values = cage_deviation(mesh);
    let limits = Some([-0.1, 0.1]);
    let range = evidence::display_range_mm(&values, limits);
    let summary = DeviationSummary::of(mesh, &values, limits, range);
    let worst = summary.worst.unwrap();
    let mark = Mark { point: Point3::from(worst.point_mm), label: WORST_MARK.into() };
    let sheet = deviation_views(mesh, &values, range, &[mark], options).unwrap();
    let files = BTreeMap::from([
        (evidence::DEVIATION.to_string(), serde_json::to_vec(&summary).unwrap()),
        (evidence::DEVIATION_VIEWS.to_string(), sheet.png),
        (evidence::DEVIATION_VIEWS_LAYOUT.to_string(), serde_json::to_vec(&sheet.layout).unwrap()),
    ]);
    let record = |(name, bytes): (&String, &Vec<u8>)| EvidenceRecord {
        name: name.clone(),
        media_type: if name.ends_with("png") { "image/png" } else { "application/json" }.into(),
        bytes: bytes.len() as u64,
        sha256: digest(bytes),
    };
    let input = |role: &str, name: &str, bytes: u64, read| InputRecord {
        role: role.into(),
        name: name.into(),
        bytes,
        sha256: digest(name.as_bytes()),
        read,
    };
    let payload = Payload {
        schema: SCHEMA.into(),
        id: "0199d3a4-6d7e-7c31-9f0a-5b2c8e4417aa".into(),
        issued: "2026-10-12T08:14:02Z".into(),
        order: OrderRecord {
            sha256: digest(b"order"),
            fields: Header {
                id: "ORD-2026-0417".into(),
                device: "Lumbar interbody cage, patient-specific 腰椎椎间融合器".into(),
                device_id: "(01)06901234567892(21)C-0417".into(),
                device_class: DeviceClass::Customised,
                implantable: true,
                patient: "P-7f3a".into(),
                image_acquired: "2026-10-02".into(),
                design_completed: "2026-10-09".into(),
            },
        },
        inputs: vec![
            input(
                "nominal",
                "design.stl",
                4_812_084,
                serde_json::json!({"format": "stl", "vertices": 48121, "triangles": 96242, "closed": true, "volume_mm3": 2814.3}),
            ),
            input(
                "actual",
                "ct",
                89_128_960,
                serde_json::json!({"format": "dicom", "modality": "CT", "dims": [512, 512, 170], "spacing_mm": [0.08, 0.08, 0.08], "voxel_type": "u16"}),
            ),
        ],
        required_signatures: REQUIRED_SIGNATURES.to_vec(),
        findings: vec![
            Finding::qualify(
                "ct.saturated",
                "0.4 % of the voxels stand at the largest code 4095: the material plateau is cut, iso-50 reads up to 0.01 mm outside",
            )
            .clause("9.3.4")
            .about("ct"),
            Finding::note("ct.tilted", "the slices are sheared by 0.3 degrees; the grid keeps it"),
        ],
        alignment: Some(AlignmentRecord {
            proof: None,
            achievable: vec![],
            method: "best-fit".into(),
            nominal_from_actual: [
                [0.999214, -0.036102, 0.015733, 12.40117],
                [0.035925, 0.999289, 0.011437, -3.22751],
                [-0.016135, -0.010863, 0.999811, 0.88432],
                [0.0, 0.0, 0.0, 1.0],
            ],
            ambiguous: false,
            ambiguities: vec![],
            rms_mm: Some(0.031742),
            converged: Some(true),
            iterations: 14,
        }),
        results: results(),
        decision: Decision::DoesNotConform,
        evidence: files.iter().map(record).collect(),
        retention: Retention { clause: "5.4.5".into(), class: "permanent".into(), years: None },
        predecessor: None,
        provenance: Provenance {
            version: "0.1.0".into(),
            source_revision: "9c5e14a1f0".into(),
            methods: BTreeMap::from([("alignment".into(), "1".into()), ("distance".into(), "1".into()), ("surface".into(), "1".into())]),
            backend: "cpu".into(),
            driver: String::new(),
            notes: vec!["no GPU adapter: auto took the CPU".into()],
            parameters: serde_json::json!({"surface": "adaptive", "components": "largest", "scale_uncertainty": 0.0005}),
            seeds: vec![417],
            seconds: BTreeMap::from([("load".into(), 1.82), ("surface".into(), 6.41), ("align".into(), 2.73), ("total".into(), 14.92)]),
        },
    };
    Case { payload, files }
}

fn small_case() -> Case {
    case(&cage(90, 36), small())
}

#[test]
fn the_page_holds_every_number_and_word_of_the_payload() {
    let case = case(&cage(400, 160), Options::default());
    let page = case.page();
    // For looking at: screen and paper are judged by eye.
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"), &page).unwrap();
    for r in &case.payload.results {
        let limits = [r.limits.min, r.limits.max];
        let budget = r.budget.iter().map(|c| Some(c.u));
        for x in [r.value, r.expanded_uncertainty, r.conformance_probability].into_iter().chain(limits).chain(budget).flatten() {
            assert!(page.contains(&format!("title=\"{x}\"")), "{x} of {}", r.requirement);
        }
        for text in [&r.requirement, &r.clause, &r.quantity].into_iter().chain(&r.region).chain(&r.reason) {
            assert!(page.contains(text.as_str()), "{text}");
        }
    }
    for x in case.payload.alignment.as_ref().unwrap().nominal_from_actual.iter().flatten() {
        assert!(page.contains(&format!("title=\"{x}\"")));
    }
    let order = &case.payload.order.fields;
    for text in
        [&order.id, &order.device, &order.device_id, &order.patient, &order.image_acquired, &order.design_completed, &case.payload.id]
    {
        assert!(page.contains(text.as_str()), "{text}");
    }
    for sha256 in case.payload.inputs.iter().map(|i| &i.sha256).chain(case.payload.evidence.iter().map(|e| &e.sha256)) {
        assert!(page.contains(sha256.as_str()));
    }
    for word in ["不符合", "合格", "无法判定", "未能测量", "允差", "匹配度", "孔隙结构", "0.058", "±\u{202f}", "+0.1"]
    {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn a_hostile_name_stays_text() {
    let mut case = small_case();
    let evil = "</title></style><script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;";
    let header = &mut case.payload.order.fields;
    for field in [
        &mut header.id,
        &mut header.device,
        &mut header.device_id,
        &mut header.patient,
        &mut header.image_acquired,
        &mut header.design_completed,
    ] {
        *field = evil.into();
    }
    case.payload.id = evil.into();
    case.payload.issued = evil.into();
    for input in &mut case.payload.inputs {
        (input.name, input.role, input.read) = (evil.into(), evil.into(), serde_json::json!({ evil: [evil, { evil: evil }] }));
    }
    for r in &mut case.payload.results {
        (r.requirement, r.clause, r.quantity, r.rule) = (evil.into(), evil.into(), evil.into(), evil.into());
        (r.region, r.reason, r.unit) = (Some(evil.into()), Some(evil.into()), evil.into());
        r.budget.iter_mut().for_each(|c| c.name = evil.into());
    }
    case.payload.findings.push(Finding::note(evil, evil).clause(evil).about(evil));
    case.payload.provenance.notes.push(evil.into());
    case.payload.provenance.parameters = serde_json::json!({ evil: evil });
    case.payload.retention.class = evil.into();
    let signature = SignatureLine {
        kid: evil.into(),
        role: evil.into(),
        signed_at: Some(evil.into()),
        algorithm: evil.into(),
        holds: false,
        note: Some(evil.into()),
    };
    let page = report::html(&case.payload, &[signature], &|name| case.files.get(name).cloned()).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img") && page.contains("&lt;script&gt;"));
    assert_eq!(page.matches("</style>").count(), 1);
    assert_balanced(&page);
}

#[test]
fn the_page_fetches_nothing() {
    let page = small_case().page();
    let (before, rest) = page.split_once("data:image/png;base64,").unwrap();
    let written = format!("{before}{}", rest.split_once('"').unwrap().1);
    for forbidden in ["http:", "https:", "//", "<link", "<iframe", "@import", "javascript:"] {
        assert!(!written.contains(forbidden), "{forbidden}");
    }
    assert!(page.matches("href=").count() == 1 && page.contains("href=\"data:image/png;base64,"));
    // The policy admits exactly the style that is there.
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    use base64::Engine;
    let pinned = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style.as_bytes()));
    assert!(page.contains(&format!("style-src &#39;sha256-{pinned}&#39;")) || page.contains(&format!("style-src 'sha256-{pinned}'")));
    assert!(!page.contains(" style=\""), "style attributes are outside the policy");
}

#[test]
fn every_tag_is_closed_where_it_should_be() {
    assert_balanced(&small_case().page());
}

#[test]
fn altered_evidence_is_withheld_and_named() {
    let mut case = small_case();
    let byte = case.files.get_mut(evidence::DEVIATION_VIEWS).unwrap().last_mut().unwrap();
    *byte ^= 1;
    case.files.remove(evidence::DEVIATION);
    let page = case.page();
    assert!(!page.contains("data:image/png"));
    assert!(page.matches("withheld").count() == 2 && page.contains(evidence::DEVIATION_VIEWS));
}

#[test]
fn a_case_without_evidence_alignment_or_results_still_has_a_page() {
    let mut case = small_case();
    case.payload.evidence.clear();
    case.payload.alignment = None;
    case.payload.results.clear();
    case.payload.findings.clear();
    let page = report::html(&case.payload, &[], &|_| None).unwrap();
    assert_balanced(&page);
    assert!(page.contains("Nobody has signed yet") && !page.contains("id=\"deviation\""));
}

/// Every element is closed by its own end tag, in order; void elements have none.
fn assert_balanced(page: &str) {
    const VOID: [&str; 4] = ["meta", "br", "img", "hr"];
    let body = page.split_once("<style>").map(|(a, b)| format!("{a}{}", b.split_once("</style>").unwrap().1)).unwrap();
    let mut open: Vec<&str> = Vec::new();
    for tag in body.split('<').skip(1).map(|t| t.split_once('>').expect("a tag ends").0) {
        let name = tag.trim_start_matches('/').split(|c: char| c.is_whitespace() || c == '/').next().unwrap();
        if tag.starts_with('!') || tag.ends_with('/') || VOID.contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closing {name}");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}
