//! Who is told, when, and how often.

use patrol_api::time::Span;
use patrol_core::clock::Mono;
use patrol_core::event::{DeliveryClass, Event, WriteResult};
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{Fate, Mood, World, key};

fn bad() -> serde_json::Value {
    json!({"bad": "yes"})
}

#[test]
fn openings_of_one_check_wait_for_company_and_go_in_one_message() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(20));
    w.pod("bank/b", bad());
    w.run_for(Span::seconds(8));
    assert_eq!(w.sent.len(), 0);
    w.run_for(Span::seconds(5));
    assert_eq!(w.sent.len(), 1);
    assert_eq!(w.sent[0].2.tickets.len(), 2);
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
}

#[test]
fn the_next_message_of_a_group_waits_for_its_interval_and_a_critical_one_does_not() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(35));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(4));
    assert_eq!(w.sent.len(), 1);
    w.run_for(Span::minutes(2));
    assert_eq!(w.sent.len(), 2);
    w.pod("shop/c", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::seconds(35));
    assert_eq!(w.told_subjects("soc").len(), 3);
}

#[test]
fn reminders_come_once_an_interval_until_the_end_is_told_once() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::hours(80));
    let told = w.told("soc", "shop/a");
    assert_eq!(told[..2], ["Firing 1.1.1 Opened", "Firing 1.1.2 Reminder"]);
    assert!((3..=4).contains(&told.len()), "{told:?}");
    w.pod("shop/a", json!({}));
    w.run_for(Span::hours(80));
    let told = w.told("soc", "shop/a");
    let ends = told.iter().filter(|t| t.starts_with("Closed")).count();
    assert_eq!(
        (ends, told.last().unwrap().as_str()),
        (1, "Closed 1.1.1 Resolved")
    );
}

#[test]
fn who_does_not_want_ends_is_not_told_and_the_record_is_closed() {
    let mut w = World::new();
    w.receiver("soc", json!({"sendResolved": false}));
    w.policy("p", json!({}));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    w.delete(Kind::Pod, &key("shop", "a"));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    assert_eq!(w.status("shop/a").alerts[0].state.as_str(), "Closed");
}

#[test]
fn nothing_is_told_before_it_is_stored() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupWait": "0s"}}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(10));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    w.fate(
        "status",
        std::iter::repeat_n(Fate::Answer(WriteResult::Failed), 1000),
    );
    w.delete(Kind::Pod, &key("shop", "a"));
    w.run_for(Span::minutes(5));
    assert_eq!(
        w.told("soc", "shop/a").len(),
        1,
        "a crash now would forget the end"
    );
    w.fates.clear();
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/a").len(), 2);
}

#[test]
fn f37_a_crash_between_acceptance_and_record_repeats_the_same_id() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(20));
    w.mood("soc", Mood::Unanswered);
    w.run_for(Span::seconds(30));
    w.mood("soc", Mood::Accept);
    w.restart();
    w.run_for(Span::minutes(2));
    let ids: Vec<_> = w.taken.iter().map(|t| &t.ticket.event_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_late_answer_is_recorded_and_nothing_is_repeated_meanwhile() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Slow(Span::seconds(70)));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    assert_eq!(w.status("shop/a").alerts.len(), 1);
}

#[test]
fn an_answer_that_comes_after_it_was_given_up_still_ends_the_repetition() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Slow(Span::minutes(4)));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(30));
    let told = w.told("soc", "shop/a").len();
    assert!(told <= 4, "{told} times");
}

#[test]
fn f8_f31_row88_a_dead_receiver_delays_no_other() {
    let mut w = World::new();
    w.receiver("dead", json!({}));
    w.receiver("soc", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "dead"}, {"name": "soc"}]}}),
    );
    w.mood("dead", Mood::Answer(DeliveryClass::Transient));
    for i in 0..20 {
        w.pod(
            &format!("shop/a{i}"),
            json!({"bad": "yes", "severity": "Critical"}),
        );
        w.run_for(Span::minutes(7));
        let sent = w.sent.iter().rfind(|(_, to, _)| to == "soc").unwrap();
        let opened = w.ticket(&format!("shop/a{i}")).metadata.creation_timestamp;
        let opened = patrol_api::condition::from_meta_time(&opened.unwrap());
        assert!(sent.2.at.since(opened) <= Span::seconds(31), "{i}");
    }
}

