//! Makes the bundled files of `testdata` again, bit for bit: `cargo run --release --example testdata [FOLDER]`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("testdata"), PathBuf::from);
    match make(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn make(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, bytes) in verimetry_engine::phantom::bundled()? {
        let path = folder.join(&name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, &bytes)?;
        println!("{name}: {} bytes", bytes.len());
    }
    Ok(())
}
