//! How well a kind is seen: the difference between "none" and "could not look".

use std::collections::BTreeMap;

use patrol_api::time::Time;

use crate::facts::ObjectKey;

/// A kind is fresh while its watch spoke at most this many seconds ago.
pub const FRESH_SECONDS: i64 = 60;

/// Why a kind cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blindness {
    /// The first complete list has not ended yet.
    Unsynced,
    /// The API server refuses (403): the verb that was refused.
    Denied(String),
    /// Errors, or a dead API group: a canned reason.
    Failing(String),
}

impl Blindness {
    /// The word used as reason and metric label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unsynced => "Unsynced",
            Self::Denied(_) => "AccessDenied",
            Self::Failing(_) => "WatchFailing",
        }
    }
}

/// What is known of the sight on one kind.
#[derive(Clone, Debug)]
pub struct Sight {
    listed_once: bool,
    relisting: bool,
    blindness: Option<Blindness>,
    /// What an access review said, until it or a complete list says otherwise.
    refused: Option<Blindness>,
    absent: bool,
    heard_at: Option<Time>,
    /// The clock was set since.
    undated: bool,
    /// Since when it has spoken without a gap.
    steady_since: Option<Time>,
    blind: BTreeMap<ObjectKey, String>,
    /// Why there may be objects whose names cannot be read.
    nameless: Vec<String>,
    /// When it was lost, until the next complete list.
    lost_at: Option<Time>,
    /// Objects could not be decoded when the list under way began.
    had_blind_objects: bool,
}

impl Sight {
    pub(super) const fn unseen() -> Self {
        Self {
            listed_once: false,
            relisting: false,
            blindness: None,
            refused: None,
            absent: false,
            heard_at: None,
            undated: false,
            steady_since: None,
            blind: BTreeMap::new(),
            nameless: vec![],
            lost_at: None,
            had_blind_objects: false,
        }
    }

    /// Why the kind cannot be judged from; `None` when it can. A kind that is not
    /// installed is seen: there are none of it.
    #[must_use]
    pub fn blindness(&self) -> Option<Blindness> {
        if self.absent {
            return None;
        }
        match self.blindness.as_ref().or(self.refused.as_ref()) {
            Some(b) => Some(b.clone()),
            None if !self.listed_once => Some(Blindness::Unsynced),
            None => None,
        }
    }

