//! Credentials that are changed while a receiver refuses them: whoever mends a Secret need not wait for the next try.
//!
//! Only for receivers whose last answer says that they, or a Secret, are set up wrongly: their Secrets are read again, one by one
//! and by name. What is remembered of them is a number.

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patrol_api::time::Span;
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::Target;
use patrol_core::event::{DeliveryClass, Event};

use super::Answers;
use super::credentials::Credentials;
use super::delivery::Post;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// Who was not tried for so long has nothing to be told, or is gone.
const WATCHED: Span = Span::minutes(30);

/// The receivers whose credentials did not do, by name.
pub(super) struct Rotations {
    watched: Mutex<BTreeMap<String, Watched>>,
    hasher: RandomState,
    /// Between two looks.
    pub every: Duration,
}

#[derive(Clone)]
struct Watched {
    target: Target,
    /// Of the credentials that it was last tried with.
    mark: u64,
    tried: Mono,
}

impl Default for Rotations {
    fn default() -> Self {
        Self {
            watched: Mutex::default(),
            hasher: RandomState::new(),
            every: EVERY,
        }
    }
}

impl Rotations {
    /// A delivery ended so, with these credentials.
    pub fn note(
        &self,
        target: Target,
        class: Option<DeliveryClass>,
        credentials: Option<Credentials>,
        now: Now,
    ) {
        let refused = matches!(
            class,
            Some(DeliveryClass::Config(_) | DeliveryClass::SecretMissing)
        );
        let credentials = credentials.filter(|all| refused && !all.are_none());
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match credentials {
            Some(credentials) => {
                let entry = Watched {
                    mark: credentials.mark(&self.hasher),
                    tried: now.mono,
                    target,
                };
                watched.insert(entry.target.name.clone(), entry);
            }
            None => drop(watched.remove(&target.name)),
        }
    }

    fn list(&self, now: Mono) -> Vec<Watched> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, entry| now.since(entry.tried) < WATCHED.as_millis());
        watched.values().cloned().collect()
    }

    /// No more looks for it, unless it was tried again meanwhile.
    fn forget(&self, entry: &Watched) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &entry.target.name;
        if watched.get(name).is_some_and(|now| now.mark == entry.mark) {
            watched.remove(name);
        }
    }
}

/// Looks again and again, and says whose credentials are others than those it was last tried with.
pub(super) async fn watch(post: Arc<Post>, answers: Answers) {
    loop {
        tokio::time::sleep(post.rotations.every).await;
        // Whoever does not lead is told nothing, and asks nothing.
        if post.fence.may_send().is_none() {
            continue;
        }
        for entry in post.rotations.list((post.clock)().mono) {
            let fresh = Credentials::read(&post, &entry.target, true).await;
            // What was taken away helps nobody.
            if !fresh.are_complete() || fresh.mark(&post.rotations.hasher) == entry.mark {
                continue;
            }
            post.rotations.forget(&entry);
            let name = entry.target.name;
            tracing::info!(receiver = name, "credentials were changed");
            if answers.send(Event::CredentialsChanged(name)).is_err() {
                return; // the loop that listened is gone
            }
        }
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
