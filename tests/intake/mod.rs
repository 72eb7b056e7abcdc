//! Volumes as scanners and programs write them: what is read of each, what is found about it, and what it is refused with.

mod dicom;
mod formats;
mod hostile;
mod make;
mod real;
