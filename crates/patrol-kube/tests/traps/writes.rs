//! Writes whose reply is an error, a refusal or nothing at all.

use std::time::{Duration, Instant};

use patrol_core::effect::{Effect, Precondition};
use patrol_core::event::{Event, Refusal, Term, WriteId, WriteResult};
use patrol_core::facts::ObjectKey;
use patrol_kube::lease::{Fence, Lease, LeaseSettings};
use patrol_kube::writer::{Answers, WRITES_PER_SECOND, Writer, writer};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::server::{Answer, Asked, Server};
use crate::watching::DEADLINE;

pub struct Writing {
    writer: Writer,
    answers: Answers,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Writing {
    fn start(server: &Server, fence: Fence) -> Self {
        let (writer, worker) = writer(server.connection(), fence, "replica-0", WRITES_PER_SECOND);
        tokio::spawn(worker.run());
        let (answers, events) = mpsc::unbounded_channel();
        Self {
            writer,
            answers,
            events,
        }
    }

    async fn write(&mut self, effect: Effect) -> WriteResult {
        self.writer.carry_out(effect, Some(Term(1)), &self.answers);
        self.next().await
    }

    async fn next(&mut self) -> WriteResult {
        match tokio::time::timeout(DEADLINE, self.events.recv()).await {
            Ok(Some(Event::Written(WriteId(1), result))) => result,
            other => panic!("{other:?}"),
        }
    }
}

fn ticket() -> Value {
    json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": "t", "namespace": "shop"},
        "spec": {"finding": {"policy": "p", "check": "sidecar-missing", "layer": "L4",
            "subject": {"kind": "Pod", "name": "web"}, "subjectRef": "Pod/web"}}})
}

fn create() -> Effect {
    Effect::CreateTicket {
        id: WriteId(1),
        ticket: Box::new(serde_json::from_value(ticket()).unwrap()),
    }
}

fn at() -> Precondition {
    Precondition {
        key: ObjectKey::new("shop", "t"),
        uid: "u".to_owned(),
        version: "7".to_owned(),
    }
}

fn is_post(asked: &Asked) -> bool {
    asked.method == "POST"
}

/// kube repeats a POST.
#[tokio::test]
async fn a_create_is_never_repeated_by_itself() {
    for code in [429, 500, 503, 504] {
        let server = Server::start(move |_| Answer::status(code, "Timeout"));
        let mut writing = Writing::start(&server, Fence::always());
        let result = writing.write(create()).await;
        let expected = match code {
            429 => matches!(result, WriteResult::Throttled(None)),
            _ => matches!(result, WriteResult::Failed),
        };
        assert!(expected, "{code}: {result:?}");
        assert_eq!(server.count(is_post), 1, "{code}");
    }
}

#[tokio::test]
async fn a_taken_name_is_answered_with_what_is_there() {
    let server = Server::start(|asked| {
        if asked.method == "POST" {
            return Answer::status(409, "AlreadyExists");
        }
        let mut there = ticket();
        there["metadata"]["uid"] = "other".into();
        there["metadata"]["resourceVersion"] = "9".into();
        Answer::json(there)
    });
    let mut writing = Writing::start(&server, Fence::always());
    match writing.write(create()).await {
        WriteResult::Exists(Some(ticket)) => {
            assert_eq!(ticket.metadata.uid.as_deref(), Some("other"));
        }
        other => panic!("{other:?}"),
    }
    let asked = server.asked();
    assert_eq!(asked[0].query["fieldManager"], "kube-patrol");
    assert_eq!(asked[0].query["fieldValidation"], "Strict");
    assert!(asked[1].path.ends_with("/namespaces/shop/tickets/t"));

    let unreadable = Server::start(|asked| match asked.method.as_str() {
        "POST" => Answer::status(409, "AlreadyExists"),
        _ => Answer::status(403, "Forbidden"),
    });
    let mut writing = Writing::start(&unreadable, Fence::always());
    assert!(matches!(
        writing.write(create()).await,
        WriteResult::Exists(None)
    ));
}

#[tokio::test]
async fn who_does_not_certainly_lead_sends_no_byte() {
    let server = Server::start(|_| Answer::status(500, "no"));
    let mut writing = Writing::start(&server, Fence::new());
    for effect in [
        create(),
        Effect::DeleteTicket {
            id: WriteId(1),
            at: at(),
        },
        Effect::WriteTicketStatus {
            id: WriteId(1),
            at: at(),
            status: Box::default(),
        },
    ] {
        let result = writing.write(effect).await;
        let refused = matches!(result, WriteResult::Refused(Refusal::NotLeader));
        assert!(refused, "{result:?}");
    }
    assert!(server.asked().is_empty());
}

/// Another one may have led since, and its writes are not known here.
#[tokio::test]
async fn f2_what_was_to_be_written_in_another_term_is_not_written() {
    let server = Server::start(|_| Answer::status(500, "no"));
    let mut writing = Writing::start(&server, Fence::always());
    for term in [Some(Term(0)), None] {
        let effect = create();
        writing.writer.carry_out(effect, term, &writing.answers);
        let result = writing.next().await;
        let refused = matches!(result, WriteResult::Refused(Refusal::NotLeader));
        assert!(refused, "{result:?}");
    }
    assert!(server.asked().is_empty());
}

