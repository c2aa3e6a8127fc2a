//! A connection to the proxy, and through it to a receiver: TCP, perhaps TLS, `CONNECT`.
//!
//! What the proxy answers is classified by its status alone; not a byte of it is kept. Every sentence says whose fault it
//! is, for the proxy's is the admin's to mend and not the receiver's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::Hop;
use crate::address::{Filter, Lookup, Target};
use crate::classify::Verdict;
use crate::failure;
use crate::secret::Secret;

/// Longest answer to `CONNECT`, headers included.
const ANSWER: usize = 16 * 1024;

/// Both directions of a connection, whatever it runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a connection to the proxy itself.
pub(super) async fn open(
    hop: &Hop,
    filter: &Filter,
    lookup: &dyn Lookup,
) -> Result<Box<dyn Stream>, Verdict> {
    let port = hop.url.port_or_known_default().unwrap_or(0);
    let stream = connect(&addresses(hop, filter, lookup).await?, port).await?;
    // Small messages, each of which is waited for.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &hop.tls else {
        return Ok(Box::new(stream));
    };
    let name = server_name(&hop.url).ok_or(failure::config(
        "the proxy's host name cannot be verified: write it as its certificate does",
    ))?;
    let connector = TlsConnector::from(Arc::clone(tls));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(failure::explain_proxy_tls(&error)),
    }
}

/// Where the proxy is. Its address is the admin's word: only what is never right is refused.
async fn addresses(
    hop: &Hop,
    filter: &Filter,
    lookup: &dyn Lookup,
) -> Result<Vec<IpAddr>, Verdict> {
    let found = match hop.url.host() {
        Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
        Some(Host::Domain(name)) => lookup
            .lookup(name.to_owned())
            .await
            .map_err(|_| UNRESOLVED)?,
        None => vec![],
    };
    if found.is_empty() {
        return Err(UNRESOLVED);
    }
    let filter = filter.for_proxy();
    let permitted: Vec<IpAddr> = found
        .into_iter()
        .filter(|address| filter.permits("", *address).is_ok())
        .collect();
    match permitted.is_empty() {
        true => Err(failure::config(
            "the proxy's address is one that is never sent to (link-local, metadata, multicast, this pod or the API server): set another in --receiver-proxy",
        )),
        false => Ok(permitted),
    }
}

const UNRESOLVED: Verdict = failure::transient("the proxy's host name does not resolve");

async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Verdict> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(SocketAddr::new(*address, port)).await {
            return Ok(stream);
        }
    }
    Err(failure::transient(
        "the connection to the proxy cannot be opened",
    ))
}

/// The host of a URL as a certificate is compared with it.
pub(super) fn server_name(url: &Url) -> Option<ServerName<'static>> {
    Some(match url.host()? {
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(address)),
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(name.to_owned()).ok()?
        }
    })
}

/// Asks the proxy to connect to the receiver. Afterwards the stream is the receiver's.
pub(super) async fn ask(
    stream: &mut dyn Stream,
    target: &Target,
    authorization: Option<&Secret>,
    has_credentials: bool,
) -> Result<(), Verdict> {
    let host = target.url().host_str().unwrap_or("");
    let port = target.url().port_or_known_default().unwrap_or(443);
    let agent = crate::client::USER_AGENT;
    let mut head =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {agent}\r\n");
    if let Some(value) = authorization.and_then(Secret::expose_text) {
        head.push_str("Proxy-Authorization: ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let sent = stream.write_all(head.as_bytes()).await;
    sent.map_err(|_| CLOSED)?;
    let status = read_status(stream).await.map_err(|_| CLOSED)?;
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => Err(unauthorized(has_credentials)),
        Some(408 | 425 | 429 | 500..=599) => Err(failure::transient(
            "the proxy cannot reach the receiver now",
        )),
        Some(400..=499) => Err(failure::config(
            "the proxy refuses to connect to the receiver: allow its host and port there, or reach it directly with --receiver-no-proxy",
        )),
        Some(_) | None => Err(failure::config(
            "the proxy does not answer CONNECT as a proxy does: see whether --receiver-proxy is the address of an HTTP proxy",
        )),
    }
}

/// What a proxy means that wants to know who asks.
pub(super) const fn unauthorized(has_credentials: bool) -> Verdict {
    failure::config(match has_credentials {
        true => {
            "the proxy refuses our credentials: write others into the file of --receiver-proxy-credentials"
        }
        false => {
            "the proxy asks for a user name and password: name a file with USER:PASSWORD in --receiver-proxy-credentials"
        }
    })
}

const CLOSED: Verdict = failure::transient("the proxy closed the connection before it answered");

/// Reads the head of the answer and nothing beyond it: what follows is the receiver's. `None`: it is no HTTP.
async fn read_status(stream: &mut dyn Stream) -> io::Result<Option<u16>> {
    let mut head = Vec::with_capacity(256);
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(chunk.iter().take(read));
        if !b"HTTP/1.".starts_with(head.get(..head.len().min(7)).unwrap_or_default()) {
            return Ok(None);
        }
        // A receiver speaks TLS and waits for us to begin: nothing can follow the head of a yes.
        if head.ends_with(b"\r\n\r\n") {
            break;
        }
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            let status = status(&head);
            return Ok(status.filter(|status| *status >= 300));
        }
        if head.len() >= ANSWER {
            return Ok(None);
        }
    }
    Ok(status(&head))
}

fn status(head: &[u8]) -> Option<u16> {
    let digits = head.get(9..12).filter(|_| head.get(8) == Some(&b' '))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
