//! Kinds that may not be read or are not installed: each is told as what it is, and none
//! is told as gone.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use patrol_core::kind::Kind;
use patrol_kube::ServerAddresses;
use patrol_kube::reader::ReaderSettings;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::server::{Answer, Asked, Server};
use crate::watching::{DEADLINE, Watching, bookmark, count, fast, lines, list, pod};

/// Receivers must not be the API server, under whatever address it has.
#[tokio::test]
async fn the_addresses_of_the_api_server_are_known() {
    let server = Server::start(|asked| match asked.path.ends_with("/endpointslices") {
        true => Answer::json(json!({"kind": "EndpointSliceList", "items": [
            {"endpoints": [{"addresses": ["192.0.2.7", "2001:db8::7"]}, {"addresses": ["no"]}]},
            {"endpoints": null},
        ]})),
        false => Answer::status(404, "NotFound"),
    });
    let found = server.connection().server_addresses().await;
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["127.0.0.1", "192.0.2.7", "2001:db8::7"]);
    let denied = Server::start(|_| Answer::status(403, "Forbidden"));
    assert_eq!(denied.connection().server_addresses().await.len(), 1);
}

/// The API server may be down when the operator starts, and may move while it runs.
#[tokio::test]
async fn f19_the_addresses_of_the_api_server_are_asked_for_again_and_the_last_ones_kept() {
    let at =
        |address: &str| json!({"items": [{"endpoints": [{"addresses": [address]}]}]}).to_string();
    let answers = [
        (503, String::new()),
        (200, at("192.0.2.7")),
        (503, String::new()),
        (200, "{\"items\": [".to_owned()),
        (200, json!({"items": []}).to_string()),
        (200, at("192.0.2.8")),
    ];
    let next = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let turn = next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let (status, body) = &answers[turn];
        Answer::Reply(*status, body.clone())
    });
    let mut addresses = ServerAddresses::new(server.connection());
    (addresses.every, addresses.soon) = (Duration::ZERO, Duration::ZERO);
    let shown = |found: Vec<IpAddr>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(addresses.look().await), ["127.0.0.1"]);
    let (tell, mut told) = mpsc::unbounded_channel();
    let following = tokio::spawn(addresses.follow(move |found| drop(tell.send(found))));
    for endpoint in ["7", "7", "7", "7", "8"] {
        let found = tokio::time::timeout(DEADLINE, told.recv()).await.unwrap();
        let endpoint = format!("192.0.2.{endpoint}");
        assert_eq!(shown(found.unwrap()), ["127.0.0.1", &endpoint]);
    }
    following.abort();
}

/// A question that was not answered is asked again much sooner than one that was.
#[tokio::test]
async fn f19_a_failed_look_for_the_api_server_is_made_again_soon() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0..3 => Answer::status(503, "ServiceUnavailable"),
        _ => Answer::json(json!({"items": []})),
    });
    let mut addresses = ServerAddresses::new(server.connection());
    assert!(addresses.soon * 4 < addresses.every);
    (addresses.every, addresses.soon) = (Duration::MAX, Duration::ZERO);
    addresses.look().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let following = tokio::spawn(addresses.follow(move |found| drop(tell.send(found))));
    for _ in 1..4 {
        let found = tokio::time::timeout(DEADLINE, told.recv()).await.unwrap();
        assert!(found.is_some());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    following.abort();
}

#[tokio::test]
async fn access_denied_to_a_list_is_told_at_once_and_regained_by_list_and_watch() {
    let allowed = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&allowed);
    let server = Server::start(move |asked| {
        if !may.load(Ordering::SeqCst) {
            return Answer::status(403, "Forbidden");
        }
        if asked.is_watch() {
            return Answer::Holding(vec![]);
        }
        Answer::json(list(10, &[pod("a", 5)]))
    });
    let mut pods = Watching::pods(&server, fast());
    assert_eq!(pods.until("denied list").await, ["denied list"]);
    allowed.store(true, Ordering::SeqCst);
    assert_eq!(
        pods.until("heard").await,
        ["list", "seen shop/a@5", "listed", "heard"]
    );
}

