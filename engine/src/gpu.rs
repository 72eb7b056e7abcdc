//! The only place that names wgpu.

/// An adapter with its device and queue.
pub struct Gpu {}

impl Gpu {
    pub fn name(&self) -> &str {
        "gpu"
    }
}
