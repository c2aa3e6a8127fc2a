//! When receivers hear: escalation, windows, stand-ins, digests, signs of life, and the audit of it all.

use patrol_api::time::Span;
use patrol_core::event::{DeliveryClass, Event, Term, WriteResult};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_core::notice::NoticeKind;
use serde_json::{Value, json};

use crate::world::{Fate, Mood, World, key};

/// Tickets that are due at once.
const FLOOD: usize = 40_000;

fn bad() -> Value {
    json!({"bad": "yes"})
}

#[test]
fn escalation_joins_its_receiver_and_quickens_the_others() {
    let mut w = World::patrolled();
    w.receiver("ciso", json!({}));
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}], "repeat": {"high": "8h"},
            "escalation": [{"after": "24h", "severities": ["High"], "receiver": "ciso"}],
        }}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::hours(23));
    assert_eq!(w.told("ciso", "shop/a"), Vec::<String>::new());
    let before = w.told("soc", "shop/a").len();
    w.run_for(Span::hours(2));
    assert_eq!(w.told("ciso", "shop/a"), ["Firing 1.1.1 Escalated"]);
    w.run_for(Span::hours(24));
    let after = w.told("soc", "shop/a").len() - before;
    assert!((5..=7).contains(&after), "every 4 to 4.4 hours: {after}");
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("ciso", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn a_window_puts_off_and_loses_nothing() {
    let mut w = World::patrolled();
    // The world begins at an instant that lies outside: nothing until the window opens.
    let opens = w.wall().plus(Span::hours(5)).chrono();
    let clock = |h: i64| {
        (opens + chrono::TimeDelta::hours(h))
            .format("%H:%M")
            .to_string()
    };
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "windows": [{"from": clock(0), "to": clock(2)}],
        }}),
    );
    w.pod("shop/a", bad());
    w.pod("shop/c", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::hours(4));
    assert_eq!(w.told("soc", "shop/a"), Vec::<String>::new());
    assert_eq!(
        w.told("soc", "shop/c").len(),
        1,
        "critical ones do not wait"
    );
    w.run_for(Span::minutes(90));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
}

#[test]
fn what_a_window_puts_off_does_not_slip_out_with_what_passes_it() {
    let mut w = World::patrolled();
    let begin = w.wall().chrono();
    let clock = |minutes: i64| {
        (begin + chrono::TimeDelta::minutes(minutes))
            .format("%H:%M")
            .to_string()
    };
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "windows": [{"from": clock(4), "to": clock(60)}],
        }}),
    );
    w.pod("shop/a", bad());
    w.pod("shop/c", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/c").len(), 1, "it passes every window");
    assert_eq!(w.told("soc", "shop/a"), Vec::<String>::new());
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
}

#[test]
fn what_a_receiver_missed_while_its_window_was_open_waits_for_the_next() {
    let mut w = World::patrolled();
    let begin = w.wall().chrono();
    let clock = |h: i64| {
        (begin + chrono::TimeDelta::hours(h))
            .format("%H:%M")
            .to_string()
    };
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "windows": [{"from": clock(-1), "to": clock(2)}],
        }}),
    );
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", bad());
    w.run_for(Span::hours(3));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(5));
    assert_eq!(w.told("soc", "shop/a"), Vec::<String>::new());
    w.run_for(Span::hours(16));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
}

#[test]
fn f22_what_came_and_went_outside_the_window_is_told_as_late() {
    let mut w = World::patrolled();
    let opens = w.wall().plus(Span::hours(5)).chrono();
    let clock = |h: i64| {
        (opens + chrono::TimeDelta::hours(h))
            .format("%H:%M")
            .to_string()
    };
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "windows": [{"from": clock(0), "to": clock(2), "bypass": ["Critical"]}],
        }}),
    );
    w.pod("shop/a", bad());
    w.pod("shop/short", bad());
    w.run_for(Span::minutes(5));
    w.pod("shop/short", json!({}));
    w.run_for(Span::hours(1));
    w.pod("shop/a", json!({}));
    w.run_for(Span::hours(5));
    assert_eq!(w.told("soc", "shop/a"), ["Closed 1.1.1 Late"]);
    assert_eq!(w.told("soc", "shop/short"), Vec::<String>::new());
}

/// A gap, and a receiver that takes nothing, with another to stand in for it after a quarter of an hour.
fn with_soc_down() -> World {
    let mut w = World::new();
    w.receiver("backup", json!({}));
    w.receiver(
        "soc",
        json!({"failover": {"receiver": "backup", "after": "15m", "minSeverity": "High"}}),
    );
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", bad());
    w
}

