//! Prometheus metrics, built when they are scraped from the engine's state. No series can
//! go stale, and no label holds more than one free-form value (policy or receiver).

use patrol_api::time::Time;
use patrol_core::clock::Now;
use patrol_core::engine::Snapshot;
use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, GaugeVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder, proto};

/// Adds an edge's own metrics (watches, API requests).
pub type EdgeMetrics = Box<dyn Fn(&mut Families) + Send + Sync>;

/// Turns snapshots into the text format.
pub struct Exporter {
    edge: Option<EdgeMetrics>,
}

/// A metric as the reference names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its whole name.
    pub name: String,
    /// `gauge` or `counter`.
    pub kind: &'static str,
    /// What it says.
    pub help: String,
    /// Its labels.
    pub labels: Vec<String>,
}

/// Every metric of the engine, whether it has rows now or not.
#[must_use]
pub fn described() -> Vec<Described> {
    let now = Time::from_unix(0);
    let mut families = Families::default();
    engine(&mut families, &Snapshot::default(), now);
    families.described()
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

    fn counts<const N: usize>(
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

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        if let Ok(gauge) = Gauge::with_opts(Opts::new(full(name), help)) {
            gauge.set(value);
            self.keep("gauge", name, help, &[], &gauge);
        }
    }

    /// What was made so far, for the reference.
    #[must_use]
    pub fn described(self) -> Vec<Described> {
        self.described
    }

    fn keep(
        &mut self,
        kind: &'static str,
        name: &str,
        help: &str,
        labels: &[&str],
        family: &dyn Collector,
    ) {
        self.families.extend(family.collect());
        self.described.push(Described {
            name: full(name),
            kind,
            help: help.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        });
    }
}

