//! AD-13: critical tickets are always listed, everything is told exactly once, and no body is larger than it may be.

use std::collections::BTreeSet;

use patrol_api::receiver::{Endpoint, EndpointKind, Locale, Mentions};
use patrol_api::words::{Severity, ToldState};
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use patrol_notify::kinds::{self, Style};
use patrol_notify::render::Part;
use proptest::prelude::*;
use serde_json::Value;

use crate::samples::*;

/// Bytes and pieces as the providers themselves limit them, beside our own limits.
fn within_provider_limits(kind: EndpointKind, part: &Part) {
    let body = body(part);
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    match kind {
        EndpointKind::Slack => {
            let blocks = body["blocks"].as_array().expect("blocks");
            assert!(blocks.len() <= 50);
            assert!(text("/text").is_some_and(|t| !t.is_empty()));
            for block in blocks {
                let length = block["text"]["text"]
                    .as_str()
                    .expect("text")
                    .chars()
                    .count();
                let most = if block["type"] == "header" {
                    150
                } else {
                    3_000
                };
                assert!((1..=most).contains(&length), "{length}");
            }
        }
        EndpointKind::Teams => assert!(part.body.len() <= 28 * 1024),
        EndpointKind::Dingtalk => {
            assert!(part.body.len() <= 20_000);
            assert!(text("/markdown/title").is_some_and(|t| !t.is_empty()));
        }
        EndpointKind::Feishu => assert!(part.body.len() <= 20 * 1024),
        EndpointKind::Wecom => {
            let markdown = text("/markdown/content").map(|t| (t.len(), 4_096));
            let plain = text("/text/content").map(|t| (t.len(), 2_048));
            let (length, most) = markdown.or(plain).expect("content");
            assert!((1..=most).contains(&length), "{length}");
        }
        other => panic!("{other:?} is no chat"),
    }
}

/// What holds for every notice.
fn check(endpoint: &Endpoint, notice: &Notice, style: Style) -> Vec<Part> {
    let parts = render(endpoint, notice, style);
    let limits = kinds::limits(endpoint, style);
    let mut told: Vec<&String> = parts.iter().flat_map(|p| &p.event_ids).collect();
    let mut owed: Vec<&String> = notice.tickets.iter().map(|t| &t.event_id).collect();
    told.sort();
    owed.sort();
    assert_eq!(told, owed, "{:?}", endpoint.kind());
    let ids: BTreeSet<&String> = parts.iter().map(|p| &p.webhook_id).collect();
    assert_eq!(ids.len(), parts.len());
    for part in &parts {
        assert!(
            part.body.len() <= limits.max_bytes,
            "{:?}: {} of {}",
            endpoint.kind(),
            part.body.len(),
            limits.max_bytes
        );
        assert!(part.by_number <= part.event_ids.len());
        let listed = part.event_ids.len() - part.by_number;
        assert!(listed <= limits.max_items, "{listed}");
        within_provider_limits(endpoint.kind(), part);
        let said = texts(&body(part)).concat();
        let ticket = |id: &String| {
            notice
                .tickets
                .iter()
                .find(|t| t.event_id == *id)
                .expect("ticket")
        };
        for (index, id) in part.event_ids.iter().enumerate() {
            let ticket = ticket(id);
            let named = said.contains(&format!("kubectl patrol explain {} ", ticket.name));
            assert_eq!(named, index < listed, "{}: {said}", ticket.name);
            if notice.kind != NoticeKind::Digest && index >= listed {
                assert_ne!(
                    ticket.severity,
                    Severity::Critical,
                    "critical and not listed"
                );
            }
        }
        if part.by_number > 0 {
            assert!(said.contains(&part.by_number.to_string()), "{said}");
            assert!(said.contains("kubectl get tkt "), "{said}");
        }
    }
    if notice.kind == NoticeKind::Digest {
        assert_eq!(parts.len(), 1);
        assert!(parts[0].event_ids.len() - parts[0].by_number <= 20);
    }
    parts
}

#[test]
fn a_flood_of_critical_tickets_is_listed_whole() {
    for endpoint in endpoints(mentions()) {
        let parts = check(&endpoint, &flood(300, 200), STYLE);
        assert!(parts.len() > 1);
        let covered: Vec<usize> = parts.iter().map(|p| p.by_number).collect();
        assert!(covered.iter().rev().skip(1).all(|n| *n == 0), "{covered:?}");
        assert!(covered[parts.len() - 1] > 100);
        // Each part says which one it is.
        let last = texts(&body(&parts[parts.len() - 1])).concat();
        assert!(last.contains(&format!("({0}/{0})", parts.len())), "{last}");
    }
}

