//! One question at a time, and of those that wait only the newest: it asks for whatever is
//! still wanted, so a slow server never has older questions piling up in front of it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// The turns of one sort of question.
#[derive(Default)]
pub(super) struct Turns {
    newest: AtomicU64,
    turn: Mutex<()>,
}

impl Turns {
    /// The number of a question; call it in the order of asking.
    pub(super) fn number(&self) -> u64 {
        self.newest.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits for the turn of question `number`; `None` when a newer one was asked meanwhile.
    pub(super) async fn take(&self, number: u64) -> Option<MutexGuard<'_, ()>> {
        let turn = self.turn.lock().await;
        (self.newest.load(Ordering::Relaxed) == number).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_is_asked_at_a_time_and_only_the_newest_waits() {
        let turns = Turns::default();
        let first = turns.take(turns.number()).await;
        assert!(first.is_some());
        let (second, third) = (turns.number(), turns.number());
        let waiting = tokio::join!(
            async {
                tokio::task::yield_now().await;
                assert!(turns.turn.try_lock().is_err(), "two at once");
                drop(first);
            },
            async { turns.take(second).await.is_some() },
            async { turns.take(third).await.is_some() },
        );
        assert_eq!(waiting, ((), false, true));
    }
}
