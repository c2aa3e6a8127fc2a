//! One receiver's HTTP client: a single POST per call, and what became of it.
//!
//! Each receiver has its own client and thus its own pool, so a dead one holds nobody else's socket.
//! No redirect, no cookie, no decompression, no retry: a repeat is the caller's decision.
//! A proxy only where an admin set one (see [`crate::proxy`]).
//! Nothing that came back, no path or query of the URL and no credential reaches an [`Outcome`].

mod config;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use patrol_api::receiver::EndpointKind;
use patrol_api::time::Span;
use patrol_core::event::DeliveryClass;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};

use crate::address::{Filter, FilteredResolver, Lookup, Target};
use crate::classify::{Class, Verdict};
use crate::failure;
use crate::kinds;
use crate::proxy::{self, Egress, Hop, Reply, Way};
use crate::seal::{self, Credential};
use crate::secret::Secret;
use crate::tls;

pub use config::{ClientConfig, ClientError, Timing};

pub use crate::tls::{ClientCertificate, TlsError};

pub(crate) const USER_AGENT: &str = concat!("kube-patrol/", env!("CARGO_PKG_VERSION"));
/// As much of a reply as is ever held.
const REPLY_BYTES: usize = 16 * 1024;
/// Idle sockets kept, and how long.
const POOL_IDLE: usize = 2;
/// See [`POOL_IDLE`].
const POOL_IDLE_TIME: Duration = Duration::from_secs(45);

/// One attempt.
#[derive(Clone)]
pub struct Request {
    /// The whole URL: a credential.
    pub url: Secret,
    /// Stable over repeats; the receiver's key against duplicates.
    pub webhook_id: String,
    /// Unix time of this attempt in seconds.
    pub timestamp: i64,
    /// What is sent and signed, byte for byte.
    pub body: Bytes,
    /// Proves who sends, when given.
    pub credential: Option<Credential>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("webhook_id", &self.webhook_id)
            .field("timestamp", &self.timestamp)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What became of an attempt. Safe to log, to meter and to write into a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What follows from it.
    pub class: Class,
    /// The reply's status, when there was a reply.
    pub status: Option<u16>,
    /// Our own sentence; never a word of the receiver.
    pub detail: &'static str,
    /// Host of the URL, with the port if written; empty when the URL does not parse.
    pub host: String,
}

impl Outcome {
    /// The same in the engine's words.
    pub fn delivery_class(&self) -> DeliveryClass {
        match self.class {
            Class::Accepted => DeliveryClass::Accepted,
            Class::Throttled { retry_after } => {
                DeliveryClass::Throttled(retry_after.map(|wait| Span::seconds(wait.as_secs())))
            }
            Class::Transient => DeliveryClass::Transient,
            Class::Unreached => DeliveryClass::Unreached(self.detail),
            Class::Payload => DeliveryClass::Payload,
            Class::Config => DeliveryClass::Config(self.detail),
            Class::Blocked => DeliveryClass::Blocked,
        }
    }
}

