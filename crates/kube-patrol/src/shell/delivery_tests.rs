//! Deliveries to receivers that refuse, hang or are set up wrongly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use patrol_api::receiver::{
    AlertReceiverSpec, Endpoint, Locale, SecretKeyRef, UrlFrom, WebhookSpec,
};
use patrol_api::ticket::Subject;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Layer, Party, Phase, Severity, ToldState};
use patrol_core::engine::{ReceiverSnapshot, Snapshot};
use patrol_core::notice::{Alarm, Cluster, Counts, Group, NoticeKind, NoticeTicket};
use patrol_notify::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::secrets::Reading;
use super::*;
use crate::metrics::Families;

/// A receiver that answers every request with this status, or never.
struct Receiver {
    url: String,
    posts: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let posts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&posts);
        tokio::spawn(async move {
            let mut held = vec![];
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                counted.fetch_add(1, Ordering::SeqCst);
                if let Some(status) = status {
                    let reply = format!(
                        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                    );
                    let _ = stream.write_all(reply.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
                held.push(stream);
            }
        });
        Self { url, posts }
    }

    fn posts(&self) -> usize {
        self.posts.load(Ordering::SeqCst)
    }
}

/// Keys with the value that is cached and the one that is read afresh.
struct Keys(BTreeMap<&'static str, (String, String)>);

impl SecretSource for Keys {
    fn read<'a>(&'a self, _name: &'a str, key: &'a str, fresh: bool) -> Reading<'a> {
        let found = self.0.get(key).map(|(cached, now)| match fresh {
            true => now.as_str(),
            false => cached.as_str(),
        });
        Box::pin(std::future::ready(found.map(Secret::from)))
    }
}

struct Leads(Option<Duration>);

impl Fence for Leads {
    fn may_send(&self) -> Option<Duration> {
        self.0
    }

    fn is_in(&self, term: Option<Term>) -> bool {
        term != Some(PAST)
    }
}

/// A term that is over.
const PAST: Term = Term(7);

