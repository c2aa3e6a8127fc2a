//! What goes over the wire, and what a well-behaved or rude receiver's reply becomes.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::*;
use patrol_api::time::Span;
use patrol_core::event::DeliveryClass;
use patrol_notify::address::Filter;
use patrol_notify::headers::ExtraHeaders;
use patrol_notify::{Allow, Class, Client, ClientConfig, Credential, Secret, SigningSecrets};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const KNOWN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn row89_a_standard_webhook_has_both_signatures_while_secrets_rotate() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).unwrap();
                let ok = reply("200 OK", "", "thanks");
                stream.write_all(ok.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let key = Secret::from("k3y");
    let client = Client::new(ClientConfig {
        headers: ExtraHeaders::parse([("X-Api-Key", &key)]).unwrap(),
        ..quick()
    })
    .unwrap();
    let mut request = request(server.url("/hooks/T0?key=v"));
    request.webhook_id = "msg_p5jXN8AQM9LWM0D4loKWxJek".into();
    request.timestamp = 1_614_265_330;
    request.body = br#"{"test": 2432232314}"#.as_slice().into();
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let rotating = Secret::from(format!("{KNOWN} {other}"));
    request.credential = Some(Credential::Signing(
        SigningSecrets::parse(&rotating).unwrap(),
    ));

    let outcome = within(client.post(request)).await;
    assert_eq!(outcome.class, Class::Accepted);
    assert_eq!(outcome.status, Some(200));
    assert_eq!(outcome.host, server.address.to_string());

    let got = within(requests.recv()).await.unwrap();
    assert!(
        got.head.starts_with("POST /hooks/T0?key=v HTTP/1.1\r\n"),
        "{}",
        got.head
    );
    assert_eq!(got.body, br#"{"test": 2432232314}"#);
    for (name, value) in [
        ("host", server.address.to_string().as_str()),
        ("content-type", "application/json"),
        (
            "user-agent",
            concat!("kube-patrol/", env!("CARGO_PKG_VERSION")),
        ),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("x-api-key", "k3y"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    let signature = got.header("webhook-signature").unwrap();
    assert!(
        signature.starts_with("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,"),
        "{signature}"
    );
    let both: BTreeSet<&str> = signature.split(' ').collect();
    assert_eq!(both.len(), 2, "{signature}");
    for name in [
        "accept-encoding",
        "cookie",
        "referer",
        "expect",
        "authorization",
    ] {
        assert_eq!(got.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_unsigned_request_carries_no_signature() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            seen.send(read_request(&mut stream).await.unwrap()).unwrap();
            stream
                .write_all(reply("204 No Content", "", "").as_bytes())
                .await
                .unwrap();
        }
    })
    .await;
    let outcome = post(&client(), server.url("/")).await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(204))
    );
    let got = within(requests.recv()).await.unwrap();
    assert_eq!(got.header("webhook-signature"), None);
    assert!(got.header("webhook-id").is_some());
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::replying(&reply("200 OK", "", &"x".repeat(2000))).await;
    let client = client();
    for _ in 0..5 {
        assert_eq!(post(&client, server.url("/")).await.class, Class::Accepted);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn receivers_share_no_connection() {
    let server = Server::replying(&reply("200 OK", "", "")).await;
    for _ in 0..3 {
        assert_eq!(
            post(&client(), server.url("/")).await.class,
            Class::Accepted
        );
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn row79_statuses_over_the_wire() {
    let seven = Class::Throttled {
        retry_after: Some(Duration::from_secs(7)),
    };
    let clamped = Class::Throttled {
        retry_after: Some(Duration::from_secs(3600)),
    };
    // The request's timestamp is 2027-01-15T08:00:00Z.
    let dated = Class::Throttled {
        retry_after: Some(Duration::from_secs(90)),
    };
    for (status, headers, class) in [
        ("200 OK", "", Class::Accepted),
        ("202 Accepted", "", Class::Accepted),
        ("429 Too Many Requests", "retry-after: 7\r\n", seven),
        (
            "429 Too Many Requests",
            "retry-after: 99999999999999999999\r\n",
            clamped,
        ),
        (
            "429 Too Many Requests",
            "retry-after: Fri, 15 Jan 2027 08:01:30 GMT\r\n",
            dated,
        ),
        (
            "429 Too Many Requests",
            "retry-after: later\r\n",
            Class::Throttled { retry_after: None },
        ),
        ("503 Service Unavailable", "retry-after: 7\r\n", seven),
        ("503 Service Unavailable", "", Class::Transient),
        ("500 Oops", "", Class::Transient),
        ("408 Request Timeout", "", Class::Transient),
        ("413 Content Too Large", "", Class::Payload),
        ("400 Bad Request", "", Class::Payload),
        (
            "401 Unauthorized",
            "www-authenticate: Basic\r\n",
            Class::Config,
        ),
        ("404 Not Found", "", Class::Config),
        ("410 Gone", "", Class::Config),
        ("304 Not Modified", "", Class::Config),
        // Compressed or so it says: nothing is unpacked, nothing is minded.
        ("200 OK", "content-encoding: gzip\r\n", Class::Accepted),
        ("200 OK", "set-cookie: a=b\r\n", Class::Accepted),
    ] {
        let server = Server::replying(&reply(status, headers, "not gzip at all")).await;
        let outcome = post(&client(), server.url("/")).await;
        assert_eq!(outcome.class, class, "{status} {headers}");
        assert_eq!(outcome.status, status[..3].parse().ok(), "{status}");
    }
}

#[tokio::test]
async fn interim_replies_are_not_the_reply() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let server = Server::replying(&format!("{interim}{}", reply("200 OK", "", ""))).await;
    let outcome = post(&client(), server.url("/")).await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(200))
    );
}

/// F17: to metadata in every spelling, elsewhere, in a circle: none is followed.
#[tokio::test]
async fn f17_row81_no_redirect_is_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        for target in [
            format!("http://{}/metadata", elsewhere.local_addr().unwrap()),
            "http://169.254.169.254/latest/meta-data/".into(),
            "http://[::ffff:a9fe:a9fe]/".into(),
            "http://[64:ff9b::a9fe:a9fe]/".into(),
            "http://[2002:a9fe:a9fe::1]/".into(),
            "http://2852039166/".into(),
            "http://0251.0376.0251.0376/".into(),
            "http://169.254.169.254./".into(),
            "//169.254.169.254/".into(),
            "https://user:pass@169.254.169.254/".into(),
            "file:///etc/passwd".into(),
            "/loop".into(),
        ] {
            let headers = format!("location: {target}\r\n");
            let server = Server::replying(&reply(status, &headers, "")).await;
            let outcome = post(&client(), server.url("/loop")).await;
            assert_eq!(outcome.class, Class::Config, "{status}");
            assert_eq!(outcome.status, status[..3].parse().ok());
            assert_eq!(server.connections(), 1);
        }
    }
    assert_untouched(&elsewhere).await;
}

