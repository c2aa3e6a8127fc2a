//! A receiver that is new to thousands of open tickets (F32): it hears of all of them in
//! one digest, and whoever was told before hears nothing again.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use patrol_e2e::crowd::{self, Family, Step};
use patrol_e2e::installed::{self, Stage};
use patrol_e2e::random::from_environment;
use patrol_e2e::receiver::{Notice, Receiver};
use patrol_e2e::{Error, Result, wait_until};
use serde_json::json;

/// Open tickets; `KUBE_PATROL_OBJECTS` takes another number.
const TICKETS: u64 = 5_000;
/// All of them there, or told.
const SETTLED: Duration = Duration::from_secs(300);

/// Waits until the receiver has accepted a word on each of so many tickets, and returns
/// all notices it has.
fn told(receiver: &Receiver, what: &str, count: usize) -> Result<Vec<Notice>> {
    wait_until(SETTLED, what, || {
        let notices = receiver.notices()?;
        let accepted = notices.iter().filter(|n| n.accepted);
        let uids: BTreeSet<_> = accepted
            .flat_map(|n| n.data.tickets.iter().map(|t| t.ticket.uid.clone()))
            .collect();
        match uids.len() == count {
            true => Ok(notices),
            false => Err(Error::failed(format!("{} of {count}", uids.len()))),
        }
    })
}

#[test]
fn f32_a_receiver_that_is_new_to_thousands_of_tickets_hears_one_digest() -> Result<()> {
    let Some(stage) = Stage::bare("newcomer")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    let count = from_environment("KUBE_PATROL_OBJECTS", TICKETS)?;
    let pods: Vec<Family> = (0..count)
        .map(|n| Family {
            what: "a bare pod",
            steps: vec![Step::Create {
                path: "/api/v1/namespaces/shop/pods".to_owned(),
                body: installed::pod("shop", &format!("web-{n}"), false),
            }],
            namespace: "shop".to_owned(),
            lacking: vec![],
        })
        .collect();
    crowd::make(plane, &pods)?;
    let count = pods.len();
    let mut policy = installed::policy("production");
    policy["spec"]["tickets"]["maxPerCheck"] = json!(count);
    plane.apply(&policy.to_string())?;
    let mut operator = installed::operator(plane, "one")?
        .args(["--writes-per-second", "400"])
        .spawn()?;
    told(&stage.receiver, "the first receiver to know all", count)?;
    let before = stage.receiver.requests().len();

    let newcomer = Receiver::start()?;
    newcomer.verify_with(&[installed::SIGNING])?;
    let mut object = installed::receiver(&newcomer.url("/hook"));
    object["metadata"]["name"] = json!("newcomer");
    plane.apply(&object.to_string())?;
    policy["spec"]["alerts"]["receivers"] = json!([{"name": "soc"}, {"name": "newcomer"}]);
    plane.apply(&policy.to_string())?;
    let notices = told(&newcomer, "the newcomer to know all", count)?;

    // One digest, in as many parts as the size of a message asks for.
    let parts = notices.first().and_then(|n| n.data.part);
    let expected = parts.map_or(1, |part| part.count);
    let mut seen = BTreeSet::new();
    for notice in &notices {
        assert_eq!(
            notice.kind, "patrol.digest",
            "{}",
            notice.raw["data"]["reason"]
        );
        assert_eq!(notice.data.reason.as_deref(), Some("Baseline"));
        seen.insert(notice.data.part.map_or(1, |part| part.index));
    }
    let requests = notices.len();
    assert_eq!(seen.len(), requests, "a part came twice");
    assert_eq!(u64::try_from(requests).ok(), Some(expected));
    let words = notices.iter().map(|n| n.data.tickets.len()).sum::<usize>();
    assert_eq!(words, count, "a ticket is told twice");
    eprintln!("{count} tickets in {requests} requests");

    // It is told of ends like everybody else, and nobody else heard anything meanwhile.
    assert_eq!(stage.receiver.requests().len(), before);
    installed::replace_pod(plane, "shop", "web-0", true)?;
    for receiver in [&newcomer, &stage.receiver] {
        // The records of thousands of tellings are written before.
        receiver.wait_for_event(SETTLED, "the end of one of them", |e| {
            e.subject.name == "web-0" && e.state == "Closed"
        })?;
    }
    operator.check_alive()
}
