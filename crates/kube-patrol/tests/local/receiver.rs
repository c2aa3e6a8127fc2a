//! A webhook receiver on loopback that takes everything and remembers it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// A receiver; it lives as long as the test process.
pub struct Receiver {
    address: String,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let bodies = Arc::new(Mutex::new(vec![]));
        let into = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let into = Arc::clone(&into);
                thread::spawn(move || serve(stream, &into));
            }
        });
        Self { address, bodies }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What was told of which ticket: name, state and the id of the telling.
    pub fn told(&self) -> Vec<(String, String, String)> {
        let bodies = self.bodies.lock().unwrap();
        let tickets = bodies
            .iter()
            .filter_map(|body| body.pointer("/data/tickets")?.as_array())
            .flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        tickets
            .map(|t| {
                (
                    text(&t["ticket"]["name"]),
                    text(&t["state"]),
                    text(&t["eventId"]),
                )
            })
            .collect()
    }
}

/// Serves one connection, which may carry several requests.
fn serve(stream: TcpStream, into: &Mutex<Vec<Value>>) {
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(1..) => {}
                _ => return,
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        if let Ok(body) = serde_json::from_slice(&body) {
            into.lock().unwrap().push(body);
        }
        if writer
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}
