//! Deliveries: one HTTP client, and so one pool, per receiver; one task per delivery.
//!
//! Nothing is shared between receivers that a slow one could exhaust. Before each part the
//! fence is asked whether this process may still send. A part that is not accepted ends
//! the delivery: what it and later parts tell stays due.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patrol_api::receiver::SecretKeyRef;
use patrol_api::time::Span;
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::Target;
use patrol_core::event::{DeliveryClass, DeliveryId, Event, PartOutcome};
use patrol_core::notice::Notice;
use patrol_notify::address::{Allow, AllowError, Filter};
use patrol_notify::headers::{ExtraHeaders, HeaderError};
use patrol_notify::render::{Limits, Part};
use patrol_notify::{Client, ClientConfig, Kind, Request, Secret, SigningSecrets};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::Answers;
use super::secrets::SecretSource;
use super::timings::Timings;

/// A request may take this long, and no longer than the lease certainly lasts.
const REQUEST: Duration = Duration::from_secs(15);
/// A client that was not used for so long is forgotten: its receiver may be gone.
const KEPT: Span = Span::hours(1);
/// Notices that wait to be printed. A terminal or pipe that takes nothing holds up no more.
const PRINTS: usize = 64;

/// Whether this process may send now.
pub trait Fence: Send + Sync + 'static {
    /// For how long the answer to a request that is sent now may be waited for, because
    /// this process certainly leads until then; `None`: nothing may be sent.
    fn may_send(&self) -> Option<Duration>;
}

/// What all deliveries share.
pub struct Post {
    /// Credentials.
    pub secrets: Arc<dyn SecretSource>,
    /// Leadership.
    pub fence: Arc<dyn Fence>,
    /// Whether receivers on loopback are allowed.
    pub allow_loopback: bool,
    /// Addresses never sent to (the API server's, our own).
    pub denied: Vec<IpAddr>,
    /// Time.
    pub clock: fn() -> Now,
    printer: Option<(&'static str, Print)>,
    clients: Mutex<HashMap<String, Cached>>,
    timings: Timings,
}

/// Shows a notice to whoever sits at this process.
pub type Print = fn(&Notice) -> std::io::Result<()>;

impl Post {
    /// Deliveries without any client yet.
    pub fn new(
        secrets: Arc<dyn SecretSource>,
        fence: Arc<dyn Fence>,
        allow_loopback: bool,
        denied: Vec<IpAddr>,
        clock: fn() -> Now,
        timings: Timings,
    ) -> Self {
        Self {
            timings,
            secrets,
            fence,
            allow_loopback,
            denied,
            clock,
            printer: None,
            clients: Mutex::new(HashMap::new()),
        }
    }

    fn prints(&self, target: &Target) -> bool {
        self.printer
            .is_some_and(|(receiver, _)| receiver == target.name)
    }

    fn print(&self, notice: &Notice) -> Vec<PartOutcome> {
        let printed = self.printer.map(|(_, print)| print(notice));
        self.whole(
            notice,
            match printed {
                Some(Ok(())) => DeliveryClass::Accepted,
                _ => DeliveryClass::Transient,
            },
        )
    }

    fn whole(&self, notice: &Notice, class: DeliveryClass) -> Vec<PartOutcome> {
        vec![PartOutcome {
            event_ids: notice.tickets.iter().map(|t| t.event_id.clone()).collect(),
            class,
            at: (self.clock)().wall,
        }]
    }

    /// Prints what is for the receiver of this name instead of sending it.
    #[must_use]
    pub fn with_printer(mut self, receiver: &'static str, print: Print) -> Self {
        self.printer = Some((receiver, print));
        self
    }
}

/// A receiver's client, with what it was made from.
struct Cached {
    target: Target,
    ca: Option<Secret>,
    headers: Vec<(String, Secret)>,
    client: Client,
    used: Mono,
}

/// Sends notices.
pub struct Courier {
    post: Arc<Post>,
    tasks: JoinSet<()>,
    /// Ends when what was last to be printed is printed.
    printed: Option<oneshot::Receiver<()>>,
    prints: Arc<Semaphore>,
    stopped: bool,
}

impl Courier {
    /// A courier.
    #[must_use]
    pub fn new(post: Post) -> Self {
        Self {
            post: Arc::new(post),
            tasks: JoinSet::new(),
            printed: None,
            prints: Arc::new(Semaphore::new(PRINTS)),
            stopped: false,
        }
    }

