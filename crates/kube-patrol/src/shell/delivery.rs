//! Deliveries: one HTTP client, and so one pool, per receiver; one task per delivery.
//!
//! Nothing is shared between receivers that a slow one could exhaust. Before each part the
//! fence is asked whether this process may still send. A part that is not accepted ends
//! the delivery: what it and later parts tell stays due.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use patrol_api::receiver::{Endpoint, Locale, WebhookFormat};
use patrol_checks::chinese;
use patrol_core::clock::Now;
use patrol_core::effect::{Room, Target};
use patrol_core::event::{DeliveryClass, DeliveryId, Event, PartOutcome, Term};
use patrol_core::notice::Notice;
use patrol_notify::{Egress, Style, kinds};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::Answers;
use super::attempt::{Provision, attempt};
use super::credentials::Credentials;
use super::denied::Denied;
use super::ready::Clients;
use super::requests::Requests;
use super::rotation::{self, Rotations};
use super::secrets::SecretSource;

pub use super::attempt::Tried;

/// Notices that wait to be printed. A terminal or pipe that takes nothing holds up no more.
const PRINTS: usize = 64;

/// Whether this process may send now.
pub trait Fence: Send + Sync + 'static {
    /// For how long the answer to a request that is sent now may be waited for, because
    /// this process certainly leads until then; `None`: nothing may be sent.
    fn may_send(&self) -> Option<Duration>;

    /// Whether a request that was begun may go on.
    fn leads(&self) -> bool {
        self.may_send().is_some()
    }

    /// Whether this process leads in the term in which something was asked: somebody else may have led since any other, and
    /// have told the end already.
    fn is_in(&self, _term: Option<Term>) -> bool {
        true
    }
}

/// There is no one else: this process always may.
pub struct Alone;

impl Fence for Alone {
    fn may_send(&self) -> Option<Duration> {
        Some(Duration::MAX)
    }
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
    pub denied: Denied,
    /// Time.
    pub clock: fn() -> Now,
    /// The way out.
    pub(super) egress: Arc<Egress>,
    printer: Option<(&'static str, Print)>,
    pub(super) clients: Clients,
    pub(super) rotations: Rotations,
    pub(super) requests: Requests,
}

/// Shows a notice to whoever sits at this process.
pub type Print = fn(&Notice) -> std::io::Result<()>;

impl Post {
    /// Deliveries without any client yet.
    pub fn new(
        secrets: Arc<dyn SecretSource>,
        fence: Arc<dyn Fence>,
        allow_loopback: bool,
        denied: impl Into<Denied>,
        clock: fn() -> Now,
        requests: Requests,
    ) -> Self {
        Self {
            requests,
            secrets,
            fence,
            allow_loopback,
            denied: denied.into(),
            clock,
            egress: Arc::default(),
            printer: None,
            clients: Clients::default(),
            rotations: Rotations::default(),
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
            by_number: 0,
            class,
            at: (self.clock)().wall,
        }]
    }

    /// Reaches receivers this way and not directly.
    #[must_use]
    pub fn with_egress(mut self, egress: Arc<Egress>) -> Self {
        self.egress = egress;
        self
    }

    /// Prints what is for the receiver of this name instead of sending it.
    #[must_use]
    pub fn with_printer(mut self, receiver: &'static str, print: Print) -> Self {
        self.printer = Some((receiver, print));
        self
    }
}

/// Sends notices.
pub struct Courier {
    post: Arc<Post>,
    tasks: JoinSet<()>,
    /// Ends when what was last to be printed is printed.
    printed: Option<oneshot::Receiver<()>>,
    prints: Arc<Semaphore>,
    /// Looks for credentials that were changed. Nobody waits for its end.
    watch: JoinSet<()>,
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
            watch: JoinSet::new(),
            stopped: false,
        }
    }

    /// Begins a delivery; its end is an event. Does nothing once it was stopped: what is
    /// not told stays due.
    /// No more messages go than there is room for.
    pub fn send(
        &mut self,
        id: DeliveryId,
        term: Option<Term>,
        target: Target,
        notice: Notice,
        room: Room,
        answers: &Answers,
    ) {
        if self.stopped {
            return;
        }
        let post = Arc::clone(&self.post);
        let answers = answers.clone();
        if self.watch.is_empty() {
            let watching = rotation::watch(Arc::clone(&post), answers.clone());
            self.watch.spawn(watching);
        }
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
            let (parts, credentials) = deliver(&post, term, &target, &notice, room).await;
            let class = parts.last().map(|part| part.class);
            // The loop that asked may be gone: then nobody records, and it is due again.
            let _ = answers.send(Event::Delivered(id, parts));
            post.rotations
                .note(target, class, credentials, (post.clock)());
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
        self.watch.abort_all();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

/// Sends all parts that there is room for, and says what came of each, up to the first that was not accepted; and with which
/// credentials.
async fn deliver(
    post: &Post,
    term: Option<Term>,
    target: &Target,
    notice: &Notice,
    room: Room,
) -> (Vec<PartOutcome>, Option<Credentials>) {
    let parts = kinds::render(&target.endpoint, &spoken(target, notice), style(target));
    let mut outcomes = vec![];
    let mut provision = Provision::asked_in(term);
    let mut may_reread = true;
    for (at, part) in parts.into_iter().enumerate() {
        if at >= room.now.max(1) {
            match room.then {
                Some(wait) => tokio::time::sleep(Duration::from_millis(wait.as_millis())).await,
                // It is still due, and told when the receiver takes more.
                None => break,
            }
        }
        let mut class = attempt(post, target, &part, &mut provision).await.class;
        if matches!(class, DeliveryClass::Config(_)) && std::mem::take(&mut may_reread) {
            // A rotated secret looks like a wrong one: read again before believing it.
            let fresh = Credentials::read(post, target, true).await;
            if provision.renew(fresh) {
                class = attempt(post, target, &part, &mut provision).await.class;
            }
        }
        outcomes.push(PartOutcome {
            event_ids: part.event_ids,
            by_number: part.by_number,
            class,
            at: (post.clock)().wall,
        });
        if class != DeliveryClass::Accepted {
            break;
        }
    }
    (outcomes, provision.credentials)
}

/// Sends a notice that tells of no ticket once, and says how each part of it went, up to the
/// first that was not accepted.
pub async fn probe(post: &Post, target: &Target, notice: &Notice) -> Vec<Tried> {
    let mut all = vec![];
    let mut provision = Provision::default();
    for part in kinds::render(&target.endpoint, notice, style(target)) {
        let tried = attempt(post, target, &part, &mut provision).await;
        let goes_on = tried.class == DeliveryClass::Accepted;
        all.push(tried);
        if !goes_on {
            break;
        }
    }
    all
}

/// The notice in the receiver's language. Bodies that are made for programs stay as they are: whoever reads a ticket's
/// title there compares it.
fn spoken<'a>(target: &Target, notice: &'a Notice) -> Cow<'a, Notice> {
    let is_for_programs = matches!(
        &target.endpoint,
        Endpoint::Webhook(webhook) if webhook.format != WebhookFormat::AlertmanagerV4
    );
    match target.locale {
        Locale::ZhCn if !is_for_programs => Cow::Owned(chinese::notice(notice)),
        Locale::ZhCn | Locale::En => Cow::Borrowed(notice),
    }
}

const fn style(target: &Target) -> Style {
    Style {
        locale: target.locale,
        minimal: target.minimal,
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "mtls_tests.rs"]
mod mtls_tests;
