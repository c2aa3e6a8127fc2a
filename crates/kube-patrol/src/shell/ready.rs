//! What a delivery needs before it can send: the receiver's addresses and credentials in the form in which they are used, and
//! its HTTP client. Never shows a value.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patrol_api::receiver::{Endpoint, SecretKeyRef};
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

use super::credentials::{Credentials, Needs};
use super::delivery::Post;

/// A client that was not used for so long is forgotten: its receiver may be gone.
const KEPT: Span = Span::hours(1);
/// The addresses of a host are waited for so long.
const LOOKUP: Duration = Duration::from_secs(3);

/// The clients of all receivers, by UID.
#[derive(Default)]
pub(super) struct Clients {
    all: Mutex<HashMap<String, Cached>>,
    /// Which receiver was last said to have too many addresses, and when.
    crowded: Mutex<HashMap<String, Mono>>,
}

impl Clients {
    /// Whether it is to be said: once in a while, and not with each message.
    fn is_news(&self, uid: &str, now: Mono) -> bool {
        let mut crowded = self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        crowded.retain(|_, said| now.since(*said) < KEPT.as_millis());
        let is_news = !crowded.contains_key(uid);
        if is_news {
            crowded.insert(uid.to_owned(), now);
        }
        is_news
    }
}

/// A receiver's client, with what it was made from.
struct Cached {
    target: Target,
    made: Made,
    client: Client,
    used: Mono,
}

/// The secrets a client is made from, and the addresses that are barred to it.
#[derive(Clone, PartialEq, Eq)]
struct Made {
    ca: Option<Secret>,
    certificate: Option<ClientCertificate>,
    headers: Vec<(String, Secret)>,
    denied: Arc<[IpAddr]>,
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
}

/// Makes everything ready that a delivery needs.
pub(super) async fn prepare(
    post: &Post,
    target: &Target,
    credentials: &Credentials,
) -> Result<Ready, DeliveryClass> {
    let needs = Needs::of(&target.endpoint);
    let read = |at: &SecretKeyRef| credentials.get(target, at);
    let mut urls: Vec<Secret> = needs.urls.iter().map(|url| Secret::from(*url)).collect();
    if let Some(from) = needs.url_from
        && urls.is_empty()
    {
        urls.push(read(&from.secret_key_ref)?);
    }
    if urls.is_empty() {
        return Err(DeliveryClass::Config("no url is given: set url or urlFrom"));
    }
    if matches!(target.endpoint, Endpoint::Alertmanager(_)) {
        urls = urls.into_iter().map(alerts_api).collect();
    }
    let credential = match needs.credential {
        None => None,
        Some(at) => Some(credential(target, read(at)?)?),
    };
    let ca = match needs.ca {
        None => None,
        Some(at) => Some(read(at)?),
    };
    let certificate = match needs.certificate {
        None => None,
        Some(at) => Some(ClientCertificate {
            chain: read(&at.certificate())?,
            key: read(&at.private_key())?,
        }),
    };
    let mut headers = vec![];
    for header in needs.headers {
        headers.push((header.name.clone(), read(&header.secret_key_ref)?));
    }
    let made = Made {
        ca,
        certificate,
        headers,
        denied: post.denied.now(),
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
    Ok(Ready { doors, credential })
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
    let filter = filter(post, target, made)?;
    let found = address::every_address(&url, &filter, &SystemLookup);
    let found = tokio::time::timeout(LOOKUP, found).await;
    let pins = match found.unwrap_or(Err(Nowhere::Unresolved)) {
        Ok(every) => {
            if every.left_out > 0 && post.clients.is_news(&target.uid, (post.clock)().mono) {
                tracing::warn!(
                    receiver = target.name,
                    left_out = every.left_out,
                    "the host of the receiver has more addresses than the 16 that are told: name fewer members in urls"
                );
            }
            every.addresses.into_iter().map(Some).collect()
        }
        // The client says what is wrong with it.
        Err(Nowhere::Url) => vec![None],
        Err(Nowhere::Unresolved) => return Err(DeliveryClass::Unreached(patrol_notify::NO_NAME)),
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
        .all
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
        filter: filter(post, target, made)?,
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
fn filter(post: &Post, target: &Target, made: &Made) -> Result<Filter, DeliveryClass> {
    let allow =
        Allow::parse(&target.allow).map_err(|error| refused(target, &error, AllowError::DETAIL))?;
    let denied = made.denied.iter().copied();
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
        let mut clients = self.all.lock().unwrap();
        let cached = clients.get_mut(uid).unwrap();
        cached.used = Mono(cached.used.0.saturating_sub(KEPT.as_millis()));
    }

    /// Whose clients are kept.
    pub(super) fn uids(&self) -> Vec<String> {
        self.all.lock().unwrap().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_addresses_are_said_once_an_hour() {
        let clients = Clients::default();
        let at = |minutes: u64| Mono(Span::minutes(minutes).as_millis());
        assert!(clients.is_news("a", at(0)));
        assert!(!clients.is_news("a", at(1)));
        assert!(clients.is_news("b", at(1)));
        assert!(!clients.is_news("a", at(59)));
        assert!(clients.is_news("a", at(60)));
        assert!(!clients.is_news("a", at(61)));
    }
}