/// A write of several calls asks before each of them.
#[tokio::test]
async fn who_stops_leading_between_two_calls_sends_no_second() {
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::start(move |asked| {
        if asked.path.contains("/leases") {
            return lease(asked);
        }
        if asked.method == "GET" {
            arrived.send(()).unwrap();
            wait.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        }
        let mut policy = json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
            "metadata": {"name": "t", "uid": "u", "resourceVersion": "7"}, "spec": {}});
        policy["metadata"]["generation"] = 1.into();
        Answer::json(policy)
    });
    let settings = LeaseSettings::new("ns", "replica-0");
    let lease = Lease::new(server.connection().writes, settings);
    let (fence, mut leading) = (lease.fence(), lease.leading());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(lease.run(async move { drop(stopped.await) }));
    let led = tokio::time::timeout(DEADLINE, leading.wait_for(Option::is_some));
    led.await.unwrap().unwrap();

    let mut writing = Writing::start(&server, fence);
    let write = writing.write(Effect::WritePolicyFinalizer {
        id: WriteId(1),
        at: Precondition {
            key: ObjectKey::new("", "t"),
            ..at()
        },
        present: true,
    });
    let deposed = async {
        let came = tokio::task::spawn_blocking(move || arrivals.recv_timeout(DEADLINE));
        came.await.unwrap().unwrap();
        stop.send(()).unwrap();
        leading.wait_for(Option::is_none).await.unwrap();
        go.send(()).unwrap();
    };
    let (result, ()) = tokio::join!(write, deposed);
    let refused = matches!(result, WriteResult::Refused(Refusal::NotLeader));
    assert!(refused, "{result:?}");
    assert_eq!(server.count(|asked| asked.method == "PATCH"), 0);
}

/// A Lease that is there as soon as someone makes it.
fn lease(asked: &Asked) -> Answer {
    if asked.method == "GET" {
        return Answer::status(404, "NotFound");
    }
    let mut body: Value = serde_json::from_str(&asked.body).unwrap();
    body["metadata"]["resourceVersion"] = "1".into();
    Answer::json(body)
}

/// kube sleeps for as long as it is asked to.
#[tokio::test]
async fn f5_an_endless_retry_after_is_handed_on_capped_and_not_slept() {
    let server = Server::start(|_| Answer::With(429, "Retry-After: 3600", String::new()));
    let began = Instant::now();
    let mut writing = Writing::start(&server, Fence::always());
    match writing.write(create()).await {
        WriteResult::Throttled(Some(span)) => assert_eq!(span.as_secs(), 60),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn f5_at_most_eight_writes_are_under_way() {
    let server = Server::start(|_| Answer::Silence);
    let writing = Writing::start(&server, Fence::always());
    for _ in 0..30 {
        writing
            .writer
            .carry_out(create(), Some(Term(1)), &writing.answers);
    }
    let until = Instant::now() + DEADLINE;
    while server.count(is_post) < 8 {
        assert!(Instant::now() < until, "{} writes", server.count(is_post));
        tokio::task::yield_now().await;
    }
    // A read has its own connection and is answered by nothing either, but it is sent:
    // by then a ninth write would have been too.
    writing.writer.carry_out(
        Effect::ReadTicket {
            id: WriteId(2),
            key: ObjectKey::new("shop", "t"),
        },
        Some(Term(1)),
        &writing.answers,
    );
    while server.count(|a| a.method == "GET") == 0 {
        assert!(Instant::now() < until, "the read waits behind the writes");
        tokio::task::yield_now().await;
    }
    assert_eq!(server.count(is_post), 8);
}

/// Every write of an existing object says which state of which object it assumes.
#[tokio::test]
async fn every_change_carries_its_precondition() {
    let server = Server::start(|_| Answer::status(409, "Conflict"));
    let mut writing = Writing::start(&server, Fence::always());
    let id = WriteId(1);
    let effects = [
        Effect::WriteTicketStatus {
            id,
            at: at(),
            status: Box::default(),
        },
        Effect::WriteTicketLabels {
            id,
            at: at(),
            labels: [("a".to_owned(), "b".to_owned())].into(),
        },
        Effect::DeleteTicket { id, at: at() },
        Effect::WritePolicyStatus {
            id,
            at: at(),
            status: Box::default(),
        },
        Effect::WriteReceiverStatus {
            id,
            at: at(),
            status: Box::default(),
        },
    ];
    for effect in effects {
        let what = format!("{effect:?}");
        let result = writing.write(effect).await;
        assert!(
            matches!(result, WriteResult::Conflict),
            "{what}: {result:?}"
        );
        let body: Value = serde_json::from_str(&server.asked().pop().unwrap().body).unwrap();
        let stated = ["/metadata", "/preconditions"]
            .iter()
            .filter_map(|place| body.pointer(place))
            .any(|p| p["uid"] == "u" && p["resourceVersion"] == "7");
        assert!(stated, "{what}: {body}");
    }
}
