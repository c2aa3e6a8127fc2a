//! Feishu and Lark: a card for a custom bot.
//!
//! Success is a `code` (in old replies `StatusCode`) of 0 and nothing else.
//! Source: Feishu open platform, "Custom bot usage guide" and "Card content", error codes of the guide.

use patrol_api::receiver::FeishuSpec;
use patrol_api::words::Severity;
use patrol_core::notice::Notice;
use serde_json::{Value, json};

use super::Style;
use crate::chat::{
    self, Block, Calls, Dialect, Message, Reply, Span, Tone, Wishes, config, is_page, payload,
    throttled, transient,
};
use crate::classify::Verdict;
use crate::render::{Limits, Part};

pub(super) fn render(
    notice: &Notice,
    limits: &Limits,
    style: Style,
    spec: &FeishuSpec,
) -> Vec<Part> {
    let wishes = Wishes {
        mentions: spec.mentions.as_ref(),
        keyword: spec.keyword.as_deref(),
    };
    chat::write(notice, limits, style, wishes, &Feishu)
}

struct Feishu;

impl Dialect for Feishu {
    fn body(&self, message: &Message) -> Value {
        let mut elements = vec![];
        elements.extend(called(&message.calls).map(|text| div(&text)));
        for (index, block) in message.blocks.iter().enumerate() {
            if index > 0 {
                elements.push(json!({"tag": "hr"}));
            }
            elements.push(div(&text(block)));
        }
        json!({
            "msg_type": "interactive",
            "card": {
                "config": {"wide_screen_mode": true},
                "header": {
                    "template": colour(message.tone),
                    "title": {"tag": "plain_text", "content": message.title},
                },
                "elements": elements,
            },
        })
    }

    fn weigh(&self, block: &Block) -> usize {
        // With the line before it and two commas.
        div(&text(block)).to_string().len() + json!({"tag": "hr"}).to_string().len() + 2
    }
}

const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Alarm(Severity::Critical) => "red",
        Tone::Alarm(Severity::High) => "orange",
        Tone::Alarm(Severity::Medium) => "yellow",
        Tone::Alarm(Severity::Low) => "blue",
        Tone::Alarm(Severity::Info) => "grey",
        Tone::Closed => "green",
        Tone::Calm => "turquoise",
    }
}

fn div(text: &str) -> Value {
    json!({"tag": "div", "text": {"tag": "lark_md", "content": text}})
}

fn text(block: &Block) -> String {
    let line = |line: &Vec<Span>| line.iter().map(span).collect::<String>();
    block.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn span(span: &Span) -> String {
    match span {
        Span::Text(text) => escape(text),
        Span::Strong(text) => format!("**{}**", escape(text)),
        // Cards of this version know no code: a command is plain text.
        Span::Code(command) => command.clone(),
        Span::Link { label, url } => format!("[{}]({url})", escape(label)),
    }
}

/// Text in which Feishu finds nothing to format, to link or to call.
fn escape(text: &str) -> String {
    chat::plain(text)
}

fn called(calls: &Calls) -> Option<String> {
    let mut said: Vec<String> = calls
        .users
        .iter()
        .map(|id| format!("<at id={id}></at>"))
        .collect();
    if calls.all {
        said.push("<at id=all></at>".to_owned());
    }
    (!said.is_empty()).then(|| said.join(" "))
}

pub(super) fn classify(by_status: Verdict, status: u16, body: &[u8]) -> Verdict {
    let reply = Reply::new(body);
    // Old replies have both fields, and one of them may tell of the failure alone.
    let codes = [reply.code("code"), reply.code("StatusCode")];
    let code = codes.into_iter().flatten().max_by_key(|code| *code != 0);
    match (status, code) {
        (200..=299, Some(0)) => by_status,
        (200..=299, Some(code)) => known(code).unwrap_or(transient(
            "Feishu answered with an error code that is not known here",
        )),
        (200..=299, None) if is_page(&reply) => {
            config("a web page answered in Feishu's place: check the URL and what lies between")
        }
        (200..=299, None) => transient("Feishu's reply has no code: not counted as told"),
        (400..=499, Some(code)) if status != 429 => known(code).unwrap_or(by_status),
        _ => by_status,
    }
}

const fn known(code: i64) -> Option<Verdict> {
    Some(match code {
        -1 => transient("Feishu is busy"),
        11_232 | 11_233 | 99_991_400 => throttled(
            None,
            "Feishu asks to slow down: a bot takes 100 messages a minute and 5 a second",
        ),
        9_499 | 11_246 | 19_002 => payload("Feishu does not accept the content"),
        19_001 => {
            config("Feishu does not know the bot of this URL: copy the bot's webhook address anew")
        }
        19_007 => config("the bot is switched off: switch it on in the group's settings"),
        19_021 => config(
            "the signature does not match or its time is more than an hour off: store the bot's key, name it in spec.feishu.signingSecretRef and set the clock of the operator's node",
        ),
        19_022 => config(
            "the bot does not accept messages from this address: add the cluster's outgoing addresses to its IP list",
        ),
        19_024 => config(
            "the bot asks for a keyword that the message lacks: set spec.feishu.keyword to one of the bot's keywords",
        ),
        _ => return None,
    })
}
