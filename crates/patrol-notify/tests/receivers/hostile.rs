//! Receivers that hang, drip, flood, reset, lie or try to be heard: bounded time, bounded bytes, no echo.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::*;
use patrol_notify::address::{Lookup, LookupFuture};
use patrol_notify::headers::ExtraHeaders;
use patrol_notify::{Class, Client, ClientConfig, Credential, Outcome, Secret, SigningSecrets};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// Writes `bytes` over and over, `pause` between, until the peer is gone; then reports how many.
async fn flood(mut stream: TcpStream, bytes: Vec<u8>, pause: Option<Duration>) -> usize {
    let mut sent = 0;
    while stream.write_all(&bytes).await.is_ok() {
        sent += bytes.len();
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await; // the drip itself, nothing waits for it
        }
    }
    sent
}

/// A receiver that writes `head` and then floods.
async fn flooding(
    head: &'static str,
    bytes: Vec<u8>,
    pause: Option<Duration>,
) -> (Server, mpsc::UnboundedReceiver<usize>) {
    let (done, ends) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let (done, bytes) = (done.clone(), bytes.clone());
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let _ = done.send(flood(stream, bytes, pause).await);
        }
    })
    .await;
    (server, ends)
}

/// Posts and checks that it took at most the whole time for one attempt, and a little for a busy machine.
async fn bounded(client: &Client, url: impl Into<Secret>) -> Outcome {
    let start = Instant::now();
    let outcome = post(client, url).await;
    let spent = start.elapsed();
    assert!(
        spent < QUICK.total + Duration::from_secs(5),
        "took {spent:?}"
    );
    outcome
}

const DRIP: Option<Duration> = Some(Duration::from_millis(20));

#[tokio::test]
async fn f9_row77_dripping_headers_end_with_the_deadline() {
    let (server, mut ends) = flooding("HTTP/1.1 200 OK\r\nx-slow: ", b"a".to_vec(), DRIP).await;
    let outcome = bounded(&client(), server.url("/")).await;
    assert_eq!((outcome.class, outcome.status), (Class::Transient, None));
    within(ends.recv())
        .await
        .expect("the connection was dropped");
}

#[tokio::test]
async fn f9_row77_a_dripping_body_ends_soon_and_the_head_has_decided() {
    for (head, class) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
            Class::Accepted,
        ),
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 100000\r\n\r\n",
            Class::Transient,
        ),
        (
            "HTTP/1.1 410 Gone\r\ncontent-length: 100000\r\n\r\n",
            Class::Config,
        ),
    ] {
        let (server, mut ends) = flooding(head, b"a".to_vec(), DRIP).await;
        let outcome = bounded(&client(), server.url("/")).await;
        assert_eq!(outcome.class, class);
        assert!(outcome.status.is_some());
        within(ends.recv())
            .await
            .expect("the connection was dropped");
    }
}

#[tokio::test]
async fn f10_row78_an_endless_body_is_cut() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
    ] {
        let (server, mut ends) = flooding(head, vec![0x1f; 64 * 1024], None).await;
        let outcome = bounded(&client(), server.url("/")).await;
        assert_eq!(outcome.class, Class::Accepted);
        let sent = within(ends.recv()).await.unwrap();
        // What fits into socket buffers, not what the receiver would like.
        assert!(sent < 64 * 1024 * 1024, "{sent} bytes went out");
    }
}

