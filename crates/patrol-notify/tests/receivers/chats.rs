//! F12, F13, F17 and rows 85, 86 for chats: what each provider takes, and what each of its refusals means.

use std::time::Duration;

use patrol_api::receiver::{Endpoint, EndpointKind, Mentions};
use patrol_core::notice::NoticeKind;
use patrol_notify::Class;

use crate::chat_servers::*;
use crate::samples;

fn endpoint(kind: EndpointKind) -> Endpoint {
    let all = samples::endpoints(samples::mentions());
    all.into_iter().find(|e| e.kind() == kind).unwrap()
}

const CHATS: [EndpointKind; 5] = [
    EndpointKind::Slack,
    EndpointKind::Teams,
    EndpointKind::Dingtalk,
    EndpointKind::Feishu,
    EndpointKind::Wecom,
];

#[tokio::test]
async fn providers_take_all_that_is_said() {
    let everybody = Mentions {
        all: true,
        mobiles: vec!["13800000000".into()],
        ..Mentions::default()
    };
    for spec in [None, samples::mentions(), Some(everybody)] {
        for endpoint in samples::endpoints(spec) {
            let kind = endpoint.kind();
            let provider = Provider::start(kind, thanks(kind)).await;
            for notice in [
                samples::notice(vec![samples::ticket(1)]),
                samples::all_sorts(),
                samples::baseline(),
                samples::flood(40, 40),
                samples::bare(NoticeKind::Test),
                samples::bare(NoticeKind::Heartbeat),
            ] {
                for part in parts(&endpoint, &notice) {
                    let outcome = provider.send(&part, credential(kind, KEY), NOW).await;
                    assert_eq!(outcome.class, Class::Accepted, "{kind:?} {outcome:?}");
                }
            }
        }
    }
}

/// A row: what the provider answers, what follows, and a word that the sentence about it must have.
struct Row {
    answer: Answer,
    class: Class,
    word: &'static str,
}

/// The table of a kind, after the one for all.
fn rows(kind: EndpointKind) -> Vec<Row> {
    let own = match kind {
        EndpointKind::Slack => include_str!("answers/slack.txt"),
        EndpointKind::Teams => include_str!("answers/teams.txt"),
        EndpointKind::Dingtalk => include_str!("answers/dingtalk.txt"),
        EndpointKind::Feishu => include_str!("answers/feishu.txt"),
        _ => include_str!("answers/wecom.txt"),
    };
    let lines = include_str!("answers/all.txt").lines().chain(own.lines());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(row)
        .collect()
}

fn row(line: &'static str) -> Row {
    let cells: Vec<&str> = line.split('¦').map(str::trim).collect();
    let [status, header, body, class, word] = cells[..] else {
        panic!("{line}: five cells");
    };
    let headers = if header.is_empty() {
        String::new()
    } else {
        format!("{header}\r\n")
    };
    let (name, seconds) = class.split_once(' ').unwrap_or((class, ""));
    let class = match name {
        "Accepted" => Class::Accepted,
        "Transient" => Class::Transient,
        "Payload" => Class::Payload,
        "Config" => Class::Config,
        "Throttled" => Class::Throttled {
            retry_after: seconds.parse().ok().map(Duration::from_secs),
        },
        other => panic!("{other} is no class"),
    };
    Row {
        answer: Answer(status, headers, body.replace("\\n", "\n")),
        class,
        word,
    }
}

