//! Microsoft Teams: an adaptive card for a workflow that posts what a webhook receives.
//!
//! Free text stands in runs of a `RichTextBlock`, which know no markdown. A workflow answers 202 before it posts, so an
//! accepted message can still fail there; nobody learns of that but the workflow's own run history.
//! Source: Microsoft Learn, "Create incoming webhooks with Workflows", "Format cards in Teams"; Adaptive Cards schema 1.4.

use patrol_api::receiver::TeamsSpec;
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
    spec: &TeamsSpec,
) -> Vec<Part> {
    let wishes = Wishes {
        mentions: spec.mentions.as_ref(),
        keyword: None,
    };
    chat::write(notice, limits, style, wishes, &Teams)
}

struct Teams;

impl Dialect for Teams {
    fn body(&self, message: &Message) -> Value {
        let title = json!({
            "type": "RichTextBlock",
            "inlines": [{
                "type": "TextRun",
                "text": escape(&message.title),
                "weight": "Bolder",
                "size": "Medium",
            }],
        });
        let mut body = vec![json!({
            "type": "Container",
            "bleed": true,
            "style": colour(message.tone),
            "items": [title],
        })];
        let mut msteams = json!({"width": "Full"});
        if !message.calls.users.is_empty() {
            body.push(json!({"type": "TextBlock", "wrap": true, "text": called(&message.calls)}));
            if let Some(fields) = msteams.as_object_mut() {
                fields.insert("entities".to_owned(), entities(&message.calls));
            }
        }
        body.extend(message.blocks.iter().flat_map(lines));
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": body,
                    "msteams": msteams,
                },
            }],
        })
    }

    fn weigh(&self, block: &Block) -> usize {
        lines(block)
            .iter()
            .map(|line| line.to_string().len() + 1)
            .sum()
    }
}

const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Alarm(Severity::Critical | Severity::High) => "attention",
        Tone::Alarm(Severity::Medium) => "warning",
        Tone::Alarm(Severity::Low | Severity::Info) => "accent",
        Tone::Closed => "good",
        Tone::Calm => "emphasis",
    }
}

/// One block a line: a run keeps no line break.
fn lines(block: &Block) -> Vec<Value> {
    let line = |(index, line): (usize, &Vec<Span>)| {
        let runs: Vec<Value> = line.iter().map(run).collect();
        if index == 0 {
            json!({"type": "RichTextBlock", "separator": true, "inlines": runs})
        } else {
            json!({"type": "RichTextBlock", "spacing": "None", "inlines": runs})
        }
    };
    block.lines.iter().enumerate().map(line).collect()
}

fn run(span: &Span) -> Value {
    match span {
        Span::Text(text) => json!({"type": "TextRun", "text": escape(text)}),
        Span::Strong(text) => json!({"type": "TextRun", "text": escape(text), "weight": "Bolder"}),
        Span::Code(command) => {
            json!({"type": "TextRun", "text": command, "fontType": "Monospace"})
        }
        Span::Link { label, url } => json!({
            "type": "TextRun",
            "text": escape(label),
            "underline": true,
            "selectAction": {"type": "Action.OpenUrl", "url": url},
        }),
    }
}

/// Text that calls nobody and links nowhere, whichever element a client makes of a run.
fn escape(text: &str) -> String {
    chat::plain(text)
}

fn called(calls: &Calls) -> String {
    let said: Vec<String> = calls.users.iter().map(|id| tag(id)).collect();
    said.join(" ")
}

fn tag(id: &str) -> String {
    format!("<at>{id}</at>")
}

fn entities(calls: &Calls) -> Value {
    calls
        .users
        .iter()
        .map(|id| json!({"type": "mention", "text": tag(id), "mentioned": {"id": id, "name": id}}))
        .collect()
}

pub(super) fn classify(by_status: Verdict, status: u16, body: &[u8]) -> Verdict {
    let reply = Reply::new(body);
    match status {
        200..=299 => accepted(by_status, &reply),
        400..=499 if status != 429 => {
            let code = reply.field("error").and_then(|e| e.get("code"));
            code.and_then(Value::as_str)
                .and_then(known)
                .unwrap_or(by_status)
        }
        _ => by_status,
    }
}

/// A workflow answers with nothing or an object of its own, an old connector with `1` or a sentence about an error.
fn accepted(by_status: Verdict, reply: &Reply) -> Verdict {
    if is_page(reply) {
        return config(
            "a web page answered in the workflow's place: check the URL and what lies between",
        );
    }
    let text = reply.text.to_lowercase();
    if let Some(status) = wrapped(&text) {
        return relayed(status);
    }
    if let Some(error) = reply.field("error") {
        let code = error.get("code").and_then(Value::as_str);
        return code.and_then(known).unwrap_or(transient(
            "the workflow answered with an error: not counted as told",
        ));
    }
    if text.is_empty() || text == "1" || reply.is_object() {
        return by_status;
    }
    if text.contains("summary or text is required") || text.contains("bad payload") {
        return payload("Teams does not accept the content");
    }
    transient("the reply is not the one of a workflow: not counted as told")
}

/// The status that a connector relays inside a 200.
fn wrapped(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("http error ")?;
    let digits: String = after
        .chars()
        .take_while(char::is_ascii_digit)
        .take(3)
        .collect();
    digits.parse().ok()
}

const fn relayed(status: u16) -> Verdict {
    match status {
        429 => throttled(None, "Teams asks to slow down"),
        413 => payload("the message is too large for Teams"),
        400 | 422 => payload("Teams does not accept the content"),
        401 | 403 | 404 | 410 => config(
            "Teams no longer takes messages at this URL: create a workflow and store its URL",
        ),
        _ => transient("Teams has an error of its own"),
    }
}

/// Codes of the workflow service, which mean more than their status.
fn known(code: &str) -> Option<Verdict> {
    Some(match code {
        "WorkflowTriggerIsNotEnabled" | "WorkflowSuspended" | "WorkflowDisabled" => {
            config("the workflow is turned off: turn it on in Power Automate")
        }
        "WorkflowNotFound" | "WorkflowTriggerNotFound" => {
            config("the workflow no longer exists: create a new one and store its URL")
        }
        "DirectApiAuthorizationRequired" | "InvalidAuthenticationToken" => config(
            "the workflow does not let anyone with the URL trigger it: set \"Who can trigger the flow\" to Anyone",
        ),
        _ => return None,
    })
}
