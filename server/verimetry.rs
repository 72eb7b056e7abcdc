fn main() -> std::process::ExitCode {
    verimetry_server::run()
}