    /// Begins a delivery; its end is an event. Does nothing once it was stopped: what is
    /// not told stays due.
    pub fn send(&mut self, id: DeliveryId, target: Target, notice: Notice, answers: &Answers) {
        if self.stopped {
            return;
        }
        let post = Arc::clone(&self.post);
        let answers = answers.clone();
        if post.prints(&target) {
            let Ok(place) = Arc::clone(&self.prints).try_acquire_owned() else {
                let parts = post.whole(&notice, DeliveryClass::Transient);
                let _ = answers.send(Event::Delivered(id, parts));
                return;
            };
            // People read in the order in which it was sent: the most severe first.
            let (done, next) = oneshot::channel::<()>();
            let before = self.printed.replace(next);
            self.tasks.spawn(async move {
                if let Some(before) = before {
                    // Its sender is dropped when it is done, and that is all there is to know.
                    let _ = before.await;
                }
                // On a thread that may block for as long as nobody reads.
                let printing = tokio::task::spawn_blocking(move || {
                    let parts = post.print(&notice);
                    drop((done, place));
                    parts
                });
                if let Ok(parts) = printing.await {
                    let _ = answers.send(Event::Delivered(id, parts));
                }
            });
            return;
        }
        self.tasks.spawn(async move {
            let parts = deliver(&post, &target, &notice).await;
            // The loop that asked may be gone: then nobody records, and it is due again.
            let _ = answers.send(Event::Delivered(id, parts));
        });
    }

