//! F36, row 94: names, titles and annotations written by others format nothing, link nowhere, call nobody and steer nothing.

use patrol_api::receiver::{Endpoint, EndpointKind, Locale};
use patrol_api::ticket::Overlay;
use patrol_api::time::Time;
use patrol_api::words::OverlayKind;
use patrol_core::notice::Notice;
use patrol_notify::kinds::Style;

use crate::samples::*;

/// Each would do something in at least one of the chats.
const CORPUS: &[&str] = &[
    "<!here> <!channel> <!everyone> <@U012ABCDEF> <!subteam^S012ABCDEF> <#C012>",
    "<https://evil.example|click>",
    "[click](https://evil.example) ![x](https://evil.example/a.png)",
    "https://evil.example/phish http://evil.example www.evil.example",
    "@all @所有人 @everyone @channel @13800000000",
    "<at id=all></at><at user_id=\"all\">all</at><at>alice@example.com</at>",
    "<@zhangsan><@all>",
    "**bold** __bold__ *b* _i_ ~s~ ~~s~~ `code` ```block```",
    "<font color=\"warning\">W</font><b>x</b><script>alert(1)</script><img src=x onerror=y>",
    "&lt;!here&gt; &#60;at id=all&#62; &amp;lt;",
    "\u{1b}[31mred\u{1b}[0m\u{1b}]8;;https://evil.example\u{7}x\u{1b}]8;;\u{7}",
    "abc\u{202e}cba\u{2066}\u{2069}\u{200f}\u{200b}\u{feff}\u{e0041}",
    "line\r\n# head\n> quote\n- item\n1. one\n---\n| a | b |",
    ":fire: :white_check_mark: :robot_face:",
    "\"}],\"isAtAll\":true,\"x\":[{\"",
    "\\*\\_\\`\\[\\]\\",
    "{{.Title}} ${x} $(id) `id`; rm -rf / #",
    "\0\u{1}\u{7f}\u{9b}31m",
    "缺少\u{2028}边车\u{2029}",
];

fn infected(nasty: &str) -> Notice {
    let mut one = ticket(1);
    for field in [
        &mut one.title,
        &mut one.message,
        &mut one.remediation,
        &mut one.check,
        &mut one.namespace,
        &mut one.name,
        &mut one.subject.kind,
        &mut one.subject.name,
        &mut one.subject_ref,
    ] {
        *field = nasty.to_owned();
    }
    one.subject.namespace = Some(nasty.to_owned());
    one.assignee = Some(nasty.to_owned());
    one.requirement = Some(nasty.to_owned());
    one.overlay = Some(Overlay {
        kind: OverlayKind::Waived,
        by: Some(nasty.to_owned()),
        reason: nasty.to_owned(),
        until: Time::from_unix(NOW + 60),
        asked: None,
        reset_sla: false,
        waiver: Some(nasty.to_owned()),
    });
    let two = patrol_core::notice::NoticeTicket {
        event_id: "event2".into(),
        severity: patrol_api::words::Severity::Low,
        ..one.clone()
    };
    let mut all = notice(vec![one, two]);
    all.cluster.name = nasty.to_owned();
    all.policy = nasty.to_owned();
    all.receiver = nasty.to_owned();
    all.group.labels = vec![
        ("check".into(), nasty.to_owned()),
        ("namespace".into(), nasty.to_owned()),
        (nasty.to_owned(), nasty.to_owned()),
    ];
    all
}

/// A body without what is of our own making: our links and our commands.
fn foreign(endpoint: &Endpoint, notice: &Notice, style: Style) -> Vec<String> {
    let mut found = vec![];
    for part in render(endpoint, notice, style) {
        for text in texts(&body(&part)) {
            let ours =
                "https://github.com/kube-patrol/kube-patrol/blob/main/docs/reference/checks.md#";
            let mut rest = text.as_str();
            let mut kept = String::new();
            while let Some((before, after)) = rest.split_once(ours) {
                kept.push_str(before);
                rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
            }
            kept.push_str(rest);
            found.push(kept);
        }
    }
    found
}

