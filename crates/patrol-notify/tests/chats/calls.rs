//! Who is called by name: whom the receiver's object names, for a firing ticket that is bad enough, and nobody else.

use patrol_api::receiver::{Endpoint, Mentions, SlackSpec};
use patrol_api::words::{Severity, ToldState};
use patrol_core::notice::{Notice, NoticeTicket};
use serde_json::json;

use crate::samples::*;

/// What calls somebody in each kind, in the order of the endpoints.
const CALLS: [&str; 5] = [
    "<@U012ABCDEF>",
    "<at>alice@example.com</at>",
    "@manager123",
    "<at id=ou_0123456789></at>",
    "<@zhangsan>",
];

fn called(notice: &Notice, mentions: Mentions) -> Vec<bool> {
    let endpoints = endpoints(Some(mentions));
    let says = |(endpoint, call): (&Endpoint, &&str)| {
        let parts = render(endpoint, notice, STYLE);
        parts
            .iter()
            .any(|p| texts(&body(p)).concat().contains(*call))
    };
    endpoints.iter().zip(&CALLS).map(says).collect()
}

#[test]
fn only_for_a_firing_ticket_that_is_bad_enough() {
    let of = |severity, state| {
        notice(vec![NoticeTicket {
            severity,
            state,
            ..ticket(1)
        }])
    };
    for (severity, state, least, expected) in [
        (
            Severity::Critical,
            ToldState::Firing,
            Severity::Critical,
            true,
        ),
        (Severity::High, ToldState::Firing, Severity::Critical, false),
        (Severity::High, ToldState::Firing, Severity::High, true),
        (Severity::Info, ToldState::Firing, Severity::Info, true),
        (Severity::Critical, ToldState::Closed, Severity::Info, false),
    ] {
        let mentions = Mentions {
            min_severity: least,
            ..Mentions::default()
        };
        assert_eq!(
            called(&of(severity, state), mentions),
            [expected; 5],
            "{severity} {state} {least}"
        );
    }
}

/// A chat that knows no phones leaves them out, and no part of the message is empty: Slack refuses one that has such a part.
#[test]
fn who_is_named_only_as_a_chat_cannot_call_is_left_out() {
    let mentions = Mentions {
        mobiles: vec!["13800000000".into()],
        ..Mentions::default()
    };
    let slack = Endpoint::Slack(SlackSpec {
        mentions: Some(mentions),
        ..SlackSpec::default()
    });
    let parts = render(&slack, &notice(vec![ticket(1)]), STYLE);
    let message = body(&parts[0]);
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() > 2);
    for block in blocks {
        assert_ne!(block["text"]["text"], "", "{message}");
    }
}

#[test]
fn nobody_is_called_without_being_named() {
    for endpoint in endpoints(None) {
        for part in render(&endpoint, &notice(vec![ticket(1)]), STYLE) {
            let body = body(&part);
            let said = texts(&body).concat();
            for call in ["<@", "<!", "<at", "@all"] {
                assert!(!said.contains(call), "{said}");
            }
            assert_ne!(body["at"]["isAtAll"], true);
        }
    }
}

/// In a message of several parts, those are called whose part holds such a ticket.
#[test]
fn each_part_calls_for_itself() {
    let mut mixed = flood(60, 60);
    for one in mixed.tickets.iter_mut().skip(30) {
        one.state = ToldState::Closed;
    }
    let [_, _, _, _, wecom] = endpoints(mentions());
    let parts = render(&wecom, &mixed, STYLE);
    let calls = |p: &patrol_notify::Part| texts(&body(p)).concat().contains("<@zhangsan>");
    assert!(calls(&parts[0]));
    assert!(!calls(&parts[parts.len() - 1]));
}

#[test]
fn each_kind_calls_in_its_own_way() {
    let everybody = Mentions {
        all: true,
        mobiles: vec!["13800000000".into()],
        ..Mentions::default()
    };
    let [slack, teams, dingtalk, feishu, wecom] = endpoints(Some(everybody));
    let one = notice(vec![ticket(1)]);
    let first = |endpoint| body(&render(endpoint, &one, STYLE)[0]);

    let call = &first(&slack)["blocks"][1]["text"];
    assert_eq!(
        call["text"],
        "<@U012ABCDEF> <!subteam^S012ABCDEF> <!channel>"
    );

    let card = &first(&teams)["attachments"][0]["content"];
    assert_eq!(card["body"][1]["text"], "<at>alice@example.com</at>");
    assert_eq!(
        card["msteams"]["entities"],
        json!([{"type": "mention", "text": "<at>alice@example.com</at>",
            "mentioned": {"id": "alice@example.com", "name": "alice@example.com"}}])
    );

    let robot = first(&dingtalk);
    assert_eq!(
        robot["at"],
        json!({"atMobiles": ["13800000000"], "atUserIds": ["manager123"], "isAtAll": true})
    );
    let text = robot["markdown"]["text"].as_str().unwrap();
    assert!(text.contains("@13800000000 @manager123"), "{text}");

    let call = &first(&feishu)["card"]["elements"][0]["text"]["content"];
    assert_eq!(call, "<at id=ou_0123456789></at> <at id=all></at>");

    // Markdown calls neither phones nor everybody, text does.
    let text = first(&wecom);
    assert_eq!(text["msgtype"], "text");
    assert_eq!(text["text"]["mentioned_list"], json!(["zhangsan", "@all"]));
    assert_eq!(
        text["text"]["mentioned_mobile_list"],
        json!(["13800000000"])
    );
}

/// A robot that asks for a keyword finds it in the title and in the text, whatever the message is about.
#[test]
fn the_keyword_is_in_every_title() {
    use patrol_core::notice::NoticeKind;
    let [_, _, dingtalk, feishu, _] = endpoints(None);
    for notice in [
        notice(vec![ticket(1)]),
        baseline(),
        bare(NoticeKind::Test),
        bare(NoticeKind::Heartbeat),
        flood(90, 0),
    ] {
        for part in render(&dingtalk, &notice, STYLE) {
            let robot = body(&part);
            assert!(
                robot["markdown"]["title"]
                    .as_str()
                    .unwrap()
                    .starts_with("Patrol ")
            );
            assert!(
                robot["markdown"]["text"]
                    .as_str()
                    .unwrap()
                    .starts_with("#### Patrol ")
            );
        }
        for part in render(&feishu, &notice, STYLE) {
            let title = &body(&part)["card"]["header"]["title"]["content"];
            assert!(title.as_str().unwrap().starts_with("Patrol "));
        }
    }
}
