//! The operator's metrics, where somebody says at which address they are.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::line::{Level, Line};

const CHECK: &str = "metrics";
/// From the connection to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// More than all metrics of a large cluster.
const MOST: usize = 64 << 20;

pub(super) async fn examine(url: Option<&str>) -> Line {
    let Some(url) = url else {
        return Line::new(CHECK, Level::Skip, "not asked for").fix(
            "to have them looked at: kubectl -n kube-patrol port-forward service/kube-patrol 8080, then --metrics-url http://127.0.0.1:8080/metrics",
        );
    };
    let Some((uri, authority)) = parse(url) else {
        return Line::fail(CHECK, "the address is no http URL")
            .fix("write it as http://HOST:PORT/metrics");
    };
    let about = authority.clone();
    let line = match tokio::time::timeout(DEADLINE, fetch(&uri, &authority)).await {
        Err(_) => unreachable("there is no complete answer within 10s"),
        Ok(Err(why)) => unreachable(why),
        Ok(Ok((status, body))) => judge(status, &body),
    };
    line.about(about)
}

fn unreachable(why: &str) -> Line {
    Line::fail(CHECK, why).fix("see whether the operator runs and the address leads to it")
}

/// The URL with the host and port to connect to.
fn parse(url: &str) -> Option<(Uri, String)> {
    let uri: Uri = url.parse().ok()?;
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let host = uri.host()?;
    let port = uri.port_u16().unwrap_or(80);
    let authority = format!("{host}:{port}");
    Some((uri, authority))
}

async fn fetch(uri: &Uri, authority: &str) -> Result<(u16, Bytes), &'static str> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|_| "no connection to the address")?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| "the address does not speak HTTP")?;
    let path = uri.path_and_query().map_or("/metrics", |p| p.as_str());
    let path = if path == "/" { "/metrics" } else { path };
    let request = Request::get(path)
        .header(header::HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(|_| "the address is no http URL")?;
    let exchange = async {
        let reply = sender.send_request(request).await;
        let reply = reply.map_err(|_| "the address does not speak HTTP")?;
        let status = reply.status().as_u16();
        let body = Limited::new(reply.into_body(), MOST).collect().await;
        let body = body.map_err(|_| "the answer breaks off, or does not end")?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        done = &mut exchange => done,
        // The rest of the reply may lie in memory by then.
        _ = &mut connection => exchange.await,
    }
}

fn judge(status: u16, body: &[u8]) -> Line {
    if status != 200 {
        return Line::fail(CHECK, format!("the answer has the HTTP status {status}"))
            .fix("name the path, too: http://HOST:PORT/metrics");
    }
    let text = String::from_utf8_lossy(body);
    let ours = text
        .lines()
        .filter(|line| line.starts_with("patrol_"))
        .count();
    if ours == 0 {
        return Line::fail(
            CHECK,
            "another program answers: none of its metrics is ours",
        )
        .fix("name the address of the operator");
    }
    let leads = text
        .lines()
        .filter(|line| line.starts_with("patrol_leader"))
        .any(|line| line.trim_end().ends_with(" 1"));
    let who = if leads { "the leader" } else { "a standby" };
    Line::ok(CHECK, format!("{who} answers with {ours} rows of metrics"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_own_metrics_count() {
        let body = b"# HELP patrol_leader x\npatrol_leader 1\npatrol_tickets{a=\"b\"} 3\n";
        let fine = judge(200, body);
        assert_eq!(fine.level, Level::Ok);
        assert_eq!(fine.says, "the leader answers with 2 rows of metrics");
        assert_eq!(judge(200, b"go_goroutines 3\n").level, Level::Fail);
        assert_eq!(judge(404, body).level, Level::Fail);
    }

    #[test]
    fn an_address_is_an_http_url() {
        let parsed = parse("http://127.0.0.1:8080/metrics").unwrap();
        assert_eq!(parsed.1, "127.0.0.1:8080");
        assert_eq!(parse("http://[::1]/").unwrap().1, "[::1]:80");
        for url in ["", "127.0.0.1:8080", "https://x/metrics", "file:///etc"] {
            assert!(parse(url).is_none(), "{url}");
        }
    }
}
