//! What a delivery needs before it can send: the receiver's addresses and credentials, read from Secrets on use, and its
//! HTTP client. Never shows a value.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patrol_api::receiver::{Endpoint, HeaderFrom, SecretKeyRef, TlsSecretRef, UrlFrom};
use patrol_api::time::Span;
use patrol_core::clock::Mono;
use patrol_core::effect::Target;
use patrol_core::event::DeliveryClass;
use patrol_notify::address::{
    self, Allow, AllowError, Filter, Lookup, Nowhere, Pinned, SystemLookup,
};
use patrol_notify::headers::{ExtraHeaders, HeaderError};
use patrol_notify::{
    Client, ClientCertificate, ClientConfig, Credential, Secret, SigningSecrets, kinds,
};

use super::delivery::Post;

/// A client that was not used for so long is forgotten: its receiver may be gone.
const KEPT: Span = Span::hours(1);
/// The addresses of a host are waited for so long.
const LOOKUP: Duration = Duration::from_secs(3);

/// The clients of all receivers, by UID.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<String, Cached>>);

/// A receiver's client, with what it was made from.
struct Cached {
    target: Target,
    made: Made,
    client: Client,
    used: Mono,
}

/// The secrets a client is made from.
#[derive(Clone, PartialEq, Eq)]
struct Made {
    ca: Option<Secret>,
    certificate: Option<ClientCertificate>,
    headers: Vec<(String, Secret)>,
}

/// An address, and the client that leads there.
pub(super) struct Door {
    pub client: Client,
    pub url: Secret,
}

/// Everything one delivery needs, resolved.
pub(super) struct Ready {
    /// At least one; all of them are posted to.
    pub doors: Vec<Door>,
    pub credential: Option<Credential>,
    /// The values it was made from.
    pub secrets: Vec<Secret>,
}

/// What an endpoint names, whatever its kind.
struct Needs<'a> {
    urls: Vec<&'a str>,
    url_from: Option<&'a UrlFrom>,
    credential: Option<&'a SecretKeyRef>,
    ca: Option<&'a SecretKeyRef>,
    certificate: Option<&'a TlsSecretRef>,
    headers: &'a [HeaderFrom],
}

impl<'a> Needs<'a> {
    fn of(endpoint: &'a Endpoint) -> Self {
        let chat = |url_from: &'a UrlFrom, credential: Option<&'a SecretKeyRef>| Needs {
            urls: vec![],
            url_from: Some(url_from),
            credential,
            ca: None,
            certificate: None,
            headers: &[],
        };
        match endpoint {
            Endpoint::Webhook(webhook) => Needs {
                urls: webhook.url.as_deref().into_iter().collect(),
                url_from: webhook.url_from.as_ref(),
                credential: webhook.signing_secret_ref.as_ref(),
                ca: webhook.ca_secret_ref.as_ref(),
                certificate: webhook.client_cert_secret_ref.as_ref(),
                headers: &webhook.headers_from,
            },
            Endpoint::Alertmanager(spec) => Needs {
                urls: spec
                    .url
                    .iter()
                    .chain(&spec.urls)
                    .map(String::as_str)
                    .collect(),
                url_from: spec.url_from.as_ref(),
                credential: None,
                ca: spec.ca_secret_ref.as_ref(),
                certificate: spec.client_cert_secret_ref.as_ref(),
                headers: &spec.headers_from,
            },
            Endpoint::Slack(spec) => chat(&spec.url_from, None),
            Endpoint::Teams(spec) => chat(&spec.url_from, None),
            Endpoint::Dingtalk(spec) => chat(&spec.url_from, spec.signing_secret_ref.as_ref()),
            Endpoint::Feishu(spec) => chat(&spec.url_from, spec.signing_secret_ref.as_ref()),
            Endpoint::Wecom(spec) => chat(&spec.url_from, None),
            Endpoint::Pagerduty(spec) => Needs {
                urls: vec![&spec.url],
                url_from: None,
                credential: Some(&spec.routing_key_secret_ref),
                ca: None,
                certificate: None,
                headers: &[],
            },
        }
    }
}

/// Whether a Secret has a part in reaching an endpoint, so that reading it again may help.
pub(super) fn uses_secrets(endpoint: &Endpoint) -> bool {
    let needs = Needs::of(endpoint);
    needs.url_from.is_some()
        || needs.credential.is_some()
        || needs.ca.is_some()
        || needs.certificate.is_some()
        || !needs.headers.is_empty()
}

