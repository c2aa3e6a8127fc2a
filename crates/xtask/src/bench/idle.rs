//! Size of the binary, and memory of the operator in an empty cluster.

use std::path::Path;
use std::time::{Duration, Instant};

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::{installed, wait_until};

use super::store::resident_of;
use crate::Failure;

/// The operator is watched for this long once it leads.
const SETTLE: Duration = Duration::from_secs(60);

/// Measures both.
pub fn run(binary: &Path) -> Result<(), Failure> {
    let size = std::fs::metadata(binary)?.len();
    println!("binary {}: {}", binary.display(), megabytes(size));
    let plane = ControlPlane::builder().start()?;
    installed::install(&plane)?;
    let mut operator = installed::operator(&plane, "bench")?
        .program(binary)
        .spawn()?;
    let lease = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{0}/leases/{0}",
        installed::NAMESPACE
    );
    wait_until(installed::SOON, "the operator to lead", || {
        plane.request(ADMIN, "GET", &lease, None)?.success()
    })?;
    let (began, mut most) = (Instant::now(), 0);
    let last = wait_until(SETTLE * 2, "a quiet minute", || {
        let now = resident_of(&operator.id().to_string()).map_err(|e| e.to_string())?;
        most = most.max(now);
        match began.elapsed() >= SETTLE {
            true => Ok(now),
            false => Err("not over".to_owned()),
        }
    })?;
    operator.check_alive()?;
    println!(
        "idle RSS of the operator in an empty cluster: {} after a minute, {} at most",
        megabytes(last),
        megabytes(most)
    );
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