/// Sends to one receiver. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    kind: EndpointKind,
    content_type: &'static str,
    filter: Arc<Filter>,
    headers: HeaderMap,
    shows_certificate: bool,
    timing: Timing,
    lookup: Arc<dyn Lookup>,
    egress: Arc<Egress>,
    /// What the receiver is verified by at the end of a tunnel.
    tls: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes the client of one receiver. Opens nothing yet.
    ///
    /// # Errors
    /// When the CA or our own certificate cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let tls = tls::config(
            config.ca_pem.as_ref().map(Secret::expose),
            config.client_certificate.as_ref(),
        )?;
        let filter = Arc::new(config.filter);
        let resolver = FilteredResolver::new(Arc::clone(&filter), Arc::clone(&config.lookup));
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(Arc::new(resolver))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .connect_timeout(config.timing.connect)
            .pool_max_idle_per_host(POOL_IDLE)
            .pool_idle_timeout(POOL_IDLE_TIME)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|_| ClientError::Setup)?;
        Ok(Client {
            http,
            kind: config.kind,
            content_type: config.content_type,
            filter,
            headers: config.headers.map().clone(),
            shows_certificate: config.client_certificate.is_some(),
            timing: config.timing,
            lookup: config.lookup,
            egress: config.egress,
            tls: Arc::new(tls),
        })
    }

    /// Sends once. Ends within `timing.total`, whatever the receiver does.
    pub async fn post(&self, request: Request) -> Outcome {
        self.post_within(request, self.timing.total).await
    }

    /// Sends once. Ends within `most` and within `timing.total`, whatever the receiver does.
    pub async fn post_within(&self, request: Request, most: Duration) -> Outcome {
        let Some(request) = sealed(request) else {
            return unsent(
                failure::config("the credential is no text: store it anew"),
                String::new(),
            );
        };
        let target = match Target::parse(&request.url) {
            Ok(target) => target,
            Err(error) => return unsent(failure::config(error.detail()), String::new()),
        };
        let host = target.host().to_string();
        if self.shows_certificate && target.url().scheme() != "https" {
            return unsent(
                failure::config(
                    "a client certificate is only shown over https: store an https address, or leave clientCertSecretRef out",
                ),
                host,
            );
        }
        let hop = self.egress.hop(&target).cloned();
        let permitted = match &hop {
            // A name is judged when it is resolved, by the resolver whose answers are used.
            None => self.filter.permits_literal(&target),
            Some(_) => self.egress.permits(&self.filter, &target),
        };
        if let Err(refusal) = permitted {
            let verdict = Verdict {
                class: Class::Blocked,
                detail: refusal.detail(),
            };
            return unsent(verdict, host);
        }
        let Some(headers) = self.request_headers(&request) else {
            return unsent(failure::config("the message id cannot be a header"), host);
        };
        let now = DateTime::from_timestamp(request.timestamp, 0).unwrap_or_default();
        let deadline = Instant::now() + most.min(self.timing.total);
        match self
            .exchange(hop, target, headers, request.body, now, deadline)
            .await
        {
            Ok((status, verdict)) => Outcome {
                class: verdict.class,
                status: Some(status),
                detail: verdict.detail,
                host,
            },
            Err(verdict) => unsent(verdict, host),
        }
    }

    /// Extra headers first, ours over them.
    fn request_headers(&self, request: &Request) -> Option<HeaderMap> {
        let mut headers = self.headers.clone();
        let mut set = |name: &'static str, value: HeaderValue| {
            headers.insert(HeaderName::from_static(name), value);
        };
        set(
            "webhook-id",
            HeaderValue::from_str(&request.webhook_id).ok()?,
        );
        set("webhook-timestamp", HeaderValue::from(request.timestamp));
        if let Some(Credential::Signing(signing)) = &request.credential {
            let signature = signing.header(&request.webhook_id, request.timestamp, &request.body);
            set("webhook-signature", HeaderValue::from_str(&signature).ok()?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        Some(headers)
    }

    /// The I/O: request out, head in, a bounded piece of the body in.
    async fn exchange(
        &self,
        hop: Option<Arc<Hop>>,
        target: Target,
        headers: HeaderMap,
        body: Bytes,
        now: DateTime<Utc>,
        deadline: Instant,
    ) -> Result<(u16, Verdict), Verdict> {
        let mut reply = match hop {
            None => Reply::from(self.directly(target, headers, body, deadline).await?),
            Some(hop) => {
                let way = Way {
                    hop: &hop,
                    filter: &self.filter,
                    lookup: &*self.lookup,
                    tls: &self.tls,
                    shows_certificate: self.shows_certificate,
                    connect: self.timing.connect,
                    deadline,
                };
                proxy::send(way, &target, headers, body).await?
            }
        };
        let status = reply.response.status().as_u16();
        let headers = reply.response.headers().clone();
        let body_deadline = deadline.min(Instant::now() + self.timing.body);
        let prefix = read_prefix(&mut reply.response, body_deadline).await;
        Ok((
            status,
            kinds::classify(self.kind, status, &headers, &prefix, now),
        ))
    }

    async fn directly(
        &self,
        target: Target,
        headers: HeaderMap,
        body: Bytes,
        deadline: Instant,
    ) -> Result<reqwest::Response, Verdict> {
        let sending = self
            .http
            .post(target.url().clone())
            .headers(headers)
            .body(body)
            .send();
        match timeout_at(deadline, sending).await {
            Ok(sent) => sent.map_err(|error| failure::explain(&error, self.shows_certificate)),
            Err(_) => Err(failure::NO_REPLY),
        }
    }
}

/// Puts a provider's proof into the address or the body; a signature in the headers comes later.
fn sealed(mut request: Request) -> Option<Request> {
    match &request.credential {
        None | Some(Credential::Signing(_)) => {}
        Some(Credential::Dingtalk(secret)) => {
            let query = seal::dingtalk_query(secret, request.timestamp)?;
            let url = request.url.expose_text()?;
            let mark = if url.contains('?') { '&' } else { '?' };
            request.url = Secret::from(format!("{url}{mark}{query}"));
        }
        Some(Credential::Feishu(secret)) => {
            let sign = seal::feishu_sign(secret, request.timestamp)?;
            let timestamp = request.timestamp.to_string();
            let fields = [("timestamp", timestamp.as_str()), ("sign", sign.as_str())];
            request.body = seal::insert_fields(&request.body, &fields)?.into();
        }
        Some(Credential::RoutingKey(key)) => {
            let fields = [("routing_key", key.expose_text()?)];
            request.body = seal::insert_fields(&request.body, &fields)?.into();
        }
    }
    Some(request)
}

fn unsent(verdict: Verdict, host: String) -> Outcome {
    Outcome {
        class: verdict.class,
        status: None,
        detail: verdict.detail,
        host,
    }
}

/// Reads up to [`REPLY_BYTES`]. A body that is longer, slow or broken ends the connection (dropping the
/// response closes it) and not the verdict: the head arrived, so a repeat would be a duplicate.
async fn read_prefix(response: &mut reqwest::Response, deadline: Instant) -> Vec<u8> {
    let mut prefix = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
        let room = REPLY_BYTES.saturating_sub(prefix.len());
        prefix.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    prefix
}
