//! How long requests to receivers took, as a histogram that lives as long as the process.

use std::time::Duration;

use patrol_core::engine::Snapshot;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec};

use crate::metrics::Families;

/// How long requests took, by receiver. Clones share one account.
#[derive(Clone)]
pub struct Timings(HistogramVec);

impl Timings {
    /// An account without entries.
    ///
    /// # Errors
    /// When the metric's name or label is no valid one, which a test excludes.
    pub fn new() -> Result<Self, prometheus::Error> {
        let name = crate::metrics::full(REQUEST_SECONDS);
        let options = HistogramOpts::new(name, REQUEST_SECONDS_HELP);
        let buckets = vec![0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0];
        HistogramVec::new(options.buckets(buckets), &["receiver"]).map(Self)
    }

    /// Adds them to a scrape; those of receivers that are no more are forgotten.
    pub fn export(&self, families: &mut Families, snapshot: &Snapshot) {
        let gone: Vec<String> = self
            .0
            .collect()
            .iter()
            .flat_map(|family| family.get_metric())
            .flat_map(|metric| metric.get_label())
            .map(|label| label.value().to_owned())
            .filter(|name| !snapshot.receivers.iter().any(|r| r.name == *name))
            .collect();
        for name in gone {
            // Forgotten by another scrape is forgotten, too.
            let _ = self.0.remove_label_values(&[&name]);
        }
        families.keep(
            "histogram",
            REQUEST_SECONDS,
            REQUEST_SECONDS_HELP,
            &["receiver"],
            &self.0,
        );
    }

    /// One more request.
    pub fn add(&self, receiver: &str, took: Duration) {
        self.0
            .with_label_values(&[receiver])
            .observe(took.as_secs_f64());
    }
}

const REQUEST_SECONDS: &str = "notify_request_seconds";
const REQUEST_SECONDS_HELP: &str = "Seconds that a request to a receiver took, by receiver.";
