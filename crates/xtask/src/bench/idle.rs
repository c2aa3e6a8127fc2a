//! Size of the binary, and memory of the operator in an empty cluster.

use std::path::Path;
use std::time::Duration;

use patrol_e2e::control_plane::ControlPlane;
use patrol_e2e::operator::Process;

use super::store::resident_of;
use crate::Failure;

/// The operator settles for this long before its memory is read.
const SETTLE: Duration = Duration::from_secs(60);

/// Measures the binary.
pub fn run(binary: Option<&Path>) -> Result<(), Failure> {
    let binary = binary.ok_or(
        "--binary is missing: build with `cargo build --profile dist -p kube-patrol` and name the file",
    )?;
    let size = std::fs::metadata(binary)?.len();
    println!("binary: {:.1} MiB", size as f64 / 1_048_576.0);
    let plane = ControlPlane::builder().start()?;
    for crd in ["patrolpolicies", "tickets", "alertreceivers"] {
        let yaml = std::fs::read_to_string(format!("crds/kubepatrol.io_{crd}.yaml"))?;
        plane.apply(&yaml)?;
    }
    plane.create_namespace("kube-patrol")?;
    let operator = Process::builder()
        .program(binary)
        .args(["operator", "--listen", "127.0.0.1:0"])
        .kubeconfig(&plane.kubeconfig("admin")?)
        .spawn()?;
    std::thread::sleep(SETTLE);
    let rss = resident_of(&operator.id().to_string())?;
    println!(
        "idle RSS of the operator: {:.1} MiB",
        rss as f64 / 1_048_576.0
    );
    Ok(())
}
