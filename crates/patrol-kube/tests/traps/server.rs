//! A scripted HTTP server: a script looks at each request and says how to answer it.
//!
//! One thread a connection, one request a connection. What a script holds open is let go
//! when the server is dropped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a held connection waits for the end of the test.
const HOLD: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query parameters, still escaped.
    pub query: BTreeMap<String, String>,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub at: Instant,
}

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|v| v == "true")
    }

    pub fn wants_metadata(&self) -> bool {
        self.headers["accept"].contains("as=PartialObjectMetadataList")
    }

    pub fn is_list(&self) -> bool {
        self.method == "GET"
            && !self.is_watch()
            && !self.wants_metadata()
            && self.query.contains_key("limit")
    }
}

/// How to answer.
pub enum Answer {
    /// A whole reply.
    Reply(u16, String),
    /// A whole reply with one more header line.
    With(u16, &'static str, String),
    /// A reply of which the given number of bytes is held back and the connection closed.
    Cut(String, usize),
    /// The head of a watch and these bytes, then a proper end.
    Ending(Vec<u8>),
    /// The head of a watch and these bytes, then a connection that just closes.
    Broken(Vec<u8>),
    /// The head of a watch and these bytes, then silence.
    Holding(Vec<u8>),
    /// Nothing at all.
    Silence,
}

impl Answer {
    pub fn json(value: serde_json::Value) -> Self {
        Self::Reply(200, value.to_string())
    }

    pub fn status(code: u16, reason: &str) -> Self {
        let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": reason, "code": code, "message": "s3cret words of the server"});
        Self::Reply(code, body.to_string())
    }
}

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    over: Mutex<bool>,
    ends: Condvar,
}

impl Server {
    pub fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
            over: Mutex::new(false),
            ends: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if *accepting.over.lock().unwrap() {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    pub fn connection(&self) -> patrol_kube::Connection {
        let url = format!("http://{}", self.address).parse().unwrap();
        patrol_kube::Connection::with(kube::Config::new(url)).unwrap()
    }

    /// All requests so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub fn count(&self, what: impl Fn(&Asked) -> bool) -> usize {
        self.asked().iter().filter(|a| what(a)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.shared.over.lock().unwrap() = true;
        self.shared.ends.notify_all();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let asked = read(&mut reader)?;
        self.asked.lock().unwrap().push(asked.clone());
        let mut out = stream;
        match (self.script)(&asked) {
            Answer::Reply(code, body) => out.write_all(&reply(code, "", &body)),
            Answer::With(code, header, body) => out.write_all(&reply(code, header, &body)),
            Answer::Cut(body, missing) => {
                let whole = reply(200, "", &body);
                out.write_all(&whole[..whole.len() - missing])
            }
            Answer::Ending(bytes) => {
                chunk(&mut out, &bytes)?;
                out.write_all(b"0\r\n\r\n")
            }
            Answer::Broken(bytes) => chunk(&mut out, &bytes),
            Answer::Holding(bytes) => {
                chunk(&mut out, &bytes)?;
                self.hold();
                Ok(())
            }
            Answer::Silence => {
                self.hold();
                Ok(())
            }
        }
    }

    fn hold(&self) {
        let over = self.over.lock().unwrap();
        drop(
            self.ends
                .wait_timeout_while(over, HOLD, |over| !*over)
                .unwrap(),
        );
    }
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or("").to_owned();
    let (path, query) = match words.next().unwrap_or("").split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (
            line.split_whitespace().nth(1).unwrap_or("").to_owned(),
            String::new(),
        ),
    };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Asked {
        method,
        path,
        query: query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        headers,
        body: String::from_utf8(body).unwrap(),
        at: Instant::now(),
    })
}

fn reply(code: u16, header: &str, body: &str) -> Vec<u8> {
    let header = if header.is_empty() {
        String::new()
    } else {
        format!("{header}\r\n")
    };
    format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\n{header}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The head of a watch and one chunk.
fn chunk(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
    )?;
    if !bytes.is_empty() {
        out.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        out.write_all(bytes)?;
        out.write_all(b"\r\n")?;
    }
    out.flush()
}