#[tokio::test]
async fn f10_endless_chunks_are_cut() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut chunk = b"8000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x8000, b'x');
    chunk.extend(b"\r\n");
    let (server, mut ends) = flooding(head, chunk, None).await;
    assert_eq!(
        bounded(&client(), server.url("/")).await.class,
        Class::Accepted
    );
    assert!(within(ends.recv()).await.unwrap() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn f10_endless_headers_are_cut() {
    let (server, mut ends) =
        flooding("HTTP/1.1 200 OK\r\n", b"x-more: yes\r\n".repeat(1000), None).await;
    let outcome = bounded(&client(), server.url("/")).await;
    assert_eq!((outcome.class, outcome.status), (Class::Transient, None));
    assert!(within(ends.recv()).await.unwrap() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn row78_a_promised_body_that_never_comes_changes_nothing() {
    let (closed, mut ends) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let closed = closed.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\nhello";
            stream.write_all(head).await.unwrap();
            until_closed(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    assert_eq!(
        bounded(&client(), server.url("/")).await.class,
        Class::Accepted
    );
    within(ends.recv())
        .await
        .expect("the connection was dropped");
}

#[tokio::test]
async fn row84_a_reply_cut_after_its_head_was_still_given() {
    let server = Server::start(|mut stream| async move {
        read_request(&mut stream).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello";
        stream.write_all(head).await.unwrap();
    })
    .await;
    let outcome = bounded(&client(), server.url("/")).await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(200))
    );
}

#[tokio::test]
async fn f9_row76_silence_ends_with_the_deadline() {
    // Reads, never answers.
    let server = Server::start(|mut stream| async move { until_closed(&mut stream).await }).await;
    let outcome = bounded(&client(), server.url("/")).await;
    assert_eq!((outcome.class, outcome.status), (Class::Transient, None));

    // Accepts, never reads: a body larger than the socket buffers gets stuck.
    let server = Server::start(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut large = request(server.url("/"));
    large.body = vec![b'x'; 64 * 1024 * 1024].into();
    let start = Instant::now();
    let outcome = within(client().post(large)).await;
    assert_eq!((outcome.class, outcome.status), (Class::Transient, None));
    assert!(start.elapsed() < QUICK.total + Duration::from_secs(5));
}

#[tokio::test]
async fn a_reset_or_nonsense_is_transient() {
    let server = Server::start(|stream| async move { drop(stream) }).await;
    let outcome = bounded(&client(), server.url("/")).await;
    assert_eq!((outcome.class, outcome.status), (Class::Transient, None));
    for nonsense in [
        "",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\0\0\0\0",
        "HTTP/1.1 200",
    ] {
        let server = Server::start(move |mut stream| async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(nonsense.as_bytes()).await.unwrap();
        })
        .await;
        let outcome = bounded(&client(), server.url("/")).await;
        assert_eq!(
            (outcome.class, outcome.status),
            (Class::Transient, None),
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn row75_a_closed_port_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = bounded(&client(), format!("http://{address}/")).await;
    assert_eq!((outcome.class, outcome.status), (Class::Unreached, None));
}

#[tokio::test]
async fn row75_a_black_hole_ends_with_the_connect_time() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Fill the accept queue until the kernel drops our SYNs.
    let mut held = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the accept queue never fills");
    }
    let outcome = bounded(&client(), format!("http://{address}/")).await;
    assert_eq!((outcome.class, outcome.status), (Class::Unreached, None));
    assert!(
        outcome.detail.contains("connect time"),
        "{}",
        outcome.detail
    );
}

/// A resolver in trouble.
enum Broken {
    Fails,
    Hangs,
}

impl Lookup for Broken {
    fn lookup(&self, _host: String) -> LookupFuture {
        match self {
            Broken::Fails => Box::pin(async { Err(io::Error::other("LEAK")) }),
            Broken::Hangs => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn row75_a_broken_resolver_is_no_connection() {
    for (lookup, words) in [
        (Broken::Fails, "does not resolve"),
        (Broken::Hangs, "connect time"),
    ] {
        let client = Client::new(ClientConfig {
            lookup: Arc::new(lookup),
            ..quick()
        })
        .unwrap();
        let outcome = bounded(&client, "http://receiver.test/").await;
        assert_eq!((outcome.class, outcome.status), (Class::Unreached, None));
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
        assert_eq!(outcome.host, "receiver.test");
    }
}

/// Collects every trace event, whatever its level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn f36_nothing_secret_and_nothing_received_is_shown() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let key = Secret::from("LEAK-header");
    let signing = SigningSecrets::parse(&"whsec_LEAKLEAKLEAKLEAKLEAKLEAKLEAKLEAK".into()).unwrap();
    let client = Client::new(ClientConfig {
        headers: ExtraHeaders::parse([("x-key", &key)])
            .unwrap()
            .with_authorization(&"Bearer LEAK".into())
            .unwrap(),
        ..quick()
    })
    .unwrap();
    let mut shown = format!("{client:?}");
    for answer in [
        reply("200 LEAK", "x: LEAK\r\n", "LEAK"),
        reply(
            "302 LEAK",
            "location: http://LEAK.example.com/LEAK\r\n",
            "LEAK",
        ),
        reply("400 LEAK", "content-type: LEAK\r\n", "LEAK"),
        reply("401 LEAK", "www-authenticate: LEAK\r\n", "LEAK"),
        reply("429 LEAK", "retry-after: LEAK\r\n", "LEAK"),
        reply("500 LEAK", "", "LEAK"),
        "LEAK LEAK LEAK\r\n\r\n".to_string(),
        "HTTP/1.1 200 OK\r\nLEAK\r\n\r\n".to_string(),
        "HTTP/1.1 200 OK\r\ncontent-length: LEAK\r\n\r\n".to_string(),
    ] {
        let server = Server::replying(&answer).await;
        let mut request = request(server.url("/LEAK/LEAK?token=LEAK#LEAK"));
        request.credential = Some(Credential::Signing(signing.clone()));
        request.body = br#"{"LEAK":"LEAK"}"#.as_slice().into();
        shown.push_str(&format!("{request:?}"));
        let outcome = within(client.post(request)).await;
        shown.push_str(&format!("{outcome:?}"));
    }
    for url in [
        "http://LEAK:LEAK@127.0.0.1/",
        "LEAK://x",
        "http://[LEAK]/",
        "http://127.0.0.1:LEAK/",
    ] {
        shown.push_str(&format!("{:?}", post(&client, url).await));
    }
    // A refused connection and a refused address, with a secret path.
    shown.push_str(&format!(
        "{:?}",
        post(&client, "http://127.0.0.1:1/LEAK").await
    ));
    shown.push_str(&format!(
        "{:?}",
        post(&client, "http://169.254.169.254/LEAK").await
    ));
    assert!(!shown.contains("LEAK"), "{shown}");

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        !logged.is_empty(),
        "the subscriber must have seen something to prove anything"
    );
    assert!(!logged.contains("LEAK"), "{logged}");
}
