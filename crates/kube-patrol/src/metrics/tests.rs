//! The text of a scrape.

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

#[test]
fn no_name_says_patrol_twice() {
    for metric in crate::cli::described_metrics() {
        let rest = metric.name.strip_prefix("patrol_").unwrap();
        assert!(!rest.starts_with("patrol"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn durations_are_cumulative_buckets() {
    let mut snapshot = Snapshot::default();
    let mut seconds =
        patrol_core::engine::Distribution::new(patrol_core::engine::Distribution::MOMENTS);
    for second in [0, 1, 31, 90_000] {
        seconds.add(second);
    }
    snapshot
        .counters
        .delivery_seconds
        .insert("hook".into(), seconds);
    let text = Exporter::new(None).text(&snapshot, now());
    for line in [
        r#"patrol_alert_delivery_seconds_bucket{receiver="hook",le="1"} 2"#,
        r#"patrol_alert_delivery_seconds_bucket{receiver="hook",le="60"} 3"#,
        r#"patrol_alert_delivery_seconds_bucket{receiver="hook",le="+Inf"} 4"#,
        r#"patrol_alert_delivery_seconds_sum{receiver="hook"} 90032"#,
        r#"patrol_alert_delivery_seconds_count{receiver="hook"} 4"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
