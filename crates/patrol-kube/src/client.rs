//! Connections to the API server and single calls on them, each with a deadline.
//!
//! There is one client for reads and watches and one for writes, so that neither waits
//! for the other. kube's own retries are off on both: they repeat POSTs and sleep inside
//! a call for as long as a reply asks; whoever calls here knows better
//! whether and when to try again. kube's decoding is not used either: it logs whole
//! bodies when they do not fit. Nothing here logs or keeps a word of a reply.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::{Instant, timeout_at};

use crate::boot_clock;
use crate::error::{CallError, SetupError};
use crate::skew::Skew;

/// Deadline of a call about a single object, its body included.
pub const OBJECT_DEADLINE: Duration = Duration::from_secs(9);
/// Deadline of one page of a list, its body included.
pub const PAGE_DEADLINE: Duration = Duration::from_secs(30);

/// The most a reply about single objects may hold: etcd takes 1.5 MiB, JSON may take more.
pub(crate) const OBJECT_MAX: usize = 16 << 20;
/// The longest pause that a `Retry-After` can ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("kube-patrol/", env!("CARGO_PKG_VERSION"));

/// The two clients of one API server, for one identity.
#[derive(Clone)]
pub struct Connection {
    /// Lists, watches and reads.
    pub reads: Http,
    /// Writes, the lease, events.
    pub writes: Http,
    server: http::Uri,
    skew: Skew,
}

impl Connection {
    /// Connects as `KUBECONFIG` (or the default kubeconfig) says, else with the identity
    /// of the pod. No call is made yet.
    ///
    /// # Errors
    /// When there is neither, or they cannot be used.
    pub async fn infer() -> Result<Self, SetupError> {
        let config = Config::infer()
            .await
            .map_err(|error| SetupError::Identity(Box::new(error)))?;
        Self::with(config)
    }

    /// Connects as a kubeconfig file says. No call is made yet.
    ///
    /// # Errors
    /// When the file cannot be read or used.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, SetupError> {
        let kubeconfig = Kubeconfig::read_from(path).map_err(Box::new)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(Box::new)?;
        Self::with(config)
    }

    /// Connects as kube's settings say. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When TLS, authentication or proxy settings cannot be used.
    pub fn with(mut config: Config) -> Result<Self, SetupError> {
        // Once for the process; someone else having installed one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config
            .headers
            .push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
        let server = config.cluster_url.clone();
        let skew = Skew::default();
        let client = |config: Config| -> Result<Http, SetupError> {
            let client = ClientBuilder::try_from(config).map_err(Box::new)?.build();
            let skew = skew.clone();
            Ok(Http { client, skew })
        };
        Ok(Self {
            reads: client(config.clone())?,
            writes: client(config)?,
            server,
            skew: skew.clone(),
        })
    }

    /// How far the clocks are apart, as the API server's replies say.
    #[must_use]
    pub fn skew(&self) -> Skew {
        self.skew.clone()
    }

    /// Where the API server is (receivers must not be).
    #[must_use]
    pub fn server(&self) -> &http::Uri {
        &self.server
    }
}

/// Calls on one client. Cloning is cheap.
#[derive(Clone)]
pub struct Http {
    client: Client,
    skew: Skew,
}

/// A complete reply, whatever its status.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Asked for by the server, at most [`RETRY_AFTER_MAX`].
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// A reply whose body is still to come.
pub(crate) struct Opened {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    /// The server's clock.
    pub(crate) date: Option<DateTime<Utc>>,
    pub(crate) body: Body,
}

/// What to ask.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, escaped.
    pub(crate) target: String,
    pub(crate) accept: &'static str,
    /// Media type and bytes.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
/// Only the metadata of listed objects.
pub(crate) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

impl Call {
    pub(crate) fn get(target: String) -> Self {
        Self {
            method: Method::GET,
            target,
            accept: JSON,
            body: None,
        }
    }

    pub(crate) fn send(
        method: Method,
        target: String,
        content: &'static str,
        body: &serde_json::Value,
    ) -> Self {
        Self {
            method,
            target,
            accept: JSON,
            body: Some((content, body.to_string().into_bytes())),
        }
    }

