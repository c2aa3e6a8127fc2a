//! What people do, told to receivers that ask for it, and to nobody else (alerting.md 2.6).

use patrol_api::time::Span;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{World, key};

fn bad() -> Value {
    json!({"bad": "yes"})
}

fn want(w: &mut World, subject: &str, field: &str, value: Value) {
    let place = w.ticket_key(subject);
    w.edit(Kind::Ticket, &place, |ticket| {
        ticket["spec"][field] = value;
    });
    w.settle();
}

fn pause(w: &mut World, subject: &str, field: &str, hours: u64) {
    let until = w.wall().plus(Span::hours(hours)).to_string();
    want(
        w,
        subject,
        field,
        json!({"until": until, "reason": "on it", "by": "alice"}),
    );
}

fn told_to(spec: Value) -> World {
    let mut w = World::new();
    w.receiver("soc", spec);
    w.receiver("other", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}, {"name": "other"}]}}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(6));
    w
}

fn pager(spec: Value) -> Value {
    let mut whole = json!({
        "webhook": null,
        "pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}},
    });
    for (key, value) in spec.as_object().unwrap() {
        match value {
            Value::Object(_) => whole["pagerduty"]["incidentPer"] = value["incidentPer"].clone(),
            value => whole[key] = value.clone(),
        }
    }
    whole
}

#[test]
fn who_asks_for_it_hears_once_that_a_ticket_was_taken() {
    let mut w = told_to(json!({"quietNotices": ["Acknowledged", "Assigned"]}));
    pause(&mut w, "shop/a", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/a"),
        ["Firing 1.1.1 Opened", "Firing 1.1.2 Acknowledged"]
    );
    want(&mut w, "shop/a", "assignee", json!("ann"));
    w.run_for(Span::hours(10));
    assert_eq!(w.told("soc", "shop/a")[2..], ["Firing 1.1.3 Assigned"]);
    // Nobody asked to hear of this one.
    pause(&mut w, "shop/a", "snooze", 22);
    w.run_for(Span::hours(9));
    assert_eq!(w.told("soc", "shop/a").len(), 3);
    assert_eq!(w.told("other", "shop/a"), ["Firing 1.1.1 Opened"]);
    let history = w.status("shop/a").history;
    assert!(
        history.iter().any(|h| h.reason == "Assigned"),
        "{history:?}"
    );
}

#[test]
fn a_restart_tells_no_quiet_notice_twice() {
    let mut w = told_to(json!({"quietNotices": ["Acknowledged", "Snoozed", "Assigned"]}));
    want(&mut w, "shop/a", "assignee", json!("ann"));
    pause(&mut w, "shop/a", "snooze", 20);
    w.run_for(Span::minutes(10));
    // One message says both.
    assert_eq!(w.told("soc", "shop/a")[1..], ["Firing 1.1.2 Snoozed"]);
    w.restart();
    w.run_for(Span::hours(5));
    assert_eq!(w.told("soc", "shop/a").len(), 2);
}

#[test]
fn whoever_stands_in_is_not_called_for_what_people_did() {
    let mut w = told_to(json!({
        "quietNotices": ["Assigned"], "failover": {"receiver": "spare", "after": "10m"},
    }));
    w.receiver("spare", json!({}));
    w.run_for(Span::minutes(1));
    w.mood(
        "soc",
        crate::world::Mood::Answer(patrol_core::event::DeliveryClass::Transient),
    );
    want(&mut w, "shop/a", "assignee", json!("ann"));
    w.run_for(Span::hours(2));
    assert_eq!(w.told("spare", "shop/a"), Vec::<String>::new());
}

