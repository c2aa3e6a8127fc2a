//! Slack: blocks for an incoming webhook.
//!
//! Success is `ok` and nothing else. Texts that the API answers with are turned into sentences of ours.
//! Source: Slack developer documentation, "Sending messages using incoming webhooks", "Formatting message text", "Block Kit".

use patrol_api::receiver::SlackSpec;
use patrol_core::notice::Notice;
use serde_json::{Value, json};

use super::Style;
use crate::chat::{
    self, Block, Calls, Dialect, Message, Reply, Span, Wishes, config, is_page, payload, throttled,
    transient,
};
use crate::classify::Verdict;
use crate::render::{Limits, Part};

/// Characters of a section: Slack takes 3,000.
const SECTION: usize = 2_900;
/// Characters of a header.
const HEADER: usize = 150;

pub(super) fn render(
    notice: &Notice,
    limits: &Limits,
    style: Style,
    spec: &SlackSpec,
) -> Vec<Part> {
    let wishes = Wishes {
        mentions: spec.mentions.as_ref(),
        keyword: None,
    };
    chat::write(notice, limits, style, wishes, &Slack)
}

struct Slack;

impl Dialect for Slack {
    fn body(&self, message: &Message) -> Value {
        let title: String = message.title.chars().take(HEADER).collect();
        let mut blocks = vec![json!({
            "type": "header",
            "text": {"type": "plain_text", "text": title, "emoji": false},
        })];
        let text = calls(&message.calls);
        // A section without text has Slack refuse the whole message.
        if !text.is_empty() {
            blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}));
        }
        blocks.extend(message.blocks.iter().map(section));
        // What a notification shows, and what is shown where there are no blocks.
        json!({"text": escape(&title), "blocks": blocks})
    }

    fn weigh(&self, block: &Block) -> usize {
        section(block).to_string().len() + 1
    }

    fn takes(&self, block: &Block) -> bool {
        text(block).chars().count() <= SECTION
    }
}

/// Verbatim: names of channels and addresses in the text stay text.
fn section(block: &Block) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text(block), "verbatim": true}})
}

fn text(block: &Block) -> String {
    let line = |line: &Vec<Span>| line.iter().map(span).collect::<String>();
    block.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn span(span: &Span) -> String {
    match span {
        Span::Text(text) => escape(text),
        Span::Strong(text) => format!("*{}*", escape(text)),
        Span::Code(command) => format!("`{command}`"),
        Span::Link { label, url } => format!("<{url}|{}>", escape(label)),
    }
}

/// Text in which Slack finds nothing to format, to link or to call.
fn escape(text: &str) -> String {
    chat::plain(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn calls(calls: &Calls) -> String {
    let mut said: Vec<String> = calls
        .users
        .iter()
        .map(|id| match id.strip_prefix('S') {
            Some(_) => format!("<!subteam^{id}>"),
            None => format!("<@{id}>"),
        })
        .collect();
    if calls.all {
        said.push("<!channel>".to_owned());
    }
    said.join(" ")
}

pub(super) fn classify(by_status: Verdict, status: u16, body: &[u8]) -> Verdict {
    let reply = Reply::new(body);
    match status {
        200..=299 => accepted(by_status, &reply),
        400..=499 if status != 429 => known(&word(&reply)).unwrap_or(by_status),
        _ => by_status,
    }
}

fn accepted(by_status: Verdict, reply: &Reply) -> Verdict {
    let ok = reply.field("ok").and_then(Value::as_bool);
    if ok == Some(true) || (ok.is_none() && reply.text == "ok") {
        return by_status;
    }
    if is_page(reply) {
        return config("a web page answered in Slack's place: check the URL and what lies between");
    }
    known(&word(reply)).unwrap_or(transient(
        "Slack's reply does not say ok: not counted as told",
    ))
}

/// The word for what went wrong: all of a text, or the `error` of an object.
fn word(reply: &Reply) -> String {
    match reply.field("ok") {
        Some(_) => reply.word("error"),
        None => reply.text.to_lowercase(),
    }
}

/// What Slack's words mean.
fn known(word: &str) -> Option<Verdict> {
    Some(match word {
        "invalid_payload"
        | "no_text"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "too_many_attachments"
        | "invalid_attachments" => payload("Slack does not accept the content"),
        "msg_too_long" | "msg_blocks_too_long" => payload("the message is too long for Slack"),
        "no_service" | "no_service_id" | "no_active_hooks" | "no_team" | "team_disabled" => {
            config("Slack says this webhook no longer exists or is switched off: create a new one")
        }
        "invalid_token" | "token_revoked" | "invalid_auth" | "not_authed" | "account_inactive" => {
            config("Slack does not accept the credential in the URL: create a new webhook")
        }
        "channel_not_found" | "user_not_found" => config(
            "Slack does not find the webhook's channel: create a webhook for a channel that exists",
        ),
        "channel_is_archived" | "is_archived" => config(
            "the webhook's channel is archived: unarchive it or create a webhook for another",
        ),
        "action_prohibited"
        | "restricted_action"
        | "posting_to_general_channel_denied"
        | "not_in_channel" => config(
            "an administrator does not let the webhook post in this channel: ask for the permission",
        ),
        "rate_limited" | "ratelimited" | "message_limit_exceeded" => {
            throttled(None, "Slack asks to slow down")
        }
        "fatal_error" | "internal_error" | "service_unavailable" | "rollup_error" => {
            transient("Slack has an error of its own")
        }
        _ => return None,
    })
}
