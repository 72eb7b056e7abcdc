//! One file a kernel, its CPU path and its GPU path side by side; the shader of the same name lies in `shaders/`.
//!
//! Results are integers and the same on every backend; where they are proposals the file says so.