    /// Forgets finished tasks.
    pub fn reap(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether nothing is begun any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Begins nothing any more and lets deliveries under way end, for at most `patience`.
    pub async fn stop(&mut self, patience: Duration) {
        self.stopped = true;
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

/// Everything one delivery needs, resolved.
struct Ready {
    client: Client,
    url: Secret,
    signing: Option<SigningSecrets>,
    /// The values it was made from.
    secrets: Vec<Secret>,
}

async fn deliver(post: &Post, target: &Target, notice: &Notice) -> Vec<PartOutcome> {
    let limits = Limits {
        minimal: target.minimal,
        ..Limits::default()
    };
    let parts = Kind::Webhook.render(notice, &limits);
    let mut outcomes = vec![];
    let mut ready = None;
    let mut may_reread = uses_secrets(target);
    for part in parts {
        let mut class = attempt(post, target, &part, &mut ready).await;
        if matches!(class, DeliveryClass::Config(_)) && std::mem::take(&mut may_reread) {
            // A rotated secret looks like a wrong one: read again before believing it.
            match prepare(post, target, true).await {
                Err(why) => class = why,
                Ok(fresh) => {
                    let changed = |before: Ready| before.secrets != fresh.secrets;
                    if ready.take().is_none_or(changed) {
                        ready = Some(fresh);
                        class = attempt(post, target, &part, &mut ready).await;
                    }
                }
            }
        }
        outcomes.push(PartOutcome {
            event_ids: part.event_ids,
            class,
            at: (post.clock)().wall,
        });
        if class != DeliveryClass::Accepted {
            break;
        }
    }
    outcomes
}

async fn attempt(
    post: &Post,
    target: &Target,
    part: &Part,
    ready: &mut Option<Ready>,
) -> DeliveryClass {
    if post.fence.may_send().is_none() {
        return DeliveryClass::NotLeader;
    }
    let ready = match ready {
        Some(ready) => ready,
        None => match prepare(post, target, false).await {
            Ok(made) => ready.insert(made),
            Err(class) => return class,
        },
    };
    // Reading secrets took time: ask again right before the request leaves.
    let Some(most) = post.fence.may_send() else {
        return DeliveryClass::NotLeader;
    };
    let request = Request {
        url: ready.url.clone(),
        webhook_id: part.webhook_id.clone(),
        timestamp: (post.clock)().wall.unix(),
        body: part.body.clone().into(),
        signing: ready.signing.clone(),
    };
    let begun = tokio::time::Instant::now();
    let outcome = ready.client.post_within(request, most.min(REQUEST)).await;
    post.timings.add(&target.name, begun.elapsed());
    tracing::debug!(
        receiver = target.name,
        host = outcome.host,
        status = outcome.status,
        class = outcome.delivery_class().as_str(),
        "notice sent"
    );
    if outcome.delivery_class() != DeliveryClass::Accepted {
        tracing::warn!(
            receiver = target.name,
            host = outcome.host,
            status = outcome.status,
            class = outcome.delivery_class().as_str(),
            reason = outcome.detail,
            "receiver did not accept"
        );
    }
    outcome.delivery_class()
}

fn uses_secrets(target: &Target) -> bool {
    let webhook = &target.webhook;
    webhook.url_from.is_some()
        || webhook.signing_secret_ref.is_some()
        || webhook.ca_secret_ref.is_some()
        || !webhook.headers_from.is_empty()
}

async fn prepare(post: &Post, target: &Target, fresh: bool) -> Result<Ready, DeliveryClass> {
    let webhook = &target.webhook;
    let mut secrets = vec![];
    let url = match (&webhook.url, &webhook.url_from) {
        (Some(url), _) => Secret::new(url.clone()),
        (None, Some(from)) => read(post, &from.secret_key_ref, fresh, &mut secrets).await?,
        (None, None) => return Err(DeliveryClass::Config("no url is given: set url or urlFrom")),
    };
    let signing = match &webhook.signing_secret_ref {
        None => None,
        Some(at) => {
            let value = read(post, at, fresh, &mut secrets).await?;
            let parsed = SigningSecrets::parse(&value);
            Some(parsed.map_err(|error| refused(target, &error, error.detail()))?)
        }
    };
    let ca = match &webhook.ca_secret_ref {
        None => None,
        Some(at) => Some(read(post, at, fresh, &mut secrets).await?),
    };
    let mut headers = vec![];
    for header in &webhook.headers_from {
        let value = read(post, &header.secret_key_ref, fresh, &mut secrets).await?;
        headers.push((header.name.clone(), value));
    }
    let client = client(post, target, ca, headers)?;
    Ok(Ready {
        client,
        url,
        signing,
        secrets,
    })
}

async fn read(
    post: &Post,
    at: &SecretKeyRef,
    fresh: bool,
    secrets: &mut Vec<Secret>,
) -> Result<Secret, DeliveryClass> {
    let value = post.secrets.read(&at.name, &at.key, fresh).await;
    let value = value.ok_or(DeliveryClass::SecretMissing)?;
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
    ca: Option<Secret>,
    headers: Vec<(String, Secret)>,
) -> Result<Client, DeliveryClass> {
    let now = (post.clock)().mono;
    let mut clients = post.clients.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cached) = clients.get_mut(&target.uid)
        && cached.target == *target
        && same_secret(cached.ca.as_ref(), ca.as_ref())
        && same_headers(&cached.headers, &headers)
    {
        cached.used = now;
        return Ok(cached.client.clone());
    }
    let allow =
        Allow::parse(&target.allow).map_err(|error| refused(target, &error, AllowError::DETAIL))?;
    let config = ClientConfig {
        filter: Filter::new(
            post.allow_loopback,
            post.denied.iter().copied(),
            Some(allow),
        ),
        headers: extra_headers(target, &headers)?,
        ca_pem: ca.clone(),
        ..ClientConfig::default()
    };
    let client = Client::new(config).map_err(|error| refused(target, &error, error.detail()))?;
    let cached = Cached {
        target: target.clone(),
        ca,
        headers,
        client: client.clone(),
        used: now,
    };
    clients.retain(|_, cached| now.since(cached.used) < KEPT.as_millis());
    clients.insert(target.uid.clone(), cached);
    Ok(client)
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

fn same_secret(a: Option<&Secret>, b: Option<&Secret>) -> bool {
    a.map(Secret::expose) == b.map(Secret::expose)
}

fn same_headers(a: &[(String, Secret)], b: &[(String, Secret)]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((an, av), (bn, bv))| an == bn && av.expose() == bv.expose())
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
