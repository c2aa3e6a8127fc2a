//! Prints the definitions as a JSON list.
fn main() {
    let _ = serde_json::to_writer_pretty(std::io::stdout(), &patrol_api::crd::crds());
}