/// A policy for one namespace, with a receiver of its own, beside one for all.
#[test]
fn nothing_of_a_namespace_reaches_the_receiver_of_a_policy_for_another() {
    let mut w = World::new();
    for name in ["shop-team", "soc"] {
        w.receiver(name, json!({}));
    }
    let told = |name: &str| json!({"groupWait": "0s", "receivers": [{"name": name}]});
    let shop = json!({"namespaces": {"include": ["shop"]}});
    w.policy("shop", json!({"scope": shop, "alerts": told("shop-team")}));
    w.policy("all", json!({"alerts": told("soc")}));
    w.pod("shop/a", bad());
    w.pod("bank/secret-project", bad());
    w.run_for(Span::hours(30));
    w.restart();
    w.run_for(Span::hours(30));
    w.pod("bank/secret-project", json!({}));
    w.delete(Kind::Pod, &key("shop", "a"));
    w.run_for(Span::hours(1));

    assert_eq!(
        w.told("soc", "bank/secret-project").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    assert_eq!(
        w.told("shop-team", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    let mut sent = w.sent.iter().filter(|(_, to, _)| to == "shop-team");
    assert!(
        sent.clone().count() >= 3,
        "an opening, reminders and an end"
    );
    // Counts, digests and texts, too: no word of the other namespace.
    let leak = sent.find(|(_, _, notice)| format!("{notice:?}").contains("bank"));
    assert!(leak.is_none(), "{leak:?}");
}

#[test]
fn f8_row87_a_receiver_that_was_down_for_days_hears_each_ticket_once() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    for i in 0..300 {
        w.pod(&format!("shop/a{i}"), bad());
    }
    w.run_for(Span::days(3));
    let tries = w.sent.len();
    assert!(tries < 3 * 24 * 16, "{tries}");
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(11));
    assert_eq!(w.told_subjects("soc").len(), 300);
    assert_eq!(w.taken.len(), 300);
}

#[test]
fn f11_throttled_waits_as_long_as_it_was_asked_to() {
    let mut w = World::patrolled();
    w.mood(
        "soc",
        Mood::Answer(DeliveryClass::Throttled(Some(Span::minutes(10)))),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(9));
    assert_eq!(w.sent.len(), 1);
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
}

#[test]
fn f16_each_class_shows_in_conditions_and_heals() {
    let classes = [
        (DeliveryClass::Transient, "Ready", "False(Transient)"),
        (
            DeliveryClass::Config("check the token"),
            "Ready",
            "False(Config)",
        ),
        (
            DeliveryClass::Blocked,
            "AddressAllowed",
            "False(AddressBlocked)",
        ),
        (
            DeliveryClass::SecretMissing,
            "SecretResolved",
            "False(SecretMissing)",
        ),
        (DeliveryClass::Payload, "Ready", "False(PayloadRejected)"),
    ];
    for (class, condition, says) in classes {
        let mut w = World::patrolled();
        w.mood("soc", Mood::Answer(class));
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(2));
        assert_eq!(w.condition(Kind::AlertReceiver, "soc", condition), says);
        assert_eq!(w.says("p", "Alerting"), "False(ReceiverUnavailable)");
        assert!(w.sent.len() < 20, "{class:?}: {}", w.sent.len());
        w.mood("soc", Mood::Accept);
        w.run_for(Span::minutes(65));
        assert_eq!(
            w.condition(Kind::AlertReceiver, "soc", condition)
                .split('(')
                .next(),
            Some("True")
        );
        assert_eq!(w.says("p", "Alerting"), "True(Accepting)");
        assert_eq!(w.told("soc", "shop/a").len(), 1);
    }
}