#[test]
fn f16_a_stand_in_is_told_while_the_receiver_is_down_and_hears_the_end() {
    let mut w = with_soc_down();
    w.run_for(Span::minutes(10));
    assert_eq!(w.told("backup", "shop/a"), Vec::<String>::new());
    w.run_for(Span::minutes(20));
    assert_eq!(w.told("backup", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(1));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("backup", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

/// The next process has to know who may have been told.
#[test]
fn f16_a_stand_in_is_told_nothing_before_that_is_written_down_or_cannot_be() {
    for refused in [false, true] {
        let mut w = with_soc_down();
        w.run_for(Span::minutes(14));
        let no = std::iter::repeat_n(Fate::Answer(WriteResult::Failed), 1000);
        w.fate("receiver", no.take(if refused { 1000 } else { 0 }));
        let at = key("", "soc");
        let says = |w: &World| {
            let soc = w.server.get(Kind::AlertReceiver, &at).unwrap();
            soc["status"]["lastFailoverTime"].is_string()
        };
        let mut told_after = 0;
        while w.told("backup", "shop/a").is_empty() {
            assert!(told_after < 600, "never told");
            w.run_for(Span::seconds(1));
            told_after += 1;
        }
        assert_eq!(says(&w), !refused);
        // A quarter of an hour after its first failure, which came half a minute after the gap.
        let within = if refused { 270..290 } else { 80..110 };
        assert!(
            within.contains(&told_after),
            "{told_after} s, refused: {refused}"
        );
    }
}

#[test]
fn whoever_stood_in_for_the_process_before_hears_the_end() {
    let mut w = with_soc_down();
    w.run_for(Span::minutes(14));
    w.mood("backup", Mood::Unanswered);
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("backup", "shop/a")[0], "Firing 1.1.1 Opened");
    // It dies before it can write that down, and the gap ends before the next one leads.
    w.die();
    w.mood("backup", Mood::Accept);
    w.delete(Kind::Pod, &key("shop", "a"));
    w.list_all();
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("backup", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn whoever_stood_in_for_the_process_before_the_last_hears_the_end() {
    let mut w = with_soc_down();
    w.run_for(Span::minutes(14));
    w.mood("backup", Mood::Unanswered);
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("backup", "shop/a")[0], "Firing 1.1.1 Opened");
    w.die();
    // The next one needs no stand-in for long, and dies as well before it has an answer.
    w.mood("soc", Mood::Accept);
    w.restart();
    w.run_for(Span::seconds(40));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.die();
    w.mood("backup", Mood::Accept);
    w.restart();
    w.run_for(Span::minutes(2));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("backup", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn f32_a_new_receiver_hears_of_everything_that_is_open_in_one_digest() {
    let mut w = World::new();
    w.policy(
        "p",
        json!({
            "alerts": {"receivers": [{"name": "old"}, {"name": "new"}]},
            "tickets": {"maxPerCheck": 5000},
        }),
    );
    w.receiver("old", json!({}));
    for i in 0..3_000 {
        w.pod(&format!("shop/a{i}"), bad());
    }
    w.run_for(Span::hours(1));
    let before = w.sent.len();
    w.receiver("new", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(w.told_subjects("new").len(), 3_000);
    let sent: Vec<_> = w
        .sent
        .iter()
        .skip(before)
        .filter(|(_, to, _)| to == "new")
        .collect();
    assert_eq!(sent.len(), 1, "one digest");
    assert_eq!(sent[0].2.kind, NoticeKind::Digest);
    assert_eq!(w.told("new", "shop/a0"), ["Firing 1.1.1 Baseline"]);
}

#[test]
fn f23_a_gap_that_comes_and_goes_for_a_day_is_told_at_the_pace_of_reminders() {
    let mut w = World::patrolled();
    let every = json!({"every": "10m"});
    let alerts = json!({"receivers": [{"name": "soc"}], "repeat": {"high": "8h"}});
    let sla = json!({"sla": {"high": "12h"}});
    w.policy(
        "p",
        json!({"schedule": every, "alerts": alerts, "tickets": sla}),
    );
    let begun = w.wall();
    let mut before = None;
    for _ in 0..72 {
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(10));
        if before.is_none() && w.status("shop/a").flapping {
            before = Some(w.sent.len());
        }
        w.pod("shop/a", json!({}));
        w.run_for(Span::minutes(10));
    }
    // It flaps from its third reopening on: up to then each opening and each end was told,
    // after it no more than each reminder and one word between two of them.
    let before = before.expect("it flaps");
    assert!(before <= 7, "{before}");
    let after = w.sent.len() - before;
    assert!(
        (3..=6).contains(&after),
        "{after} in 24 hours: {:?}",
        w.told("soc", "shop/a")
    );
    // Its clock ran on all the time, and its due time was told.
    let status = w.status("shop/a");
    assert_eq!(status.episode.sla_start, Some(begun));
    assert!(
        w.told("soc", "shop/a")
            .iter()
            .any(|t| t.ends_with("SLABreached"))
    );
}

#[test]
fn f31_sixty_three_dead_receivers_make_the_live_one_wait_for_nothing() {
    let mut w = World::new();
    let names: Vec<String> = (0..64).map(|n| format!("r{n}")).collect();
    let routes: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    for name in &names {
        w.receiver(name, json!({}));
        w.mood(name, Mood::Unanswered);
    }
    w.mood("r17", Mood::Accept);
    w.policy(
        "p",
        json!({"alerts": {"receivers": routes, "groupWait": "30s"}}),
    );
    for n in 0..4 {
        let name = format!("shop/a{n}");
        let opened = w.wall();
        w.pod(&name, json!({"bad": "yes", "severity": "Critical"}));
        w.run_for(Span::seconds(33));
        assert_eq!(w.told("r17", &name).len(), 1, "{name}, bad since {opened}");
        w.run_for(Span::minutes(7));
    }
}

#[test]
fn row86_a_backlog_that_would_take_too_long_is_one_digest() {
    let mut w = World::patrolled();
    w.receiver("slow", json!({"rate": {"perMinute": 1}}));
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "slow"}], "groupBy": ["namespace"], "digestAfter": "5m",
        }}),
    );
    for i in 0..50 {
        w.namespace(&format!("n{i}"), json!({}));
        w.pod(&format!("n{i}/a{i}"), bad());
    }
    w.run_for(Span::minutes(10));
    let sent: Vec<_> = w.sent.iter().filter(|(_, to, _)| to == "slow").collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].2.kind, NoticeKind::Digest);
    assert_eq!(w.told_subjects("slow").len(), 50);
}

