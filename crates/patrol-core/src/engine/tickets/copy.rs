//! The status of a ticket as it should be and as the server has it. At rest both are the same, and there is one copy of it: with
//! tens of thousands of tickets that is most of the memory they take.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use patrol_api::ticket::TicketStatus;

/// Reads as the status that should be; whoever writes to it gets a copy of his own first, if the server's is the same one.
#[derive(Debug, Default)]
pub(super) struct Status {
    wanted: Arc<TicketStatus>,
    stored: Option<Arc<TicketStatus>>,
}

impl Status {
    /// It should be this.
    pub fn become_this(&mut self, wanted: TicketStatus) {
        self.wanted = Arc::new(wanted);
    }

    /// As the server has it; `None` where it has none.
    pub fn stored(&self) -> Option<&TicketStatus> {
        self.stored.as_deref()
    }

    /// The server has this.
    pub fn has_stored(&mut self, stored: Option<TicketStatus>) {
        self.stored = stored.map(Arc::new);
        self.share();
    }

    /// The status as it should be now, whatever it becomes later.
    pub fn snapshot(&self) -> Arc<TicketStatus> {
        Arc::clone(&self.wanted)
    }

    /// Whether the server has it as it should be.
    pub fn is_stored(&self) -> bool {
        let is_it = |stored: &Arc<TicketStatus>| {
            Arc::ptr_eq(stored, &self.wanted) || *stored == self.wanted
        };
        self.stored.as_ref().is_some_and(is_it)
    }

    /// Keeps one copy where both are equal.
    pub fn share(&mut self) {
        if !self.is_stored() {
            return;
        }
        // Room that was left for what may come, of both, is more than what they hold.
        if let Some(own) = Arc::get_mut(&mut self.wanted) {
            own.alerts.shrink_to_fit();
            own.history.shrink_to_fit();
        }
        self.stored = Some(Arc::clone(&self.wanted));
    }
}

impl Deref for Status {
    type Target = TicketStatus;

    fn deref(&self) -> &TicketStatus {
        &self.wanted
    }
}

impl DerefMut for Status {
    fn deref_mut(&mut self) -> &mut TicketStatus {
        Arc::make_mut(&mut self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_is_kept_of_what_is_stored_and_a_change_leaves_the_stored_one_alone() {
        let mut status = Status::default();
        status.become_this(TicketStatus {
            message: "a".into(),
            ..TicketStatus::default()
        });
        assert!(!status.is_stored());
        let stored = TicketStatus::clone(&status);
        status.has_stored(Some(stored.clone()));
        assert!(status.is_stored());
        assert!(std::ptr::eq(&raw const *status, status.stored().unwrap()));
        status.message = "b".into();
        assert!(!status.is_stored());
        assert_eq!(status.stored(), Some(&stored));
        status.message = "a".into();
        status.share();
        assert!(std::ptr::eq(&raw const *status, status.stored().unwrap()));
    }
}
