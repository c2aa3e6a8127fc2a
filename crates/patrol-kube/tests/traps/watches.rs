//! Watches that end, break, lie or fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patrol_core::kind::Kind;
use patrol_kube::reader::ReaderSettings;
use serde_json::json;

use crate::server::{Answer, Asked, Server};
use crate::watching::{DEADLINE, Watching, bookmark, count, fast, lines, list, pod};

/// Lists one pod at version 10 and watches as the script says, given the number of the watch.
fn watched(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Server {
    let watches = AtomicUsize::new(0);
    Server::start(move |asked| {
        if asked.is_watch() {
            return script(watches.fetch_add(1, Ordering::SeqCst), asked);
        }
        Answer::json(list(10, &[pod("a", 5)]))
    })
}

fn versions_watched(server: &Server) -> Vec<String> {
    let asked = server.asked();
    let watches = asked.iter().filter(|a| a.is_watch());
    watches
        .map(|a| a.query["resourceVersion"].clone())
        .collect()
}

#[tokio::test]
async fn a_watch_goes_on_where_the_last_one_ended() {
    let server = watched(|n, _| match n {
        0 => Answer::Ending(lines(&[
            ("ADDED", pod("b", 11)),
            ("MODIFIED", pod("a", 12)),
            ("DELETED", pod("b", 13)),
        ])),
        1 => Answer::Ending(lines(&[bookmark(20)])),
        _ => Answer::Holding(lines(&[bookmark(21)])),
    });
    let mut pods = Watching::pods(&server, fast());
    let mut words = pods.until("gone shop/b").await;
    words.retain(|w| w != "heard");
    let expected = [
        "list",
        "seen shop/a@5",
        "listed",
        "seen shop/b@11",
        "seen shop/a@12",
        "gone shop/b",
    ];
    assert_eq!(words, expected);
    for _ in 0..4 {
        pods.until("heard").await;
    }
    let watched = versions_watched(&server);
    assert_eq!(watched[..3], ["10", "13", "20"]);
    assert_eq!(pods.pod_health().lists(), 1);
    assert!(pods.pod_health().is_seen() && pods.pod_health().heard_at().is_some());

    let asked = server.asked();
    let list = asked.iter().find(|a| a.is_list()).unwrap();
    assert_eq!(
        (list.path.as_str(), list.query["limit"].as_str()),
        ("/api/v1/pods", "500")
    );
    assert!(
        !list.query.contains_key("resourceVersion"),
        "a list asks for the latest"
    );
    let watch = asked.iter().find(|a| a.is_watch()).unwrap();
    assert_eq!(watch.query["allowWatchBookmarks"], "true");
    assert_eq!(watch.query["timeoutSeconds"], "1");
    assert_eq!(watch.headers["accept-encoding"], "identity");
    assert!(watch.headers["user-agent"].starts_with("kube-patrol/"));
    pods.stop().await;
}

/// kube begins such a watch again at once, for ever.
#[tokio::test]
async fn watches_that_end_at_once_slow_down_and_end_in_blindness() {
    let mended = Arc::new(AtomicBool::new(false));
    let living = Arc::clone(&mended);
    let server = watched(move |_, _| {
        if living.load(Ordering::SeqCst) {
            Answer::Holding(vec![])
        } else {
            Answer::Ending(vec![])
        }
    });
    let began = Instant::now();
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("failing WatchEndsAtOnce").await;
    assert_eq!(
        (count(&words, "listed"), count(&words, "heard")),
        (2, 0),
        "{words:?}"
    );
    assert_eq!(server.count(Asked::is_watch), 6, "three watches a list");

    // From now on a list alone gives no sight back, and the pace stays slow: at least half
    // of the longest pause between two requests.
    let (asked, at) = (server.asked().len(), Instant::now());
    for _ in 0..3 {
        pods.until("seen shop/a@5").await;
    }
    let more = u32::try_from(server.asked().len() - asked).unwrap();
    let slowest = at.elapsed().as_millis() / 60 + 4;
    assert!(
        u128::from(more) <= slowest,
        "{more} requests in {:?}",
        at.elapsed()
    );
    assert!(!pods.pod_health().is_seen());
    assert!(began.elapsed() < DEADLINE);

    mended.store(true, Ordering::SeqCst);
    let words = pods.until("listed").await;
    assert!(!words.iter().any(|w| w == "heard"), "{words:?}");
    pods.until("heard").await;
    assert!(pods.pod_health().is_seen());
    assert!(pods.pod_health().relists() >= 2);
}

/// A server that says one thing and closes, over and over, is not asked in a hot loop.
#[tokio::test]
async fn short_watches_with_events_keep_a_pause_and_are_no_blindness() {
    let server = watched(|n, _| Answer::Ending(lines(&[bookmark(11 + n as u64)])));
    let settings = ReaderSettings {
        backoff: Duration::from_millis(50),
        ..fast()
    };
    let mut pods = Watching::pods(&server, settings);
    pods.until("listed").await;
    let began = Instant::now();
    for _ in 0..16 {
        // Two a watch: it lives, and the bookmark.
        pods.until("heard").await;
    }
    assert!(
        began.elapsed() >= Duration::from_millis(7 * 50),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(pods.pod_health().lists(), 1);
}

/// kube goes on watching the version that is gone.
#[tokio::test]
async fn gone_by_status_lists_again_and_for_ever_gone_is_blindness() {
    let server = watched(|_, _| Answer::status(410, "Expired"));
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("failing WatchExpires").await;
    assert_eq!(
        (count(&words, "listed"), count(&words, "heard")),
        (3, 0),
        "{words:?}"
    );
    assert_eq!(server.count(Asked::is_watch), 3);
    assert!(pods.pod_health().relists() >= 3);
}

#[tokio::test]
async fn gone_by_event_lists_again_and_the_watch_goes_on_from_there() {
    let server = watched(|n, _| match n {
        0 => Answer::Holding(lines(&[(
            "ERROR",
            json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}),
        )])),
        _ => Answer::Holding(lines(&[bookmark(30)])),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("heard").await;
    assert_eq!(count(&words, "listed"), 2, "{words:?}");
    assert!(!words.iter().any(|w| w.starts_with("failing")), "{words:?}");
}

#[tokio::test]
async fn other_errors_keep_the_version_once_and_then_are_blindness() {
    let server = watched(|n, _| match n {
        0 => Answer::Ending(lines(&[bookmark(15)])),
        1 => Answer::Ending(lines(&[("ERROR", json!({"kind": "Status", "code": 500}))])),
        2 => Answer::status(503, "ServiceUnavailable"),
        _ => Answer::Holding(lines(&[bookmark(30)])),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("failing ServerError").await;
    assert_eq!(count(&words, "listed"), 1, "{words:?}");
    assert_eq!(versions_watched(&server), ["10", "15", "15"]);
    let words = pods.until("listed").await;
    assert_eq!(count(&words, "list"), 1, "{words:?}");
}

/// kube waits for a connection that says nothing until the system gives it up.
#[tokio::test]
async fn a_half_open_watch_is_dropped_and_twice_is_blindness() {
    let server = watched(|n, _| match n {
        0 | 1 => Answer::Holding(vec![]),
        _ => Answer::Holding(lines(&[bookmark(30)])),
    });
    let began = Instant::now();
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("failing WatchSilent").await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(2_400) && took < Duration::from_secs(8),
        "{took:?}"
    );
    // The first one lived for a moment; after it fell silent, only words count.
    assert_eq!(count(&words, "heard"), 1, "{words:?}");
    assert_eq!(versions_watched(&server)[..2], ["10", "10"]);
    pods.until("listed").await;
}

#[tokio::test]
async fn an_event_cut_in_the_middle_is_asked_for_again() {
    let mut cut = lines(&[("ADDED", pod("b", 11)), ("ADDED", pod("c", 12))]);
    cut.truncate(cut.len() - 20);
    let server = watched(move |n, _| match n {
        0 => Answer::Broken(cut.clone()),
        1 => Answer::Ending(cut.clone()),
        _ => Answer::Holding(lines(&[("ADDED", pod("c", 12))])),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("seen shop/c@12").await;
    assert_eq!(count(&words, "listed"), 1, "{words:?}");
    assert_eq!(versions_watched(&server)[..2], ["10", "11"]);
}

#[tokio::test]
async fn events_that_cannot_be_read_list_again() {
    let endless = vec![b'x'; 65 << 10];
    let mut text = lines(&[("ADDED", pod("b", 11))]);
    text[40] = 0xff;
    let broken = [
        endless,
        text,
        b"{\"type\":\"ADDED\"}\n".to_vec(),
        b"<html>\n".to_vec(),
        lines(&[("RENAMED", pod("b", 11))]),
        lines(&[(
            "ADDED",
            json!({"metadata": {"name": "b", "namespace": "shop"}}),
        )]),
    ];
    for (n, bytes) in broken.into_iter().enumerate() {
        let server = watched(move |watch, _| match watch {
            0 => Answer::Holding(bytes.clone()),
            _ => Answer::Holding(lines(&[bookmark(30)])),
        });
        let mut pods = Watching::pods(&server, fast());
        let mut lists = 0;
        while lists < 2 {
            lists += count(&pods.until("listed").await, "listed");
        }
        assert_eq!(pods.pod_health().relists(), 1, "case {n}");
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_is_told_and_stops_nothing() {
    let bad = |version: u64| {
        json!({"metadata": {"name": "bad", "namespace": "shop", "resourceVersion": version.to_string()},
            "spec": {"containers": "none"}})
    };
    let server = Server::start(move |asked| {
        if asked.is_watch() {
            return Answer::Holding(lines(&[
                ("MODIFIED", bad(11)),
                ("ADDED", pod("b", 12)),
                ("DELETED", bad(13)),
            ]));
        }
        Answer::json(list(10, &[json!(7), bad(4), pod("a", 5)]))
    });
    let mut pods = Watching::pods(&server, fast());
    let mut words = pods.until("gone shop/bad").await;
    words.retain(|w| w != "heard");
    let expected = [
        "list",
        "undecodable",
        "undecodable shop/bad",
        "seen shop/a@5",
        "listed",
        "undecodable shop/bad",
        "seen shop/b@12",
        "gone shop/bad",
    ];
    assert_eq!(words, expected);
    assert_eq!(pods.pod_health().undecodable(), 3);
}

/// No watch notices such a loss. The pod `b` was lost on the way; the pod `a` was deleted unseen.
#[tokio::test]
async fn f7_a_lost_event_is_found_by_comparing_and_counted() {
    let settings = || ReaderSettings {
        verify_every: Some(Duration::from_millis(400)),
        ..fast()
    };
    // The metadata list is always the truth; the watch never says anything.
    for (truth, differs) in [
        (vec![pod("a", 5)], false),
        (vec![pod("a", 5), pod("b", 12)], true),
        (vec![pod("a", 14)], true),
        (vec![], true),
    ] {
        let listed = truth.clone();
        let server = Server::start(move |asked| {
            if asked.is_watch() {
                return Answer::Ending(lines(&[bookmark(40)]));
            }
            if asked.wants_metadata() {
                return Answer::json(list(20, &listed));
            }
            Answer::json(list(10, &[pod("a", 5)]))
        });
        let mut pods = Watching::pods(&server, settings());
        pods.until("listed").await;
        let until = Instant::now() + DEADLINE;
        while pods.pod_health().verifications() == 0 {
            assert!(Instant::now() < until, "nothing was compared");
            pods.next().await;
        }
        let health = pods.pod_health();
        assert_eq!(health.divergences() > 0, differs, "{truth:?}");
        if differs {
            pods.until("listed").await;
            assert!(pods.pod_health().relists() > 0);
        }
    }
}

/// A server that does not answer a list of one kind keeps no other kind waiting.
#[tokio::test]
async fn a_kind_that_hangs_delays_no_other() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/v1/pods" => Answer::Silence,
        _ if asked.is_watch() => Answer::Holding(vec![]),
        _ => Answer::json(list(10, &[])),
    });
    let settings = ReaderSettings {
        page_deadline: DEADLINE * 2,
        ..fast()
    };
    let mut both = Watching::start(&server, &[Kind::Pod, Kind::Node], settings);
    both.until("listed").await;
    assert!(both.health(Kind::Node).is_seen() && !both.health(Kind::Pod).is_seen());
}
