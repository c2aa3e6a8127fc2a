//! The ceiling: beyond `maxPerCheck` open tickets of one policy, check and namespace,
//! further findings are counted in one aggregate ticket. Degrade and
//! count, never drop.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::{Finding, Subject};
use patrol_api::time::Time;

use super::evaluate::Known;
use super::{Keys, Patrol};
use crate::check::{Affected, Judgement, Unit, Verdict};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::rule::Rule;
use crate::sym::Sym;
use crate::ticket::life::{Assessment, Standing};

/// Tells the aggregate's identity apart from a finding about the namespace itself.
const DISCRIMINATOR: &str = "overflow";

/// Policy, check and namespace of tickets that share a ceiling.
pub(super) type Bucket = (Sym, Sym, Sym);

#[derive(Debug, Default)]
pub(super) struct Overflow {
    waiting: BTreeMap<Bucket, Keys>,
    changed: BTreeSet<Bucket>,
    /// Places taken: open tickets and those about to open.
    taken: BTreeMap<Bucket, usize>,
    /// The aggregates there are, and what each stands for.
    aggregates: BTreeMap<ObjectKey, Bucket>,
}

impl Overflow {
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// Looks at every aggregate again.
    pub fn recount(&mut self) {
        self.changed.extend(self.aggregates.values().cloned());
    }
}

fn bucket(finding: &Finding, key: &ObjectKey) -> Bucket {
    (
        Sym::new(&finding.policy),
        Sym::new(&finding.check),
        key.namespace.clone(),
    )
}

impl Patrol {
    /// Whether one more ticket may open; if not, the finding waits in the aggregate. A
    /// place is taken before the ticket is written, or a burst would pass the ceiling.
    pub(super) fn admit(&mut self, key: &ObjectKey, finding: &Finding) -> bool {
        if self.tickets.has_place(key) {
            return true;
        }
        let bucket = bucket(finding, key);
        let taken = self
            .overflow
            .taken
            .get(&bucket)
            .copied()
            .unwrap_or_default();
        if taken < self.ceiling(&bucket) {
            if self.unwait(&bucket, key) {
                self.overflow.changed.insert(bucket.clone());
            }
            self.take_place(key, bucket);
            return true;
        }
        let waiting = self.overflow.waiting.entry(bucket.clone()).or_default();
        waiting.insert(key.clone());
        self.overflow.changed.insert(bucket);
        false
    }

    fn ceiling(&self, bucket: &Bucket) -> usize {
        self.policies
            .get(&bucket.0)
            .map_or(1000, |p| p.max_per_check())
    }

    fn take_place(&mut self, key: &ObjectKey, bucket: Bucket) {
        *self.overflow.taken.entry(bucket.clone()).or_default() += 1;
        self.tickets.take_place(key, bucket);
    }

    /// An open ticket has its place, whatever the ceiling says now.
    pub(super) fn take_ceiling(&mut self, key: &ObjectKey, finding: &Finding) {
        if self.tickets.has_place(key) || self.is_aggregate(key, finding) {
            return;
        }
        self.overflow_left(key);
        self.take_place(key, bucket(finding, key));
    }

    /// A ticket ended: its place is free for whoever waits.
    pub(super) fn leave_ceiling(&mut self, key: &ObjectKey) {
        let Some(bucket) = self.tickets.leave_place(key) else {
            return;
        };
        let most = self.ceiling(&bucket);
        let taken = self.overflow.taken.entry(bucket.clone()).or_default();
        *taken = taken.saturating_sub(1);
        let free = most.saturating_sub(*taken);
        if *taken == 0 {
            self.overflow.taken.remove(&bucket);
        }
        let waiting = self.overflow.waiting.get(&bucket);
        let next: Vec<ObjectKey> = waiting.into_iter().flatten().take(free).cloned().collect();
        for key in next {
            self.tickets.touch(&key);
        }
    }

    /// A finding that waited holds no more, or has its own ticket.
    pub(super) fn overflow_left(&mut self, key: &ObjectKey) {
        let buckets: Vec<Bucket> = self
            .overflow
            .waiting
            .iter()
            .filter(|(_, keys)| keys.contains(key))
            .map(|(bucket, _)| bucket.clone())
            .collect();
        for bucket in buckets {
            self.unwait(&bucket, key);
            self.overflow.changed.insert(bucket);
        }
    }

    fn unwait(&mut self, bucket: &Bucket, key: &ObjectKey) -> bool {
        let Some(keys) = self.overflow.waiting.get_mut(bucket) else {
            return false;
        };
        let was = keys.remove(key);
        if keys.is_empty() {
            self.overflow.waiting.remove(bucket);
        }
        was
    }

    /// Whether a ticket is an aggregate.
    pub(super) fn is_aggregate(&self, key: &ObjectKey, finding: &Finding) -> bool {
        let bucket = bucket(finding, key);
        finding.subject.kind == "Namespace"
            && Self::aggregate_place(&bucket, &finding.subject) == *key
    }

    /// An aggregate of an earlier life: what it stands for is worked out anew.
    pub(super) fn aggregate_found(&mut self, key: &ObjectKey, finding: &Finding) {
        let bucket = bucket(finding, key);
        self.overflow.changed.insert(bucket.clone());
        self.overflow.aggregates.insert(key.clone(), bucket);
    }

