//! WeCom: markdown for a group bot; plain text when phones or everybody are called, which markdown cannot.
//!
//! Success is an `errcode` of 0 and nothing else.
//! Source: WeCom developer centre, "Group bot configuration" and "Global error codes".

use patrol_api::receiver::{Mentions, WecomSpec};
use patrol_core::notice::{Notice, NoticeTicket};
use serde_json::{Value, json};

use super::Style;
use crate::chat::{
    self, Block, Calls, Dialect, Message, Reply, Span, Wishes, config, is_page, json_bytes,
    payload, throttled, transient,
};
use crate::classify::Verdict;
use crate::render::{Limits, Part};

/// Bytes of a text: WeCom takes 2,048.
const TEXT: usize = 2_000;
const PARAGRAPH: &str = "\n\n";

pub(super) fn render(
    notice: &Notice,
    limits: &Limits,
    style: Style,
    spec: &WecomSpec,
) -> Vec<Part> {
    let mentions = spec.mentions.as_ref();
    let wishes = Wishes {
        mentions,
        keyword: None,
    };
    if !needs_text(notice, mentions) {
        return chat::write(notice, limits, style, wishes, &Markdown);
    }
    let limits = Limits {
        max_bytes: TEXT.min(limits.max_bytes),
        ..*limits
    };
    chat::write(notice, &limits, style, wishes, &Plain)
}

fn needs_text(notice: &Notice, mentions: Option<&Mentions>) -> bool {
    let tickets: Vec<&NoticeTicket> = notice.tickets.iter().collect();
    mentions.is_some_and(|m| m.all || !m.mobiles.is_empty()) && chat::due(mentions, &tickets)
}

struct Markdown;

impl Dialect for Markdown {
    fn body(&self, message: &Message) -> Value {
        let mut said = vec![format!("### {}", escape(&message.title))];
        said.extend(called(&message.calls));
        said.extend(message.blocks.iter().map(|block| text(block, marked)));
        json!({"msgtype": "markdown", "markdown": {"content": said.join(PARAGRAPH)}})
    }

    fn weigh(&self, block: &Block) -> usize {
        json_bytes(&text(block, marked)) + json_bytes(PARAGRAPH)
    }
}

struct Plain;

impl Dialect for Plain {
    fn body(&self, message: &Message) -> Value {
        let mut said = vec![escape(&message.title)];
        said.extend(message.blocks.iter().map(|block| text(block, unmarked)));
        let mut fields = json!({"content": said.join(PARAGRAPH)});
        let everybody = message.calls.all.then(|| "@all".to_owned());
        let users: Vec<String> = message
            .calls
            .users
            .iter()
            .cloned()
            .chain(everybody)
            .collect();
        for (name, ids) in [
            ("mentioned_list", &users),
            ("mentioned_mobile_list", &message.calls.mobiles),
        ] {
            if let (false, Some(fields)) = (ids.is_empty(), fields.as_object_mut()) {
                fields.insert(name.to_owned(), json!(ids));
            }
        }
        json!({"msgtype": "text", "text": fields})
    }

    fn weigh(&self, block: &Block) -> usize {
        json_bytes(&text(block, unmarked)) + json_bytes(PARAGRAPH)
    }
}

fn text(block: &Block, span: fn(&Span) -> String) -> String {
    let line = |line: &Vec<Span>| line.iter().map(span).collect::<String>();
    block.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn marked(span: &Span) -> String {
    match span {
        Span::Text(text) => escape(text),
        Span::Strong(text) => format!("**{}**", escape(text)),
        Span::Code(command) => format!("`{command}`"),
        Span::Link { label, url } => format!("[{}]({url})", escape(label)),
    }
}

fn unmarked(span: &Span) -> String {
    match span {
        Span::Text(text) | Span::Strong(text) => escape(text),
        Span::Code(command) => command.clone(),
        Span::Link { url, .. } => url.clone(),
    }
}

/// Text in which WeCom finds nothing to format, to link or to call.
fn escape(text: &str) -> String {
    chat::plain(text)
}

fn called(calls: &Calls) -> Option<String> {
    let said: Vec<String> = calls.users.iter().map(|id| format!("<@{id}>")).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

pub(super) fn classify(by_status: Verdict, status: u16, body: &[u8]) -> Verdict {
    let reply = Reply::new(body);
    match (status, reply.code("errcode")) {
        (200..=299, Some(0)) => by_status,
        (200..=299, Some(code)) => known(code).unwrap_or(transient(
            "WeCom answered with an error code that is not known here",
        )),
        (200..=299, None) if is_page(&reply) => {
            config("a web page answered in WeCom's place: check the URL and what lies between")
        }
        (200..=299, None) => transient("WeCom's reply has no errcode: not counted as told"),
        (400..=499, Some(code)) if status != 429 => known(code).unwrap_or(by_status),
        _ => by_status,
    }
}

const fn known(code: i64) -> Option<Verdict> {
    Some(match code {
        -1 => transient("WeCom is busy"),
        45_009 | 45_033 => throttled(
            None,
            "WeCom asks to slow down: a bot takes 20 messages a minute, from all its senders",
        ),
        93_000 | 93_004 | 93_008 => config(
            "WeCom does not know the bot of this URL, or it was removed from the group: copy the bot's webhook address anew",
        ),
        60_020 => config("WeCom does not accept messages from this address"),
        40_058 | 45_002 => payload("the message is too long for WeCom"),
        40_008 | 44_004 | 47_001 => payload("WeCom does not accept the content"),
        _ => return None,
    })
}