/// Reads what a target names and makes its client. `fresh` reads past any cache.
pub(super) async fn prepare(
    post: &Post,
    target: &Target,
    fresh: bool,
) -> Result<Ready, DeliveryClass> {
    let needs = Needs::of(&target.endpoint);
    let mut secrets = vec![];
    let mut urls: Vec<Secret> = needs.urls.iter().map(|url| Secret::from(*url)).collect();
    if let Some(from) = needs.url_from
        && urls.is_empty()
    {
        urls.push(read(post, target, &from.secret_key_ref, fresh, &mut secrets).await?);
    }
    if urls.is_empty() {
        return Err(DeliveryClass::Config("no url is given: set url or urlFrom"));
    }
    if matches!(target.endpoint, Endpoint::Alertmanager(_)) {
        urls = urls.into_iter().map(alerts_api).collect();
    }
    let credential = match needs.credential {
        None => None,
        Some(at) => {
            let value = read(post, target, at, fresh, &mut secrets).await?;
            Some(credential(target, value)?)
        }
    };
    let ca = match needs.ca {
        None => None,
        Some(at) => Some(read(post, target, at, fresh, &mut secrets).await?),
    };
    let certificate = match needs.certificate {
        None => None,
        Some(at) => Some(ClientCertificate {
            chain: read(post, target, &at.certificate(), fresh, &mut secrets).await?,
            key: read(post, target, &at.private_key(), fresh, &mut secrets).await?,
        }),
    };
    let mut headers = vec![];
    for header in needs.headers {
        let value = read(post, target, &header.secret_key_ref, fresh, &mut secrets).await?;
        headers.push((header.name.clone(), value));
    }
    let made = Made {
        ca,
        certificate,
        headers,
    };
    let mut doors = vec![];
    for url in urls {
        match each_address(target) {
            false => doors.push(Door {
                client: client(post, target, &made, None)?,
                url,
            }),
            true => doors.extend(doors_of(post, target, &made, url).await?),
        }
    }
    Ok(Ready {
        doors,
        credential,
        secrets,
    })
}

fn each_address(target: &Target) -> bool {
    matches!(&target.endpoint, Endpoint::Alertmanager(spec) if spec.every_address)
}

/// A door for each address that the host of a URL has now.
async fn doors_of(
    post: &Post,
    target: &Target,
    made: &Made,
    url: Secret,
) -> Result<Vec<Door>, DeliveryClass> {
    if post.egress.is_proxied(&url) {
        return Err(DeliveryClass::Config(
            "everyAddress needs a direct way, for behind the proxy addresses are not known here: add the host to --receiver-no-proxy, or list the members in urls",
        ));
    }
    let filter = filter(post, target)?;
    let found = address::every_address(&url, &filter, &SystemLookup);
    let found = tokio::time::timeout(LOOKUP, found).await;
    let pins = match found.unwrap_or(Err(Nowhere::Unresolved)) {
        Ok(addresses) => addresses.into_iter().map(Some).collect(),
        // The client says what is wrong with it.
        Err(Nowhere::Url) => vec![None],
        Err(Nowhere::Unresolved) => return Err(DeliveryClass::Transient),
        Err(Nowhere::Refused(_)) => return Err(DeliveryClass::Blocked),
    };
    let door = |pin| {
        Ok(Door {
            client: client(post, target, made, pin)?,
            url: url.clone(),
        })
    };
    pins.into_iter().map(door).collect()
}

/// Where Alertmanager takes alerts, below the address people know it by.
fn alerts_api(url: Secret) -> Secret {
    match url.expose_text() {
        Some(text) if !text.ends_with("/api/v2/alerts") => {
            Secret::from(format!("{}/api/v2/alerts", text.trim_end_matches('/')))
        }
        _ => url,
    }
}

fn credential(target: &Target, value: Secret) -> Result<Credential, DeliveryClass> {
    Ok(match &target.endpoint {
        Endpoint::Dingtalk(_) => Credential::Dingtalk(value),
        Endpoint::Feishu(_) => Credential::Feishu(value),
        Endpoint::Pagerduty(_) => Credential::RoutingKey(value),
        Endpoint::Webhook(_)
        | Endpoint::Alertmanager(_)
        | Endpoint::Slack(_)
        | Endpoint::Teams(_)
        | Endpoint::Wecom(_) => {
            let parsed = SigningSecrets::parse(&value);
            Credential::Signing(parsed.map_err(|error| refused(target, &error, error.detail()))?)
        }
    })
}