#[test]
fn signs_of_life_come_while_everything_works_and_stop_when_it_does_not() {
    let mut w = World::new();
    w.receiver("soc", json!({"heartbeat": {"interval": "5m"}}));
    w.policy(
        "p",
        json!({"schedule": {"every": "10m"}, "alerts": {"receivers": [{"name": "soc"}]}}),
    );
    w.run_for(Span::hours(1));
    let beats = |w: &World| {
        w.sent
            .iter()
            .filter(|(_, _, n)| n.kind == NoticeKind::Heartbeat)
            .count()
    };
    let healthy = beats(&w);
    assert!((11..=13).contains(&healthy), "{healthy}");
    // A right is lost: no patrol is complete any more.
    w.denied.insert(Kind::Pod);
    w.event(Event::Lost(Kind::Pod, Blindness::Denied("list".into())));
    w.run_for(Span::hours(2));
    let then = beats(&w);
    w.run_for(Span::hours(1));
    assert_eq!(beats(&w), then, "silence says that somebody must look");
}

/// It accepts just before the clock is set back, and says so after it.
#[test]
fn f20_an_answer_of_before_the_clock_was_set_back_puts_off_no_reminder() {
    let mut w = World::patrolled();
    let alerts = json!({"receivers": [{"name": "soc"}], "repeat": {"high": "1h"}});
    w.policy("p", json!({"alerts": alerts}));
    w.mood("soc", Mood::Slow(Span::seconds(8)));
    w.pod("shop/web", bad());
    while w.taken.is_empty() {
        w.run_for(Span::seconds(1));
    }
    w.skew -= 86_400;
    w.run_for(Span::minutes(70));
    assert_eq!(w.told("soc", "shop/web").len(), 2);
}

#[test]
fn f38_the_auditor_finds_nothing_forgotten() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::hours(3));
    let snapshot = w.snapshot();
    assert_eq!(snapshot.alerts_overdue, 0);
    assert!(
        snapshot.counters.audits.0 >= 30,
        "{:?}",
        snapshot.counters.audits
    );
    assert_eq!(snapshot.counters.audits.1, 0);
}

