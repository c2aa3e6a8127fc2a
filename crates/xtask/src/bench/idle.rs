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
        let process = operator.id().to_string();
        let now = resident_of(&process).map_err(|e| e.to_string())?;
        most = most.max(now);
        match began.elapsed() >= SETTLE {
            true => Ok(now),
            false => Err("not over".to_owned()),
        }
    })?;
    operator.check_alive()?;
    let own = anonymous(operator.id())?;
    println!(
        "idle RSS of the operator in an empty cluster: {} after a minute, {} at most; {} of it is its own, the rest pages of \
         the binary and of libraries",
        megabytes(last),
        megabytes(most),
        megabytes(own)
    );
    Ok(())
}

/// Resident memory of a process that no file backs, in bytes.
fn anonymous(process: u32) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next());
    let kib: u64 = value.ok_or("no RssAnon in /proc")?.parse()?;
    Ok(kib * 1024)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
