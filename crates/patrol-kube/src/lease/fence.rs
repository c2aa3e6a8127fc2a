//! The certainty of leading, as far as a clock can give it.
//!
//! Everyone who writes or sends asks here first. It only looks at the boot-time clock, so
//! a process that was paused or suspended knows at once that it may have been replaced.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use patrol_core::event::Term;

use crate::boot_clock;

/// Whether this process certainly leads. Cloning is cheap; all clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    lead: Arc<Lead>,
    /// Only what was asked in this term may pass; `None`: whatever was asked.
    only: Option<Option<Term>>,
}

#[derive(Debug, Default)]
struct Lead {
    /// Milliseconds of boot time until which the lease cannot have expired; 0: not leading.
    valid_until: AtomicU64,
    /// How often this process gained leadership.
    terms: AtomicU64,
}

impl Fence {
    /// A fence that is down: not leading.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A fence of a process that has no rivals (local mode, one-shot commands).
    #[must_use]
    pub fn always() -> Self {
        let fence = Self::new();
        fence.raise(Duration::MAX);
        fence
    }

    /// The fence for what was asked in this term, or by a process that stood by. Somebody else may have led, and told an end,
    /// since any other term: what still waits from then never begins.
    #[must_use]
    pub fn within(&self, term: Option<Term>) -> Self {
        Self {
            lead: Arc::clone(&self.lead),
            only: Some(term),
        }
    }

    /// Whether this process leads now and certainly still will after `span`: what it
    /// begins now and ends within that time is done as leader.
    #[must_use]
    pub fn certainly_leads(&self, span: Duration) -> bool {
        self.remaining().is_some_and(|left| left > span)
    }

    /// How long this process certainly leads from now on; `None` when it does not.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let until = self.lead.valid_until.load(Ordering::Acquire);
        let left = until.checked_sub(boot_clock::mono().0)?;
        // Read after the time: a term is counted before it is valid.
        let term = Term(self.lead.terms.load(Ordering::Acquire));
        if self.only.is_some_and(|only| only != Some(term)) {
            return None;
        }
        (left > 0).then_some(Duration::from_millis(left))
    }

    /// Goes on with a call only while this process certainly leads. A call may have to wait for a connection before anything of it
    /// is sent: one that was begun as leader must not go out after the lease. `None`: this process leads no more; what was sent
    /// of the call by then may have been done.
    pub(crate) async fn while_leading<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut call = pin!(call);
        poll_fn(|context| match self.remaining() {
            Some(_) => call.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        })
        .await
    }

    /// Leads until this much boot time; in a new term, unless it certainly did until now.
    pub(super) fn raise(&self, until: Duration) -> Term {
        let millis = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        if self.lead.valid_until.load(Ordering::Acquire) <= boot_clock::mono().0 {
            self.lead.terms.fetch_add(1, Ordering::AcqRel);
        }
        self.lead.valid_until.store(millis, Ordering::Release);
        Term(self.lead.terms.load(Ordering::Acquire))
    }

    /// Leads no more.
    pub(super) fn lower(&self) {
        self.lead.valid_until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_only_for_what_surely_ends_in_time() {
        let fence = Fence::new();
        assert!(!fence.certainly_leads(Duration::ZERO));
        let other = fence.clone();
        fence.raise(boot_clock::boot() + Duration::from_secs(60));
        assert!(other.certainly_leads(Duration::from_secs(30)));
        assert!(!other.certainly_leads(Duration::from_secs(60)));
        fence.raise(boot_clock::boot().saturating_sub(Duration::from_millis(5)));
        assert_eq!(other.remaining(), None, "an expired lease");
        fence.raise(boot_clock::boot() + Duration::from_secs(60));
        fence.lower();
        assert!(!other.certainly_leads(Duration::ZERO));
        assert!(Fence::always().certainly_leads(Duration::from_secs(1_000_000)));
    }

    #[test]
    fn f2_what_was_asked_in_one_term_does_not_pass_in_the_next() {
        let fence = Fence::new();
        let soon = || boot_clock::boot() + Duration::from_secs(60);
        let first = fence.raise(soon());
        assert_eq!(fence.raise(soon()), first, "a renewal");
        let (of_first, of_nobody) = (fence.within(Some(first)), fence.within(None));
        assert!(of_first.remaining().is_some());
        assert_eq!(of_nobody.remaining(), None);
        fence.lower();
        let second = fence.raise(soon());
        assert_ne!(first, second);
        assert_eq!(of_first.remaining(), None);
        assert!(fence.within(Some(second)).remaining().is_some());
        assert!(fence.remaining().is_some());
    }

    #[tokio::test]
    async fn f3_a_call_that_waited_for_its_connection_is_not_sent_once_the_lease_is_over() {
        for (left, sent) in [(60, Some(())), (0, None)] {
            let fence = Fence::new();
            fence.raise(boot_clock::boot() + Duration::from_secs(60));
            let (connected, connection) = tokio::sync::oneshot::channel::<()>();
            let (call, held) = (async { connection.await.unwrap() }, fence.clone());
            let calling = tokio::spawn(async move { held.while_leading(call).await });
            tokio::task::yield_now().await;
            fence.raise(boot_clock::boot() + Duration::from_secs(left));
            connected.send(()).unwrap();
            assert_eq!(calling.await.unwrap(), sent, "{left} s left");
        }
    }
}