#[tokio::test]
async fn a_cookie_is_not_kept() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).unwrap();
                let ok = reply("200 OK", "set-cookie: id=1; path=/\r\n", "");
                stream.write_all(ok.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let client = client();
    post(&client, server.url("/")).await;
    post(&client, server.url("/")).await;
    within(requests.recv()).await.unwrap();
    assert_eq!(
        within(requests.recv()).await.unwrap().header("cookie"),
        None
    );
}

#[tokio::test]
async fn f19_a_blocked_literal_is_never_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Client::new(ClientConfig {
        timing: QUICK,
        ..ClientConfig::default()
    })
    .unwrap();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "localhost",
    ] {
        let outcome = post(&client, format!("http://{host}:{port}/")).await;
        assert_eq!(
            (outcome.class, outcome.status),
            (Class::Blocked, None),
            "{host}"
        );
    }
    assert_untouched(&listener).await;
}

#[tokio::test]
async fn an_allow_list_decides_at_connect_time() {
    let server = Server::replying(&reply("200 OK", "", "")).await;
    let port = server.address.port();
    for (allow, host, class) in [
        ("127.0.0.0/8", "127.0.0.1", Class::Accepted),
        ("127.0.0.0/8", "receiver.test", Class::Accepted),
        ("receiver.test", "receiver.test", Class::Accepted),
        ("10.0.0.0/8", "127.0.0.1", Class::Blocked),
        ("10.0.0.0/8", "receiver.test", Class::Blocked),
        ("other.test", "receiver.test", Class::Blocked),
    ] {
        let client = Client::new(ClientConfig {
            filter: Filter::new(true, [], Some(Allow::parse(&[allow]).unwrap())),
            lookup: Scripted::new(&[&["127.0.0.1"]]),
            ..quick()
        })
        .unwrap();
        let outcome = post(&client, format!("http://{host}:{port}/")).await;
        assert_eq!(outcome.class, class, "{allow} {host}");
    }
}