    fn request(self) -> Result<Request<Body>, CallError> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.target)
            .header(header::ACCEPT, self.accept)
            // Compression of a watch is one member an event, which decoders cut short.
            .header(header::ACCEPT_ENCODING, "identity");
        let bytes = match self.body {
            Some((content, bytes)) => {
                request = request.header(header::CONTENT_TYPE, content);
                bytes
            }
            None => Vec::new(),
        };
        request
            .body(Body::from(bytes))
            .map_err(|_| CallError::Request)
    }
}

impl Http {
    /// Makes a call and reads its reply to the end, at most `max` bytes, within `deadline`.
    pub(crate) async fn call(
        &self,
        call: Call,
        deadline: Duration,
        max: usize,
    ) -> Result<Reply, CallError> {
        let until = Instant::now() + deadline;
        let Opened {
            status,
            retry_after,
            body,
            ..
        } = self.open(call, deadline).await?;
        let body = timeout_at(until, collect(body, max))
            .await
            .map_err(|_| CallError::Deadline(deadline))??;
        Ok(Reply {
            status,
            retry_after,
            body,
        })
    }

    /// Makes a call and waits at most `deadline` for the head of its reply.
    pub(crate) async fn open(&self, call: Call, deadline: Duration) -> Result<Opened, CallError> {
        let request = call.request()?;
        let reply = tokio::time::timeout(deadline, self.client.send(request))
            .await
            .map_err(|_| CallError::Deadline(deadline))?
            .map_err(|error| match error {
                kube::Error::Auth(_) => CallError::Credentials,
                _ => CallError::Connection,
            })?;
        let date = date(reply.headers());
        self.skew.learn(date, boot_clock::wall());
        Ok(Opened {
            status: reply.status(),
            retry_after: retry_after(reply.headers()),
            date,
            body: reply.into_body(),
        })
    }

    /// A GET of one object.
    pub(crate) async fn get(&self, target: String) -> Result<Reply, CallError> {
        self.call(Call::get(target), OBJECT_DEADLINE, OBJECT_MAX)
            .await
    }

    /// Major and minor version of the API server.
    ///
    /// # Errors
    /// When it does not answer, or not with a version.
    pub async fn server_version(&self) -> Result<(u32, u32), CallError> {
        #[derive(serde::Deserialize)]
        struct Version {
            major: String,
            minor: String,
        }
        // Vendors write "33+".
        let number = |text: &str| {
            text.trim_end_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .map_err(|_| CallError::Connection)
        };
        let reply = self.get("/version".to_owned()).await?;
        let version: Version =
            serde_json::from_slice(&reply.body).map_err(|_| CallError::Connection)?;
        Ok((number(&version.major)?, number(&version.minor)?))
    }
}

/// The time that the server says it is.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    let time = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some(time.with_timezone(&Utc))
}

async fn collect(mut body: Body, max: usize) -> Result<Bytes, CallError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| CallError::Connection)?;
        if let Ok(data) = frame.into_data() {
            if all.len().saturating_add(data.len()) > max {
                return Err(CallError::TooLong(max));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(all.freeze())
}

/// Seconds, capped; dates, negative numbers and words are as good as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| {
        // More digits than fit: as long as is allowed.
        let seconds = text.parse().unwrap_or(u64::MAX);
        Duration::from_secs(seconds).min(RETRY_AFTER_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_read_from_the_head() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, HeaderValue::from_str(text).unwrap());
            date(&headers).map(|time| time.timestamp())
        };
        assert_eq!(read("Wed, 21 Oct 2026 07:28:00 GMT"), Some(1_792_567_680));
        for nonsense in ["", "now", "2026-10-21"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn retry_after_is_capped_and_never_trusted() {
        let parsed = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(parsed("0"), Some(Duration::ZERO));
        assert_eq!(parsed(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parsed("3600"), Some(RETRY_AFTER_MAX));
        assert_eq!(parsed("99999999999999999999999"), Some(RETRY_AFTER_MAX));
        for nonsense in ["-1", "soon", "1.5", "", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(parsed(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
