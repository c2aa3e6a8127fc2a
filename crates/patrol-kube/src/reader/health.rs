//! How the watch of each kind fares, for metrics and probes. Counted here, judged elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use patrol_core::clock::Mono;
use patrol_core::kind::Kind;

use crate::boot_clock;

/// Counters of all kinds that are read.
#[derive(Debug, Default)]
pub struct Health {
    kinds: BTreeMap<Kind, KindHealth>,
}

impl Health {
    pub(super) fn new(kinds: impl Iterator<Item = Kind>) -> Self {
        Self {
            kinds: kinds.map(|kind| (kind, KindHealth::default())).collect(),
        }
    }

    /// Counters of a kind; `None` when it is not read.
    #[must_use]
    pub fn kind(&self, kind: Kind) -> Option<&KindHealth> {
        self.kinds.get(&kind)
    }

    /// Counters of every kind that is read.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, &KindHealth)> {
        self.kinds.iter().map(|(kind, health)| (*kind, health))
    }
}

/// Counters of one kind. They only grow, save the last two.
#[derive(Debug, Default)]
pub struct KindHealth {
    /// Watches that were opened after the first.
    restarts: AtomicU64,
    /// Complete lists.
    lists: AtomicU64,
    /// Lists that a trouble made necessary: expired versions, watches that end at once,
    /// broken frames, divergence.
    relists: AtomicU64,
    /// Objects that a comparison with a list of metadata found different.
    divergences: AtomicU64,
    /// Comparisons made.
    verifications: AtomicU64,
    /// Calls and watches that failed.
    failures: AtomicU64,
    /// Objects that could not be decoded, counted each time they were seen.
    undecodable: AtomicU64,
    /// When anything was last heard, in milliseconds of boot time; 0: never.
    heard_at: AtomicU64,
    /// Whether the kind is seen: a complete list, and no trouble since.
    seen: AtomicBool,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident, $add:ident;)*) => {
        impl KindHealth {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(&self) -> u64 {
                    self.$field.load(Ordering::Relaxed)
                }

                pub(super) fn $add(&self) {
                    self.$field.fetch_add(1, Ordering::Relaxed);
                }
            )*
        }
    };
}

counters! {
    /// Watches that were opened after the first.
    restarts, add_restart;
    /// Complete lists.
    lists, add_list;
    /// Lists that a trouble made necessary.
    relists, add_relist;
    /// Comparisons made.
    verifications, add_verification;
    /// Calls and watches that failed.
    failures, add_failure;
    /// Objects that could not be decoded, counted each time they were seen.
    undecodable, add_undecodable;
}

impl KindHealth {
    /// When anything was last heard of the kind.
    #[must_use]
    pub fn heard_at(&self) -> Option<Mono> {
        match self.heard_at.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Mono(at)),
        }
    }

    /// Whether the kind is seen (or known not to be installed).
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// Objects that a comparison with a list of metadata found different.
    #[must_use]
    pub fn divergences(&self) -> u64 {
        self.divergences.load(Ordering::Relaxed)
    }

    pub(super) fn add_divergences(&self, objects: usize) {
        let objects = u64::try_from(objects).unwrap_or(u64::MAX);
        self.divergences.fetch_add(objects, Ordering::Relaxed);
    }

    pub(super) fn hear(&self) {
        self.heard_at
            .store(boot_clock::mono().0.max(1), Ordering::Relaxed);
    }

    pub(super) fn set_seen(&self, seen: bool) {
        self.seen.store(seen, Ordering::Relaxed);
    }
}
