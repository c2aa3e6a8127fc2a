//! One try to send one part: to every address of its receiver, to a few at the same time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use patrol_api::receiver::EndpointKind;
use patrol_api::time::Span;
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::Target;
use patrol_core::event::{DeliveryClass, Term};
use patrol_notify::render::Part;
use patrol_notify::{Class, Outcome, Request, address};
use tokio::sync::Semaphore;

use super::credentials::Credentials;
use super::delivery::Post;
use super::ready::{self, Door, Ready};

/// A request may take this long, and no longer than the lease certainly lasts.
const REQUEST: Duration = Duration::from_secs(15);

/// An answer is waited for by so much less than the time there is: what ends it then is its own clock, which says what was missing.
const SLACK: Duration = Duration::from_millis(100);

/// Addresses that are posted to at the same time. There may be very many, and sockets are not only ours.
const AT_ONCE: usize = 4;

/// How the sending of one part went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What follows.
    pub class: DeliveryClass,
    /// What was seen of it, where a request was made.
    pub outcome: Option<Outcome>,
    /// The same for each address, where it went to several.
    pub members: Vec<Outcome>,
}

impl Tried {
    const fn unsent(class: DeliveryClass) -> Self {
        Self {
            class,
            outcome: None,
            members: vec![],
        }
    }
}

/// What a delivery is made ready with: once for all of its parts, and anew when a Secret is another one meanwhile.
#[derive(Default)]
pub(super) struct Provision {
    /// As they were last read.
    pub credentials: Option<Credentials>,
    ready: Option<Ready>,
    /// In which it was asked for.
    term: Option<Term>,
}

impl Provision {
    pub fn asked_in(term: Option<Term>) -> Self {
        Self {
            term,
            ..Self::default()
        }
    }

    /// Takes these credentials; whether they are others than before.
    pub fn renew(&mut self, fresh: Credentials) -> bool {
        if self.credentials.as_ref() == Some(&fresh) {
            return false;
        }
        self.credentials = Some(fresh);
        self.ready = None;
        true
    }

    async fn ready(&mut self, post: &Post, target: &Target) -> Result<&Ready, DeliveryClass> {
        if self.credentials.is_none() {
            self.credentials = Some(Credentials::read(post, target, false).await);
        }
        match &mut self.ready {
            Some(ready) => Ok(ready),
            empty => {
                let credentials = self.credentials.get_or_insert_default();
                Ok(empty.insert(ready::prepare(post, target, credentials).await?))
            }
        }
    }
}

pub(super) async fn attempt(
    post: &Post,
    target: &Target,
    part: &Part,
    provision: &mut Provision,
) -> Tried {
    let term = provision.term;
    let may_send = || post.fence.may_send().filter(|_| post.fence.is_in(term));
    if may_send().is_none() {
        return Tried::unsent(DeliveryClass::NotLeader);
    }
    let ready = match provision.ready(post, target).await {
        Ok(ready) => ready,
        Err(class) => return Tried::unsent(class),
    };
    // Reading secrets took time: ask again right before the request leaves. The clock is read first, so that none is sent later.
    let asked = (post.clock)().mono;
    let Some(most) = may_send() else {
        return Tried::unsent(DeliveryClass::NotLeader);
    };
    let begun = tokio::time::Instant::now();
    let within = most.min(REQUEST);
    let end = asked.plus(Span::millis(
        u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
    ));
    let share = share(within, ready.doors.len()).saturating_sub(SLACK);
    let turns = Semaphore::new(AT_ONCE);
    let posts = ready.doors.iter().map(|door| async {
        // It is never closed.
        let _turn = turns.acquire().await;
        let posted = post_to(post, target, ready, door, part, share);
        let leads = || post.fence.leads() && post.fence.is_in(term);
        while_leading(post.clock, end, leads, posted)
            .await
            .unwrap_or_else(|| outlasted(door))
    });
    let outcomes = futures::future::join_all(posts).await;
    post.requests.took(&target.name, begun.elapsed());
    if target.endpoint.kind() == EndpointKind::Alertmanager {
        post.requests
            .answered(&target.name, outcomes.iter().map(accepts).collect());
    }
    let Some(outcome) = deciding(&outcomes).cloned() else {
        let nowhere = DeliveryClass::Config("no address is given: set one");
        return Tried::unsent(nowhere);
    };
    Tried {
        class: outcome.delivery_class(),
        outcome: Some(outcome),
        members: if outcomes.len() > 1 { outcomes } else { vec![] },
    }
}

/// The time that each of so many addresses has: those which hang must take none from the others, and all together end
/// within the whole.
fn share(whole: Duration, addresses: usize) -> Duration {
    let rounds = addresses.div_ceil(AT_ONCE).max(1);
    whole / u32::try_from(rounds).unwrap_or(u32::MAX)
}

