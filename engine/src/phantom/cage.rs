//! cage
pub fn bundled() {}
