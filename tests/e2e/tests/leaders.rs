//! Two replicas: one leads, the other is ready; a leader that was away knows that it may
//! have been replaced.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use patrol_e2e::connections;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::operator::{Builder, Process};
use patrol_e2e::receiver::{Event, Reply};
use patrol_e2e::{Error, Result, wait_until};

/// A hand-over in good order needs no lease to run out: well below this.
const LEASE: &str = "6s";
/// How long the old leader stands still: longer than any of its deadlines.
const STILL: Duration = Duration::from_secs(60);

/// A replica under a service account of its own, named like it.
fn replica(plane: &ControlPlane, identity: &str) -> Result<Builder> {
    installed::account(plane, identity)?;
    Ok(installed::operator_as(plane, identity, identity)?.args([
        "--lease-duration",
        LEASE,
        "--renew-deadline",
        "4s",
        "--retry-period",
        "500ms",
    ]))
}

fn holder(plane: &ControlPlane) -> Result<String> {
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-patrol/leases/kube-patrol";
    let lease = plane.request(ADMIN, "GET", path, None)?.success()?;
    Ok(lease["spec"]["holderIdentity"]
        .as_str()
        .unwrap_or("")
        .to_owned())
}

fn wait_for_holder(plane: &ControlPlane, wanted: &str) -> Result<()> {
    wait_until(SOON, &format!("{wanted} to lead"), || {
        match holder(plane)? {
            now if now == wanted => Ok(()),
            now => Err(Error::failed(format!("{now:?} leads"))),
        }
    })
}

/// A gap on a new pod is ticketed and told.
fn works(stage: &Stage, pod: &str) -> Result<()> {
    installed::create_pod(&stage.plane, &installed::pod("shop", pod, false))?;
    installed::ticket_line(&stage.plane, &format!("sidecar-missing Pod/{pod} Open"))?;
    stage
        .receiver
        .wait_for_event(SOON, pod, |e| e.subject.name == pod && e.state == "Firing")?;
    Ok(())
}

/// No obligation under two ids, no pod with two tickets.
fn consistent(stage: &Stage) -> Result<()> {
    let mut ids: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for e in stage.receiver.events()? {
        ids.entry((e.ticket.uid, e.state, e.episode, e.seq, e.n))
            .or_default()
            .insert(e.event_id);
    }
    let double: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(double.is_empty(), "{double:?}");
    let tickets = installed::tickets_of(&stage.plane, "sidecar-missing")?;
    let subjects: BTreeSet<_> = tickets.iter().map(installed::line).collect();
    assert_eq!(subjects.len(), tickets.len(), "{subjects:?}");
    Ok(())
}

/// How often the log says that it leads.
fn began_to_lead(process: &Process) -> Result<usize> {
    Ok(process.stderr()?.matches("\"message\":\"leading\"").count())
}

/// What a replica asked the API server to change so far, from the audit log. Asking what
/// it may do changes nothing.
fn writes(plane: &ControlPlane, identity: &str) -> Result<Vec<String>> {
    let who = format!("system:serviceaccount:{}:{identity}", installed::NAMESPACE);
    let mut found = vec![];
    for event in plane.audit()? {
        let (verb, of) = (event["verb"].as_str().unwrap_or(""), &event["objectRef"]);
        let reads = matches!(verb, "get" | "list" | "watch");
        if event["user"]["username"] == who
            && !reads
            && of["resource"] != "selfsubjectaccessreviews"
        {
            found.push(format!("{verb} {of} {}", event["responseStatus"]["code"]));
        }
    }
    Ok(found)
}

#[test]
fn f3_a_leader_that_stood_still_is_replaced_and_does_nothing_when_it_wakes() -> Result<()> {
    let flag = "--disable-admission-plugins=ServiceAccount";
    let builder = ControlPlane::builder().api_server_flag(flag).audit();
    let Some(stage) = Stage::unguarded("leader_stood_still", builder)? else {
        return Ok(());
    };
    let plane = &stage.plane;
    plane.apply(&installed::policy("production").to_string())?;
    let mut one = replica(plane, "one")?.spawn()?;
    wait_for_holder(plane, "one")?;
    // Whether each request came from it: the kernel knows whose connection it is.
    let by_one: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (seen, id) = (Arc::clone(&by_one), one.id());
    stage.receiver.script_with(move |request| {
        let whose = request.peer.map(|peer| connections::has_end(id, peer));
        let is = whose.is_some_and(|found| found.unwrap_or(true));
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(is);
        None
    });
    let sent_by_one = || {
        let all = by_one.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|is| **is).count()
    };
    let mut two = replica(plane, "two")?.spawn()?;
    works(&stage, "first")?;
    assert_eq!(began_to_lead(&two)?, 0);
    assert_eq!(writes(plane, "two")?, Vec::<String>::new());
    assert!(sent_by_one() > 0, "nobody sent it");

    // Gaps that both want to tell: the old leader is stopped in the middle of them.
    for n in 0..10 {
        let name = format!("burst-{n}");
        installed::create_pod(plane, &installed::pod("shop", &name, false))?;
    }
    one.pause()?;
    let stopped = Instant::now();
    wait_for_holder(plane, "two")?;
    works(&stage, "second")?;
    for n in 0..10 {
        let name = format!("burst-{n}");
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
        stage.receiver.wait_for_event(SOON, &name, |e| {
            e.subject.name == name && e.state == "Firing"
        })?;
    }
    wait_until(2 * SOON, "the pause to be longer than any deadline", || {
        (stopped.elapsed() > STILL).then_some(())
    })?;
    // While it stands still nothing of it is under way any more.
    let (written, sent) = (writes(plane, "one")?, sent_by_one());
    assert!(!written.is_empty(), "it never wrote");
    one.resume()?;
    works(&stage, "third")?;
    installed::patrols(plane, "production", 1)?;
    assert_eq!(holder(plane)?, "two");
    assert_eq!(began_to_lead(&one)?, 1, "the old leader led again");
    assert_eq!(
        writes(plane, "one")?.split_off(written.len()),
        Vec::<String>::new(),
        "it wrote after it woke"
    );
    assert_eq!(sent_by_one(), sent, "it sent after it woke");
    consistent(&stage)?;

    // It is a warm standby now, and takes over at once from one that goes in order.
    let asked = Instant::now();
    let end = two.terminate(Duration::from_secs(10))?;
    assert_eq!(end.code(), Some(0), "{}", two.stderr()?);
    wait_for_holder(plane, "one")?;
    eprintln!("handed over after {:?}", asked.elapsed());
    works(&stage, "fourth")?;
    assert!(sent_by_one() > sent, "nobody sent the fourth");
    consistent(&stage)?;
    one.check_alive()
}

