//! The scripted receiver on the wire: raw sockets send, so that nothing between the
//! test and the receiver is nicer than TCP.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption for tests does not cover their helper functions"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use patrol_e2e::receiver::{Receiver, Reply, Signature};
use patrol_e2e::{Result, wait_until};
use ring::hmac;

const MINUTE: Duration = Duration::from_secs(60);

fn connect(receiver: &Receiver) -> TcpStream {
    let stream = TcpStream::connect(receiver.address()).unwrap();
    stream.set_read_timeout(Some(MINUTE)).unwrap();
    stream
}

fn post(mut stream: &TcpStream, headers: &str, body: &str) {
    let length = body.len();
    let head =
        format!("POST /hook HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).unwrap();
}

/// Reads up to `end`.
fn read_until(mut stream: &TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with(end) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed after {text:?}");
        text.push(char::from(byte[0]));
    }
    text
}

/// What one request on a new connection is answered with, until the receiver closes.
fn exchange(receiver: &Receiver, body: &str) -> std::io::Result<String> {
    let mut stream = connect(receiver);
    post(&stream, "Connection: close\r\n", body);
    let mut text = String::new();
    stream.read_to_string(&mut text).map(|_| text)
}

#[test]
fn answers_from_the_chooser_then_the_queue_then_the_rule() -> Result<()> {
    let receiver = Receiver::start()?;
    receiver.script(Reply::status(204));
    receiver.script_next([
        Reply::status(503).retry_after("7"),
        Reply::redirect(307, "http://x/"),
    ]);
    receiver.script_with(|r| (r.body == b"chosen").then(|| Reply::status(418).body("tea")));

    let stream = connect(&receiver);
    post(&stream, "", "chosen");
    let teapot = read_until(&stream, "tea");
    assert!(teapot.starts_with("HTTP/1.1 418 "), "{teapot}");
    // The same connection goes on.
    post(&stream, "", "1");
    let busy = read_until(&stream, "\r\n\r\n");
    assert!(
        busy.starts_with("HTTP/1.1 503 ") && busy.contains("Retry-After: 7\r\n"),
        "{busy}"
    );
    post(&stream, "", "2");
    let moved = read_until(&stream, "\r\n\r\n");
    assert!(moved.starts_with("HTTP/1.1 307 ") && moved.contains("Location: http://x/\r\n"));
    post(&stream, "", "3");
    assert!(read_until(&stream, "\r\n\r\n").starts_with("HTTP/1.1 204 "));

    let seen = receiver.wait_for(MINUTE, "four answers", |requests| {
        let replied: Option<Vec<_>> = requests.iter().map(|r| r.replied).collect();
        replied.filter(|replied| replied.len() == 4)
    })?;
    assert_eq!(seen, [418, 503, 307, 204]);
    let requests = receiver.requests();
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("POST", "/hook")
    );
    assert!(requests[3].accepted() && !requests[2].accepted());
    assert_eq!(
        (receiver.connections(), receiver.peak_connections()),
        (1, 1)
    );
    Ok(())
}

