//! How requests to receivers went, for the metrics: how long they took, and which addresses of a receiver with several took
//! the last one. Lives as long as the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patrol_core::engine::Snapshot;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec};

use crate::metrics::Families;

/// Requests to receivers. Clones share one account.
#[derive(Clone)]
pub struct Requests {
    seconds: HistogramVec,
    /// By receiver, in the order of its addresses: whether each accepted.
    targets: Arc<Mutex<BTreeMap<String, Vec<bool>>>>,
}

impl Requests {
    /// An account without entries.
    ///
    /// # Errors
    /// When the metric's name or label is no valid one, which a test excludes.
    pub fn new() -> Result<Self, prometheus::Error> {
        let name = crate::metrics::full(REQUEST_SECONDS);
        let options = HistogramOpts::new(name, REQUEST_SECONDS_HELP);
        let buckets = vec![0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0];
        Ok(Self {
            seconds: HistogramVec::new(options.buckets(buckets), &["receiver"])?,
            targets: Arc::default(),
        })
    }

    /// Adds them to a scrape; those of receivers that are no more are forgotten.
    pub fn export(&self, families: &mut Families, snapshot: &Snapshot) {
        let is_there = |name: &str| snapshot.receivers.iter().any(|r| r.name == name);
        let gone: Vec<String> = self
            .seconds
            .collect()
            .iter()
            .flat_map(|family| family.get_metric())
            .flat_map(|metric| metric.get_label())
            .map(|label| label.value().to_owned())
            .filter(|name| !is_there(name))
            .collect();
        for name in gone {
            // Forgotten by another scrape is forgotten, too.
            let _ = self.seconds.remove_label_values(&[&name]);
        }
        families.keep(
            "histogram",
            REQUEST_SECONDS,
            REQUEST_SECONDS_HELP,
            &["receiver"],
            &self.seconds,
        );
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|name, _| is_there(name));
        let rows = targets.iter().flat_map(|(name, accepted)| {
            let row = |(place, accepted): (usize, &bool)| {
                ([name.clone(), place.to_string()], u64::from(*accepted))
            };
            accepted.iter().enumerate().map(row)
        });
        families.counts(TARGETS, TARGETS_HELP, ["receiver", "target"], rows);
    }

    /// One more request.
    pub fn took(&self, receiver: &str, time: Duration) {
        self.seconds
            .with_label_values(&[receiver])
            .observe(time.as_secs_f64());
    }

    /// Which addresses of a receiver accepted, in their order.
    pub fn answered(&self, receiver: &str, accepted: Vec<bool>) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.insert(receiver.to_owned(), accepted);
    }
}

const REQUEST_SECONDS: &str = "notify_request_seconds";
const REQUEST_SECONDS_HELP: &str = "Seconds that a request to a receiver took, by receiver.";
const TARGETS: &str = "notify_targets";
const TARGETS_HELP: &str = "1 for each address of an Alertmanager receiver that accepted the last message, 0 for each that did not, by receiver and place in its list of addresses, from 0.";
