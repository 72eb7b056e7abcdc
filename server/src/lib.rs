pub mod json;
pub mod jws;
pub mod keys;
pub mod verify;

pub fn run() {}