/// The clock goes back by a day while another stands in, or is about to.
#[test]
fn f20_a_clock_that_is_set_back_neither_ends_a_stand_in_nor_keeps_one_away() {
    let mut w = with_soc_down();
    w.run_for(Span::minutes(10));
    w.skew -= 86_400;
    w.run_for(Span::minutes(15));
    assert_eq!(w.told("backup", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.skew -= 86_400;
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(w.told("backup", "shop/b"), ["Firing 1.1.1 Opened"]);
}

/// alerting.md AD-16: while it is not ready, for whatever reason.
#[test]
fn f16_another_stands_in_whatever_the_receiver_refuses_with() {
    for class in [
        DeliveryClass::Transient,
        DeliveryClass::Payload,
        DeliveryClass::Throttled(Some(Span::minutes(30))),
        DeliveryClass::Config("refused"),
        DeliveryClass::Blocked,
        DeliveryClass::SecretMissing,
    ] {
        let mut w = with_soc_down();
        w.mood("soc", Mood::Answer(class));
        w.run_for(Span::minutes(25));
        assert_eq!(
            w.told("backup", "shop/a"),
            ["Firing 1.1.1 Opened"],
            "{class:?}"
        );
    }
}

/// I1: an outage hides nothing, however long it is.
#[test]
fn f8_what_came_and_went_in_a_long_outage_is_told_after_it() {
    let mut w = World::patrolled();
    // Refused for certain: what may have been taken is told to have ended, and is not late.
    w.mood("soc", Mood::Answer(DeliveryClass::Config("refused")));
    w.pod("shop/a", bad());
    w.run_for(Span::hours(1));
    w.pod("shop/a", json!({}));
    w.pod("shop/b", bad());
    w.run_for(Span::days(9));
    assert_eq!(w.status("shop/a").phase.as_str(), "Resolved");
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("soc", "shop/a"), ["Closed 1.1.1 Late"]);
}

/// A receiver that wants no ends is told of what it never heard of all the same: nothing else ever says that it was there.
#[test]
fn what_came_and_went_unheard_is_told_to_who_wants_no_ends_too() {
    let mut w = World::patrolled();
    w.receiver("soc", json!({"sendResolved": false}));
    w.mood("soc", Mood::Answer(DeliveryClass::Config("refused")));
    w.pod("shop/a", bad());
    w.run_for(Span::hours(1));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("soc", "shop/a"), ["Closed 1.1.1 Late"]);
}

/// What certainly did not arrive needs no end: it is told as late, or not at all where it was short.
#[test]
fn row91_what_ends_before_anybody_could_be_reached_is_never_told_as_an_end() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Answer(DeliveryClass::Unreached("no way")));
    w.pod("shop/a", bad());
    w.pod("shop/short", bad());
    w.run_for(Span::minutes(5));
    w.pod("shop/short", json!({}));
    w.run_for(Span::hours(1));
    let status = w.policy_status("p");
    let said = status.conditions.iter().find(|c| c.type_ == "Alerting");
    assert!(said.unwrap().message.contains("no way"), "{said:?}");
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("soc", "shop/a"), ["Closed 1.1.1 Late"]);
    assert_eq!(w.told("soc", "shop/short"), Vec::<String>::new());
}

/// The first alert fails each time while the gap is there, and nobody knows what arrived: the end is told, and nothing after it.
#[test]
fn row91_what_ends_while_its_first_alert_fails_ends_closed() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(40));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(20));
    assert_eq!(w.told("soc", "shop/a"), Vec::<String>::new());
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(2));
    assert_eq!(w.told("soc", "shop/a"), ["Closed 1.1.1 Resolved"]);
}

/// A stand-in hears of what is due, not of all that the receiver was told of long ago.
#[test]
fn f16_a_stand_in_hears_of_what_was_told_before_when_it_is_due_again() {
    let mut w = with_soc_down();
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("backup", "shop/b"), ["Firing 1.1.1 Opened"]);
    assert_eq!(w.told("backup", "shop/a"), Vec::<String>::new());
    // High: a reminder a day.
    w.run_for(Span::hours(27));
    assert_eq!(w.told("backup", "shop/a").len(), 1);
}

/// Whoever escalation calls and cannot be reached has somebody to stand in for him as well.
#[test]
fn f16_another_stands_in_for_whom_escalation_calls() {
    let mut w = World::patrolled();
    w.receiver("backup", json!({}));
    w.receiver(
        "chief",
        json!({"failover": {"receiver": "backup", "after": "15m", "minSeverity": "High"}}),
    );
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "escalation": [{"after": "2h", "severities": ["High"], "receiver": "chief"}],
        }}),
    );
    w.mood("chief", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(119));
    assert_eq!(w.told("backup", "shop/a"), Vec::<String>::new());
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("backup", "shop/a"), ["Firing 1.1.1 Escalated"]);
}

