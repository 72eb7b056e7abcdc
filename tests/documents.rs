//! Orders, decisions, payloads, signatures, keys: what is accepted, what is refused and by which code.

#[path = "documents/decisions.rs"]
mod decisions;
#[path = "documents/orders.rs"]
mod orders;
#[path = "documents/payloads.rs"]
mod payloads;
#[path = "documents/signatures.rs"]
mod signatures;
#[path = "documents/tampering.rs"]
mod tampering;
#[path = "documents/vectors.rs"]
mod vectors;
