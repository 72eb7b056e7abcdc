//! Volumes and meshes as scanners and programs write them: what is read of each, what is found about it, and what it is refused with.

mod codecs;
mod dicom;
mod formats;
mod hostile;
mod jpeg;
mod make;
mod polygons;
mod real;
mod threemf;