fn full(name: &str) -> String {
    format!("patrol_{name}")
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 and their differences are far below 2^52"
)]
fn seconds(at: Time) -> f64 {
    at.unix() as f64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "ages in seconds are far below 2^52"
)]
fn age(since: Time, now: Time) -> f64 {
    now.since(since).as_secs() as f64
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
        engine(&mut families, snapshot, now.wall);
        if let Some(edge) = &self.edge {
            edge(&mut families);
        }
        // A family without rows says nothing.
        let mut families = families.families;
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

fn engine(families: &mut Families, snapshot: &Snapshot, now: Time) {
    process(families, snapshot);
    tickets(families, snapshot, now);
    patrols(families, snapshot);
    receivers(families, snapshot, now);
    kinds(families, snapshot, now);
}

fn process(families: &mut Families, s: &Snapshot) {
    families.gauge(
        "leader",
        "1 while this replica leads and so writes and sends.",
        f64::from(u8::from(s.leading)),
    );
    families.gauges(
        "build_info",
        "Always 1; the version is a label.",
        ["version"],
        [([env!("CARGO_PKG_VERSION").to_owned()], 1.0)],
    );
}

fn tickets(families: &mut Families, s: &Snapshot, now: Time) {
    families.counts(
        "tickets",
        "Tickets by policy, severity and phase.",
        ["policy", "severity", "phase"],
        s.tickets.iter().map(|((policy, severity, phase), n)| {
            (
                [policy.clone(), severity.to_string(), phase.to_string()],
                *n,
            )
        }),
    );
    families.gauges(
        "ticket_oldest_age_seconds",
        "Age of the oldest open episode, by policy and severity.",
        ["policy", "severity"],
        s.oldest_open.iter().map(|((policy, severity), opened)| {
            ([policy.clone(), severity.to_string()], age(*opened, now))
        }),
    );
    families.counts(
        "tickets_sla_breached",
        "Open tickets past their due time, by policy and severity.",
        ["policy", "severity"],
        s.overdue_tickets
            .iter()
            .map(|((policy, severity), n)| ([policy.clone(), severity.to_string()], *n)),
    );
    families.counts(
        "ticket_writes_waiting",
        "Ticket writes that wait for their turn.",
        [],
        [([], s.writes_waiting)],
    );
    families.counts(
        "tickets_overflowed",
        "Findings beyond maxPerCheck that are counted in aggregate tickets.",
        [],
        [([], s.overflowed)],
    );
    let c = &s.counters;
    families.counters(
        "tickets_opened_total",
        "Tickets opened, by policy and severity.",
        ["policy", "severity"],
        c.opened
            .iter()
            .map(|((policy, severity), n)| ([policy.clone(), severity.to_string()], *n)),
    );
    families.counters(
        "tickets_reopened_total",
        "Tickets that came back, by policy.",
        ["policy"],
        c.reopened.iter().map(|(policy, n)| ([policy.clone()], *n)),
    );
    families.counters(
        "tickets_resolved_total",
        "Tickets resolved, by policy, severity and resolution.",
        ["policy", "severity", "resolution"],
        c.resolved.iter().map(|((policy, severity, how), n)| {
            ([policy.clone(), severity.to_string(), how.to_string()], *n)
        }),
    );
    families.counters(
        "ticket_sla_breaches_total",
        "Due times passed, by policy and severity.",
        ["policy", "severity"],
        c.breached
            .iter()
            .map(|((policy, severity), n)| ([policy.clone(), severity.to_string()], *n)),
    );
    families.counters(
        "ticket_writes_total",
        "Ticket writes by operation and result.",
        ["op", "result"],
        c.writes
            .iter()
            .map(|((op, result), n)| ([(*op).to_owned(), (*result).to_owned()], *n)),
    );
    families.counters(
        "tickets_deleted_open_total",
        "Open tickets that someone deleted; they come back while their finding holds.",
        [],
        [([], c.tickets_deleted_open)],
    );
    families.counters(
        "ticket_statuses_restored_total",
        "Ticket statuses that someone edited and that were put back.",
        [],
        [([], c.statuses_restored)],
    );
}

fn patrols(families: &mut Families, s: &Snapshot) {
    families.gauges(
        "last_complete_patrol_timestamp_seconds",
        "When the last patrol finished that could see everything, by policy; 0 for never.",
        ["policy"],
        s.last_complete_patrol
            .iter()
            .map(|(policy, at)| ([policy.clone()], at.map_or(0.0, seconds))),
    );
    families.gauges(
        "patrol_overdue",
        "1 while no complete patrol finished within two periods, by policy.",
        ["policy"],
        s.last_complete_patrol.keys().map(|policy| {
            let overdue = s.overdue_policies.contains(policy);
            ([policy.clone()], f64::from(u8::from(overdue)))
        }),
    );
    families.counters(
        "patrols_total",
        "Finished patrols, by policy and whether they could see everything.",
        ["policy", "complete"],
        s.counters
            .patrols
            .iter()
            .map(|((policy, complete), n)| ([policy.clone(), complete.to_string()], *n)),
    );
    families.counts(
        "patrol_duration_seconds",
        "Duration of the last patrol, by policy.",
        ["policy"],
        s.counters
            .patrol_seconds
            .iter()
            .map(|(policy, n)| ([policy.clone()], *n)),
    );
    families.counts(
        "subjects",
        "Subjects of the last patrol, by policy and result.",
        ["policy", "result"],
        s.subjects.iter().flat_map(|(policy, counts)| {
            ["passed", "failed", "notApplicable", "unknown"]
                .into_iter()
                .zip(*counts)
                .map(|(result, n)| ([policy.clone(), result.to_owned()], n))
        }),
    );
}

fn receivers(families: &mut Families, s: &Snapshot, now: Time) {
    families.counts(
        "alerts_pending",
        "Messages about tickets that are due and not accepted yet, by receiver.",
        ["receiver"],
        s.receivers.iter().map(|r| ([r.name.clone()], r.pending)),
    );
    families.gauges(
        "alert_oldest_pending_seconds",
        "Time since the oldest pending message became due, by receiver; 0 when none is.",
        ["receiver"],
        s.receivers.iter().map(|r| {
            (
                [r.name.clone()],
                r.oldest_pending.map_or(0.0, |at| age(at, now)),
            )
        }),
    );
    families.gauges(
        "receiver_ready",
        "1 while a receiver accepts (or was not tried yet), else 0.",
        ["receiver"],
        s.receivers.iter().map(|r| {
            (
                [r.name.clone()],
                f64::from(u8::from(r.ready != Some(false))),
            )
        }),
    );
    families.gauges(
        "receiver_circuit",
        "1 for the state a receiver's circuit is in.",
        ["receiver", "state"],
        s.receivers.iter().flat_map(|r| {
            [("open", r.circuit_open), ("closed", !r.circuit_open)]
                .map(|(state, is)| ([r.name.clone(), state.to_owned()], f64::from(u8::from(is))))
        }),
    );
    families.gauges(
        "receiver_last_success_timestamp_seconds",
        "When a receiver last accepted, 0 for never.",
        ["receiver"],
        s.receivers
            .iter()
            .map(|r| ([r.name.clone()], r.last_success.map_or(0.0, seconds))),
    );
    families.counters(
        "alerts_delivered_total",
        "Tellings accepted, by receiver and reason.",
        ["receiver", "reason"],
        s.counters
            .delivered
            .iter()
            .map(|((receiver, reason), n)| ([receiver.clone(), reason.to_string()], *n)),
    );
    families.counters(
        "notify_requests_total",
        "Attempts to deliver, by receiver and class of the outcome.",
        ["receiver", "class"],
        s.counters
            .requests
            .iter()
            .map(|((receiver, class), n)| ([receiver.clone(), (*class).to_owned()], *n)),
    );
}

fn kinds(families: &mut Families, s: &Snapshot, now: Time) {
    let word = |kind: &patrol_core::kind::Kind| kind.info().kind.to_owned();
    families.counts(
        "objects",
        "Objects held, by kind.",
        ["kind"],
        s.kinds.iter().map(|(kind, (n, ..))| ([word(kind)], *n)),
    );
    families.gauges(
        "kind_readable",
        "1 while a kind can be seen, else 0: what it hides is Unknown.",
        ["kind"],
        s.kinds
            .iter()
            .map(|(kind, (_, readable, _))| ([word(kind)], f64::from(u8::from(*readable)))),
    );
    families.gauges(
        "watch_silence_seconds",
        "Time since the watch of a kind last said anything.",
        ["kind"],
        s.kinds
            .iter()
            .filter_map(|(kind, (.., heard))| Some(([word(kind)], age((*heard)?, now)))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_api::words::{Phase, Severity};
    use patrol_core::clock::Mono;

    fn now() -> Now {
        Now {
            wall: Time::from_unix(1_000),
            mono: Mono(0),
        }
    }

    #[test]
    fn a_scrape_shows_state_and_escapes_names() {
        let mut snapshot = Snapshot::default();
        snapshot
            .tickets
            .insert(("po\"licy\n".into(), Severity::High, Phase::Open), 3);
        snapshot
            .oldest_open
            .insert(("p".into(), Severity::High), Time::from_unix(400));
        let text = Exporter::new(None).text(&snapshot, now());
        assert!(
            text.contains(r#"patrol_tickets{phase="Open",policy="po\"licy\n",severity="High"} 3"#),
            "{text}"
        );
        assert!(
            text.contains(r#"patrol_ticket_oldest_age_seconds{policy="p",severity="High"} 600"#),
            "{text}"
        );
        assert!(text.contains("patrol_leader 0"), "{text}");
    }

    #[test]
    fn families_are_named_once_and_end_as_their_type_asks() {
        let text = Exporter::new(None).text(&Snapshot::default(), now());
        let mut names: Vec<&str> = vec![];
        for line in text.lines().filter(|l| l.starts_with("# TYPE ")) {
            let mut words = line.split(' ').skip(2);
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            assert!(!names.contains(&name), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            names.push(name);
        }
        assert!(names.len() > 5);
    }
}
