//! Scripted providers, one per kind that is a program: every failure of the table over the wire.

use std::time::Duration;

use crate::support::*;
use patrol_api::receiver::EndpointKind;
use patrol_notify::{Class, Client, ClientConfig, Credential, Request, Secret};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

fn client_of(kind: EndpointKind) -> Client {
    Client::new(ClientConfig { kind, ..quick() }).unwrap()
}

async fn class_of(kind: EndpointKind, answer: &str) -> Class {
    let server = Server::replying(answer).await;
    post(&client_of(kind), server.url("/")).await.class
}

const OPEN: Class = Class::Throttled { retry_after: None };

fn held(seconds: u64) -> Class {
    Class::Throttled {
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

/// F12 for Alertmanager: 200 alone is an acceptance into memory; its errors are statuses.
#[tokio::test]
async fn f12_the_failures_of_alertmanager() {
    for (status, headers, body, class) in [
        ("200 OK", "", "", Class::Accepted),
        ("200 OK", "", r#"{"status":"success"}"#, Class::Accepted),
        (
            "400 Bad Request",
            "",
            r#""start time must be before end time""#,
            Class::Payload,
        ),
        ("413 Content Too Large", "", "", Class::Payload),
        ("401 Unauthorized", "", "", Class::Config),
        ("403 Forbidden", "", "", Class::Config),
        ("404 Not Found", "", "", Class::Config),
        ("302 Found", "location: /login\r\n", "", Class::Config),
        ("429 Too Many Requests", "", "", OPEN),
        ("429 Too Many Requests", "retry-after: 30\r\n", "", held(30)),
        (
            "500 Internal Server Error",
            "",
            r#""alert store is closed""#,
            Class::Transient,
        ),
        ("502 Bad Gateway", "", "<html>", Class::Transient),
        ("503 Service Unavailable", "", "", Class::Transient),
        ("503 Service Unavailable", "retry-after: 5\r\n", "", held(5)),
        ("504 Gateway Timeout", "", "", Class::Transient),
    ] {
        let got = class_of(EndpointKind::Alertmanager, &reply(status, headers, body)).await;
        assert_eq!(got, class, "{status} {headers} {body}");
    }
}

/// F12 for PagerDuty: 202 alone is a success.
#[tokio::test]
async fn f12_the_failures_of_pagerduty() {
    let success = r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#;
    let invalid = r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.summary' is missing or blank"]}"#;
    let no_key = r#"{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#;
    for (status, headers, body, class) in [
        ("202 Accepted", "", success, Class::Accepted),
        // A proxy, a login page, another API.
        ("200 OK", "", "<html>welcome</html>", Class::Config),
        ("200 OK", "", success, Class::Config),
        ("204 No Content", "", "", Class::Config),
        ("400 Bad Request", "", invalid, Class::Payload),
        ("400 Bad Request", "", no_key, Class::Config),
        ("400 Bad Request", "", "", Class::Payload),
        ("413 Content Too Large", "", "", Class::Payload),
        ("403 Forbidden", "", "", Class::Config),
        ("404 Not Found", "", "", Class::Config),
        ("429 Too Many Requests", "", "", OPEN),
        ("429 Too Many Requests", "retry-after: 60\r\n", "", held(60)),
        ("500 Internal Server Error", "", "", Class::Transient),
        ("503 Service Unavailable", "", "", Class::Transient),
    ] {
        let got = class_of(EndpointKind::Pagerduty, &reply(status, headers, body)).await;
        assert_eq!(got, class, "{status} {headers} {body}");
    }
}

/// F12 for the formats of the generic webhook: the status is all, the body is the receiver's own business.
#[tokio::test]
async fn f12_the_failures_of_a_webhook() {
    for (status, body, class) in [
        ("200 OK", r#"{"errcode":130101}"#, Class::Accepted),
        ("202 Accepted", "<html>", Class::Accepted),
        ("410 Gone", "", Class::Config),
        ("415 Unsupported Media Type", "", Class::Payload),
        ("422 Unprocessable Content", "", Class::Payload),
        ("425 Too Early", "", Class::Transient),
    ] {
        let got = class_of(EndpointKind::Webhook, &reply(status, "", body)).await;
        assert_eq!(got, class, "{status} {body}");
    }
}

/// The routing key is in the request and nowhere else.
#[tokio::test]
async fn a_routing_key_is_put_in_at_the_last_moment() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            seen.send(read_request(&mut stream).await.unwrap()).unwrap();
            let ok = reply("202 Accepted", "", "{}");
            stream.write_all(ok.as_bytes()).await.unwrap();
        }
    })
    .await;
    let key = "R0UT1NGKEY\"\\";
    let request = Request {
        body: br#"{"event_action":"trigger","dedup_key":"k"}"#.as_slice().into(),
        credential: Some(Credential::RoutingKey(Secret::from(key))),
        ..request(server.url("/v2/enqueue"))
    };
    let shown = format!("{request:?}");
    let outcome = within(client_of(EndpointKind::Pagerduty).post(request)).await;
    assert_eq!(outcome.class, Class::Accepted);
    assert!(!format!("{shown}{outcome:?}").contains("R0UT1NG"));
    let got = within(requests.recv()).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body["routing_key"], key, "escaped, not cut");
    assert_eq!(body["event_action"], "trigger");
}
