use std::path::Path;

use proptest::prelude::*;
use verimetry_engine::order::{self, MAX_BYTES, Order, Shape, SurfaceName, SurfaceOrder};

const FULL: &str = r#"
schema = "verimetry/order/1"
accept = ["ct.uneven_spacing"]

[order]
id = "ORD-2026-0417"
device = "Lumbar interbody cage, patient-specific"
device_id = "(01)06901234567892(21)C-0417"
device_class = "customised"
implantable = true
patient = "P-7f3a"
image_acquired = "2024-02-29"
design_completed = "2026-10-09"

[nominal]
file = "design.stl"
unit = "in"

[actual]
file = "ct/"
surface = 400
scale_uncertainty = 0.0005

[site]
file = "anatomy/vertebra.stl"

[alignment]
method = "best-fit"
region = "终板"

[declared]
shrinkage = [1.2, 1.2, 1.6]

[[region]]
name = "终板"
shape = { box = { min = [0, 0, 8], max = [20, 30, 10] } }

[[region]]
name = "bone side"
shape = { mesh = "endplate.stl" }

[[feature]]
name = "screw_hole"
fit = "cylinder"
region = "bone side"

[[requirement]]
id = "T1"
clause = "8.3.2.1 a)"
quantity = "deviation.abs_p99"
region = "终板"
max = 0.1

[[requirement]]
id = "T2"
clause = "8.3.2.1 a)"
quantity = "dimension.screw_hole.diameter"
nominal = 5
tolerance = [-0.1, 0.2]

[[requirement]]
id = "T3"
clause = "8.3.2.1 c)"
quantity = "shrinkage.x"
nominal = 1.25
tolerance = 0.25
key = true

[decision]
rule = "simple-acceptance"
"#;

fn code_of(bytes: &[u8]) -> &'static str {
    match order::parse(bytes, "order") {
        Ok(_) => "accepted",
        Err(e) => e.code(),
    }
}

#[test]
fn an_order_says_the_same_in_toml_and_in_json() {
    let from_toml = order::parse(FULL.as_bytes(), "o.toml").unwrap();
    let json = serde_json::to_vec_pretty(&from_toml).unwrap();
    assert_eq!(order::parse(&json, "o.json").unwrap(), from_toml);
    let with_mark = [b"\xef\xbb\xbf".as_slice(), FULL.as_bytes()].concat();
    assert_eq!(order::parse(&with_mark, "o.toml").unwrap(), from_toml);

    assert_eq!(from_toml.actual.surface, SurfaceOrder::Value(400.0));
    assert_eq!(from_toml.nominal.unit.millimetres(), 25.4);
    assert!(matches!(from_toml.region[1].shape, Shape::Mesh(ref file) if file == "endplate.stl"));
}

#[test]
fn what_an_order_leaves_out_has_its_default() {
    let text = FULL.replace("surface = 400\nscale_uncertainty = 0.0005\n", "").replace("method = \"best-fit\"\n", "");
    let order = order::parse(text.as_bytes(), "o").unwrap();
    assert_eq!(order.actual.surface, SurfaceOrder::Named(SurfaceName::Adaptive));
    assert_eq!(order.actual.scale_uncertainty, 0.003);
    assert_eq!(order.alignment.method, order::AlignmentMethod::BestFit);
}

#[test]
fn limits_are_the_same_whichever_way_they_are_given() {
    let order = order::parse(FULL.as_bytes(), "o").unwrap();
    let limits: Vec<_> = order.requirement.iter().map(|r| (r.limits().min, r.limits().max)).collect();
    assert_eq!(limits, [(None, Some(0.1)), (Some(4.9), Some(5.2)), (Some(1.0), Some(1.5))]);
}