#[test]
fn f8_who_was_away_is_tried_again_within_half_of_that_time() {
    for minutes in [1, 4, 20, 60, 240] {
        let mut w = World::patrolled();
        w.mood("soc", Mood::Answer(DeliveryClass::Transient));
        w.pod("shop/a", bad());
        w.run_for(Span::seconds(31));
        let (begin, before) = (w.sent.first().unwrap().0, w.sent.len());
        let outage = Span::minutes(minutes);
        w.run_for(outage);
        let tries = w.sent.len() - before;
        assert!(tries <= 100, "{tries} in {minutes} minutes");
        w.mood("soc", Mood::Accept);
        let last = begin.plus(outage);
        w.run_for(
            Span::seconds(minutes * 30)
                .min(Span::minutes(10))
                .plus(Span::seconds(5)),
        );
        let after: Vec<_> = w.sent.iter().filter(|(at, ..)| *at > last).collect();
        assert!(!after.is_empty(), "not tried again after {minutes} minutes");
        assert_eq!(w.told("soc", "shop/a")[0], "Firing 1.1.1 Opened");
    }
}

#[test]
fn not_leading_is_no_fault_of_the_receiver() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Answer(DeliveryClass::NotLeader));
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(60));
    assert_eq!(w.says("p", "Alerting"), "True(Accepting)");
    assert!(w.sent.len() < 40, "{}", w.sent.len());
}

#[test]
fn a_robot_that_refuses_twice_for_the_number_is_left_alone_for_longer() {
    let mut w = World::patrolled();
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}, {"name": "robot"}]}}),
    );
    w.receiver(
        "robot",
        json!({"webhook": null, "dingtalk": {"urlFrom": {"secretKeyRef": {"name": "robot", "key": "url"}}}}),
    );
    let too_fast = Mood::Answer(DeliveryClass::Throttled(None));
    for receiver in ["soc", "robot"] {
        w.mood(receiver, too_fast.clone());
    }
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(20));
    let tries = |w: &World, receiver: &str| {
        let sent = w.sent.iter().filter(|(_, to, _)| to == receiver);
        sent.count()
    };
    // One, a second a minute later, a third eleven minutes after that.
    assert_eq!(tries(&w, "robot"), 3);
    assert!((18..=20).contains(&tries(&w, "soc")), "once a minute");
    w.mood("robot", Mood::Accept);
    w.run_for(Span::minutes(20));
    assert_eq!(w.told("robot", "shop/a").len(), 1);
}

#[test]
fn a_receiver_that_refused_for_the_number_gets_half_as_many_for_ten_minutes() {
    let mut w = World::patrolled();
    w.receiver("soc", json!({"rate": {"perMinute": 10}}));
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}], "groupBy": ["namespace"], "digestAfter": "24h",
        }}),
    );
    let pause = DeliveryClass::Throttled(Some(Span::seconds(1)));
    w.mood("soc", Mood::Answer(pause));
    for i in 0..90 {
        w.namespace(&format!("n{i}"), json!({}));
        w.pod(&format!("n{i}/a"), bad());
    }
    w.run_for(Span::minutes(2));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(1));
    let before = w.sent.len();
    w.run_for(Span::minutes(8));
    let slow = w.sent.len() - before;
    assert!((38..=42).contains(&slow), "five a minute: {slow}");
    w.run_for(Span::minutes(2));
    let before = w.sent.len();
    w.run_for(Span::minutes(2));
    let normal = w.sent.len() - before;
    assert!((18..=22).contains(&normal), "ten a minute: {normal}");
}

#[test]
fn f14_one_poison_ticket_is_parked_and_the_others_flow() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Refuse("a7"));
    for i in 0..100 {
        w.pod(&format!("shop/a{i}"), bad());
    }
    w.run_for(Span::minutes(3));
    assert_eq!(w.told_subjects("soc").len(), 99);
    let before = w.sent.len();
    w.run_for(Span::minutes(50));
    assert_eq!(w.sent.len(), before, "parked for an hour");
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(20));
    assert_eq!(w.told_subjects("soc").len(), 100);
    // What was cut down for one ticket's sake grows again.
    for i in 0..100 {
        w.pod(&format!("bank/b{i}"), bad());
    }
    let before = w.sent.len();
    w.run_for(Span::minutes(12));
    assert_eq!(w.told_subjects("soc").len(), 200);
    assert!(
        w.sent.len() - before <= 12,
        "{} messages",
        w.sent.len() - before
    );
}