#[tokio::test]
async fn access_denied_to_a_watch_alone_does_not_flap() {
    let allowed = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&allowed);
    let server = Server::start(move |asked| match asked.is_watch() {
        true if may.load(Ordering::SeqCst) => Answer::Holding(vec![]),
        true => Answer::status(403, "Forbidden"),
        false => Answer::json(list(10, &[pod("a", 5)])),
    });
    let mut pods = Watching::pods(&server, fast());
    let words = pods.until("denied watch").await;
    assert_eq!(words, ["list", "seen shop/a@5", "listed", "denied watch"]);
    for _ in 0..3 {
        let words = pods.until("seen shop/a@5").await;
        assert_eq!(
            words,
            ["list", "seen shop/a@5"],
            "listed again, but not seen"
        );
    }
    allowed.store(true, Ordering::SeqCst);
    let words = pods.until("heard").await;
    assert_eq!(count(&words, "listed"), 1, "{words:?}");
}

/// What discovery answers for the group of our kinds.
fn resources(names: &[&str]) -> Value {
    let resources: Vec<Value> = names.iter().map(|n| json!({"name": n})).collect();
    json!({"kind": "APIResourceList", "groupVersion": "kubepatrol.io/v1alpha1", "resources": resources})
}

/// What every API server answers for `/apis`, with the versions of our group.
fn groups(ours: &[&str]) -> Value {
    let group = |name: &str, versions: &[&str]| {
        let versions: Vec<Value> = versions
            .iter()
            .map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
            .collect();
        json!({"name": name, "versions": versions})
    };
    let mut groups = vec![group("apps", &["v1"])];
    if !ours.is_empty() {
        groups.push(group("kubepatrol.io", ours));
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// Something between us and the API server answers 404 to everything.
#[tokio::test]
async fn a_404_for_everything_takes_no_kind_away() {
    let absent = |code: u16| move |_: &Asked| Answer::status(code, "NotFound");
    let plain = |_: &Asked| Answer::Reply(404, "404 page not found\n".to_owned());
    for kind in [Kind::Pod, Kind::Namespace, Kind::Ticket, Kind::SidecarSet] {
        for server in [Server::start(plain), Server::start(absent(404))] {
            let mut watching = Watching::start(&server, &[kind], fast());
            let words = watching.until("failing NotServed").await;
            assert_eq!(words.len(), 1, "{kind}: {words:?}");
            assert!(!watching.health(kind).is_seen());
        }
    }
}

/// A group that is listed with this version has lost no kind because its address is.
#[tokio::test]
async fn a_404_for_a_group_that_is_listed_is_a_failure() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/apis" => Answer::json(groups(&["v1alpha1"])),
        _ => Answer::Reply(404, "404 page not found\n".to_owned()),
    });
    let mut tickets = Watching::start(&server, &[Kind::Ticket], fast());
    let words = tickets.until("failing NotFoundButListed").await;
    assert_eq!(words.len(), 1, "{words:?}");
}

#[tokio::test]
async fn what_is_no_discovery_confirms_no_absence() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/apis/kubepatrol.io/v1alpha1" => Answer::json(json!({"resources": []})),
        _ => Answer::Reply(404, "404 page not found\n".to_owned()),
    });
    let mut tickets = Watching::start(&server, &[Kind::Ticket], fast());
    let words = tickets.until("failing MalformedReply").await;
    assert_eq!(words.len(), 1, "{words:?}");
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_absent_until_it_is() {
    for discovery in [
        Answer::Reply as fn(u16, String) -> Answer,
        |_, _| Answer::json(resources(&["patrolpolicies", "tickets/status"])),
        |_, _| Answer::status(403, "Forbidden"),
    ] {
        let installed = Arc::new(AtomicBool::new(false));
        let there = Arc::clone(&installed);
        let server = Server::start(move |asked| {
            if asked.path == "/apis/kubepatrol.io/v1alpha1" {
                return discovery(404, "404 page not found".to_owned());
            }
            if asked.path == "/apis" {
                return Answer::json(groups(&["v1beta1"]));
            }
            if !there.load(Ordering::SeqCst) {
                return Answer::Reply(404, "404 page not found\n".to_owned());
            }
            if asked.is_watch() {
                return Answer::Holding(vec![]);
            }
            Answer::json(list(10, &[]))
        });
        let mut tickets = Watching::start(&server, &[Kind::Ticket], fast());
        assert_eq!(tickets.until("absent Ticket").await, ["absent Ticket"]);
        assert!(tickets.health(Kind::Ticket).is_seen());
        installed.store(true, Ordering::SeqCst);
        assert_eq!(tickets.until("listed").await, ["list", "listed"]);
    }
}

