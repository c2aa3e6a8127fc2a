//! What ends by time alone, and what does not: alerts that nobody takes, flapping, escalation under a pause, signs of life, and how
//! much is under way at once.

use patrol_api::time::Span;
use patrol_api::words::Phase;
use patrol_core::event::{DeliveryClass, Event, Term};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_core::notice::NoticeKind;
use serde_json::{Value, json};

use crate::world::{Mood, World};

/// In seconds.
const DAY: i64 = 86_400;

fn bad() -> Value {
    json!({"bad": "yes"})
}

/// Certainly nothing arrives.
fn down() -> Mood {
    Mood::Answer(DeliveryClass::Unreached("no way"))
}

// ------------------------------------------------------------ what nobody takes

/// A ticket has just ended, and nobody can be told. The last day passes without a jump of the clock: after one everything is looked
/// at, and the end of the ninety days has to be noticed without that.
fn is_dropped_a_day_later_and_counted(w: &mut World) {
    assert_eq!(w.status("shop/a").phase, Phase::Resolved);
    w.skew += 89 * DAY;
    w.run_for(Span::minutes(30));
    assert!(w.find("shop/a").is_some(), "it is owed");
    assert_eq!(w.snapshot().counters.alerts_dropped, 0);
    w.run_for(Span::hours(25));
    assert!(w.find("shop/a").is_none(), "no ticket is kept for ever");
    assert_eq!(w.snapshot().counters.alerts_dropped, 1);
}

#[test]
fn t22_an_end_that_nobody_takes_is_owed_for_ninety_days_and_its_loss_is_counted() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.pod("shop/heard", bad());
    w.run_for(Span::minutes(5));
    w.pod("shop/heard", json!({}));
    w.run_for(Span::minutes(10));
    w.mood("soc", down());
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    is_dropped_a_day_later_and_counted(&mut w);
    // The one whose end was told went as well, after its 30 days, and was no loss.
    assert!(w.find("shop/heard").is_none());
    let told = w.told("soc", "shop/heard");
    assert_eq!(told, ["Firing 1.1.1 Opened", "Closed 1.1.1 Resolved"]);
}

#[test]
fn t22_a_gap_that_came_and_went_and_that_nobody_ever_heard_of_is_a_loss_too() {
    let mut w = World::patrolled();
    w.mood("soc", down());
    w.pod("shop/a", bad());
    w.run_for(Span::hours(1));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    is_dropped_a_day_later_and_counted(&mut w);
}

/// No patrol looks at its tickets any more.
#[test]
fn t22_the_ninety_days_end_for_a_ticket_of_a_policy_that_is_gone_too() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(5));
    w.mood("soc", down());
    w.delete_policy("p");
    w.run_for(Span::minutes(10));
    is_dropped_a_day_later_and_counted(&mut w);
}

#[test]
fn i1_an_alert_about_an_open_ticket_is_never_given_up() {
    let mut w = World::patrolled();
    w.mood("soc", down());
    w.pod("shop/a", bad());
    w.run_for(Span::hours(1));
    w.skew += 120 * DAY;
    w.run_for(Span::days(1));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(w.snapshot().receivers[0].pending, 1);
    assert_eq!(w.snapshot().counters.alerts_dropped, 0);
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(30));
    let told = w.told("soc", "shop/a");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("Firing 1."), "{told:?}");
}

// ------------------------------------------------------------ flapping

/// The gap is mended and comes back, so many times.
fn comes_back(w: &mut World, times: usize) {
    for _ in 0..times {
        w.pod("shop/a", json!({}));
        w.run_for(Span::minutes(5));
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(1));
    }
}

#[test]
fn t12_a_gap_flaps_from_its_third_reopening_until_nothing_changed_for_two_days() {
    for stays in [bad(), json!({})] {
        let mut w = World::patrolled();
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(1));
        comes_back(&mut w, 2);
        assert!(!w.status("shop/a").flapping);
        comes_back(&mut w, 1);
        assert!(w.status("shop/a").flapping);
        w.pod("shop/a", stays.clone());
        w.run_for(Span::hours(47));
        assert!(w.status("shop/a").flapping, "{stays}");
        w.run_for(Span::hours(2));
        assert!(!w.status("shop/a").flapping, "{stays}");
    }
}

/// T12 and T6: `clearAfter` is 30 seconds, doubles with each reopening while it flaps, and is never more than eightfold.
#[test]
fn t6_a_gap_that_flaps_must_stay_away_twice_as_long_each_time_and_eight_times_at_most() {
    let mut w = World::patrolled();
    // By how often it was reopened before.
    for (reopened, seconds) in [30, 30, 30, 60, 120, 240, 240, 240].into_iter().enumerate() {
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(1));
        let mended = w.wall();
        w.pod("shop/a", json!({}));
        w.run_for(Span::minutes(10));
        let resolved = w.status("shop/a").episode.resolved_at.expect("it is over");
        let took = resolved.since(mended).as_secs();
        assert!(
            (seconds..=seconds + 5).contains(&took),
            "{took} s after {reopened} reopenings"
        );
    }
}

// ------------------------------------------------------------ escalation