#[test]
fn a_leader_that_is_told_to_end_hands_over_before_its_lease_runs_out() -> Result<()> {
    let Some(stage) = Stage::unguarded("hand_over", Stage::bare_builder())? else {
        return Ok(());
    };
    let plane = &stage.plane;
    plane.apply(&installed::policy("production").to_string())?;
    // The default lease of 15 s is held to its end by nobody: the next one leads long
    // before.
    let mut one = installed::operator(plane, "one")?.spawn()?;
    wait_for_holder(plane, "one")?;
    let mut two = installed::operator(plane, "two")?.spawn()?;
    works(&stage, "first")?;
    let end = one.terminate(Duration::from_secs(10))?;
    assert_eq!(end.code(), Some(0), "{}", one.stderr()?);
    let released = Instant::now();
    wait_for_holder(plane, "two")?;
    let took = released.elapsed();
    assert!(took < Duration::from_secs(10), "handed over after {took:?}");
    works(&stage, "second")?;
    consistent(&stage)?;
    two.check_alive()
}

#[test]
fn f2_a_leader_replaced_in_mid_send_is_repeated_under_the_same_ids_and_records_nothing()
-> Result<()> {
    let flag = "--disable-admission-plugins=ServiceAccount";
    let builder = ControlPlane::builder().api_server_flag(flag).audit();
    let Some(stage) = Stage::unguarded("replaced_in_mid_send", builder)? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    plane.apply(&installed::policy("production").to_string())?;
    let mut one = replica(plane, "one")?.spawn()?;
    wait_for_holder(plane, "one")?;
    let mut two = replica(plane, "two")?.spawn()?;
    works(&stage, "first")?;

    // The leader stops while the receiver still thinks; the answer lies in its socket when
    // it wakes, long after somebody else has told the same.
    receiver.script_next([Reply::ok().after(Duration::from_secs(2))]);
    let before = receiver.requests().len();
    installed::create_pod(plane, &installed::pod("shop", "second", false))?;
    receiver.wait_for(SOON, "the message in mid-send", |all| {
        (all.len() > before).then_some(())
    })?;
    one.pause()?;
    wait_for_holder(plane, "two")?;
    let told = receiver.wait_for(SOON, "both to have told it", |all| {
        let of = |e: &Event| e.subject.name == "second" && e.accepted;
        let notices = all.iter().filter_map(|r| r.notice().ok());
        let found: Vec<_> = notices.flat_map(|n| n.data.tickets).filter(of).collect();
        (found.len() > 1).then_some(found)
    })?;
    let ids: BTreeSet<_> = told.iter().map(|e| &e.event_id).collect();
    assert_eq!(ids.len(), 1, "{told:?}");

    let written = writes(plane, "one")?.len();
    one.resume()?;
    works(&stage, "third")?;
    installed::patrols(plane, "production", 1)?;
    assert_eq!(
        writes(plane, "one")?.split_off(written),
        Vec::<String>::new(),
        "it recorded after it was replaced"
    );
    consistent(&stage)?;
    // Told twice, recorded once: the next thing said of it is its end, once.
    installed::replace_pod(plane, "shop", "second", true)?;
    installed::ticket_line(plane, "sidecar-missing Pod/second Resolved")?;
    let end = |e: &Event| e.subject.name == "second" && e.state == "Closed";
    receiver.wait_for_event(SOON, "the end", end)?;
    installed::patrols(plane, "production", 1)?;
    assert_eq!(receiver.events()?.iter().filter(|e| end(e)).count(), 1);
    one.check_alive()?;
    two.check_alive()
}
