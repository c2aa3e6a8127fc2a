//! kube-patrol
fn main() {}