/// What people wrote may be what a receiver does not take (alerting.md 2.9).
#[test]
fn f14_a_refused_ticket_is_told_in_few_words_before_it_is_parked() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::RefuseWords("a7"));
    for i in 0..20 {
        w.pod(&format!("shop/a{i}"), bad());
    }
    w.run_for(Span::minutes(3));
    assert_eq!(w.told_subjects("soc").len(), 20);
    let few: Vec<String> = w.few.iter().map(|(_, subject)| subject.clone()).collect();
    assert_eq!(few, ["a7"], "it alone");
    // The next message about it is whole again.
    w.mood("soc", Mood::Accept);
    w.delete(Kind::Pod, &key("shop", "a7"));
    w.run_for(Span::minutes(10));
    assert_eq!(w.few.len(), 1);
    assert_eq!(w.told("soc", "shop/a7").len(), 2);
}

#[test]
fn f13_more_tickets_than_a_message_takes_go_in_several_and_none_is_left_out() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"tickets": {"maxPerCheck": 5000}}));
    for i in 0..2500 {
        w.pod(&format!("shop/a{i}"), bad());
    }
    w.run_for(Span::minutes(3));
    assert_eq!(w.taken.len(), 2500);
    assert_eq!(w.told_subjects("soc").len(), 2500);
    assert!(w.sent.len() <= 8, "{}", w.sent.len());
}

#[test]
fn f8_critical_tickets_go_first() {
    let mut w = World::new();
    w.receiver("soc", json!({"rate": {"perMinute": 1}}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["severity"]}}),
    );
    w.mood(
        "soc",
        Mood::Answer(DeliveryClass::Throttled(Some(Span::minutes(2)))),
    );
    for (i, severity) in ["Low", "Medium", "Critical", "High"].iter().enumerate() {
        w.pod(
            &format!("shop/a{i}"),
            json!({"bad": "yes", "severity": severity}),
        );
    }
    w.run_for(Span::minutes(1));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(10));
    assert_eq!(w.taken[0].ticket.severity.as_str(), "Critical");
    assert_eq!(w.taken.len(), 4);
}

#[test]
fn row86_a_slow_rate_is_kept_and_reached_however_often_the_engine_ticks() {
    let mut w = World::new();
    w.receiver("soc", json!({"rate": {"perMinute": 15}}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["check", "namespace"],
                          "groupWait": "0s", "groupInterval": "1s"}}),
    );
    for i in 0..80 {
        w.namespace(&format!("n{i}"), json!({}));
        w.pod(&format!("n{i}/a"), bad());
    }
    let start = w.mono;
    // Something happens every two milliseconds.
    while w.mono < start + 60_000 {
        w.mono += 2;
        w.event(Event::Heard(Kind::Pod));
        w.settle();
    }
    let sent = w.sent.len();
    assert!(
        (33..=37).contains(&sent),
        "{sent} messages: a burst of 20, then 15 a minute"
    );
}