#[tokio::test]
async fn f12_row85_every_answer_of_a_provider_is_understood() {
    for kind in CHATS {
        let part = parts(&endpoint(kind), &samples::notice(vec![samples::ticket(1)])).remove(0);
        for Row {
            answer,
            class,
            word,
        } in rows(kind)
        {
            let why = format!("{kind:?} {answer:?}");
            let provider = Provider::start(kind, answer).await;
            let outcome = provider.send(&part, credential(kind, KEY), NOW).await;
            assert_eq!(outcome.class, class, "{why}: {}", outcome.detail);
            assert!(outcome.detail.contains(word), "{why}: {}", outcome.detail);
            let said = format!("{outcome:?}");
            for secret in ["S3CRET", "T0KEN", KEY, "ContextId", "203.0.113.7", "psm["] {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
    }
}

/// A body that is larger than what is read, and one that never ends where it should.
#[tokio::test]
async fn f12_a_reply_that_is_too_long_is_no_yes() {
    for kind in [
        EndpointKind::Dingtalk,
        EndpointKind::Feishu,
        EndpointKind::Wecom,
    ] {
        let long = format!(
            r#"{{"padding":"{}","errcode":0,"code":0}}"#,
            "x".repeat(64 * 1024)
        );
        let provider = Provider::start(kind, ok(long)).await;
        let part = parts(&endpoint(kind), &samples::notice(vec![samples::ticket(1)])).remove(0);
        let outcome = provider.send(&part, credential(kind, KEY), NOW).await;
        assert_eq!(outcome.class, Class::Transient, "{kind:?}");
    }
}

/// The provider itself finds what is wrong with key, clock and keyword, and the sentence says what to do about it.
#[tokio::test]
async fn a_wrong_key_clock_or_keyword_is_named() {
    let one = samples::notice(vec![samples::ticket(1)]);
    for (kind, sentences) in [
        (
            EndpointKind::Dingtalk,
            [
                "signature does not match",
                "signature does not match",
                "clock",
                "keyword",
            ],
        ),
        (
            EndpointKind::Feishu,
            ["signature", "signature", "clock", "keyword"],
        ),
    ] {
        let provider = Provider::start(kind, thanks(kind)).await;
        let part = parts(&endpoint(kind), &one).remove(0);
        let lacking = {
            let mut endpoint = endpoint(kind);
            match &mut endpoint {
                Endpoint::Dingtalk(spec) => spec.keyword = None,
                Endpoint::Feishu(spec) => spec.keyword = None,
                _ => unreachable!(),
            }
            parts(&endpoint, &one).remove(0)
        };
        let right = || credential(kind, KEY);
        let outcomes = [
            provider.send(&part, None, NOW).await,
            provider
                .send(&part, credential(kind, "SECanother"), NOW)
                .await,
            provider.send(&part, right(), NOW + 3_700).await,
            provider.send(&lacking, right(), NOW).await,
        ];
        for (number, (outcome, word)) in outcomes.iter().zip(sentences).enumerate() {
            // Without a signature DingTalk looks at the time first, and there is none.
            let word = if kind == EndpointKind::Dingtalk && number == 0 {
                "clock"
            } else {
                word
            };
            assert_eq!(outcome.class, Class::Config, "{kind:?} {number}");
            assert!(
                outcome.detail.contains(word),
                "{kind:?} {number}: {}",
                outcome.detail
            );
        }
        let fine = provider.send(&part, right(), NOW + 3_500).await;
        assert_eq!(fine.class, Class::Accepted);
    }
}

/// The same part, sent again later, is the same message with a new proof.
#[tokio::test]
async fn the_proof_is_of_the_attempt() {
    for kind in [EndpointKind::Dingtalk, EndpointKind::Feishu] {
        let provider = Provider::start(kind, thanks(kind)).await;
        let part = parts(&endpoint(kind), &samples::notice(vec![samples::ticket(1)])).remove(0);
        for at in [NOW, NOW + 60] {
            let outcome = provider.send(&part, credential(kind, KEY), at).await;
            assert_eq!(outcome.class, Class::Accepted);
        }
        let received = provider.received.lock().unwrap().clone();
        let [first, second] = received.as_slice() else {
            panic!("two requests")
        };
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        let told = |r: &crate::support::Received| {
            (r.head.lines().next().map(str::to_owned), r.body.clone())
        };
        assert_ne!(told(first), told(second));
        for text in [&first.head, &second.head] {
            assert!(!text.contains(KEY));
        }
    }
}