/// A condition cannot say which Secret is missing, so the log does.
async fn read(
    post: &Post,
    target: &Target,
    at: &SecretKeyRef,
    fresh: bool,
    secrets: &mut Vec<Secret>,
) -> Result<Secret, DeliveryClass> {
    let value = post.secrets.read(&at.name, &at.key, fresh).await;
    let value = value.ok_or_else(|| {
        tracing::warn!(
            receiver = target.name,
            secret = at.name,
            key = at.key,
            "a Secret or key that the receiver names cannot be read in the operator's namespace: create it"
        );
        DeliveryClass::SecretMissing
    })?;
    secrets.push(value.clone());
    Ok(value)
}

/// A receiver that cannot be used as it is set up: what is wrong and what to do becomes its
/// condition, and where exactly a line in the log. Neither holds a value.
fn refused(target: &Target, error: &impl Display, detail: &'static str) -> DeliveryClass {
    tracing::warn!(receiver = target.name, reason = %error, "receiver cannot be used");
    DeliveryClass::Config(detail)
}

/// The receiver's client; a new one when anything it was made from changed, because
/// pooled connections were checked against the old.
fn client(
    post: &Post,
    target: &Target,
    made: &Made,
    pin: Option<IpAddr>,
) -> Result<Client, DeliveryClass> {
    let key = match pin {
        None => target.uid.clone(),
        Some(address) => format!("{}@{address}", target.uid),
    };
    let now = (post.clock)().mono;
    let mut clients = post
        .clients
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(cached) = clients.get_mut(&key)
        && cached.target == *target
        && cached.made == *made
    {
        cached.used = now;
        return Ok(cached.client.clone());
    }
    let lookup: Arc<dyn Lookup> = match pin {
        None => Arc::new(SystemLookup),
        Some(address) => Arc::new(Pinned(address)),
    };
    let config = ClientConfig {
        filter: filter(post, target)?,
        lookup,
        headers: extra_headers(target, &made.headers)?,
        ca_pem: made.ca.clone(),
        client_certificate: made.certificate.clone(),
        egress: Arc::clone(&post.egress),
        kind: target.endpoint.kind(),
        content_type: kinds::content_type(&target.endpoint),
        ..ClientConfig::default()
    };
    let client = Client::new(config).map_err(|error| match Needs::of(&target.endpoint) {
        // A condition cannot say which Secret it is, so the log does.
        Needs {
            certificate: Some(secret),
            ..
        } if error.is_about_client_certificate() => {
            let which = format!("Secret {}: {error}", secret.name);
            refused(target, &which, error.detail())
        }
        _ => refused(target, &error, error.detail()),
    })?;
    let cached = Cached {
        target: target.clone(),
        made: made.clone(),
        client: client.clone(),
        used: now,
    };
    clients.retain(|_, cached| now.since(cached.used) < KEPT.as_millis());
    clients.insert(key, cached);
    Ok(client)
}

/// Where a receiver's messages may go.
fn filter(post: &Post, target: &Target) -> Result<Filter, DeliveryClass> {
    let allow =
        Allow::parse(&target.allow).map_err(|error| refused(target, &error, AllowError::DETAIL))?;
    let denied = post.denied.iter().copied();
    Ok(Filter::new(post.allow_loopback, denied, Some(allow)))
}

fn extra_headers(
    target: &Target,
    headers: &[(String, Secret)],
) -> Result<ExtraHeaders, DeliveryClass> {
    let bad = |error: HeaderError| refused(target, &error, error.detail());
    let is_authorization = |name: &str| name.eq_ignore_ascii_case("authorization");
    let plain = headers
        .iter()
        .filter(|(name, _)| !is_authorization(name))
        .map(|(name, value)| (name.as_str(), value));
    let mut extra = ExtraHeaders::parse(plain).map_err(bad)?;
    if let Some((_, value)) = headers.iter().find(|(name, _)| is_authorization(name)) {
        extra = extra.with_authorization(value).map_err(bad)?;
    }
    Ok(extra)
}

#[cfg(test)]
impl Clients {
    /// Makes a client one that was not used for long.
    pub(super) fn age(&self, uid: &str) {
        let mut clients = self.0.lock().unwrap();
        let cached = clients.get_mut(uid).unwrap();
        cached.used = Mono(cached.used.0.saturating_sub(KEPT.as_millis()));
    }

    /// Whose clients are kept.
    pub(super) fn uids(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}
