//! F15: credentials that were changed are tried at once, and nothing else is hastened.

use patrol_api::time::Span;
use patrol_core::event::{DeliveryClass, Event};
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{Mood, World, key};

/// A gap that `soc` is told of, and does not take for this reason.
fn refused_for(class: DeliveryClass, time: Span) -> World {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Answer(class));
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(time);
    w
}

fn failures(w: &World) -> u64 {
    let soc = w.server.get(Kind::AlertReceiver, &key("", "soc")).unwrap();
    soc["status"]["circuit"]["failures"].as_u64().unwrap()
}

#[test]
fn f15_changed_credentials_are_tried_at_once() {
    for class in [DeliveryClass::Config("no"), DeliveryClass::SecretMissing] {
        let mut w = refused_for(class, Span::hours(3));
        w.mood("soc", Mood::Accept);
        w.settle();
        assert!(w.told("soc", "shop/a").is_empty(), "its pause is not over");
        w.event(Event::CredentialsChanged("soc".into()));
        w.settle();
        assert_eq!(
            w.told("soc", "shop/a"),
            ["Firing 1.1.1 Opened"],
            "{class:?}"
        );
    }
}

/// A key that does not do either: one more try, and the pauses are as long as before.
#[test]
fn a_change_that_mends_nothing_is_one_more_failure() {
    let mut w = refused_for(DeliveryClass::Config("no"), Span::hours(3));
    w.run_for(Span::minutes(1));
    let (sent, failed) = (w.sent.len(), failures(&w));
    assert!(failed > 5, "{failed}");
    w.event(Event::CredentialsChanged("soc".into()));
    w.settle();
    assert_eq!(w.sent.len(), sent + 1);
    w.run_for(Span::seconds(40));
    assert!(failures(&w) > failed);
    assert_eq!(
        w.condition(Kind::AlertReceiver, "soc", "Ready"),
        "False(Config)"
    );
}

#[test]
fn no_other_trouble_is_hastened() {
    let mut w = refused_for(DeliveryClass::Transient, Span::hours(3));
    let sent = w.sent.len();
    for name in ["soc", "nobody"] {
        w.event(Event::CredentialsChanged(name.into()));
    }
    w.settle();
    assert_eq!(w.sent.len(), sent);
}
