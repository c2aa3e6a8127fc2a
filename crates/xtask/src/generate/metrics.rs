//! The reference of the metrics, from the families that a scrape is made of.

use std::fmt::Write as _;

use kube_patrol::cli;

use super::{Artefact, cell, markdown};
use crate::Failure;

/// `docs/reference/metrics.md`.
pub(super) fn file() -> Result<Artefact, Failure> {
    let mut all = cli::described_metrics();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = markdown("Metrics", "crates/kube-patrol");
    out.push_str(
        "\nServed at `/metrics`, `:8080` in a cluster. Every replica serves them; the leader's are the \
         ones to act on (`and on (job, instance) patrol_leader == 1`). No label holds the name of an \
         object other than a policy or a receiver. A family without rows is left out.\n\n\
         | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for metric in all {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind,
            labels.join(", "),
            cell(&metric.help)
        )?;
    }
    Ok(Artefact {
        path: "docs/reference/metrics.md".into(),
        text: out,
    })
}
