fn main() {
    verimetry_server::run()
}