/// alerting.md 2.3 and 2.6, rule 5.
#[test]
fn escalation_calls_nobody_while_somebody_has_the_ticket_and_does_when_his_time_is_over() {
    for field in ["acknowledge", "snooze"] {
        let mut w = World::patrolled();
        w.receiver("ciso", json!({}));
        w.policy(
            "p",
            json!({"alerts": {
                "receivers": [{"name": "soc"}],
                "escalation": [{"after": "24h", "severities": ["High"], "receiver": "ciso"}],
            }}),
        );
        w.pod("shop/a", bad());
        w.run_for(Span::hours(2));
        let until = w.wall().plus(Span::hours(40)).to_string();
        let place = w.ticket_key("shop/a");
        w.edit(Kind::Ticket, &place, |ticket| {
            ticket["spec"][field] = json!({"until": until, "reason": "on it"});
        });
        // It is 41 hours old then.
        w.run_for(Span::hours(39));
        assert_eq!(w.told("ciso", "shop/a"), [""; 0], "{field}");
        w.run_for(Span::minutes(65));
        assert_eq!(
            w.told("ciso", "shop/a"),
            ["Firing 1.2.1 Escalated"],
            "{field}"
        );
        assert_eq!(
            w.told("soc", "shop/a"),
            ["Firing 1.1.1 Opened", "Firing 1.2.1 ReArmed"],
            "{field}"
        );
    }
}

// ------------------------------------------------------------ signs of life

fn beats(w: &World) -> usize {
    let beats = w.sent.iter();
    beats
        .filter(|(_, _, n)| n.kind == NoticeKind::Heartbeat)
        .count()
}

/// A sign of life every five minutes, none for the hour in between, and then again.
fn is_silent_between(stop: impl FnOnce(&mut World), go_on: impl FnOnce(&mut World)) {
    let mut w = World::new();
    w.receiver("soc", json!({"heartbeat": {"interval": "5m"}}));
    w.policy("p", json!({"schedule": {"every": "10m"}}));
    w.run_for(Span::hours(1));
    assert!((11..=13).contains(&beats(&w)), "{}", beats(&w));
    stop(&mut w);
    w.settle();
    let before = beats(&w);
    w.run_for(Span::hours(1));
    assert_eq!(beats(&w), before, "silence says that somebody must look");
    go_on(&mut w);
    w.run_for(Span::minutes(30));
    let again = beats(&w) - before;
    assert!((4..=7).contains(&again), "{again}");
}

/// alerting.md 2.10 and AD-11.
#[test]
fn signs_of_life_stop_with_the_lease_and_come_back_with_it() {
    is_silent_between(
        |w| w.event(Event::Leading(None)),
        |w| w.event(Event::Leading(Some(Term(2)))),
    );
}

/// alerting.md 2.10: whoever cannot see its receivers tells nobody anything.
#[test]
fn signs_of_life_stop_while_the_receivers_cannot_be_read() {
    let lost = Event::Lost(Kind::AlertReceiver, Blindness::Denied("list".into()));
    is_silent_between(|w| w.event(lost), |w| w.list(Kind::AlertReceiver));
}

// ------------------------------------------------------------ under way at once

/// How long a receiver takes to answer: longer than its rate makes the next message wait.
const ANSWER: Span = Span::seconds(10);

/// Of five groups that are due together to a receiver of this kind, how many are under way together at most.
fn most_under_way(kind: &str) -> usize {
    let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let spec = match kind {
        "webhook" => json!({}),
        "alertmanager" => {
            json!({"webhook": null, "alertmanager": {"url": "https://am.example.com"}})
        }
        "pagerduty" => json!({"webhook": null,
            "pagerduty": {"routingKeySecretRef": secret["secretKeyRef"]}}),
        _ => {
            let mut spec = json!({"webhook": null});
            spec[kind] = json!({"urlFrom": secret});
            spec
        }
    };
    let mut w = World::new();
    w.receiver("r", spec);
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "r"}], "groupBy": ["namespace"]}}),
    );
    w.mood("r", Mood::Slow(ANSWER));
    for n in 0..5 {
        w.namespace(&format!("n{n}"), json!({}));
        w.pod(&format!("n{n}/a{n}"), bad());
    }
    w.run_for(Span::minutes(2));
    assert_eq!(w.told_subjects("r").len(), 5, "{kind}");
    let begun: Vec<u64> = w.sent.iter().map(|(at, ..)| at.0).collect();
    let under_way = |at: u64| {
        let unanswered = |begun: &&u64| **begun <= at && at - **begun < ANSWER.as_millis();
        begun.iter().filter(unanswered).count()
    };
    begun.iter().map(|at| under_way(*at)).max().unwrap()
}

/// alerting.md 2.11 and AD-14: a slow receiver holds up no more than that.
#[test]
fn no_more_messages_are_under_way_to_a_receiver_than_its_kind_takes_at_once() {
    for (kind, most) in [
        ("slack", 1),
        ("teams", 1),
        ("dingtalk", 1),
        ("feishu", 1),
        ("wecom", 1),
        ("pagerduty", 1),
        ("alertmanager", 2),
        ("webhook", 4),
    ] {
        assert_eq!(most_under_way(kind), most, "{kind}");
    }
}
