//! Lists that are cut, refused, expired, too large or no lists at all: none of them ever
//! counts as complete.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patrol_core::kind::Kind;
use serde_json::json;

use crate::server::{Answer, Asked, Server};
use crate::watching::{Watching, count, fast, list, page, pod};

/// Answers the lists as the script says, given the number of the list request.
fn listed(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Server {
    let lists = AtomicUsize::new(0);
    Server::start(move |asked| {
        if asked.is_watch() {
            return Answer::Holding(vec![]);
        }
        script(lists.fetch_add(1, Ordering::SeqCst), asked)
    })
}

#[tokio::test]
async fn pages_are_read_to_the_end_with_their_tokens() {
    let server = listed(
        |_, asked| match asked.query.get("continue").map(String::as_str) {
            None => Answer::json(page(10, "a+b/c=&d", &[pod("a", 1)])),
            Some("a%2Bb%2Fc%3D%26d") => Answer::json(page(10, "z", &[pod("b", 2)])),
            Some("z") => {
                let mut last = list(11, &[pod("c", 3)]);
                last["metadata"]["continue"] = "".into();
                Answer::json(last)
            }
            other => panic!("asked for {other:?}"),
        },
    );
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("listed").await;
    assert_eq!(
        words,
        [
            "list",
            "seen shop/a@1",
            "seen shop/b@2",
            "seen shop/c@3",
            "listed"
        ]
    );
    pods.until("heard").await;
    let asked = server.asked();
    let watch = asked.iter().find(|a| a.is_watch()).unwrap();
    assert_eq!(
        watch.query["resourceVersion"], "10",
        "the version of the first page"
    );
}

#[tokio::test]
async fn an_expired_page_begins_the_list_anew() {
    let server = listed(|n, asked| match (n, asked.query.contains_key("continue")) {
        (1, true) => Answer::status(410, "Expired"),
        (_, false) => Answer::json(page(10, "next", &[pod("a", 1)])),
        (_, true) => Answer::json(list(10, &[pod("b", 2)])),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("listed").await;
    let expected = [
        "list",
        "seen shop/a@1",
        "list",
        "seen shop/a@1",
        "seen shop/b@2",
        "listed",
    ];
    assert_eq!(words, expected);
}

#[tokio::test]
async fn f25_a_cut_page_is_never_the_end_of_a_list() {
    let server = listed(|_, asked| match asked.query.contains_key("continue") {
        false => Answer::json(page(10, "next", &[pod("a", 1)])),
        true => Answer::Cut(list(10, &[pod("b", 2), pod("c", 3)]).to_string(), 40),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("failing Connection").await;
    assert_eq!(count(&words, "listed"), 0, "{words:?}");
    assert!(!words.iter().any(|w| w.contains("shop/b")), "{words:?}");
    assert!(
        server.count(|a| a.query.contains_key("continue")) >= 6,
        "a page has some tries"
    );
}

#[tokio::test]
async fn a_page_may_fail_for_a_moment() {
    let server = listed(|n, asked| match (n, asked.query.contains_key("continue")) {
        (_, false) => Answer::json(page(10, "next", &[pod("a", 1)])),
        (1, true) => Answer::status(503, "ServiceUnavailable"),
        (2, true) => Answer::With(429, "Retry-After: 0", String::new()),
        (3, true) => Answer::Silence,
        (_, true) => Answer::json(list(10, &[pod("b", 2)])),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("listed").await;
    assert_eq!(words, ["list", "seen shop/a@1", "seen shop/b@2", "listed"]);
}

#[tokio::test]
async fn what_is_no_list_is_a_failure() {
    for body in [
        "",
        "{}",
        "[]",
        "ok",
        r#"{"kind":"PodList","metadata":{},"items":[]}"#,
        r#"{"kind":"Pod","metadata":{"resourceVersion":"5"}}"#,
        r#"{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":{}}"#,
    ] {
        let server = listed(move |_, _| Answer::Reply(200, body.to_owned()));
        let mut pods = Watching::pods(&server, fast());
        let words = pods.until("failing MalformedReply").await;
        assert_eq!(words.len(), 1, "{body}: {words:?}");
    }
}

#[tokio::test]
async fn items_that_are_null_are_none() {
    let server = listed(|_, _| {
        let none = json!({"kind": "PodList", "metadata": {"resourceVersion": "5"}, "items": null});
        Answer::json(none)
    });
    let mut pods = Watching::pods(&server, fast());
    assert_eq!(pods.until("listed").await, ["list", "listed"]);
}

#[tokio::test]
async fn pages_that_are_too_large_are_asked_for_in_smaller_pieces() {
    let large = |name: &str, version| {
        let mut pod = pod(name, version);
        pod["metadata"]["annotations"] = json!({"large": "x".repeat(100 << 10)});
        pod
    };
    // Five objects of 100 KiB against pages of at most 256 KiB.
    let all: Vec<_> = (0..5).map(|n| large(&format!("p{n}"), n + 1)).collect();
    let server = listed(move |_, asked| {
        let limit: usize = asked.query["limit"].parse().unwrap();
        let from: usize = asked
            .query
            .get("continue")
            .map_or(0, |t| t.parse().unwrap());
        let to = (from + limit).min(all.len());
        let next = if to < all.len() {
            to.to_string()
        } else {
            String::new()
        };
        Answer::json(page(10, &next, &all[from..to]))
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("listed").await;
    assert_eq!(
        words.iter().filter(|w| w.starts_with("seen")).count(),
        5,
        "{words:?}"
    );
}

/// kube reads without a deadline.
#[tokio::test]
async fn a_server_that_never_answers_is_given_up_by_the_deadline() {
    let server = listed(|_, _| Answer::Silence);
    let began = Instant::now();
    let mut pods = Watching::pods(&server, fast());
    assert_eq!(pods.until("failing Deadline").await, ["failing Deadline"]);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(1_200) && took < Duration::from_secs(6),
        "{took:?}"
    );
}

/// One turn for all lists: it is not held while a page waits to be tried again.
#[tokio::test]
async fn a_kind_that_cannot_be_read_keeps_no_other_from_being_listed() {
    let server = listed(|_, asked| match asked.path.contains("/pods") {
        true if asked.query.contains_key("continue") => {
            Answer::With(429, "Retry-After: 60", String::new())
        }
        true => Answer::json(page(10, "next", &[pod("a", 1)])),
        false => Answer::json(list(10, &[])),
    });
    let settings = patrol_kube::reader::ReaderSettings { lists: 1, ..fast() };
    let mut both = Watching::start(&server, &[Kind::Pod, Kind::Ticket], settings);
    both.until("listed").await;
    assert!(!both.pod_health().is_seen());
    assert!(both.health(Kind::Ticket).is_seen());
}

/// kube sleeps inside a call for as long as it is asked to: the pause that a server asks for is kept (its cap is proved beside its code).
#[tokio::test]
async fn f5_throttling_is_obeyed_and_is_blindness_when_it_lasts() {
    let server = listed(|n, _| match n {
        0 | 1 => Answer::With(429, "Retry-After: 1", String::new()),
        _ => Answer::json(list(10, &[])),
    });
    let settings = patrol_kube::reader::ReaderSettings {
        throttled_max: Duration::from_millis(900),
        ..fast()
    };
    let mut pods = Watching::pods(&server, settings);
    let words = pods.until("list").await;
    assert_eq!(words, ["failing Throttled", "list"]);
    let asked = server.asked();
    for two in asked[..3].windows(2) {
        let pause = two[1].at - two[0].at;
        assert!(pause >= Duration::from_secs(1), "{pause:?}");
    }
}

#[tokio::test]
async fn nothing_the_server_says_in_an_error_reaches_an_event() {
    let server = listed(|_, _| Answer::status(500, "s3cret"));
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("failing ServerError").await;
    assert!(!format!("{words:?}").contains("s3cret"));
}