#[test]
fn every_broken_order_is_refused_by_its_code() {
    let expected = [
        ("alignment_in_unknown_region.toml", "order.region_unknown"),
        ("another_schema.toml", "order.schema"),
        ("another_schema_with_other_keys.json", "order.schema"),
        ("box_reversed.toml", "order.value"),
        ("cut_short.json", "order.syntax"),
        ("cylinder_without_axis.toml", "order.value"),
        ("date_without_quotes.toml", "order.type"),
        ("empty.toml", "order.missing_key"),
        ("feature_in_unknown_region.toml", "order.region_unknown"),
        ("feature_twice.toml", "order.duplicate"),
        ("key_twice.json", "order.duplicate"),
        ("key_twice.toml", "order.duplicate"),
        ("limit_infinite.toml", "order.requirement_limits"),
        ("limit_not_a_number.toml", "order.requirement_limits"),
        ("limits_reversed.toml", "order.requirement_limits"),
        ("limits_two_ways.toml", "order.requirement_limits"),
        ("missing_key.json", "order.missing_key"),
        ("missing_key.toml", "order.missing_key"),
        ("name_with_control_character.toml", "order.value"),
        ("nested_too_deep.json", "order.syntax"),
        ("nested_too_deep.toml", "order.syntax"),
        ("no_limit.toml", "order.requirement_limits"),
        ("no_such_day.toml", "order.value"),
        ("nominal_without_tolerance.toml", "order.requirement_limits"),
        ("not_utf8.toml", "order.encoding"),
        ("offsets_reversed.toml", "order.requirement_limits"),
        ("path_absolute.toml", "order.path"),
        ("path_empty.toml", "order.path"),
        ("path_of_region_to_parent.toml", "order.path"),
        ("path_to_parent.toml", "order.path"),
        ("path_with_backslash.toml", "order.path"),
        ("path_with_drive.toml", "order.path"),
        ("path_with_nul.toml", "order.path"),
        ("patient_by_name.toml", "order.value"),
        ("radius_zero.toml", "order.value"),
        ("region_twice.toml", "order.duplicate"),
        ("requirement_in_unknown_region.toml", "order.region_unknown"),
        ("requirement_twice.toml", "order.duplicate"),
        ("scale_uncertainty_below_zero.toml", "order.value"),
        ("something_after_the_end.json", "order.syntax"),
        ("syntax.json", "order.syntax"),
        ("syntax.toml", "order.syntax"),
        ("tolerance_below_zero.toml", "order.requirement_limits"),
        ("tolerance_of_three.toml", "order.type"),
        ("tolerance_without_nominal.toml", "order.requirement_limits"),
        ("two_shapes.toml", "order.type"),
        ("unknown_key.json", "order.unknown_key"),
        ("unknown_key.toml", "order.unknown_key"),
        ("unknown_key_in_shape.toml", "order.unknown_key"),
        ("unknown_shape.toml", "order.type"),
        ("unknown_surface.toml", "order.type"),
        ("wrong_type.json", "order.type"),
        ("wrong_type.toml", "order.type"),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/broken/orders");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let error = order::parse(&std::fs::read(entry.path()).unwrap(), &name).expect_err(&name);
        let message = error.to_string();
        assert!(message.starts_with(&name) && message.len() < 800 && !message.contains(char::is_control), "{message}");
        println!("{message} [{}]", error.code());
        found.push((name, error.code()));
    }
    found.sort();
    let found: Vec<_> = found.iter().map(|(name, code)| (name.as_str(), *code)).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_order_of_more_than_a_mebibyte_is_refused_unread() {
    let long = format!("{FULL}\n#{}", "x".repeat(MAX_BYTES));
    assert_eq!(code_of(long.as_bytes()), "order.too_large");
}

#[test]
fn an_error_says_where_and_what_is_allowed() {
    let text = FULL.replace("max = 0.1", "maximum = 0.1");
    let message = order::parse(text.as_bytes(), "o.toml").unwrap_err().to_string();
    let line = text.lines().position(|l| l.starts_with("maximum")).unwrap() + 1;
    assert!(message.contains(&format!("line {line}, column 1")) && message.contains("requirement[0]"), "{message}");
    assert!(message.contains("`maximum`") && message.contains("`max`"), "{message}");
}

#[test]
fn a_quantity_the_catalogue_lacks_is_named_with_its_requirement() {
    let order = order::parse(FULL.as_bytes(), "o").unwrap();
    assert!(order.with_known_quantities("o", |_| true).is_ok());
    let e = order.with_known_quantities("o", |q| q != "shrinkage.x").unwrap_err();
    assert_eq!(e.code(), "order.quantity_unknown");
    assert!(e.to_string().contains("\"T3\"") && e.to_string().contains("\"shrinkage.x\""), "{e}");
}

#[test]
fn the_schema_lists_the_keys_of_an_order_and_allows_no_others() {
    fn every_object_is_closed(schema: &serde_json::Value, at: &str) {
        if let Some(properties) = schema.get("properties") {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            assert!(!properties.as_object().unwrap().is_empty());
        }
        match schema {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(k, v)| every_object_is_closed(v, &format!("{at}/{k}"))),
            serde_json::Value::Array(items) => items.iter().for_each(|v| every_object_is_closed(v, at)),
            _ => {}
        }
    }
    let schema = order::schema();
    every_object_is_closed(&schema, "");
    let written = serde_json::to_value(order::parse(FULL.as_bytes(), "o").unwrap()).unwrap();
    let written = written.as_object().unwrap();
    assert!(written.keys().all(|key| schema["properties"].get(key).is_some()));
    assert!(schema["required"].as_array().unwrap().iter().all(|key| written.contains_key(key.as_str().unwrap())));
}

