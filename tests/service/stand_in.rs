//! Engines that do as they are told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use verimetry_engine::Error;
use verimetry_engine::judge::Judged;
use verimetry_engine::judgement::*;
use verimetry_engine::order;
use verimetry_engine::runtime::Runtime;

pub const NOTE: &[u8] = b"measured by a stand-in\n";

/// The file that opens the gate of a data folder.
pub fn gate(data: &Path) -> PathBuf {
    data.join("gate-is-open")
}

fn gate_of_order(order_file: &Path) -> PathBuf {
    // DATA/jobs/ID/inputs/order.toml
    gate(order_file.ancestors().nth(4).unwrap())
}

/// Reads the order and its nominal, and finds everything as ordered.
pub fn conforming(order_file: &Path, stamp: Stamp, rt: &Runtime) -> Result<Judged, Error> {
    rt.step("measure", 0.5)?;
    let bytes = std::fs::read(order_file).unwrap();
    let order = order::parse(&bytes, "order")?;
    assert!(order_file.with_file_name(&order.nominal.file).is_file() && order_file.with_file_name(&order.actual.file).exists());
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let payload = Payload {
        schema: SCHEMA.into(),
        id: stamp.id,
        issued: stamp.issued,
        order: OrderRecord { sha256: hex(&bytes), fields: order.order },
        inputs: vec![],
        findings: vec![],
        alignment: None,
        results: vec![],
        decision: Decision::Conforms,
        evidence: vec![EvidenceRecord {
            name: "note.txt".into(),
            media_type: "text/plain".into(),
            bytes: NOTE.len() as u64,
            sha256: hex(NOTE),
        }],
        retention: Retention { clause: "5.4.5".into(), class: "permanent".into(), years: None },
        predecessor: stamp.predecessor,
        required_signatures: REQUIRED_SIGNATURES.to_vec(),
        provenance: Provenance {
            version: "0".into(),
            source_revision: stamp.source_revision,
            methods: BTreeMap::new(),
            backend: rt.backend_name(),
            driver: String::new(),
            notes: vec![],
            parameters: serde_json::json!({}),
            seeds: vec![],
            seconds: BTreeMap::new(),
        },
    };
    Ok(Judged { payload, evidence: vec![Evidence { name: "note.txt".into(), media_type: "text/plain", bytes: NOTE.to_vec() }] })
}

/// Computes until the gate is opened or the run is cancelled.
pub fn gated(order_file: &Path, stamp: Stamp, rt: &Runtime) -> Result<Judged, Error> {
    while !gate_of_order(order_file).exists() {
        rt.step("measure", 0.5)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    conforming(order_file, stamp, rt)
}

pub fn refusing(_: &Path, _: Stamp, _: &Runtime) -> Result<Judged, Error> {
    Err(Error::input("mesh.empty", "design.stl has no triangle; give a mesh"))
}

/// Panics until the gate is opened.
pub fn panicking_at_first(order_file: &Path, stamp: Stamp, rt: &Runtime) -> Result<Judged, Error> {
    assert!(gate_of_order(order_file).exists(), "as asked");
    conforming(order_file, stamp, rt)
}
