pub mod report;

pub fn run() {}