#[test]
fn an_incident_is_acknowledged_once_all_its_tickets_are_and_news_begins_the_next() {
    let mut w = told_to(pager(json!({"quietNotices": ["Acknowledged"]})));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(10));
    let sent = |w: &World| -> Vec<(bool, u64, bool)> {
        let mine = w.sent.iter().filter(|(_, to, _)| to == "soc");
        mine.map(|(_, _, n)| (n.acknowledges, n.incident, n.begins_incident))
            .collect()
    };
    assert_eq!(sent(&w), [(false, 0, false), (false, 0, false)]);
    pause(&mut w, "shop/a", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    assert_eq!(sent(&w)[2..], [(false, 0, false)], "the other one stands");
    pause(&mut w, "shop/b", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    assert_eq!(sent(&w)[3..], [(true, 0, false)]);
    // Whoever leads next knows of it.
    w.restart();
    w.pod("shop/c", bad());
    w.run_for(Span::minutes(10));
    assert_eq!(sent(&w)[4..], [(false, 1, true)]);
    w.pod("shop/d", bad());
    w.run_for(Span::minutes(10));
    assert_eq!(sent(&w)[5..], [(false, 1, false)]);
}

#[test]
fn a_critical_ticket_may_have_an_incident_of_its_own() {
    let mut w = told_to(pager(
        json!({"pagerduty": {"incidentPer": "CriticalTicket"}}),
    ));
    w.pod("shop/c", json!({"bad": "yes", "severity": "Critical"}));
    w.pod("shop/d", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(10));
    let stored = w.server.get(Kind::AlertReceiver, &key("", "soc")).unwrap();
    let groups = stored["status"]["groups"].as_array().unwrap();
    let keys: Vec<&str> = groups.iter().map(|g| g["key"].as_str().unwrap()).collect();
    let of = |subject: &str| {
        let at = w.ticket_key(subject);
        format!("p/check=pod-bad,ticket={}/{}", at.namespace, at.name)
    };
    let mut expected = vec!["p/check=pod-bad".to_owned(), of("shop/c"), of("shop/d")];
    expected.sort();
    assert_eq!(keys, expected);
    // Each ends with its ticket.
    w.pod("shop/c", json!({}));
    w.run_for(Span::minutes(10));
    let last = &w.sent.iter().rfind(|(_, to, _)| to == "soc").unwrap().2;
    assert_eq!((last.standing, last.tickets.len()), (0, 1));
    // Who wants it otherwise now has no incident left that nobody ends.
    w.receiver("soc", pager(json!({})));
    w.run_for(Span::minutes(20));
    let last = &w.sent.iter().rfind(|(_, to, _)| to == "soc").unwrap().2;
    assert_eq!((last.standing, last.tickets.len()), (0, 0));
    assert_eq!(last.group.labels.len(), 2);
}

/// Handing it around calls nobody, and keeps nobody from being called.
#[test]
fn what_people_do_puts_off_no_reminder() {
    let mut w = told_to(json!({"quietNotices": ["Assigned"]}));
    for day in 0..3 {
        w.run_for(Span::hours(20));
        want(&mut w, "shop/a", "assignee", json!(format!("ann-{day}")));
        w.run_for(Span::hours(4));
    }
    let told = w.told("soc", "shop/a");
    let reminders = told.iter().filter(|t| t.ends_with("Reminder")).count();
    let assigned = told.iter().filter(|t| t.ends_with("Assigned")).count();
    assert!((2..=3).contains(&reminders) && assigned == 3, "{told:?}");
    assert_eq!(
        reminders,
        w.told("other", "shop/a").len() - 1,
        "as often as for those that do not ask"
    );
}

/// A page that is for all tickets of the group, but for one that nobody took, is none for that one.
#[test]
fn an_open_ticket_that_comes_under_an_acknowledged_incident_rings_again() {
    let mut w = told_to(pager(json!({"quietNotices": ["Acknowledged"]})));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["severity"]}}),
    );
    w.pod("shop/b", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(20));
    pause(&mut w, "shop/a", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    let last = |w: &World| {
        w.sent
            .iter()
            .rfind(|(_, to, _)| to == "soc")
            .unwrap()
            .2
            .clone()
    };
    assert!(last(&w).acknowledges);
    w.pod("shop/b", json!({"bad": "yes", "severity": "High"}));
    w.run_for(Span::minutes(20));
    let after: Vec<(u64, bool)> = w
        .sent
        .iter()
        .filter(|(_, to, n)| to == "soc" && n.tickets.iter().any(|t| t.subject.name == "b"))
        .map(|(_, _, n)| (n.incident, n.begins_incident))
        .collect();
    assert_eq!(after.last(), Some(&(1, true)), "{after:?}");
}

/// The last open one is mended: whoever took the others is not called any more.
#[test]
fn an_incident_is_acknowledged_when_the_last_open_ticket_ends() {
    let mut w = told_to(pager(json!({"quietNotices": ["Acknowledged"]})));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(10));
    pause(&mut w, "shop/a", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    w.pod("shop/b", json!({}));
    w.run_for(Span::minutes(10));
    let last = &w.sent.iter().rfind(|(_, to, _)| to == "soc").unwrap().2;
    assert_eq!((last.acknowledges, last.standing), (true, 1));
}

/// Nobody took the page for a deadline, so what comes after it does not quieten it.
#[test]
fn a_deadline_that_passed_is_not_acknowledged_by_what_comes_after_it() {
    let mut w = told_to(pager(json!({"quietNotices": ["Acknowledged"]})));
    w.policy("p", json!({"tickets": {"sla": {"high": "4h"}}}));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(10));
    pause(&mut w, "shop/a", "acknowledge", 20);
    pause(&mut w, "shop/b", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    let last = |w: &World| {
        w.sent
            .iter()
            .rfind(|(_, to, _)| to == "soc")
            .unwrap()
            .2
            .clone()
    };
    assert!(last(&w).acknowledges);
    w.run_for(Span::hours(5));
    assert_eq!((last(&w).incident, last(&w).acknowledges), (1, false));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!((last(&w).incident, last(&w).standing), (1, 1));
    assert!(!last(&w).acknowledges);
}

/// A pause that ends while a window is closed begins no incident: what is told meanwhile would ring for it.
#[test]
fn nothing_begins_for_what_a_window_puts_off() {
    let mut w = told_to(pager(json!({"quietNotices": ["Acknowledged"]})));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(10));
    pause(&mut w, "shop/a", "acknowledge", 2);
    pause(&mut w, "shop/b", "acknowledge", 20);
    w.run_for(Span::minutes(10));
    let begin = w.wall().chrono();
    let clock = |hours: i64| {
        (begin + chrono::TimeDelta::hours(hours))
            .format("%H:%M")
            .to_string()
    };
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "windows": [{"from": clock(12), "to": clock(20)}],
        }}),
    );
    w.run_for(Span::hours(4));
    w.pod("shop/b", json!({}));
    w.run_for(Span::minutes(10));
    let last = &w.sent.iter().rfind(|(_, to, _)| to == "soc").unwrap().2;
    assert_eq!((last.incident, last.begins_incident), (0, false));
    w.run_for(Span::hours(9));
    let last = &w.sent.iter().rfind(|(_, to, _)| to == "soc").unwrap().2;
    assert_eq!((last.incident, last.begins_incident), (1, true));
}
