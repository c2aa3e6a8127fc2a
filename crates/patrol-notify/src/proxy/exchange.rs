//! One request to a receiver behind a proxy: through a tunnel for https, by the proxy's own hand for http.
//!
//! A connection serves one message: alerts are few, and one that is kept would have to be told apart from one that the
//! proxy or the receiver has closed meanwhile. Whatever this does ends with the caller's deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::Hop;
use super::tunnel::{self, Stream};
use crate::address::{Filter, Lookup, Target};
use crate::classify::Verdict;
use crate::failure;
use crate::secret::Secret;

const PROXY_AUTHORIZATION: HeaderName = hyper::header::PROXY_AUTHORIZATION;

/// What is needed on the way.
pub(crate) struct Way<'a> {
    pub hop: &'a Hop,
    pub filter: &'a Filter,
    pub lookup: &'a dyn Lookup,
    /// The receiver's TLS.
    pub tls: &'a Arc<rustls::ClientConfig>,
    pub shows_certificate: bool,
    /// For name, TCP and TLS of the proxy; and as long again, twice, for what the proxy has to open.
    pub connect: Duration,
    pub deadline: Instant,
}

/// A reply whose body is still to be read. Dropping it closes the connection.
pub(crate) struct Reply {
    pub response: reqwest::Response,
    /// Drives the connection while the body is read.
    _driver: JoinSet<()>,
}

impl From<reqwest::Response> for Reply {
    /// A reply whose connection is somebody else's.
    fn from(response: reqwest::Response) -> Self {
        Self {
            response,
            _driver: JoinSet::new(),
        }
    }
}

/// Sends once.
pub(crate) async fn send(
    way: Way<'_>,
    target: &Target,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Verdict> {
    let authorization = way
        .hop
        .credentials
        .header()
        .await
        .map_err(failure::config)?;
    let open_by = way.deadline.min(Instant::now() + way.connect);
    let opening = tunnel::open(way.hop, way.filter, way.lookup);
    let stream = timeout_at(open_by, opening)
        .await
        .unwrap_or(Err(failure::transient(
            "no connection to the proxy within the connect time",
        )))?;
    let is_tunnel = target.url().scheme() == "https";
    let stream = match is_tunnel {
        false => stream,
        true => {
            let through_by = way.deadline.min(Instant::now() + way.connect * 2);
            let through = through(&way, stream, target, authorization.as_ref());
            timeout_at(through_by, through)
                .await
                .unwrap_or(Err(failure::transient(
                    "no connection to the receiver through the proxy within the connect time",
                )))?
        }
    };
    let request = request(target, headers, body, is_tunnel, authorization.as_ref()).ok_or(
        failure::config("the receiver's URL cannot be requested: check it"),
    )?;
    let reply = exchange(stream, request);
    let reply = match timeout_at(way.deadline, reply).await {
        Ok(reply) => reply.map_err(|error| explain(&error, way.shows_certificate))?,
        Err(_) => return Err(failure::NO_REPLY),
    };
    if !is_tunnel && reply.response.status().as_u16() == 407 {
        return Err(tunnel::unauthorized(way.hop.credentials.is_set()));
    }
    Ok(reply)
}

/// Has the proxy connect, and speaks TLS with the receiver over it.
async fn through(
    way: &Way<'_>,
    mut stream: Box<dyn Stream>,
    target: &Target,
    authorization: Option<&Secret>,
) -> Result<Box<dyn Stream>, Verdict> {
    let has_credentials = way.hop.credentials.is_set();
    tunnel::ask(&mut *stream, target, authorization, has_credentials).await?;
    let name = tunnel::server_name(target.url()).ok_or(failure::config(
        "the receiver's host name cannot be verified: write it as its certificate does",
    ))?;
    let connector = TlsConnector::from(Arc::clone(way.tls));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(explain(&error, way.shows_certificate)),
    }
}

fn explain(error: &(dyn std::error::Error + 'static), shows_certificate: bool) -> Verdict {
    failure::explain_cause(error, shows_certificate).unwrap_or(failure::transient(
        "the receiver, or the proxy on the way to it, closed the connection or answered with something else than HTTP",
    ))
}

/// The request as the receiver (in a tunnel) or the proxy is asked it.
fn request(
    target: &Target,
    mut headers: HeaderMap,
    body: Bytes,
    is_tunnel: bool,
    authorization: Option<&Secret>,
) -> Option<Request<Full<Bytes>>> {
    let url = target.url();
    let uri: Uri = match (is_tunnel, url.query()) {
        (false, _) => url.as_str().parse().ok()?,
        (true, None) => url.path().parse().ok()?,
        (true, Some(query)) => format!("{}?{query}", url.path()).parse().ok()?,
    };
    headers.insert(HOST, HeaderValue::from_str(target.host()).ok()?);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(crate::client::USER_AGENT),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(secret) = authorization.filter(|_| !is_tunnel) {
        let mut value = HeaderValue::from_bytes(secret.expose()).ok()?;
        value.set_sensitive(true);
        headers.insert(PROXY_AUTHORIZATION, value);
    }
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some(request)
}

async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
) -> Result<Reply, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong with it is told to whoever sends.
        drop(connection.await);
    });
    let response = sender.send_request(request).await?;
    Ok(Reply {
        response: reqwest::Response::from(response.map(reqwest::Body::wrap)),
        _driver: driver,
    })
}