#[tokio::test]
async fn a_404_for_an_installed_kind_is_a_failure_and_no_absence() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/apis/kubepatrol.io/v1alpha1" => Answer::json(resources(&["tickets"])),
        _ => Answer::Reply(404, "404 page not found\n".to_owned()),
    });
    let mut tickets = Watching::start(&server, &[Kind::Ticket], fast());
    let words = tickets.until("failing NotFoundButListed").await;
    assert_eq!(words.len(), 1, "{words:?}");
}

#[tokio::test]
async fn a_404_that_nobody_confirms_is_a_failure_and_no_absence() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/apis/kubepatrol.io/v1alpha1" => Answer::status(503, "ServiceUnavailable"),
        _ => Answer::Reply(404, "404 page not found\n".to_owned()),
    });
    let mut tickets = Watching::start(&server, &[Kind::Ticket], fast());
    let words = tickets.until("failing ServerError").await;
    assert_eq!(words.len(), 1, "{words:?}");
}

#[tokio::test]
async fn a_kind_that_is_uninstalled_while_it_is_watched_becomes_absent() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/apis/kubepatrol.io/v1alpha1" => Answer::status(404, "NotFound"),
        "/apis" => Answer::json(groups(&[])),
        _ if asked.is_watch() => Answer::status(404, "NotFound"),
        _ => Answer::json(list(10, &[])),
    });
    let mut tickets = Watching::start(&server, &[Kind::Ticket], fast());
    assert_eq!(
        tickets.until("absent Ticket").await,
        ["list", "listed", "absent Ticket"]
    );
}

/// A definition that appears wakes the kind it defines: nobody waits for the next look.
#[tokio::test]
async fn a_new_definition_is_looked_for_at_once() {
    let looked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&looked);
    let server = Server::start(move |asked| {
        let definitions = asked.path.ends_with("/customresourcedefinitions");
        if definitions && asked.is_watch() && seen.load(Ordering::SeqCst) {
            let crd = json!({"metadata": {"name": "tickets.kubepatrol.io", "resourceVersion": "11"},
                "spec": {"group": "kubepatrol.io", "names": {"kind": "Ticket", "plural": "tickets"},
                    "versions": []}});
            return Answer::Holding(lines(&[("ADDED", crd), bookmark(12)]));
        }
        if definitions && asked.is_watch() {
            return Answer::Ending(vec![]);
        }
        if definitions {
            return Answer::json(list(10, &[]));
        }
        if asked.path == "/apis/kubepatrol.io/v1alpha1" {
            seen.store(true, Ordering::SeqCst);
        }
        if asked.path == "/apis" {
            return Answer::json(groups(&[]));
        }
        Answer::Reply(404, String::new())
    });
    let settings = ReaderSettings {
        absent_every: Duration::from_secs(3_600),
        ..fast()
    };
    let kinds = [Kind::CustomResourceDefinition, Kind::Ticket];
    let mut both = Watching::start(&server, &kinds, settings);
    both.until("seen tickets.kubepatrol.io@11").await;
    let tickets = |a: &Asked| a.path.ends_with("/tickets");
    // Each event is one turn of the runtime in which the second look may have been made.
    while server.count(tickets) < 2 {
        both.until("heard").await;
    }
}
