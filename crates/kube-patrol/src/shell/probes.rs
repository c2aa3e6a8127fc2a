//! The listener for `/metrics`, `/healthz` and `/readyz`. It answers and never changes
//! anything; no object name but those of policies and receivers is in an answer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::{Clock, Pulse, SnapshotRequest};
use crate::metrics::Exporter;

/// Connections served at once. One more ends the oldest that has not asked anything yet:
/// peers that only hold connections open must not keep a kubelet from its answer.
const CONNECTIONS: usize = 32;
/// A connection carries one request; its head is here within this time.
const HEAD: Duration = Duration::from_secs(5);
/// A connection lives this long at most.
const LIFE: Duration = Duration::from_secs(15);
/// The loop answers a request for its state within this time, or is stuck.
const ANSWER: Duration = Duration::from_secs(3);

/// What the listener answers from.
pub struct Probes {
    /// The loop's pulse.
    pub pulse: Arc<Pulse>,
    /// Asks the loop for its state.
    pub snapshots: mpsc::Sender<SnapshotRequest>,
    /// Metrics of the edges.
    pub exporter: Exporter,
    /// Time.
    pub clock: Clock,
}

/// Opens the listener.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(address: &str) -> Result<TcpListener, String> {
    // `:8080` is the usual way to say every address.
    let address = match address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => address.to_owned(),
    };
    match TcpListener::bind(&address).await {
        Ok(listener) => Ok(listener),
        Err(_) if address.starts_with("[::]:") => {
            // No IPv6 here.
            let v4 = address.replacen("[::]", "0.0.0.0", 1);
            TcpListener::bind(&v4)
                .await
                .map_err(|e| format!("--listen {v4}: {e}: choose a free address"))
        }
        Err(e) => Err(format!("--listen {address}: {e}: choose a free address")),
    }
}

/// Serves until cancelled.
pub async fn serve(listener: TcpListener, probes: Arc<Probes>) -> std::io::Result<()> {
    let mut tasks = JoinSet::new();
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        let (stream, _peer): (_, SocketAddr) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, or a peer that left at once: no reason to die.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        open.retain(|connection| !connection.task.is_finished());
        if open.len() >= CONNECTIONS {
            let idle = open.iter().position(|c| !c.asked.load(Ordering::Relaxed));
            if let Some(oldest) = open.remove(idle.unwrap_or(0)) {
                oldest.task.abort();
            }
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = tasks.spawn(connection(stream, Arc::clone(&probes), Arc::clone(&asked)));
        open.push_back(Connection { task, asked });
    }
}

/// A connection that is served.
struct Connection {
    task: AbortHandle,
    /// The head of its request is here.
    asked: Arc<AtomicBool>,
}

async fn connection(stream: TcpStream, probes: Arc<Probes>, asked: Arc<AtomicBool>) {
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        let probes = Arc::clone(&probes);
        async move { Ok::<_, Infallible>(answer(&probes, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A peer that misbehaves ends its own connection only.
    let _ = tokio::time::timeout(LIFE, connection).await;
}

async fn answer<B>(probes: &Probes, request: &Request<B>) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/healthz" => {
            let alive = probes.pulse.is_alive((probes.clock)());
            plain(alive, "ok", "the engine's loop has not turned for 30 s")
        }
        "/readyz" => {
            let ready = probes.pulse.is_synced() && probes.pulse.is_alive((probes.clock)());
            plain(
                ready,
                "ok",
                "policies, receivers and tickets are not listed yet",
            )
        }
        "/metrics" => metrics(probes).await,
        _ => reply(StatusCode::NOT_FOUND, "text/plain", "not found\n".into()),
    }
}

async fn metrics(probes: &Probes) -> Response<Full<Bytes>> {
    let (ask, got) = oneshot::channel();
    let asked = probes.snapshots.send(ask);
    let snapshot = tokio::time::timeout(ANSWER, async {
        asked.await.ok()?;
        got.await.ok()
    })
    .await;
    match snapshot {
        Ok(Some(snapshot)) => {
            let body = probes.exporter.text(&snapshot, (probes.clock)());
            reply(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                body.into(),
            )
        }
        _ => plain(false, "", "the engine's loop does not answer"),
    }
}

fn plain(ok: bool, yes: &'static str, no: &'static str) -> Response<Full<Bytes>> {
    let (status, text) = if ok {
        (StatusCode::OK, yes)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, no)
    };
    reply(status, "text/plain", format!("{text}\n").into())
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(kind),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_kube::boot_clock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const DEADLINE: Duration = Duration::from_secs(4);

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        let read = stream.read_to_string(&mut reply);
        tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
        reply
    }

    #[tokio::test]
    async fn idle_connections_keep_nobody_from_an_answer() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (snapshots, _asked) = mpsc::channel(1);
        let probes = Arc::new(Probes {
            pulse: Arc::default(),
            snapshots,
            exporter: Exporter::new(None),
            clock: boot_clock::now,
        });
        let server = tokio::spawn(serve(listener, probes));
        let mut idle = vec![];
        for _ in 0..3 * CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let reply = get(address, "/healthz").await;
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        // The oldest made room.
        let first = idle.first_mut().unwrap();
        let ended = tokio::time::timeout(DEADLINE, first.read(&mut [0; 1])).await;
        assert!(matches!(ended.unwrap(), Ok(0) | Err(_)));
        assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));
        server.abort();
    }
}
