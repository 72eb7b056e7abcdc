//! From (order, files, backend) to a judgement payload.
//!
//! ```text
//! order + bytes -> io -> nominal, actual -> segment -> surface -> align -> measure -> decide -> payload
//! ```
//!
//! Rooms, in the order of their imports (each names only rooms before it):
//! [`pages`] [`error`] [`finding`] [`sum`] [`noise`] `forest` `linear` [`frame`] [`runtime`] what everything speaks · [`gpu`] the one
//! place that names the GPU library · [`volume`] [`mesh`] valid data · [`io`] foreign bytes to valid data · [`kernels`] one per shader, CPU and GPU
//! side by side · [`render`] [`evidence`] pictures and summaries · [`segment`] [`surface`] volume to mesh · [`distance`] [`health`]
//! [`inspect`] [`align`] [`shrinkage`] mesh to mesh · [`region`] [`solid`] [`porosity`] [`pores`] · [`uncertainty`] [`deviation`]
//! [`section`] [`features`] fields, shapes, and how sure they are · [`phantom`] parts of known truth · [`lattice`] struts · [`order`]
//! [`judgement`] [`decide`] documents · [`case`] what quantities share · [`quantities`]
//! the catalogue · [`load`] [`judge`] [`measure`] the entries.
//!
//! Invariants: the GPU narrows and f64 settles, so judged numbers are the same bits on every backend, thread count and run;
//! errors, *not measured* and *does not conform* never mix; clocks, keys, HTTP and the environment live in the server.

pub mod align;
pub mod case;
pub mod decide;
pub mod deviation;
pub mod distance;
pub mod error;
pub mod evidence;
pub mod features;
pub mod finding;
mod forest;
pub mod frame;
pub mod gpu;
pub mod health;
pub mod inspect;
pub mod io;
pub mod judge;
pub mod judgement;
pub mod kernels;
pub mod lattice;
mod linear;
pub mod load;
pub mod measure;
pub mod mesh;
pub mod noise;
pub mod order;
pub mod pages;
pub mod phantom;
pub mod pores;
pub mod porosity;
pub mod quantities;
pub mod region;
pub mod render;
pub mod runtime;
pub mod section;
pub mod segment;
pub mod shrinkage;
pub mod solid;
pub mod sum;
pub mod surface;
pub mod uncertainty;
pub mod volume;

pub use error::{Class, Error};