#[test]
fn routes_filter_by_severity_and_follow_a_change_of_the_policy() {
    let mut w = World::patrolled();
    w.receiver("low", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc", "minSeverity": "Critical"}]}}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(5));
    assert_eq!(w.sent.len(), 0);
    w.policy("p", json!({"alerts": {"receivers": [{"name": "low"}]}}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("low", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc", "minSeverity": "Critical"}]}}),
    );
    w.run_for(Span::minutes(6));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.2.1 SeverityRaised"]);
}

#[test]
fn a_new_receiver_hears_of_what_is_open() {
    let mut w = World::new();
    w.policy("p", json!({}));
    for i in 0..50 {
        w.pod(&format!("shop/a{i}"), bad());
    }
    w.run_for(Span::hours(1));
    assert_eq!(w.says("p", "Alerting"), "False(ReceiverNotFound)");
    w.receiver("soc", json!({}));
    w.run_for(Span::seconds(5));
    assert_eq!(w.told_subjects("soc").len(), 50);
    assert_eq!(w.sent.len(), 1);
}

#[test]
fn a_receiver_made_anew_is_told_anew_under_one_record() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    w.delete(Kind::AlertReceiver, &key("", "soc"));
    w.run_for(Span::seconds(5));
    w.receiver("soc", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(w.told("soc", "shop/a").len(), 2);
    let records = w.status("shop/a").alerts;
    assert_eq!(
        records.len(),
        1,
        "the list holds one record a name: {records:?}"
    );
}

#[test]
fn an_old_word_of_a_receiver_does_not_bring_its_old_address_back() {
    let mut w = World::patrolled();
    let at = key("", "soc");
    let old = w.server.get(Kind::AlertReceiver, &at).cloned().unwrap();
    w.receiver(
        "soc",
        json!({"webhook": {"url": "https://new.example.com/"}}),
    );
    w.settle();
    let seen = patrol_core::facts::decode_value(Kind::AlertReceiver, &old).unwrap();
    w.event(Event::Seen(Box::new(seen)));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    assert_eq!(w.address, "https://new.example.com/");
}

#[test]
fn f26_who_was_told_hears_the_end_of_what_went_with_its_namespace() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    w.end_namespace("shop");
    w.run_for(Span::minutes(2));
    assert_eq!(w.tickets().len(), 0);
    assert_eq!(
        w.told("soc", "shop/a"),
        ["Firing 1.1.1 Opened", "Closed 1.1.1 Resolved"]
    );
    let before = w.writes.len();
    w.run_for(Span::hours(30));
    let writes = w.writes_since(before);
    assert!(writes.iter().all(|w| w.starts_with("policy")), "{writes:?}");
}

#[test]
fn a_receiver_status_that_cannot_be_written_is_not_tried_every_second() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    let no = patrol_core::event::Refusal::Forbidden;
    w.fate(
        "receiver",
        std::iter::repeat_n(Fate::Answer(WriteResult::Refused(no)), 10_000),
    );
    w.run_for(Span::hours(1));
    let tries = w
        .writes
        .iter()
        .filter(|(_, what)| what.starts_with("receiver"));
    assert!(tries.count() < 80);
}

#[test]
fn without_the_kind_alertreceiver_a_policys_own_webhook_is_told() {
    let mut w = World::new();
    w.event(Event::NotInstalled(Kind::AlertReceiver));
    w.policy(
        "p",
        json!({"alerts": {"webhook": {"url": "https://own.example.com/"}}}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("policy/p", "shop/a").len(), 1);
}

#[test]
fn receivers_that_cannot_be_known_are_not_told_and_it_shows() {
    let mut w = World::patrolled();
    w.event(Event::Lost(
        Kind::AlertReceiver,
        patrol_core::inventory::Blindness::Denied("list".into()),
    ));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    assert_eq!((w.sent.len(), w.open()), (0, 1));
    assert_eq!(w.says("p", "Alerting"), "False(ReceiversUnreadable)");
    w.list(Kind::AlertReceiver);
    w.run_for(Span::seconds(12));
    assert_eq!(w.told("soc", "shop/a").len(), 1);
}

/// `data.cluster.id` of the body: the UID of the namespace that lives as long as the
/// cluster does.
#[test]
fn a_message_names_the_cluster_by_its_oldest_namespace() {
    let mut w = World::patrolled();
    w.namespace("kube-system", json!({}));
    let uid = w
        .server
        .get(Kind::Namespace, &key("", "kube-system"))
        .unwrap()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(35));
    assert_eq!(w.sent[0].2.cluster.id, uid);
    assert!(!uid.is_empty());
}

/// A single run ends when what is due was told or failed, and not before.
#[test]
fn a_single_run_is_done_when_its_tellings_are() {
    let mut w = World::patrolled();
    assert!(w.engine.is_done(w.now()), "nothing is open");
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(5));
    assert!(!w.engine.is_done(w.now()), "the opening waits for company");
    w.run_for(Span::seconds(35));
    assert!(
        w.engine.is_done(w.now()),
        "a reminder of later does not count"
    );
    w.pod("shop/a", json!({}));
    w.run_for(Span::seconds(5));
    assert!(!w.engine.is_done(w.now()), "what passes is watched first");
    w.run_for(Span::seconds(90));
    assert!(w.engine.is_done(w.now()), "its end was told");
    w.moods
        .insert("soc".into(), Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/b", bad());
    w.run_for(Span::seconds(5));
    assert!(!w.engine.is_done(w.now()), "nobody has tried yet");
    // The group was told lately, so its next message waits.
    w.run_for(Span::minutes(9));
    assert!(w.engine.is_done(w.now()), "it was tried often enough");
    assert_eq!(w.engine.undelivered(w.now()).get("soc"), Some(&1));
}

/// Namespaces with five bad pods each, told a namespace at a time.
fn flood(w: &mut World, namespaces: usize) {
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["check", "namespace"],
                          "groupWait": "0s", "groupInterval": "1s"}}),
    );
    for n in 0..namespaces {
        w.namespace(&format!("n{n}"), json!({}));
        for i in 0..5 {
            w.pod(&format!("n{n}/a{i}"), bad());
        }
    }
}

