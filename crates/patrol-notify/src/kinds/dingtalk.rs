//! DingTalk: markdown for a custom robot.
//!
//! Every reply has status 200; success is an `errcode` of 0 and nothing else. The gateway's own refusals have none.
//! Source: DingTalk open platform, "Custom robot access" and its error codes; the three meanings of 310000 are told apart
//! by words of `errmsg`, in English or Chinese.

use std::time::Duration;

use patrol_api::receiver::DingtalkSpec;
use patrol_core::notice::Notice;
use serde_json::{Value, json};

use super::Style;
use crate::chat::{
    self, Block, Calls, Dialect, Message, Reply, Span, Wishes, config, is_page, json_bytes,
    payload, throttled, transient,
};
use crate::classify::Verdict;
use crate::render::{Limits, Part};

/// Between the lines of a block, and between blocks: a lone line break joins lines.
const LINE: &str = "  \n";
const PARAGRAPH: &str = "\n\n";
/// A robot that was too fast is blocked for ten minutes.
const BLOCKED: Duration = Duration::from_secs(11 * 60);

pub(super) fn render(
    notice: &Notice,
    limits: &Limits,
    style: Style,
    spec: &DingtalkSpec,
) -> Vec<Part> {
    let wishes = Wishes {
        mentions: spec.mentions.as_ref(),
        keyword: spec.keyword.as_deref(),
    };
    chat::write(notice, limits, style, wishes, &Dingtalk)
}

struct Dingtalk;

impl Dialect for Dingtalk {
    fn body(&self, message: &Message) -> Value {
        let mut said = vec![format!("#### {}", escape(&message.title))];
        // Who is called has to be named in the text, too.
        said.extend(called(&message.calls));
        said.extend(message.blocks.iter().map(text));
        let calls = &message.calls;
        json!({
            "msgtype": "markdown",
            "markdown": {"title": message.title, "text": said.join(PARAGRAPH)},
            "at": {"atMobiles": calls.mobiles, "atUserIds": calls.users, "isAtAll": calls.all},
        })
    }

    fn weigh(&self, block: &Block) -> usize {
        json_bytes(&text(block)) + json_bytes(PARAGRAPH)
    }
}

fn text(block: &Block) -> String {
    let line = |line: &Vec<Span>| line.iter().map(span).collect::<String>();
    block.lines.iter().map(line).collect::<Vec<_>>().join(LINE)
}

fn span(span: &Span) -> String {
    match span {
        Span::Text(text) => escape(text),
        Span::Strong(text) => format!("**{}**", escape(text)),
        // Not every client knows code: a command is plain text.
        Span::Code(command) => command.clone(),
        Span::Link { label, url } => format!("[{}]({url})", escape(label)),
    }
}

/// Text in which DingTalk finds nothing to format, to link or to call.
fn escape(text: &str) -> String {
    chat::plain(text)
}

fn called(calls: &Calls) -> Option<String> {
    let ids = calls.mobiles.iter().chain(&calls.users);
    let said: Vec<String> = ids.map(|id| format!("@{id}")).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

pub(super) fn classify(by_status: Verdict, status: u16, body: &[u8]) -> Verdict {
    let reply = Reply::new(body);
    match (status, reply.code("errcode")) {
        (200..=299, Some(0)) => by_status,
        (200..=299, Some(code)) => known(code, &reply).unwrap_or(transient(
            "DingTalk answered with an error code that is not known here",
        )),
        (200..=299, None) => no_code(&reply),
        (400..=499, Some(code)) if status != 429 => known(code, &reply).unwrap_or(by_status),
        _ => by_status,
    }
}

fn no_code(reply: &Reply) -> Verdict {
    if reply.text.to_lowercase().contains("punish") {
        return throttled(
            Some(BLOCKED),
            "DingTalk's gateway blocks this sender for some minutes: lower the receiver's rate",
        );
    }
    if is_page(reply) {
        return config(
            "a web page answered in DingTalk's place: check the URL and what lies between",
        );
    }
    transient("DingTalk's reply has no errcode: not counted as told")
}

fn known(code: i64, reply: &Reply) -> Option<Verdict> {
    Some(match code {
        -1 => transient("DingTalk is busy"),
        130_101 | 410_100 => throttled(
            None,
            "DingTalk asks to slow down: a robot takes 20 messages a minute, from all its senders",
        ),
        310_000 => config(refused(&reply.word("errmsg"))),
        300_001 | 300_005 | 400_101 => config(
            "DingTalk does not know the access token in the URL: copy the robot's webhook address anew",
        ),
        400_013 | 400_102 | 400_106 => config(
            "the robot is switched off or gone, or its group was dissolved: add a robot and store its address",
        ),
        400_105 | 40_035 | 43_004 | 430_101..=430_104 | 460_101 => {
            payload("DingTalk does not accept the content")
        }
        _ => return None,
    })
}

/// The security setting that refused. The sentence about signatures mentions timestamps, too, hence the order.
fn refused(message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["keyword", "关键词"]) {
        "the robot asks for a keyword that the message lacks: set spec.dingtalk.keyword to one of the robot's keywords"
    } else if says(&[
        "invalid timestamp",
        "timestamp expired",
        "签名过期",
        "时间戳无效",
    ]) {
        "DingTalk finds the signature's time more than an hour off: set the clock of the operator's node"
    } else if says(&["sign", "签名"]) {
        "the signature does not match: store the robot's secret (SEC...) and name it in spec.dingtalk.signingSecretRef"
    } else if says(&["whitelist", "white list", "白名单", "ip "]) {
        "the robot does not accept messages from this address: add the cluster's outgoing addresses to its IP list"
    } else {
        "a security setting of the robot refuses the message: compare its keywords, signature and IP list with spec.dingtalk"
    }
}