/// F18: a public address at the check and metadata at the connection.
#[tokio::test]
async fn f18_row83_a_name_that_changes_its_mind_gains_nothing() {
    let server = Server::replying(&reply("200 OK", "connection: close\r\n", "")).await;
    let lookup = Scripted::new(&[
        &["127.0.0.1"],
        &["169.254.169.254"],
        &["169.254.169.254", "127.0.0.1"],
        &["::ffff:169.254.169.254"],
    ]);
    let client = Client::new(ClientConfig {
        lookup: lookup.clone(),
        ..quick()
    })
    .unwrap();
    let url = format!("http://receiver.test:{}/", server.address.port());
    for (attempt, class) in [
        (1, Class::Accepted),
        (2, Class::Blocked),
        // The one permitted answer of several is used.
        (3, Class::Accepted),
        (4, Class::Blocked),
    ] {
        let outcome = post(&client, url.as_str()).await;
        assert_eq!(outcome.class, class, "{attempt}");
        // Checked and used are one answer: there was no second lookup.
        assert_eq!(lookup.calls.load(Ordering::SeqCst), attempt);
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_url_or_id_that_cannot_be_sent_is_a_configuration_fault() {
    for url in [
        "",
        "hooks",
        "ftp://127.0.0.1/",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:0/",
    ] {
        let outcome = post(&client(), url).await;
        assert_eq!(
            (outcome.class, outcome.status),
            (Class::Config, None),
            "{url}"
        );
        assert_eq!(outcome.host, "");
    }
    let mut bad = request("http://127.0.0.1:1/");
    bad.webhook_id = "msg\r\nx: y".into();
    assert_eq!(within(client().post(bad)).await.class, Class::Config);
}

#[tokio::test]
async fn outcomes_are_told_in_the_words_of_the_engine() {
    for (status, headers, class) in [
        ("200 OK", "", DeliveryClass::Accepted),
        (
            "429 Too Many Requests",
            "retry-after: 7\r\n",
            DeliveryClass::Throttled(Some(Span::seconds(7))),
        ),
        ("429 Too Many Requests", "", DeliveryClass::Throttled(None)),
        ("500 Oops", "", DeliveryClass::Transient),
        ("422 No", "", DeliveryClass::Payload),
    ] {
        let server = Server::replying(&reply(status, headers, "")).await;
        let outcome = post(&client(), server.url("/")).await;
        assert_eq!(outcome.delivery_class(), class, "{status}");
    }
    let server = Server::replying(&reply("410 Gone", "", "")).await;
    let outcome = post(&client(), server.url("/")).await;
    assert_eq!(
        outcome.delivery_class(),
        DeliveryClass::Config(outcome.detail)
    );
    let outcome = post(&client(), "http://169.254.169.254/").await;
    assert_eq!(outcome.delivery_class(), DeliveryClass::Blocked);
}