#[test]
fn row86_the_rate_counts_messages_and_not_deliveries() {
    let mut w = World::new();
    w.receiver("soc", json!({"rate": {"perMinute": 15}}));
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.pod("shop/known", bad());
    w.run_for(Span::minutes(2));
    w.mood("soc", Mood::Most(2));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["namespace"], "groupWait": "0s",
            "groupInterval": "1s", "digestAfter": "24h"}}),
    );
    for n in 0..20 {
        w.namespace(&format!("n{n}"), json!({}));
        for i in 0..20 {
            w.pod(&format!("n{n}/a{n}-{i}"), bad());
        }
    }
    let before = w.messages;
    w.run_for(Span::minutes(10));
    let (sent, most) = (w.messages - before, 20 + 15 * 10);
    // Not one more than it takes.
    assert!(
        (most - 10..=most).contains(&sent),
        "{sent} messages in ten minutes"
    );
    w.run_for(Span::minutes(10));
    assert_eq!(w.told_subjects("soc").len(), 401);
    assert_eq!(w.taken.len(), 401);
}

/// An answer that never comes holds up what it is about, and not the rest of a backlog.
#[test]
fn f8_a_backlog_does_not_wait_for_the_answer_to_its_first_part() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupWait": "30s", "digestAfter": "24h"}}),
    );
    w.namespace("first", json!({}));
    w.pod("first/a", bad());
    w.run_for(Span::minutes(1));
    assert_eq!(w.sent.len(), 1);
    for n in 0..30 {
        w.namespace(&format!("n{n}"), json!({}));
        for i in 0..100 {
            w.pod(&format!("n{n}/a{i}"), bad());
        }
    }
    w.mood("soc", Mood::Slow(Span::seconds(14)));
    w.run_for(Span::minutes(5).plus(Span::seconds(5)));
    let begun = w.sent[1].0;
    let before_an_answer = |at: Mono| at.since(begun) < 14_000;
    let early = w
        .sent
        .iter()
        .skip(1)
        .filter(|(at, ..)| before_an_answer(*at));
    assert_eq!(early.count(), 4, "as many as may be under way together");
    let sent = w.sent.len();
    let mut names: Vec<_> = w
        .sent
        .iter()
        .flat_map(|(_, _, notice)| &notice.tickets)
        .map(|ticket| (&ticket.namespace, &ticket.name))
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3001, "each once");
    // A new ticket of the group waits for the answer, and then for the interval.
    w.pod("first/late", bad());
    w.run_for(Span::minutes(4));
    assert_eq!(w.sent.len(), sent);
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "first/late"), ["Firing 1.1.1 Opened"]);
    assert_eq!(w.sent.len(), sent + 1);
}