    /// Whether absence can be concluded from the inventory: synced, and every object of
    /// the kind decoded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.blindness().is_none()
            && !self.relisting
            && self.blind.is_empty()
            && self.nameless.is_empty()
    }

    /// Whether the last word from the watch is at most `seconds` old. A list under way is
    /// no word yet: what it has not mentioned may be of before the gap it closes. Nor is a
    /// word from the future, which a clock that was set back leaves behind.
    #[must_use]
    pub fn is_fresh(&self, now: Time, seconds: i64) -> bool {
        let lately = |at: Time| at <= now && now.unix().saturating_sub(at.unix()) <= seconds;
        self.absent || (!self.relisting && !self.undated && self.heard_at.is_some_and(lately))
    }

    /// Whether the watch spoke since this time, as far as can be told.
    #[must_use]
    pub fn spoke_since(&self, then: Time) -> bool {
        self.absent || (!self.undated && self.heard_at.is_some_and(|at| at >= then))
    }

    /// Since when it has been fresh without a gap; `None` when it is not. A kind that is
    /// not installed always was.
    #[must_use]
    pub fn fresh_since(&self, now: Time, seconds: i64) -> Option<Time> {
        if self.absent {
            return Some(Time::from_unix(0));
        }
        self.steady_since.filter(|_| self.is_fresh(now, seconds))
    }

    /// Whether a complete list is under way.
    #[must_use]
    pub fn is_relisting(&self) -> bool {
        self.relisting
    }

    /// When the watch last said anything.
    #[must_use]
    pub fn heard_at(&self) -> Option<Time> {
        self.heard_at
    }

    /// Whether the kind is not installed in this cluster.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    /// Objects that exist and cannot be decoded.
    pub fn blind_objects(&self) -> impl Iterator<Item = (&ObjectKey, &str)> {
        self.blind.iter().map(|(k, v)| (k, v.as_str()))
    }

    /// Objects that cannot be decoded, those without a readable name included.
    #[must_use]
    pub fn blind_count(&self) -> usize {
        self.blind.len() + self.nameless.len()
    }

    /// Why there may be objects whose names cannot be read, each reason once for each of
    /// them. Among files, each is an input that cannot be read.
    #[must_use]
    pub fn nameless(&self) -> &[String] {
        &self.nameless
    }

    /// Whether this object is one of them.
    #[must_use]
    pub fn is_blind_to(&self, key: &ObjectKey) -> bool {
        self.blind.contains_key(key)
    }

    /// Whether an object that is not in the inventory may exist all the same, because it
    /// cannot be decoded, or could not be the last time, and a list is under way that has yet to say.
    #[must_use]
    pub fn may_lack(&self, key: &ObjectKey) -> bool {
        let unsaid = self.relisting && self.had_blind_objects;
        unsaid || !self.nameless.is_empty() || self.blind.contains_key(key)
    }

    pub(super) fn relisting(&mut self) {
        self.relisting = true;
        self.steady_since = None;
        self.had_blind_objects |= self.blind_count() > 0;
        self.nameless.clear();
        self.blind.clear();
    }

    /// Whether objects could not be decoded when the list began that ends now: what was
    /// judged by that may be judged otherwise, although their facts are the same.
    pub fn had_blind_objects(&mut self) -> bool {
        std::mem::take(&mut self.had_blind_objects)
    }

    pub(super) fn listed(&mut self) {
        self.listed_once = true;
        self.lost_at = None;
        self.relisting = false;
        self.blindness = None;
        self.refused = None;
        self.absent = false;
    }

    /// An object was decoded: it is no blind spot any more.
    pub fn seen(&mut self, key: &ObjectKey) {
        self.cleared(key);
    }

    /// An access review allows the kind. It only ends what a review said: a watch that was
    /// lost comes back with a list. Returns whether that is news.
    pub fn permitted(&mut self) -> bool {
        self.refused.take().is_some()
    }

    /// An access review refuses the kind, whatever its watch still shows. Returns whether
    /// that is news.
    pub fn refused(&mut self, why: Blindness) -> bool {
        if self.absent || self.refused.as_ref() == Some(&why) {
            return false;
        }
        self.refused = Some(why);
        true
    }

    /// Returns whether it was a blind spot.
    pub(super) fn cleared(&mut self, key: &ObjectKey) -> bool {
        self.blind.remove(key).is_some()
    }

    pub(super) fn blind(&mut self, key: Option<ObjectKey>, reason: String) {
        match key {
            Some(key) => {
                self.blind.insert(key, reason);
            }
            None => self.nameless.push(reason),
        }
    }

    /// The watch said something (an event, a bookmark, the end of a list).
    pub fn heard(&mut self, at: Time) {
        let steady = !self.relisting && self.is_fresh(at, FRESH_SECONDS);
        if !steady || self.steady_since.is_none() {
            self.steady_since = Some(at);
        }
        // Not the later of two: the clock may have been set back since.
        self.heard_at = Some(at);
        self.undated = false;
    }

    /// The wall clock was set: how old the last word is can no longer be told.
    pub const fn clock_set(&mut self) {
        self.undated = true;
    }

    /// Sight is lost until the next complete list. Returns whether that is news.
    pub fn lost(&mut self, why: Blindness) -> bool {
        let news = self.blindness.as_ref() != Some(&why) || self.absent;
        self.blindness = Some(why);
        self.steady_since = None;
        self.absent = false;
        news
    }

    /// Notes when sight was lost; that it stays lost, if for another reason, is no new loss.
    pub fn note_loss(&mut self, at: Time) {
        self.lost_at.get_or_insert(at);
    }

    /// When sight was lost, if that was noted.
    #[must_use]
    pub fn lost_at(&self) -> Option<Time> {
        self.lost_at
    }

    /// Whether an access review has said that the kind may not be read: then it is refused
    /// for good, until someone grants the right.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// The kind is not installed. Returns whether that is news.
    pub fn not_installed(&mut self) -> bool {
        let news = !self.absent;
        self.lost_at = None;
        self.absent = true;
        self.relisting = false;
        self.blindness = None;
        self.refused = None;
        self.blind.clear();
        // Nothing watches it: no silence to measure.
        self.heard_at = None;
        self.steady_since = None;
        self.nameless.clear();
        news
    }
}