#[test]
fn paths_resolve_below_the_order_and_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "s").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("ct")).unwrap();
    std::fs::write(root.join("ct/1.dcm"), "x").unwrap();
    assert_eq!(order::resolve(&root, "ct/1.dcm").unwrap(), root.join("ct/1.dcm"));
    assert_eq!(order::resolve(&root, "./ct/").unwrap(), root.join("ct"));
    let code = |path: &str| order::resolve(&root, path).unwrap_err().code();
    assert_eq!(code("ct/2.dcm"), "order.file");
    assert_eq!(code("../x"), "order.path");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(root.join("ct/1.dcm"), root.join("inside")).unwrap();
        assert!(order::resolve(&root, "inside").is_ok());
        symlink(outside.path().join("secret"), root.join("link")).unwrap();
        assert_eq!(code("link"), "order.path");
        symlink(outside.path(), root.join("ct/more")).unwrap();
        assert_eq!(code("ct"), "order.path");
        assert_eq!(code("ct/more/secret"), "order.path");
    }
}

/// One change that a careless or hostile hand could make.
fn mutated(mut bytes: Vec<u8>, (kind, at, value): (u8, usize, u8)) -> Vec<u8> {
    let at = at % bytes.len().max(1);
    match kind % 4 {
        0 if at < bytes.len() => bytes[at] = value,
        1 => bytes.insert(at, value),
        2 => bytes.truncate(at),
        _ => {
            let slice = bytes[at..(at + usize::from(value)).min(bytes.len())].to_vec();
            bytes.splice(at..at, slice);
        }
    }
    bytes
}

fn holds_what_is_promised(order: &Order) -> bool {
    let sound = |r: &order::Requirement| {
        let l = r.limits();
        (l.min.is_some() || l.max.is_some())
            && l.min.into_iter().chain(l.max).all(f64::is_finite)
            && l.min.zip(l.max).is_none_or(|(min, max)| min <= max)
    };
    order.requirement.iter().all(sound) && order::refused_path(&order.actual.file).is_none()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_an_order_panics_or_passes_unsound(json in any::<bool>(), changes in prop::collection::vec(any::<(u8, usize, u8)>(), 1..6)) {
        let order = order::parse(FULL.as_bytes(), "o").unwrap();
        let original = if json { serde_json::to_vec(&order).unwrap() } else { FULL.as_bytes().to_vec() };
        match order::parse(&changes.into_iter().fold(original, mutated), "o") {
            Ok(order) => prop_assert!(holds_what_is_promised(&order)),
            Err(e) => prop_assert!(e.code().starts_with("order.") && !e.to_string().contains('\n')),
        }
    }
}
