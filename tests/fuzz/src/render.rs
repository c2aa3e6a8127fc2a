//! Notices of hostile texts, written for every kind: nothing is lost, limits of the providers hold, nothing in a text means
//! anything, and signatures verify.
//!
//! Input: pieces between bytes 0xff, which no text holds. The first is choices, the others are texts, which are given to
//! names, titles, messages, labels and people in turn.

mod chat;
mod machine;
mod notice;
mod proof;

use std::collections::BTreeSet;

use patrol_api::receiver::{
    AlertReceiverSpec, DingtalkSpec, Endpoint, EndpointKind, FeishuSpec, Locale, Mentions,
    SlackSpec, TeamsSpec, WebhookFormat, WebhookSpec, WecomSpec,
};
use patrol_api::words::Severity;
use patrol_core::notice::Notice;
use patrol_notify::kinds::{self, Style};
use patrol_notify::render::Part;
use serde_json::{Value, json};

use crate::feed::Feed;

/// Separates pieces: it is in no text.
const BETWEEN: u8 = 0xff;
/// What the robots of two providers ask for.
const KEYWORD: &str = "Patrol";

pub(crate) fn run(data: &[u8]) {
    let mut pieces = data.split(|byte| *byte == BETWEEN);
    let mut feed = Feed::new(pieces.next().unwrap_or_default());
    let texts: Vec<String> = pieces
        // Our own commands are known by their first word, which nobody else can write without this letter.
        .map(|piece| String::from_utf8_lossy(piece).replace('k', "c"))
        .collect();
    let style = Style {
        locale: if feed.flag() {
            Locale::ZhCn
        } else {
            Locale::En
        },
        minimal: feed.flag(),
    };
    let mentions = feed.flag().then(|| mentions(&mut feed, &texts));
    let endpoint = endpoint(&mut feed, mentions.clone());
    let notice = notice::choose(&mut feed, &texts);
    let parts = kinds::render(&endpoint, &notice, style);
    assert_eq!(
        parts,
        kinds::render(&endpoint, &notice, style),
        "not the same twice"
    );
    each_once(&notice, &parts);
    let limits = kinds::limits(&endpoint, style);
    for part in &parts {
        let size = part.body.len();
        let count = part.event_ids.len();
        assert!(
            size <= limits.max_bytes,
            "{:?}: {size} bytes for {count}",
            endpoint.kind()
        );
        let text = std::str::from_utf8(&part.body).expect("a body is UTF-8");
        assert!(!text.chars().any(char::is_control), "{text:?}");
        let body: Value = serde_json::from_str(text).expect("a body is JSON");
        match endpoint.kind() {
            EndpointKind::Webhook | EndpointKind::Alertmanager | EndpointKind::Pagerduty => {
                machine::check(&endpoint, &body);
            }
            kind => chat::check(kind, &body, mentions.as_ref()),
        }
        proof::check(part);
    }
}

/// Every telling is in exactly one part, and no two parts have one id.
fn each_once(notice: &Notice, parts: &[Part]) {
    let mut told: Vec<&str> = parts
        .iter()
        .flat_map(|part| &part.event_ids)
        .map(String::as_str)
        .collect();
    told.sort_unstable();
    let mut owed: Vec<&str> = notice.tickets.iter().map(|t| t.event_id.as_str()).collect();
    owed.sort_unstable();
    assert_eq!(told, owed);
    let ids: BTreeSet<&str> = parts.iter().map(|part| part.webhook_id.as_str()).collect();
    assert_eq!(ids.len(), parts.len());
    assert!(!parts.is_empty());
    assert!(
        parts
            .iter()
            .all(|part| part.by_number <= part.event_ids.len())
    );
}

fn mentions(feed: &mut Feed<'_>, texts: &[String]) -> Mentions {
    let mut ids = |most: u8| -> Vec<String> {
        let many = feed.upto(most);
        texts.iter().take(many).cloned().collect()
    };
    Mentions {
        users: ids(3),
        mobiles: ids(2),
        all: feed.flag(),
        min_severity: *feed.pick(Severity::ALL),
    }
}

fn endpoint(feed: &mut Feed<'_>, mentions: Option<Mentions>) -> Endpoint {
    let webhook = |format| {
        Endpoint::Webhook(WebhookSpec {
            format,
            ..WebhookSpec::default()
        })
    };
    let keyword = feed.flag().then(|| KEYWORD.to_owned());
    match feed.upto(9) {
        0 => Endpoint::Slack(SlackSpec {
            mentions,
            ..SlackSpec::default()
        }),
        1 => Endpoint::Teams(TeamsSpec {
            mentions,
            ..TeamsSpec::default()
        }),
        2 => Endpoint::Dingtalk(DingtalkSpec {
            mentions,
            keyword,
            ..DingtalkSpec::default()
        }),
        3 => Endpoint::Feishu(FeishuSpec {
            mentions,
            keyword,
            ..FeishuSpec::default()
        }),
        4 => Endpoint::Wecom(WecomSpec {
            mentions,
            ..WecomSpec::default()
        }),
        5 => webhook(WebhookFormat::PatrolV1),
        6 => webhook(WebhookFormat::CloudEventsV1),
        7 => webhook(WebhookFormat::AlertmanagerV4),
        8 => of_spec(json!({"alertmanager": {"url": "http://alertmanager.example:9093"}})),
        _ => of_spec(json!({"pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}}})),
    }
}

fn of_spec(spec: Value) -> Endpoint {
    let spec: AlertReceiverSpec = serde_json::from_value(spec).unwrap();
    spec.endpoint().unwrap()
}

/// Every text of a body with the name it stands under; names of fields are texts, too.
fn texts<'a>(name: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((name, text)),
        Value::Array(items) => items.iter().for_each(|item| texts(name, item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.push(("", name));
                texts(name, value, found);
            }
        }
        _ => {}
    }
}

/// Whether a character steers a terminal, turns a line around or hides.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x61c | 0x200b | 0x200e | 0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}
