#[global_allocator]
static ALLOCATOR: verimetry_server::LargePages = verimetry_server::LargePages;

fn main() -> std::process::ExitCode {
    verimetry_server::run()
}