    /// Works an aggregate out again. Returns whether the ticket is one.
    pub(super) fn look_at_aggregate(&mut self, key: &ObjectKey) -> bool {
        let bucket = self.overflow.aggregates.get(key).cloned();
        let is_one = bucket.is_some();
        self.overflow.changed.extend(bucket);
        is_one
    }

    fn aggregate_place(bucket: &Bucket, subject: &Subject) -> ObjectKey {
        ObjectKey {
            namespace: bucket.2.clone(),
            name: fingerprint::ticket_name(
                &bucket.0,
                &bucket.1,
                None,
                subject,
                Some(DISCRIMINATOR),
            )
            .into(),
        }
    }

    fn aggregate_subject(bucket: &Bucket) -> Subject {
        Subject {
            group: String::new(),
            kind: "Namespace".into(),
            namespace: Some(bucket.2.to_string()),
            name: bucket.2.to_string(),
            uid: None,
        }
    }

    /// Brings the aggregates up to date with who waits.
    pub(super) fn settle_overflow(&mut self, now: Now) {
        if !self.is_all_judged() {
            // Who waits is not known yet: an empty waiting room proves nothing.
            return;
        }
        for bucket in std::mem::take(&mut self.overflow.changed) {
            self.settle_aggregate(&bucket, now);
        }
    }

    fn settle_aggregate(&mut self, bucket: &Bucket, now: Now) {
        let subject = Self::aggregate_subject(bucket);
        let key = Self::aggregate_place(bucket, &subject);
        let waiting = self.overflow.waiting.contains_key(bucket);
        if !waiting && !self.tickets.is_held(&key) {
            self.overflow.aggregates.remove(&key);
            self.evaluation.known.remove(&key);
            return;
        }
        let layer = self
            .config
            .catalogue
            .find(&bucket.1)
            .map_or(patrol_api::words::Layer::L6, |c| c.meta().layer);
        let finding = Finding {
            policy: bucket.0.to_string(),
            check: bucket.1.to_string(),
            requirement: None,
            subject_ref: format!("Namespace/{}", bucket.2),
            subject,
            layer,
            cluster: Some(self.config.cluster.name.clone()).filter(|c| !c.is_empty()),
        };
        let assessment = self.assess_aggregate(bucket, &finding, now);
        let known = Known {
            unit: Unit::Cluster,
            finding,
            assessment,
            enforced: true,
        };
        self.overflow.aggregates.insert(key.clone(), bucket.clone());
        self.evaluation.learn_apart(key.clone(), known);
        self.tickets.touch(&key);
    }

    fn assess_aggregate(&self, bucket: &Bucket, finding: &Finding, now: Now) -> Assessment {
        let waiting = self.overflow.waiting.get(bucket);
        let count = waiting.map_or(0, BTreeSet::len);
        let standings: Vec<&Standing> = waiting
            .into_iter()
            .flatten()
            .filter_map(|key| match &self.evaluation.known.get(key)?.assessment {
                Assessment::Failing(standing) => Some(&**standing),
                _ => None,
            })
            .collect();
        let Some(worst) = standings.iter().max_by_key(|s| s.severity) else {
            return if count > 0 {
                Assessment::Unknown("none of its findings can be judged".into())
            } else {
                self.assess_empty(bucket, finding, now)
            };
        };
        let mut sample: Vec<String> = standings
            .iter()
            .map(|s| format!("{}/{}", s.judgement.subject.kind, s.judgement.subject.name))
            .collect();
        sample.sort();
        sample.truncate(Affected::SAMPLE);
        let mut judgement = Judgement::new(finding.subject.clone(), Verdict::Fail)
            .reason("ceiling-reached")
            .message(format!(
                "{count} more subjects in namespace {} have this finding; spec.tickets.maxPerCheck of policy {} keeps them in this one ticket",
                bucket.2, bucket.0
            ));
        let affected = u32::try_from(count).unwrap_or(u32::MAX);
        judgement.affected = Affected {
            count: affected,
            total: affected,
            sample,
        };
        Assessment::Failing(Box::new(Standing {
            severity: worst.severity,
            party: worst.party,
            title: worst.title.clone(),
            remediation: worst.remediation.clone(),
            judgement,
        }))
    }

    /// Nobody waits: that is evidence only where the check could look.
    fn assess_empty(&self, bucket: &Bucket, finding: &Finding, now: Now) -> Assessment {
        if let Some(assessment) = self.assess_policy(finding) {
            return assessment;
        }
        let inspector = self.inspector(now.wall);
        let Some(check) = self.config.catalogue.find(&bucket.1) else {
            return Assessment::CheckDisabled;
        };
        let rules = self.rulebook.rules_of(&finding.policy).iter();
        let rules: Vec<_> = rules
            .filter(|rule| rule.check == bucket.1.as_str())
            .collect();
        let blind = |rule: &&Rule| inspector.blindness(check, rule, None);
        if let Some((kind, why)) = rules.iter().find_map(blind) {
            return Assessment::Unknown(format!("{kind}: {}", why.reason()));
        }
        let since = |rule: &&Rule| inspector.fresh_since(check, rule, None);
        let fresh_since = rules
            .iter()
            .map(since)
            .try_fold(Time::from_unix(0), |latest, since| Some(latest.max(since?)));
        Assessment::Passing { fresh_since }
    }
}