#[test]
fn hangs_drips_floods_resets_and_cuts_off() -> Result<()> {
    let receiver = Receiver::start()?;

    receiver.script(Reply::hang());
    let stream = connect(&receiver);
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    post(&stream, "", "hang");
    let error = (&stream).read(&mut [0]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    drop(stream);
    receiver.wait_for_no_connection(MINUTE)?;

    receiver.script(Reply::ok().body("x").dripping(Duration::from_millis(5)));
    let started = Instant::now();
    let text = exchange(&receiver, "drip").unwrap();
    assert!(text.ends_with("\r\n\r\nx"), "{text}");
    assert!(
        started.elapsed() >= Duration::from_millis(5) * 40,
        "{:?}",
        started.elapsed()
    );

    receiver.script(Reply::ok().after(Duration::from_millis(120)));
    let started = Instant::now();
    exchange(&receiver, "late").unwrap();
    assert!(started.elapsed() >= Duration::from_millis(120));

    receiver.script(Reply::endless(200));
    let stream = connect(&receiver);
    post(&stream, "", "flood");
    let mut megabyte = vec![0; 1 << 20];
    (&stream).read_exact(&mut megabyte).unwrap();
    drop(stream);
    let sent = receiver.wait_for(MINUTE, "a megabyte sent", |requests| {
        let last = requests.last()?;
        (last.sent >= 1 << 20).then_some(last.sent)
    })?;
    receiver.wait_for_no_connection(MINUTE)?;
    assert!(sent < 1 << 26, "stopped when the sender did: {sent}");

    for reply in [Reply::reset(), Reply::ok().body("cut off").cut_off()] {
        receiver.script(reply);
        let error = exchange(&receiver, "reset").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    receiver.script(Reply::close());
    assert_eq!(exchange(&receiver, "close").unwrap(), "");
    let answered = receiver.requests().iter().filter(|r| r.accepted()).count();
    assert_eq!(answered, 2, "only drip and late were answered whole");
    Ok(())
}

#[test]
fn a_stuck_receiver_reads_nothing_but_notices_the_close() -> Result<()> {
    let receiver = Receiver::start()?;
    receiver.read_requests(false);
    let stream = connect(&receiver);
    post(&stream, "", "unread");
    wait_until(MINUTE, "the connection", || {
        (receiver.open_connections() == 1).then_some(())
    })?;
    stream.shutdown(Shutdown::Both).unwrap();
    receiver.wait_for_no_connection(MINUTE)?;
    assert!(receiver.requests().is_empty());
    Ok(())
}

#[test]
fn down_breaks_and_refuses_and_up_is_the_same_address() -> Result<()> {
    let receiver = Receiver::start()?;
    receiver.script(Reply::hang());
    let stream = connect(&receiver);
    post(&stream, "", "held");
    receiver.wait_for(MINUTE, "the request", |requests| requests.first().map(drop))?;

    receiver.down();
    let end = (&stream).read(&mut [0]);
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    let refused = TcpStream::connect(receiver.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    receiver.wait_for_no_connection(MINUTE)?;

    receiver.script(Reply::ok());
    for _ in 0..20 {
        receiver.up()?;
        assert!(
            exchange(&receiver, "again")
                .unwrap()
                .starts_with("HTTP/1.1 200 ")
        );
        receiver.down();
    }
    Ok(())
}

#[test]
fn knows_signed_notices_their_events_and_forgeries() -> Result<()> {
    let receiver = Receiver::start()?;
    let keys = [[1_u8; 24], [2_u8; 24]];
    let secrets = keys.map(|key| format!("whsec_{}", BASE64.encode(&key)));
    receiver.verify_with(&[&secrets[0], &secrets[1]])?;
    receiver.script_next([Reply::status(500)]);

    let body = r#"{"type": "patrol.alert", "timestamp": "2026-01-01T00:00:00Z", "specVersion": "1",
        "data": {"receiver": "hook", "policy": "agents", "reason": "Opened", "part": {"index": 1, "count": 1},
        "tickets": [{"eventId": "e1", "state": "Firing", "check": "sidecar-missing", "severity": "High",
            "party": "Customer", "episode": 1, "seq": 1, "n": 0,
            "ticket": {"namespace": "shop", "name": "sidecar-missing-x", "uid": "u"},
            "subject": {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web"}}]}}"#;
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let sign = |key: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = hmac::sign(&key, format!("msg_1.{now}.{body}").as_bytes());
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    };
    let head = |signature: &str| {
        format!(
            "webhook-id: msg_1\r\nwebhook-timestamp: {now}\r\nwebhook-signature: {signature}\r\n"
        )
    };
    let stream = connect(&receiver);
    for signature in [
        sign(&keys[0]),
        format!("{} {}", sign(&keys[1]), sign(&keys[0])),
        sign(&[9; 24]),
    ] {
        post(&stream, &head(&signature), body);
        read_until(&stream, "\r\n\r\n");
    }

    let event = receiver.wait_for_event(MINUTE, "the opened ticket", |e| {
        e.check == "sidecar-missing"
    })?;
    assert_eq!(
        (event.event_id.as_str(), event.state.as_str()),
        ("e1", "Firing")
    );
    assert_eq!(
        (event.subject.kind.as_str(), event.subject.name.as_str()),
        ("Deployment", "web")
    );
    assert!(event.accepted && event.notice == "msg_1");
    let found: Vec<_> = receiver
        .requests()
        .into_iter()
        .map(|r| r.signature)
        .collect();
    assert_eq!(
        found[..2],
        [Signature::Valid(vec![0]), Signature::Valid(vec![1, 0])]
    );
    assert!(matches!(found[2], Signature::Invalid(_)), "{:?}", found[2]);

    receiver.wait_for(MINUTE, "three answers", |r| {
        r.iter().all(|r| r.replied.is_some()).then_some(())
    })?;
    let accepted: Vec<_> = receiver.events()?.iter().map(|e| e.accepted).collect();
    assert_eq!(
        accepted,
        [false, true, true],
        "the first was answered with 500"
    );

    exchange(&receiver, r#"{"type": "other"}"#).unwrap();
    receiver.notices().unwrap_err();
    let error = receiver
        .wait_for_event(Duration::from_millis(20), "a Closed event", |e| {
            e.state == "Closed"
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("a Closed event"), "{error}");
    Ok(())
}