/// One edit of a policy makes very much graver: one message says so.
#[test]
fn what_is_judged_anew_by_the_hundred_is_one_digest() {
    let mut w = World::patrolled();
    for n in 0..150 {
        w.pod(
            &format!("shop/p{n:03}"),
            json!({"bad": "yes", "severity": "Low"}),
        );
    }
    w.run_for(Span::hours(1));
    let before = w.sent.len();
    for n in 0..150 {
        w.pod(
            &format!("shop/p{n:03}"),
            json!({"bad": "yes", "severity": "Critical"}),
        );
    }
    w.run_for(Span::minutes(10));
    let sent: Vec<_> = w.sent[before..].iter().map(|(_, _, n)| n).collect();
    assert_eq!(
        sent.len(),
        1,
        "{:?}",
        sent.iter().map(|n| n.tickets.len()).collect::<Vec<_>>()
    );
    assert_eq!(sent[0].kind, NoticeKind::Digest);
    assert_eq!(sent[0].tickets.len(), 150);
    assert_eq!(
        w.told("soc", "shop/p000").last().unwrap(),
        "Firing 1.2.1 SeverityRaised"
    );
}

/// What fills a lane and is told before anybody looks at it again is pending no more.
#[test]
fn nothing_is_pending_once_everything_is_told() {
    let mut w = World::patrolled();
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["namespace"]}}),
    );
    let pods = |w: &mut World, labels: &Value| {
        for n in 0..4 {
            w.namespace(&format!("n{n}"), json!({}));
            for i in 0..400 {
                w.pod(&format!("n{n}/a{i}"), labels.clone());
            }
        }
    };
    pods(&mut w, &bad());
    w.run_for(Span::minutes(10));
    assert_eq!(w.told_subjects("soc").len(), 400);
    pods(&mut w, &json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(w.snapshot().receivers[0].pending, 0);
    assert_eq!(w.open(), 0);
}

/// A receiver that takes one message a minute, and more critical tickets than that for ever.
#[test]
fn row86_what_is_mild_is_told_even_where_something_critical_is_always_due() {
    let mut w = World::new();
    w.receiver(
        "soc",
        json!({"webhook": null, "rate": {"perMinute": 1},
        "slack": {"urlFrom": {"secretKeyRef": {"name": "s", "key": "url"}}}}),
    );
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["namespace"], "groupWait": "0s",
            "digestAfter": "24h"}}),
    );
    w.pod("bank/mild", json!({"bad": "yes", "severity": "Low"}));
    for n in 0..40 {
        w.namespace(&format!("n{n}"), json!({}));
        w.pod(
            &format!("n{n}/a"),
            json!({"bad": "yes", "severity": "Critical"}),
        );
    }
    w.run_for(Span::minutes(12));
    assert_eq!(w.told("soc", "bank/mild"), ["Firing 1.1.1 Opened"]);
    assert!(w.told_subjects("soc").len() > 1);
}

/// Ten of a hundred messages fail and five are never answered: that costs their own time, and next to none of the others'. So
/// many tickets are looked at only every other second, and each look gives the receiver all that it takes until the next.
#[test]
fn f9_a_flood_to_a_shaky_receiver_goes_about_as_fast_as_its_rate_allows() {
    let mut w = World::new();
    w.receiver("soc", json!({"rate": {"perMinute": 120}}));
    let alerts = json!({"receivers": [{"name": "soc"}], "groupWait": "2m"});
    w.policy(
        "p",
        json!({"alerts": alerts, "tickets": {"maxPerCheck": 100_000}}),
    );
    w.mood("soc", Mood::Shaky(3));
    for i in 0..FLOOD {
        w.pod(&format!("shop/p{i}"), bad());
    }
    while w.sent.is_empty() {
        w.run_for(Span::seconds(1));
    }
    let began = w.mono;
    while w.taken.len() < 8_000 {
        w.run_for(Span::seconds(1));
    }
    let took = (w.mono - began) / 1_000;
    // Two a second.
    let ideal = u64::try_from(w.messages).unwrap() / 2;
    assert!(took * 10 <= ideal * 11, "{took} s for {ideal} s");
}