fn accepts(outcome: &Outcome) -> bool {
    outcome.delivery_class() == DeliveryClass::Accepted
}

/// One that accepts is enough. If none does, the one that may have taken it all the same counts: nobody may believe that
/// nothing has arrived. Else the first.
fn deciding(outcomes: &[Outcome]) -> Option<&Outcome> {
    let unclear = |outcome: &&Outcome| outcome.delivery_class() == DeliveryClass::Transient;
    let accepted = outcomes.iter().find(|outcome| accepts(outcome));
    accepted
        .or_else(|| outcomes.iter().find(unclear))
        .or(outcomes.first())
}

async fn post_to(
    post: &Post,
    target: &Target,
    ready: &Ready,
    door: &Door,
    part: &Part,
    within: Duration,
) -> Outcome {
    let request = Request {
        url: door.url.clone(),
        webhook_id: part.webhook_id.clone(),
        timestamp: (post.clock)().wall.unix(),
        body: part.body.clone().into(),
        credential: ready.credential.clone(),
    };
    let outcome = door.client.post_within(request, within).await;
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
    outcome
}

/// Goes on with a request until its time is over, or this process leads no more. The timers of a process that was paused or
/// suspended fire only some time after it woke, and a request that still waited for its connection or its turn would go out
/// before: when another one leads, and may have told the end already.
async fn while_leading<T>(
    clock: fn() -> Now,
    end: Mono,
    leads: impl Fn() -> bool,
    request: impl Future<Output = T>,
) -> Option<T> {
    let mut request = pin!(request);
    poll_fn(|context| match clock().mono <= end && leads() {
        true => request.as_mut().poll(context).map(Some),
        false => Poll::Ready(None),
    })
    .await
}

/// What is known of a request that was given up so: it may have been taken.
fn outlasted(door: &Door) -> Outcome {
    let url = address::Target::parse(&door.url);
    Outcome {
        class: Class::Transient,
        status: None,
        detail: "this process stood still, or leads no more",
        host: url.map_or_else(|_| String::new(), |url| url.host().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use patrol_api::time::Time;
    use patrol_notify::Class::{Accepted, Blocked, Config, Payload, Transient};
    use tokio::sync::oneshot;

    use super::*;

    /// Boot time in milliseconds, as the test sets it.
    static BOOT: AtomicU64 = AtomicU64::new(0);

    fn clock() -> Now {
        Now {
            wall: Time::from_unix(0),
            mono: Mono(BOOT.load(Ordering::SeqCst)),
        }
    }

    #[tokio::test]
    async fn f3_what_waited_for_its_connection_while_the_process_stood_still_is_not_sent() {
        let cases = [(300, true, Some(())), (301, true, None), (1, false, None)];
        for (stood_still, leads, sent) in cases {
            BOOT.store(0, Ordering::SeqCst);
            let (connected, connection) = oneshot::channel::<()>();
            let request = async { connection.await.unwrap() };
            let still = || BOOT.load(Ordering::SeqCst) == 0 || leads;
            let sending = while_leading(clock, Mono(300), still, request);
            let mut sending = pin!(sending);
            assert!(futures::poll!(sending.as_mut()).is_pending());
            BOOT.store(stood_still, Ordering::SeqCst);
            connected.send(()).unwrap();
            assert_eq!(sending.await, sent, "{stood_still} {leads}");
        }
    }

    fn outcome(class: Class, host: &str) -> Outcome {
        Outcome {
            class,
            status: None,
            detail: "",
            host: host.into(),
        }
    }

    #[test]
    fn those_that_come_later_have_as_much_time_and_all_end_within_the_whole() {
        let whole = Duration::from_secs(15);
        for (addresses, rounds) in [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (16, 4), (128, 32)] {
            assert_eq!(share(whole, addresses) * rounds, whole, "{addresses}");
        }
    }

    #[test]
    fn who_may_have_taken_it_counts_before_who_refused_and_who_took_it_before_all() {
        let first = |classes: &[Class]| {
            let names = ["a", "b", "c"];
            let all: Vec<Outcome> = classes
                .iter()
                .zip(names)
                .map(|(class, name)| outcome(*class, name))
                .collect();
            deciding(&all).map(|outcome| outcome.host.clone())
        };
        for (classes, host) in [
            (&[Config, Transient, Accepted][..], Some("c")),
            (&[Config, Blocked, Transient], Some("c")),
            (&[Payload, Transient, Transient], Some("b")),
            (&[Payload, Config], Some("a")),
            (&[Blocked], Some("a")),
            (&[], None),
        ] {
            assert_eq!(first(classes).as_deref(), host, "{classes:?}");
        }
    }
}
