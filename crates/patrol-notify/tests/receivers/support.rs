//! Scripted receivers on loopback, and clients that may reach them.
//!
//! A script is what the other side does with one connection. Every wait has a deadline.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patrol_notify::address::{Filter, Lookup, LookupFuture};
use patrol_notify::client::Timing;
use patrol_notify::{Client, ClientConfig, Outcome, Request, Secret};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longer than anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Deadlines short enough for tests, in the production order: connect < total, body < total.
pub const QUICK: Timing = Timing {
    connect: Duration::from_millis(800),
    total: Duration::from_millis(1500),
    body: Duration::from_millis(300),
};

/// Awaits with a deadline.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened before the deadline")
}

/// A receiver that treats every connection alike.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Runs `script` on each connection, one after the other.
    pub async fn start<S, F>(script: S) -> Self
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                running.spawn(script(stream));
            }
        });
        Server {
            address,
            connections,
            task,
        }
    }

    /// Answers each request on a connection with the same bytes and keeps the connection open.
    pub async fn replying(reply: &str) -> Self {
        let reply = reply.to_string();
        Server::start(move |mut stream| {
            let reply = reply.clone();
            async move {
                while read_request(&mut stream).await.is_some() {
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    /// The first value of a header, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Reads head and body of one request, or `None` when the peer is gone.
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut request = Received {
        head: String::from_utf8(head).ok()?,
        body: Vec::new(),
    };
    let length = request.header("content-length")?.parse().ok()?;
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

/// Waits until the peer has closed or reset the connection.
pub async fn until_closed(stream: &mut TcpStream) {
    let mut sink = [0; 4096];
    while let Ok(1..) = stream.read(&mut sink).await {}
}

/// A complete reply with a body.
pub fn reply(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// Answers each lookup with the next of its answers and then repeats the last.
pub struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    pub calls: AtomicUsize,
}

impl Scripted {
    pub fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect())
            .collect();
        Arc::new(Scripted {
            answers: Mutex::new(answers),
            calls: AtomicUsize::new(0),
        })
    }
}

impl Lookup for Scripted {
    fn lookup(&self, _host: String) -> LookupFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        Box::pin(async move { Ok(answer.unwrap_or_default()) })
    }
}

/// A configuration that may reach loopback, with quick deadlines.
pub fn quick() -> ClientConfig {
    ClientConfig {
        filter: Filter::new(true, [], None),
        timing: QUICK,
        ..ClientConfig::default()
    }
}

/// A client from it.
pub fn client() -> Client {
    Client::new(quick()).unwrap()
}

/// A small unsigned request.
pub fn request(url: impl Into<Secret>) -> Request {
    Request {
        url: url.into(),
        webhook_id: "msg_abcdefghijklmnopqrstuvwxyz".into(),
        timestamp: 1_800_000_000,
        body: br#"{"type":"patrol.test"}"#.as_slice().into(),
        credential: None,
    }
}

/// Sends one small request.
pub async fn post(client: &Client, url: impl Into<Secret>) -> Outcome {
    within(client.post(request(url))).await
}

/// Proves that nobody connected to `listener`: connections queue in order, so ours must come first.
pub async fn assert_untouched(listener: &TcpListener) {
    let probe = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (_, first) = within(listener.accept()).await.unwrap();
    assert_eq!(
        first,
        probe.local_addr().unwrap(),
        "somebody connected before the probe"
    );
}
