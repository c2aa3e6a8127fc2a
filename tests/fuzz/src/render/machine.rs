//! What programs read: texts are only texts, and the few rules that a reader refuses a message for.

use patrol_api::receiver::{Endpoint, WebhookFormat};
use patrol_api::time::Time;
use serde_json::Value;

pub(super) fn check(endpoint: &Endpoint, body: &Value) {
    let mut texts = vec![];
    super::texts("", body, &mut texts);
    for (name, text) in texts {
        assert!(!text.chars().any(super::steers), "{name}: {text:?}");
    }
    match endpoint {
        Endpoint::Pagerduty(_) => pagerduty(body),
        Endpoint::Alertmanager(_) => items(body).for_each(alert),
        Endpoint::Webhook(webhook) => match webhook.format {
            WebhookFormat::PatrolV1 => {
                assert_eq!(body["specVersion"], "1");
                assert!(body["data"]["tickets"].is_array());
            }
            WebhookFormat::CloudEventsV1 => {
                assert_eq!(body["specversion"], "1.0");
                for required in ["id", "source", "type"] {
                    assert!(!text(&body[required]).is_empty(), "{required}");
                }
                // A reference as RFC 3986 writes one.
                let source = text(&body["source"]);
                let fine = |c: char| c.is_ascii_alphanumeric() || "/%-._~".contains(c);
                assert!(source.chars().all(fine), "{source}");
                assert!(body.get("subject").is_none_or(|s| !text(s).is_empty()));
            }
            WebhookFormat::AlertmanagerV4 => {
                assert_eq!(body["version"], "4");
                items(&body["alerts"]).for_each(labelled);
            }
        },
        other => panic!("{:?} is a chat", other.kind()),
    }
}

/// Events API v2: lengths in characters.
fn pagerduty(body: &Value) {
    let key = text(&body["dedup_key"]);
    assert!((1..=255).contains(&key.chars().count()), "{key}");
    match text(&body["event_action"]) {
        "resolve" | "acknowledge" => {}
        "trigger" => {
            let payload = &body["payload"];
            let summary = text(&payload["summary"]).chars().count();
            assert!((1..=1024).contains(&summary), "{summary} characters");
            assert!(!text(&payload["source"]).is_empty());
            let severity = text(&payload["severity"]);
            assert!(
                ["critical", "error", "warning", "info"].contains(&severity),
                "{severity}"
            );
        }
        other => panic!("{other} is no action"),
    }
}

/// Alertmanager refuses a whole batch for one alert that ends before it starts.
fn alert(alert: &Value) {
    let time = |name: &str| text(&alert[name]).parse::<Time>().unwrap();
    assert!(time("startsAt") <= time("endsAt"), "{alert}");
    labelled(alert);
}

/// Names as Prometheus has them; a label without a value is no label.
fn labelled(alert: &Value) {
    let labels = alert["labels"].as_object().unwrap();
    assert!(labels.contains_key("alertname"), "{alert}");
    for (name, value) in labels
        .iter()
        .chain(alert["annotations"].as_object().unwrap())
    {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins = name.starts_with(|c: char| !c.is_ascii_digit());
        assert!(begins && name.chars().all(fine), "{name:?} is no name");
        assert!(!text(value).is_empty(), "{name} is empty");
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