#[test]
fn f36_row94_hostile_texts_mean_nothing() {
    for nasty in CORPUS {
        for notice in [infected(nasty), {
            let mut digest = infected(nasty);
            digest.kind = patrol_core::notice::NoticeKind::Digest;
            digest
        }] {
            for endpoint in endpoints(None) {
                for locale in [Locale::En, Locale::ZhCn] {
                    for minimal in [false, true] {
                        let style = Style { locale, minimal };
                        for text in foreign(&endpoint, &notice, style) {
                            harmless(endpoint.kind(), &text, nasty);
                        }
                    }
                }
            }
        }
    }
}

fn harmless(kind: EndpointKind, text: &str, nasty: &str) {
    let why = format!("{kind:?}: {nasty:?} became {text:?}");
    for c in text.chars() {
        let steers = c.is_control() && c != '\n'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}');
        assert!(!steers, "{c:?} in {why}");
    }
    // Our own: the card's schema.
    if text == "http://adaptivecards.io/schemas/adaptive-card.json" {
        return;
    }
    let prose: String = text
        .lines()
        .map(|line| line.split("kubectl ").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    for bad in [
        "<!",
        "<@",
        "<#",
        "<at",
        "</",
        "<font",
        "<b",
        "<s",
        "<i",
        "<https",
        "://",
        "www.",
        "@all",
        "@所有人",
        "@channel",
        "@everyone",
        "@138",
        "![",
        "click](",
        "&lt;!",
        "&#60;",
        "~s~",
        "```",
        ":fire",
        ":white",
        ":robot",
        "_i_",
        "__bold",
        "*bold*",
        "*b*",
    ] {
        assert!(!prose.contains(bad), "{bad} in {why}");
    }
    for line in text.lines() {
        for bad in ["# head", "> quote", "- item", "1. one", "---", "| a"] {
            assert!(!line.starts_with(bad), "{bad} begins a line in {why}");
        }
    }
    if matches!(kind, EndpointKind::Slack | EndpointKind::Wecom) {
        // A command in its marks is the only code there is.
        for (index, piece) in text.split('`').enumerate() {
            if index % 2 == 1 {
                assert!(piece.starts_with("kubectl "), "code {piece:?} in {why}");
            }
        }
    } else {
        assert!(!text.contains('`'), "{why}");
    }
    for line in text.lines() {
        let Some((_, command)) = line.split_once("kubectl ") else {
            continue;
        };
        let safe = |c: char| c.is_ascii_alphanumeric() || " -./='!,()`_".contains(c);
        assert!(command.chars().all(safe), "command {command:?} in {why}");
        assert!(
            !command.contains("$(") && !command.contains("rm -rf /"),
            "command {command:?} in {why}"
        );
    }
}

/// Minimal says what is to be looked at and not what it is.
#[test]
fn minimal_keeps_titles_messages_and_names_to_itself() {
    let mut secret = ticket(1);
    secret.title = "S3CRET-title".into();
    secret.message = "S3CRET-message".into();
    secret.remediation = "S3CRET-remedy".into();
    secret.subject.name = "S3CRET-name".into();
    secret.subject.uid = Some("S3CRET-uid".into());
    secret.subject_ref = "Deployment/S3CRET-name".into();
    secret.assignee = Some("S3CRET-assignee".into());
    secret.overlay = Some(Overlay {
        kind: OverlayKind::Snoozed,
        by: Some("S3CRET-by".into()),
        reason: "S3CRET-reason".into(),
        until: Time::from_unix(NOW + 60),
        asked: None,
        reset_sla: false,
        waiver: Some("S3CRET-waiver".into()),
    });
    let mut second = secret.clone();
    second.event_id = "event2".into();
    for tickets in [vec![secret.clone()], vec![secret, second]] {
        let all = notice(tickets);
        for endpoint in endpoints(mentions()) {
            for locale in [Locale::En, Locale::ZhCn] {
                let count = |minimal| {
                    let parts = render(&endpoint, &all, Style { locale, minimal });
                    let bodies = parts
                        .iter()
                        .map(|p| String::from_utf8_lossy(&p.body).into_owned());
                    bodies.map(|b| b.matches("S3CRET").count()).sum::<usize>()
                };
                assert_eq!(count(true), 0, "{:?}", endpoint.kind());
                assert!(count(false) > 4, "{:?}", endpoint.kind());
            }
        }
    }
}