/// What a delivery came to in messages bounds the next ones, and a whole one of a single message lifts that.
#[test]
fn a_delivery_is_as_many_messages_as_the_receiver_takes_at_once() {
    let mut w = World::new();
    w.receiver("soc", json!({"rate": {"perMinute": 60}}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupWait": "30s", "digestAfter": "24h"}}),
    );
    w.mood("soc", Mood::InParts(100));
    for n in 0..20 {
        w.namespace(&format!("n{n}"), json!({}));
        for i in 0..100 {
            w.pod(&format!("n{n}/a{i}"), bad());
        }
    }
    w.run_for(Span::minutes(1));
    let tickets = |w: &World| -> Vec<usize> {
        w.sent
            .iter()
            .map(|(_, _, notice)| notice.tickets.len())
            .collect()
    };
    assert_eq!(tickets(&w), [2000], "a first contact is one digest");
    // Ten tickets in each message, of which twenty go at once, five in each delivery.
    for n in 0..20 {
        for i in 0..100 {
            w.pod(&format!("n{n}/b{i}"), bad());
        }
    }
    w.mood("soc", Mood::Most(10));
    let before = w.messages;
    w.run_for(Span::minutes(8));
    assert!(tickets(&w)[5..].iter().all(|tickets| *tickets <= 50));
    // Two hundred messages at sixty a minute.
    assert_eq!(w.messages - before, 200);
    assert_eq!(w.told_subjects("soc").len(), 200);
}

/// The answer to what went through is not to wait for that to what did not.
#[test]
fn a_probe_is_one_message() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    for n in 0..300 {
        w.pod(&format!("shop/a{n}"), bad());
    }
    w.run_for(Span::minutes(10));
    assert!(w.rooms.len() > 5 && w.rooms[0] > 1, "{:?}", w.rooms);
    assert!(w.rooms[3..].iter().all(|room| *room == 1), "{:?}", w.rooms);
    w.mood("soc", Mood::Most(10));
    w.run_for(Span::minutes(10));
    assert_eq!(w.told_subjects("soc").len(), 300);
}

#[test]
fn an_open_circuit_lets_one_probe_through_at_a_time_until_one_succeeds() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    flood(&mut w, 10);
    w.namespace("urgent", json!({}));
    w.pod("urgent/u", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::hours(2));
    let at = key("", "soc");
    let circuit = |w: &World| {
        let receiver = w.server.get(Kind::AlertReceiver, &at).unwrap();
        receiver["status"]["circuit"].clone()
    };
    let open = circuit(&w);
    assert_eq!(open["state"], "Open", "{open}");
    assert_eq!(open["class"], "Transient");
    assert!(open["since"].is_string() && open["notBefore"].is_string());
    // Each probe waits for the fate of the one before, and is the most severe group.
    for pair in w.sent[5..].windows(2) {
        assert!(pair[1].0.since(pair[0].0) >= 500, "two probes at once");
        assert_eq!(pair[1].2.tickets[0].namespace, "urgent");
    }
    assert!(w.sent.len() < 60, "{} probes in two hours", w.sent.len());
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(11));
    assert_eq!(w.taken.len(), 51, "after one success everything flows");
    w.run_for(Span::minutes(1));
    assert_eq!(circuit(&w)["state"], "Closed");
    assert!(circuit(&w).get("since").is_none() && circuit(&w).get("notBefore").is_none());
}

/// faults.md, row 86: a robot that takes 20 messages a minute, and a thousand critical tickets at once.
#[test]
fn row86_a_flood_of_critical_tickets_never_passes_the_rate_of_a_robot() {
    let mut w = World::new();
    let secret = json!({"secretKeyRef": {"name": "s", "key": "url"}});
    w.receiver(
        "soc",
        json!({"webhook": null, "dingtalk": {"urlFrom": secret}}),
    );
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.pod("shop/known", bad());
    w.run_for(Span::minutes(2));
    w.mood("soc", Mood::Most(10));
    for n in 0..1000 {
        w.pod(
            &format!("shop/a{n}"),
            json!({"bad": "yes", "severity": "Critical"}),
        );
    }
    let mut before = 0;
    let mut minutes = vec![];
    for _ in 0..30 {
        w.run_for(Span::minutes(1));
        minutes.push(w.messages - before);
        before = w.messages;
    }
    assert!(minutes.iter().all(|sent| *sent <= 20), "{minutes:?}");
    assert_eq!(w.told_subjects("soc").len(), 1001);
}
