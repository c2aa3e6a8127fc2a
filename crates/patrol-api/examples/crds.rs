//! Prints the definitions as a JSON list.
fn main() {
    let list: Vec<_> = patrol_api::crd::crds()
        .iter()
        .map(patrol_api::crd::manifest)
        .collect();
    let _ = serde_json::to_writer_pretty(std::io::stdout(), &list);
}