pub(super) fn post(keys: &[(&'static str, &str, &str)], leads: Option<Duration>) -> Post {
    let keys = keys
        .iter()
        .map(|(key, cached, now)| (*key, ((*cached).to_owned(), (*now).to_owned())))
        .collect();
    Post::new(
        Arc::new(Keys(keys)),
        Arc::new(Leads(leads)),
        true,
        vec![],
        long_after_boot,
        Requests::new().unwrap(),
    )
}

/// A clock that goes on from a day after the start: what was long ago must have a time, on a machine that has just started as well.
fn long_after_boot() -> Now {
    let now = patrol_kube::boot_clock::now();
    Now {
        mono: now.mono.plus(Span::days(1)),
        ..now
    }
}

pub(in crate::shell) fn at(key: &str) -> SecretKeyRef {
    SecretKeyRef {
        name: "soc".into(),
        key: key.into(),
    }
}

pub(in crate::shell) fn target(webhook: WebhookSpec) -> Target {
    Target {
        name: "soc".into(),
        uid: "u".into(),
        endpoint: Endpoint::Webhook(webhook),
        locale: Locale::En,
        allow: vec![],
        minimal: false,
    }
}

fn to(url: &str) -> Target {
    target(WebhookSpec {
        url: Some(url.into()),
        ..WebhookSpec::default()
    })
}

fn notice() -> Notice {
    let now = Time::from_unix(1_800_000_000);
    Notice {
        kind: NoticeKind::Alert,
        at: now,
        cluster: Cluster::default(),
        receiver: "soc".into(),
        policy: "p".into(),
        reason: AlertReason::Opened,
        next_within: None,
        group: Group::default(),
        standing: 0,
        incident: 0,
        begins_incident: false,
        acknowledges: false,
        gone: None,
        numbered: 0,
        counts: Counts::default(),
        tickets: vec![NoticeTicket {
            event_id: "e".into(),
            namespace: "shop".into(),
            name: "t".into(),
            uid: "t-uid".into(),
            episode: 1,
            seq: 1,
            n: 1,
            reason: AlertReason::Opened,
            level: 0,
            failover: false,
            overlay: None,
            state: ToldState::Firing,
            phase: Phase::Open,
            severity: Severity::High,
            resolution: None,
            check: "sidecar-missing".into(),
            requirement: None,
            title: "A sidecar is missing".into(),
            message: "agent is missing".into(),
            layer: Layer::L4,
            party: Party::Customer,
            subject: Subject {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: Some("shop".into()),
                name: "web".into(),
                uid: None,
            },
            subject_ref: "Deployment/web".into(),
            affected: 1,
            opened_at: now,
            first_opened_at: now,
            due_at: None,
            sla_breached: false,
            resolved_at: None,
            recurrences: 0,
            flapping: false,
            verified_at: None,
            assignee: None,
            remediation: String::new(),
            alarm: Alarm::default(),
        }],
        others: vec![],
    }
}

pub(super) const LEADS: Option<Duration> = Some(Duration::from_secs(60));

pub(super) async fn class(post: &Post, target: &Target) -> DeliveryClass {
    let (parts, _) = deliver(post, None, target, &notice(), Room::ANY).await;
    assert_eq!(parts.len(), 1);
    parts[0].class
}

#[tokio::test]
async fn a_refusal_is_believed_at_once_where_no_secret_is_involved() {
    for status in [404, 302, 401] {
        let receiver = Receiver::start(Some(status)).await;
        let class = class(&post(&[], LEADS), &to(&receiver.url)).await;
        assert!(matches!(class, DeliveryClass::Config(_)), "{class:?}");
        assert_eq!(receiver.posts(), 1, "{status}");
    }
}

/// Somebody else led meanwhile and may have told the end.
#[tokio::test]
async fn f2_what_was_to_be_sent_in_another_term_is_not_sent() {
    let receiver = Receiver::start(Some(200)).await;
    let (post, to) = (post(&[], LEADS), to(&receiver.url));
    for (term, class, posts) in [
        (PAST, DeliveryClass::NotLeader, 0),
        (Term(8), DeliveryClass::Accepted, 1),
    ] {
        let (parts, _) = deliver(&post, Some(term), &to, &notice(), Room::ANY).await;
        let classes: Vec<_> = parts.iter().map(|part| part.class).collect();
        assert_eq!(classes, [class]);
        assert_eq!(receiver.posts(), posts);
    }
}

#[tokio::test]
async fn f15_row89_a_refusal_is_tried_again_once_a_secret_really_changed() {
    let old = Receiver::start(Some(404)).await;
    let new = Receiver::start(Some(200)).await;
    let secret = target(WebhookSpec {
        url_from: Some(UrlFrom {
            secret_key_ref: at("url"),
        }),
        ..WebhookSpec::default()
    });
    let same = post(&[("url", &old.url, &old.url)], LEADS);
    assert!(matches!(
        class(&same, &secret).await,
        DeliveryClass::Config(_)
    ));
    assert_eq!(old.posts(), 1, "the secret is the same");
    let rotated = post(&[("url", &old.url, &new.url)], LEADS);
    assert_eq!(class(&rotated, &secret).await, DeliveryClass::Accepted);
    assert_eq!((old.posts(), new.posts()), (2, 1));
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_and_its_value_is_not() {
    let receiver = Receiver::start(Some(200)).await;
    let signed = target(WebhookSpec {
        url: Some(receiver.url.clone()),
        signing_secret_ref: Some(at("sign")),
        ..WebhookSpec::default()
    });
    for (value, says) in [("s3cret", "whsec_"), ("whsec_c2hvcnQ=", "length")] {
        match class(&post(&[("sign", value, value)], LEADS), &signed).await {
            DeliveryClass::Config(why) => {
                assert!(why.contains(says) && !why.contains("s3cret"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(receiver.posts(), 0);
}

/// The class can say no more than that something is missing, so the log says which of the two it is.
#[tokio::test]
async fn row89_a_value_that_is_blank_and_never_was_anything_else_is_missing() {
    let receiver = Receiver::start(Some(200)).await;
    let signed = target(WebhookSpec {
        url: Some(receiver.url.clone()),
        signing_secret_ref: Some(at("sign")),
        ..WebhookSpec::default()
    });
    for (keys, is_empty) in [
        (&[("sign", "", "")][..], true),
        (&[("sign", " \n", "")], true),
        (&[], false),
    ] {
        let post = post(keys, LEADS);
        assert_eq!(class(&post, &signed).await, DeliveryClass::SecretMissing);
        let read = Credentials::read(&post, &signed, false).await;
        assert!(!read.are_complete());
        let why = read.why(&at("sign"));
        assert_eq!(why.contains("is empty"), is_empty, "{why}");
    }
    assert_eq!(receiver.posts(), 0);
}

/// Another leader may send as soon as the lease has run out.
#[tokio::test]
async fn f2_an_answer_is_not_waited_for_beyond_the_lease() {
    let receiver = Receiver::start(None).await;
    let began = Instant::now();
    let short = post(&[], Some(Duration::from_millis(300)));
    let class = class(&short, &to(&receiver.url)).await;
    assert_eq!(class, DeliveryClass::Transient);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let none = post(&[], None);
    let (parts, _) = deliver(&none, None, &to(&receiver.url), &notice(), Room::ANY).await;
    assert_eq!(parts[0].class, DeliveryClass::NotLeader);
    assert_eq!(receiver.posts(), 1);
}

/// The API server may move to where a client for a receiver was made before.
#[tokio::test]
async fn f19_an_address_that_is_denied_later_is_refused_without_a_restart() {
    // Nobody is there (RFC 5737), so whatever is sent there fails.
    let target = to("http://192.0.2.1:9/hook");
    let post = post(&[], Some(Duration::from_millis(50)));
    // Whether the machine waits for an answer or knows of no way is all the same here.
    assert_eq!(class(&post, &target).await.as_str(), "Transient");
    post.denied.set(vec!["192.0.2.1".parse().unwrap()]);
    assert_eq!(class(&post, &target).await, DeliveryClass::Blocked);
    post.denied.set(vec!["192.0.2.2".parse().unwrap()]);
    assert_eq!(class(&post, &target).await.as_str(), "Transient");
}

#[tokio::test]
async fn clients_and_series_of_receivers_that_are_gone_are_forgotten() {
    let receiver = Receiver::start(Some(200)).await;
    let post = post(&[], LEADS);
    class(&post, &to(&receiver.url)).await;
    let mut families = Families::default();
    post.requests.export(&mut families, &Snapshot::default());
    let left = families.into_families();
    assert!(left.iter().all(|family| family.get_metric().is_empty()));
    post.clients.age("u");
    let other = Target {
        uid: "other".into(),
        ..to(&receiver.url)
    };
    class(&post, &other).await;
    assert_eq!(post.clients.uids(), ["other"]);
}

fn alertmanager(urls: &[String], every_address: bool) -> Target {
    let spec = serde_json::json!({
        "alertmanager": {"urls": urls, "everyAddress": every_address},
    });
    let spec: AlertReceiverSpec = serde_json::from_value(spec).unwrap();
    Target {
        endpoint: spec.endpoint().unwrap(),
        ..to("http://unused.example.com")
    }
}

/// One that accepts is enough, each is told, and one that hangs takes no time from the others.
#[tokio::test]
async fn all_members_of_a_cluster_are_told_at_the_same_time() {
    let hangs = Receiver::start(None).await;
    let fails = Receiver::start(Some(500)).await;
    let takes = Receiver::start(Some(200)).await;
    let short = post(&[], Some(Duration::from_secs(2)));
    for first in [&hangs, &fails] {
        let members = alertmanager(&[first.url.clone(), takes.url.clone()], false);
        assert_eq!(class(&short, &members).await, DeliveryClass::Accepted);
    }
    assert_eq!((hangs.posts(), fails.posts(), takes.posts()), (1, 1, 2));
    let none = alertmanager(&[fails.url.clone(), hangs.url.clone()], false);
    assert_eq!(class(&short, &none).await, DeliveryClass::Transient);
}

/// Very many members do not make very many connections; and where the first ones hang, the last one is told all the same.
#[tokio::test]
async fn members_are_told_four_at_a_time_and_each_has_its_share_of_the_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, peak) = (Arc::clone(&open), Arc::clone(&most));
    let together = Arc::new(tokio::sync::Barrier::new(4));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            peak.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let (counted, together) = (Arc::clone(&counted), Arc::clone(&together));
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                together.wait().await;
                counted.fetch_sub(1, Ordering::SeqCst);
                let reply = b"HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(reply).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    let members: Vec<String> = (0..12).map(|n| format!("{url}{n}")).collect();
    let tried = probe(&post(&[], LEADS), &alertmanager(&members, false), &notice()).await;
    assert!(tried[0].members.iter().all(|m| m.status == Some(200)));
    assert_eq!(tried[0].members.len(), 12);
    assert_eq!(most.load(Ordering::SeqCst), 4);

    let hangs = Receiver::start(None).await;
    let takes = Receiver::start(Some(200)).await;
    let mut members = vec![hangs.url.clone(); 7];
    members.push(takes.url.clone());
    let short = post(&[], Some(Duration::from_secs(1)));
    let sent = class(&short, &alertmanager(&members, false)).await;
    assert_eq!(sent, DeliveryClass::Accepted);
    assert_eq!(takes.posts(), 1);
}

/// What ends the wait is the answer's own clock, which says what was missing.
#[tokio::test]
async fn who_does_not_answer_is_said_not_to_answer() {
    let hangs = Receiver::start(None).await;
    let short = post(&[], Some(Duration::from_millis(300)));
    let tried = probe(&short, &to(&hangs.url), &notice()).await;
    let outcome = tried[0].outcome.as_ref().unwrap();
    assert!(outcome.detail.starts_with("no reply within"), "{outcome:?}");
}

/// At most four are asked at once: the fifth of a round that outlasts the lease is not asked at all.
#[tokio::test]
async fn f3_no_member_is_asked_once_the_lease_is_over() {
    struct Lapses(AtomicBool);
    impl Fence for Lapses {
        fn may_send(&self) -> Option<Duration> {
            self.0
                .load(Ordering::SeqCst)
                .then_some(Duration::from_secs(60))
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, lapsed) = [(); 2]
        .map(|()| Arc::new(tokio::sync::Barrier::new(5)))
        .into();
    let [all_asked, all_lapsed] = [Arc::clone(&asked), Arc::clone(&lapsed)];
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (asked, lapsed) = (Arc::clone(&asked), Arc::clone(&lapsed));
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                asked.wait().await;
                lapsed.wait().await;
                let reply = b"HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(reply).await;
            });
        }
    });
    let fifth = Receiver::start(Some(200)).await;
    let mut members = vec![url; 4];
    members.push(fifth.url.clone());
    let fence = Arc::new(Lapses(AtomicBool::new(true)));
    let post = Post {
        fence: Arc::clone(&fence) as Arc<dyn Fence>,
        ..post(&[], LEADS)
    };
    let cluster = alertmanager(&members, false);
    let lapse = async {
        all_asked.wait().await;
        fence.0.store(false, Ordering::SeqCst);
        all_lapsed.wait().await;
    };
    let (class, ()) = tokio::join!(class(&post, &cluster), lapse);
    assert_eq!(class, DeliveryClass::Transient, "four may have taken it");
    assert_eq!(fifth.posts(), 0);
}

/// 2.12: per target, whether it accepts; one that may have taken a message leaves it in doubt whatever the others say.
#[tokio::test]
async fn each_member_of_a_cluster_is_accounted_for() {
    let refuses = Receiver::start(Some(401)).await;
    let hangs = Receiver::start(None).await;
    let takes = Receiver::start(Some(200)).await;
    let short = post(&[], Some(Duration::from_millis(300)));
    let members = [&refuses, &takes].map(|member| member.url.clone());
    let cluster = alertmanager(&members, false);
    assert_eq!(class(&short, &cluster).await, DeliveryClass::Accepted);
    let series = |post: &Post, known: &[&str]| {
        let named = |name: &&str| ReceiverSnapshot {
            name: (*name).to_owned(),
            ..ReceiverSnapshot::default()
        };
        let snapshot = Snapshot {
            receivers: known.iter().map(named).collect(),
            ..Snapshot::default()
        };
        let mut families = Families::default();
        post.requests.export(&mut families, &snapshot);
        let all = families.into_families();
        let family = all.iter().find(|f| f.name() == "patrol_notify_targets");
        let mut rows: Vec<String> = family
            .into_iter()
            .flat_map(|family| family.get_metric())
            .map(|row| {
                let labels = row.get_label().iter().map(|l| l.value().to_owned());
                let labels: Vec<String> = labels.collect();
                format!("{} {}", labels.join(" "), row.get_gauge().get_value())
            })
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(series(&short, &["soc"]), ["soc 0 0", "soc 1 1"]);
    let members = [&refuses, &hangs].map(|member| member.url.clone());
    let cluster = alertmanager(&members, false);
    assert_eq!(class(&short, &cluster).await, DeliveryClass::Transient);
    assert_eq!(series(&short, &["soc"]), ["soc 0 0", "soc 1 0"]);
    // One address less is one series less, and none is left of a receiver that is gone.
    let cluster = alertmanager(std::slice::from_ref(&takes.url), false);
    assert_eq!(class(&short, &cluster).await, DeliveryClass::Accepted);
    assert_eq!(series(&short, &["soc"]), ["soc 0 1"]);
    assert_eq!(series(&short, &[]), Vec::<String>::new());
    // Other kinds have one address, of which the class says everything.
    class(&short, &to(&takes.url)).await;
    assert_eq!(series(&short, &["soc"]), Vec::<String>::new());
}

/// Whoever probes sees each of them.
#[tokio::test]
async fn a_probe_says_what_each_member_answered() {
    let refuses = Receiver::start(Some(401)).await;
    let takes = Receiver::start(Some(200)).await;
    let members = [&refuses, &takes].map(|member| member.url.clone());
    let cluster = alertmanager(&members, false);
    let tried = probe(&post(&[], LEADS), &cluster, &notice()).await;
    assert_eq!(tried.len(), 1);
    let statuses: Vec<Option<u16>> = tried[0].members.iter().map(|m| m.status).collect();
    assert_eq!(statuses, [Some(401), Some(200)]);
    assert_eq!(tried[0].class, DeliveryClass::Accepted);
    let one = probe(&post(&[], LEADS), &to(&takes.url), &notice()).await;
    assert_eq!(one[0].members, []);
}

/// `localhost` has one address or two; the receiver is at one of them.
#[tokio::test]
async fn every_address_of_a_host_is_told() {
    let takes = Receiver::start(Some(200)).await;
    let by_name = takes.url.replace("127.0.0.1", "localhost");
    let every = alertmanager(&[by_name], true);
    assert_eq!(
        class(&post(&[], LEADS), &every).await,
        DeliveryClass::Accepted
    );
    assert_eq!(takes.posts(), 1, "once at each address");
    let literal = alertmanager(std::slice::from_ref(&takes.url), true);
    assert_eq!(
        class(&post(&[], LEADS), &literal).await,
        DeliveryClass::Accepted
    );
    let class_of_every = async |url: &str| {
        let every = alertmanager(&[url.to_owned()], true);
        class(&post(&[], LEADS), &every).await
    };
    assert_eq!(
        class_of_every("http://169.254.169.254/").await,
        DeliveryClass::Blocked
    );
    let nowhere = class_of_every("http://no-such-host.invalid/").await;
    assert!(
        matches!(nowhere, DeliveryClass::Unreached(why) if why.contains("does not resolve")),
        "{nowhere:?}"
    );
}

/// What is made for programs stays as it is stored, whatever the receiver's language.
#[test]
fn people_are_told_in_their_language_and_programs_are_not() {
    let of = |spec: serde_json::Value, locale| {
        let spec: AlertReceiverSpec = serde_json::from_value(spec).unwrap();
        Target {
            endpoint: spec.endpoint().unwrap(),
            locale,
            ..to("http://unused.example.com")
        }
    };
    let secret = serde_json::json!({"secretKeyRef": {"name": "soc", "key": "url"}});
    let chat = serde_json::json!({"feishu": {"urlFrom": secret}});
    let webhook = |format| serde_json::json!({"webhook": {"urlFrom": secret, "format": format}});
    for (spec, locale, is_chinese) in [
        (chat.clone(), Locale::En, false),
        (chat, Locale::ZhCn, true),
        (webhook("patrol/v1"), Locale::ZhCn, false),
        (webhook("cloudevents/1.0"), Locale::ZhCn, false),
        (webhook("alertmanager/v4"), Locale::ZhCn, true),
    ] {
        let target = of(spec, locale);
        let stored = notice();
        let told = spoken(&target, &stored);
        assert_eq!(*told != stored, is_chinese, "{target:?}");
        let ticket = &told.tickets[0];
        assert_eq!(
            ticket.title == "缺少必需的 Sidecar",
            is_chinese,
            "{}",
            ticket.title
        );
        assert_eq!(ticket.message, stored.tickets[0].message);
    }
}
