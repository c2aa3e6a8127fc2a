//! Metric families: names with the product's prefix, rows of labels and values. It knows
//! nothing of what is counted.

use patrol_core::engine::Distribution;
use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGaugeVec, Opts, proto};

/// A metric as the reference names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its whole name.
    pub name: String,
    /// `gauge`, `counter` or `histogram`.
    pub kind: &'static str,
    /// What it says.
    pub help: String,
    /// Its labels.
    pub labels: Vec<String>,
}

/// Metric families in the making.
#[derive(Default)]
pub struct Families {
    families: Vec<proto::MetricFamily>,
    described: Vec<Described>,
}

impl Families {
    /// A gauge family: rows of label values and a value.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([String; N], f64)>,
    ) {
        let Ok(family) = GaugeVec::new(Opts::new(full(name), help), &labels) else {
            return;
        };
        for (values, value) in rows {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            family.with_label_values(&values).set(value);
        }
        self.keep("gauge", name, help, &labels, &family);
    }

    /// A counter family: rows of label values and a count.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([String; N], u64)>,
    ) {
        let Ok(family) = IntCounterVec::new(Opts::new(full(name), help), &labels) else {
            return;
        };
        for (values, value) in rows {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            family.with_label_values(&values).inc_by(value);
        }
        self.keep("counter", name, help, &labels, &family);
    }

    /// A gauge family of whole numbers.
    pub fn counts<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([String; N], u64)>,
    ) {
        let Ok(family) = IntGaugeVec::new(Opts::new(full(name), help), &labels) else {
            return;
        };
        for (values, value) in rows {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            family
                .with_label_values(&values)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.keep("gauge", name, help, &labels, &family);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        if let Ok(gauge) = Gauge::with_opts(Opts::new(full(name), help)) {
            gauge.set(value);
            self.keep("gauge", name, help, &[], &gauge);
        }
    }

    /// A histogram family from distributions in seconds, by one label.
    pub fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        rows: impl IntoIterator<Item = (String, &'a Distribution)>,
    ) {
        let metrics: Vec<proto::Metric> = rows
            .into_iter()
            .map(|(value, distribution)| histogram(label, value, distribution))
            .collect();
        let mut family = proto::MetricFamily::default();
        family.set_name(full(name));
        family.set_help(help.to_owned());
        family.set_field_type(proto::MetricType::HISTOGRAM);
        family.set_metric(metrics);
        self.families.push(family);
        self.describe("histogram", name, help, &[label]);
    }

    /// The families, to be encoded.
    #[must_use]
    pub fn into_families(self) -> Vec<proto::MetricFamily> {
        self.families
    }

    /// What was made so far, for the reference.
    #[must_use]
    pub fn described(self) -> Vec<Described> {
        self.described
    }

    /// A family that was collected elsewhere, such as a histogram fed where it happens.
    pub fn keep(
        &mut self,
        kind: &'static str,
        name: &str,
        help: &str,
        labels: &[&str],
        family: &dyn Collector,
    ) {
        self.families.extend(family.collect());
        self.describe(kind, name, help, labels);
    }

    fn describe(&mut self, kind: &'static str, name: &str, help: &str, labels: &[&str]) {
        self.described.push(Described {
            name: full(name),
            kind,
            help: help.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        });
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "bounds and sums of seconds are far below 2^52"
)]
fn histogram(label: &str, value: String, distribution: &Distribution) -> proto::Metric {
    let mut pair = proto::LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(value);
    let buckets = distribution
        .cumulative()
        .map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound as f64);
            bucket.set_cumulative_count(count);
            bucket
        })
        .collect();
    let mut histogram = proto::Histogram::default();
    histogram.set_sample_count(distribution.count());
    histogram.set_sample_sum(distribution.sum() as f64);
    histogram.set_bucket(buckets);
    let mut metric = proto::Metric::default();
    metric.set_label(vec![pair]);
    metric.set_histogram(histogram);
    metric
}

/// The whole name of a metric.
#[must_use]
pub fn full(name: &str) -> String {
    format!("patrol_{name}")
}
