//! Prometheus metrics, built when they are scraped from the engine's state. Series of
//! policies and receivers that are no more go with them, and no label holds more than one free-form value (policy or receiver).

use patrol_api::time::Time;
use patrol_core::clock::Now;
use patrol_core::engine::Snapshot;
use prometheus::{Encoder, TextEncoder};

mod engine;
mod families;

pub use families::{Described, Families, full};

/// Adds an edge's own metrics (watches, API requests).
pub type EdgeMetrics = Box<dyn Fn(&mut Families, &Snapshot) + Send + Sync>;

/// Turns snapshots into the text format.
pub struct Exporter {
    edge: Option<EdgeMetrics>,
}

/// Every metric of the engine, whether it has rows now or not.
#[must_use]
pub fn described() -> Vec<Described> {
    let now = Time::from_unix(0);
    let mut families = Families::default();
    engine::families(&mut families, &Snapshot::default(), now);
    families.described()
}

impl Exporter {
    /// With an edge's own metrics.
    #[must_use]
    pub fn new(edge: Option<EdgeMetrics>) -> Self {
        Self { edge }
    }

    /// The text of a scrape.
    #[must_use]
    pub fn text(&self, snapshot: &Snapshot, now: Now) -> String {
        let mut families = Families::default();
        engine::families(&mut families, snapshot, now.wall);
        if let Some(edge) = &self.edge {
            edge(&mut families, snapshot);
        }
        // A family without rows says nothing.
        let mut families = families.into_families();
        families.retain(|f| !f.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut out = Vec::new();
        // Encoding into memory fails only for a family without metrics, removed above.
        if TextEncoder::new().encode(&families, &mut out).is_err() {
            return String::new();
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
