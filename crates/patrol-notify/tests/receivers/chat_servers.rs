//! A stand-in for each chat's server: it checks what it is sent as the provider does (shape, size, signature, keyword) and
//! answers as the provider does, also when it refuses.

use std::sync::{Arc, Mutex};

use patrol_api::receiver::{Endpoint, EndpointKind};
use patrol_notify::client::ClientConfig;
use patrol_notify::{Client, Credential, Outcome, Part, Request, Secret, kinds};
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Received, Server, quick, read_request, reply, within};

/// The request's time, 2027-01-15T08:00:00Z, which is also the server's.
pub const NOW: i64 = 1_800_000_000;
pub const TOKEN: &str = "T0KEN";
pub const KEY: &str = "SECd0ntUseTh1sKeyAnywhere";
pub const KEYWORD: &str = "Patrol";

/// A complete reply: status line, headers, body.
#[derive(Clone, Debug)]
pub struct Answer(pub &'static str, pub String, pub String);

pub fn ok(body: impl Into<String>) -> Answer {
    Answer("200 OK", String::new(), body.into())
}

/// The server of a provider. It checks every request and answers a good one as scripted.
pub struct Provider {
    pub server: Server,
    pub received: Arc<Mutex<Vec<Received>>>,
    kind: EndpointKind,
}

impl Provider {
    pub async fn start(kind: EndpointKind, good: Answer) -> Self {
        let received = Arc::new(Mutex::new(vec![]));
        let seen = Arc::clone(&received);
        let server = Server::start(move |mut stream| {
            let (good, seen) = (good.clone(), Arc::clone(&seen));
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    let Answer(status, headers, body) =
                        refusal(kind, &request).unwrap_or_else(|| good.clone());
                    seen.lock().unwrap().push(request);
                    let answer = reply(status, &headers, &body);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        Self {
            server,
            received,
            kind,
        }
    }

    pub fn url(&self) -> String {
        self.server.url(match self.kind {
            EndpointKind::Slack => "/services/T0/B0/T0KEN",
            EndpointKind::Teams => "/workflows/1/triggers/manual/paths/invoke?sig=T0KEN",
            EndpointKind::Dingtalk => "/robot/send?access_token=T0KEN",
            EndpointKind::Feishu => "/open-apis/bot/v2/hook/T0KEN",
            _ => "/cgi-bin/webhook/send?key=T0KEN",
        })
    }

    /// Sends a part as the operator does.
    pub async fn send(&self, part: &Part, credential: Option<Credential>, at: i64) -> Outcome {
        let client = Client::new(ClientConfig {
            kind: self.kind,
            ..quick()
        })
        .unwrap();
        let request = Request {
            url: Secret::from(self.url()),
            webhook_id: part.webhook_id.clone(),
            timestamp: at,
            body: part.body.clone().into(),
            credential,
        };
        within(client.post(request)).await
    }
}

/// What proves a message of this kind, when the provider was told to ask for proof.
pub fn credential(kind: EndpointKind, key: &str) -> Option<Credential> {
    match kind {
        EndpointKind::Dingtalk => Some(Credential::Dingtalk(Secret::from(key))),
        EndpointKind::Feishu => Some(Credential::Feishu(Secret::from(key))),
        _ => None,
    }
}

/// What the provider says to a request that is not as it wants it.
fn refusal(kind: EndpointKind, request: &Received) -> Option<Answer> {
    assert_eq!(request.header("content-type"), Some("application/json"));
    let target = request.head.split(' ').nth(1).unwrap_or_default();
    let size = request.body.len();
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    match kind {
        EndpointKind::Slack => slack(target, &body),
        EndpointKind::Teams => teams(target, &body, size),
        EndpointKind::Dingtalk => dingtalk(target, &body, size),
        EndpointKind::Feishu => feishu(target, &body, size),
        _ => wecom(target, &body),
    }
}

fn slack(target: &str, body: &Value) -> Option<Answer> {
    if !target.ends_with(TOKEN) {
        return Some(Answer("404 Not Found", String::new(), "no_service".into()));
    }
    let text = body["text"].as_str().is_some_and(|t| !t.is_empty());
    if !text {
        return Some(Answer("400 Bad Request", String::new(), "no_text".into()));
    }
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    let good = |block: &Value| {
        let length = block["text"]["text"]
            .as_str()
            .map_or(0, |t| t.chars().count());
        match (block["type"].as_str(), block["text"]["type"].as_str()) {
            (Some("header"), Some("plain_text")) => (1..=150).contains(&length),
            (Some("section"), Some("mrkdwn")) => (1..=3_000).contains(&length),
            _ => false,
        }
    };
    let whole = (1..=50).contains(&blocks.len()) && blocks.iter().all(good);
    (!whole).then(|| Answer("400 Bad Request", String::new(), "invalid_blocks".into()))
}

fn teams(target: &str, body: &Value, size: usize) -> Option<Answer> {
    let error = |status, code: &str| {
        let body = json!({"error": {"code": code, "message": "S3CRET"}}).to_string();
        Some(Answer(status, String::new(), body))
    };
    if !target.contains("sig=T0KEN") {
        return error("401 Unauthorized", "AuthorizationFailed");
    }
    if size > 28 * 1024 {
        return error("413 Content Too Large", "RequestEntityTooLarge");
    }
    let attachment = &body["attachments"][0];
    let card = &attachment["content"];
    let shape = body["type"] == "message"
        && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        && card["type"] == "AdaptiveCard"
        && card["version"] == "1.4"
        && card["body"]
            .as_array()
            .is_some_and(|b| !b.is_empty() && b.iter().all(element));
    if shape {
        None
    } else {
        error("400 Bad Request", "TriggerInputSchemaMismatch")
    }
}

/// The elements of the schema that are used, with what they need.
fn element(value: &Value) -> bool {
    let list = |name: &str| value[name].as_array().is_some_and(|l| !l.is_empty());
    match value["type"].as_str() {
        Some("Container") => {
            list("items")
                && value["items"]
                    .as_array()
                    .is_some_and(|i| i.iter().all(element))
        }
        Some("TextBlock") => value["text"].is_string(),
        Some("RichTextBlock") => {
            let runs = value["inlines"].as_array();
            let run = |run: &Value| run["type"] == "TextRun" && run["text"].is_string();
            list("inlines") && runs.is_some_and(|r| r.iter().all(run))
        }
        _ => false,
    }
}

/// base64(HMAC-SHA256(key, message)), written down anew from the provider's page.
fn proof(key: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    data_encoding::BASE64.encode(hmac::sign(&key, message.as_bytes()).as_ref())
}

fn dingtalk(target: &str, body: &Value, size: usize) -> Option<Answer> {
    let error = |code: i64, message: &str| {
        Some(ok(json!({"errcode": code, "errmsg": message}).to_string()))
    };
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query: std::collections::BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    if query.get("access_token").map(String::as_str) != Some(TOKEN) {
        return error(300_001, "token is not exist");
    }
    let stamp = query.get("timestamp").cloned().unwrap_or_default();
    let millis: i64 = stamp.parse().unwrap_or_default();
    if (millis - NOW * 1_000).abs() > 3_600_000 {
        return error(310_000, "invalid timestamp");
    }
    if query.get("sign") != Some(&proof(KEY, &format!("{stamp}\n{KEY}"))) {
        return error(310_000, "sign not match");
    }
    if size > 20_000 {
        return error(460_101, "message too long");
    }
    let text = body["markdown"]["text"].as_str().unwrap_or_default();
    let title = body["markdown"]["title"].as_str().unwrap_or_default();
    if body["msgtype"] != "markdown" || text.is_empty() || title.is_empty() {
        return error(40_035, "缺少参数 json");
    }
    if !text.contains(KEYWORD) {
        return error(
            310_000,
            "错误描述:关键词不匹配;解决方案:请联系群管理员查看此机器人的关键词",
        );
    }
    None
}

fn feishu(target: &str, body: &Value, size: usize) -> Option<Answer> {
    let error = |code: i64, message: &str| {
        Some(ok(
            json!({"code": code, "data": {}, "msg": message}).to_string()
        ))
    };
    if !target.ends_with(TOKEN) {
        return error(
            19_001,
            "param invalid: incoming webhook access token invalid",
        );
    }
    let stamp = body["timestamp"].as_str().unwrap_or_default();
    let seconds: i64 = stamp.parse().unwrap_or_default();
    let sign = proof(&format!("{stamp}\n{KEY}"), "");
    if (seconds - NOW).abs() > 3_600 || body["sign"] != sign {
        return error(
            19_021,
            "sign match fail or timestamp is not within one hour from current time",
        );
    }
    if size > 20 * 1024 {
        return error(9_499, "Bad Request");
    }
    let card = &body["card"];
    let good = |element: &Value| {
        element["tag"] == "hr"
            || (element["tag"] == "div" && element["text"]["content"].is_string())
    };
    let elements = card["elements"].as_array().cloned().unwrap_or_default();
    let title = card["header"]["title"]["content"]
        .as_str()
        .unwrap_or_default();
    if body["msg_type"] != "interactive" || elements.is_empty() || !elements.iter().all(good) {
        return error(9_499, "Bad Request");
    }
    if !title.contains(KEYWORD) {
        return error(19_024, "Key Words Not Found");
    }
    None
}

fn wecom(target: &str, body: &Value) -> Option<Answer> {
    let error = |code: i64, message: &str| {
        Some(ok(json!({"errcode": code, "errmsg": message}).to_string()))
    };
    if !target.contains("key=T0KEN") {
        return error(93_000, "invalid webhook url");
    }
    let (content, most) = match body["msgtype"].as_str() {
        Some("markdown") => (&body["markdown"]["content"], 4_096),
        Some("text") => (&body["text"]["content"], 2_048),
        _ => return error(40_008, "invalid message type"),
    };
    match content.as_str().map(str::len) {
        None | Some(0) => error(44_004, "empty content"),
        Some(length) if length > most => error(40_058, "markdown.content exceed max length 4096"),
        Some(_) => None,
    }
}

/// What each provider says when it has a message.
pub fn thanks(kind: EndpointKind) -> Answer {
    match kind {
        EndpointKind::Slack => ok("ok"),
        EndpointKind::Teams => Answer("202 Accepted", String::new(), String::new()),
        EndpointKind::Feishu => {
            ok(r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#)
        }
        _ => ok(r#"{"errcode":0,"errmsg":"ok"}"#),
    }
}

/// The parts of a notice for this endpoint.
pub fn parts(endpoint: &Endpoint, notice: &patrol_core::notice::Notice) -> Vec<Part> {
    kinds::render(endpoint, notice, kinds::Style::default())
}