#[test]
fn without_a_critical_one_there_is_one_message() {
    for endpoint in endpoints(mentions()) {
        let parts = check(&endpoint, &flood(0, 500), STYLE);
        assert_eq!(parts.len(), 1);
        assert!(parts[0].by_number > 400);
        let said = texts(&body(&parts[0])).concat();
        let query = "kubectl get tkt -A -l 'kubepatrol.io/policy=production,kubepatrol.io/check=sidecar-missing,kubepatrol.io/severity in (high),kubepatrol.io/state!=resolved'";
        assert!(said.contains(query), "{said}");
    }
}

#[test]
fn a_digest_is_one_message_with_the_worst_on_top() {
    for endpoint in endpoints(mentions()) {
        for notice in [baseline(), {
            let mut n = flood(300, 700);
            n.kind = NoticeKind::Digest;
            n
        }] {
            for locale in [Locale::En, Locale::ZhCn] {
                let parts = check(
                    &endpoint,
                    &notice,
                    Style {
                        locale,
                        minimal: false,
                    },
                );
                let listed = parts[0].event_ids.len() - parts[0].by_number;
                let least = match endpoint.kind() {
                    EndpointKind::Wecom => 3,
                    EndpointKind::Teams => 10,
                    _ => 15,
                };
                assert!(listed >= least, "{:?} {listed}", endpoint.kind());
                assert_eq!(
                    parts[0].event_ids[..listed],
                    notice
                        .tickets
                        .iter()
                        .take(listed)
                        .map(|t| t.event_id.clone())
                        .collect::<Vec<_>>()
                );
            }
        }
    }
}

#[test]
fn signs_of_life_are_one_part_without_tellings() {
    for endpoint in endpoints(mentions()) {
        for kind in [NoticeKind::Heartbeat, NoticeKind::Test] {
            let parts = check(&endpoint, &bare(kind), STYLE);
            assert_eq!(parts.len(), 1);
            assert!(parts[0].event_ids.is_empty());
        }
    }
}

#[test]
fn the_same_notice_is_the_same_message() {
    for endpoint in endpoints(mentions()) {
        let all = all_sorts();
        assert_eq!(
            render(&endpoint, &all, STYLE),
            render(&endpoint, &all, STYLE)
        );
    }
}

/// As long as an object's schema lets a text be, in characters of four bytes, and of those that JSON or a format escape.
#[test]
fn the_longest_texts_still_fit() {
    for filler in ["x", "缺", "𠀀", "\"", "\\", "&", "*", "<"] {
        let long = |count: usize| filler.repeat(count);
        let mut one = ticket(1);
        one.title = long(160);
        one.message = long(1_024);
        one.remediation = long(1_024);
        one.subject.name = long(1_024);
        one.subject.kind = long(253);
        one.subject.namespace = Some(long(253));
        one.assignee = Some(long(1_024));
        one.check = long(253);
        // As long as the name of a ticket gets.
        one.name = "n".repeat(67);
        one.namespace = "m".repeat(63);
        let mut two = one.clone();
        two.event_id = "event2".into();
        two.name = "o".repeat(67);
        for mut all in [notice(vec![one.clone()]), notice(vec![one, two])] {
            all.cluster.name = long(1_024);
            all.policy = long(253);
            let crowd = Mentions {
                users: (0..50).map(|n| format!("{n:a>128}")).collect(),
                mobiles: (0..50).map(|n| format!("{n:0>128}")).collect(),
                all: true,
                min_severity: Severity::Info,
            };
            for spec in [
                None,
                mentions(),
                Some(Mentions {
                    mobiles: vec![],
                    all: false,
                    ..crowd.clone()
                }),
                Some(crowd),
            ] {
                for endpoint in endpoints(spec) {
                    for locale in [Locale::En, Locale::ZhCn] {
                        for minimal in [false, true] {
                            check(&endpoint, &all, Style { locale, minimal });
                        }
                    }
                }
            }
        }
    }
}

fn any_ticket(number: usize, (severity, closed, words): (usize, bool, usize)) -> NoticeTicket {
    let mut one = ticket(number);
    one.severity = Severity::ALL[severity];
    if closed {
        one.state = ToldState::Closed;
    }
    one.message = "wörter 词 ".repeat(words);
    one.remediation = "\"quoted\" ".repeat(words / 2);
    one
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the tickets: all are told once, each body fits and is JSON.
    #[test]
    fn packing(
        tickets in proptest::collection::vec((0_usize..5, any::<bool>(), 0_usize..120), 0..90),
        digest in any::<bool>(),
        zh in any::<bool>(),
        minimal in any::<bool>(),
        all in any::<bool>(),
    ) {
        let mut tickets: Vec<_> = tickets.into_iter().enumerate().map(|(n, t)| any_ticket(n, t)).collect();
        tickets.sort_by_key(|t| std::cmp::Reverse(t.severity));
        let mut notice = notice(tickets);
        if digest {
            notice.kind = NoticeKind::Digest;
        }
        let locale = if zh { Locale::ZhCn } else { Locale::En };
        let spec = Mentions { all, ..Mentions::default() };
        for endpoint in endpoints(Some(spec)) {
            check(&endpoint, &notice, Style { locale, minimal });
        }
    }
}
