//! The ceiling: beyond `maxPerCheck` open tickets of one policy, check and namespace,
//! further findings are counted in one aggregate ticket (alerting.md AD-7). Degrade and
//! count, never drop.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::{Finding, Subject};

use super::evaluate::Known;
use super::{Keys, Patrol};
use crate::check::{Affected, Judgement, Unit, Verdict};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::sym::Sym;
use crate::ticket::life::{Assessment, Standing};

/// Tells the aggregate's identity apart from a finding about the namespace itself.
const DISCRIMINATOR: &str = "overflow";

/// Policy, check and namespace of tickets that share a ceiling.
type Bucket = (Sym, Sym, Sym);

#[derive(Debug, Default)]
pub(super) struct Overflow {
    waiting: BTreeMap<Bucket, Keys>,
    changed: BTreeSet<Bucket>,
    open: BTreeMap<Bucket, usize>,
}

impl Overflow {
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
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
    /// Whether one more ticket may open; if not, the finding waits in the aggregate.
    pub(super) fn admit(&mut self, key: &ObjectKey, finding: &Finding) -> bool {
        let bucket = bucket(finding, key);
        let most = self
            .policies
            .get(finding.policy.as_str())
            .map_or(1000, |p| p.max_per_check());
        let open = self.overflow.open.get(&bucket).copied().unwrap_or_default();
        if open < most {
            if self.unwait(&bucket, key) {
                self.overflow.changed.insert(bucket);
            }
            return true;
        }
        let waiting = self.overflow.waiting.entry(bucket.clone()).or_default();
        if waiting.insert(key.clone()) {
            self.overflow.changed.insert(bucket);
        }
        false
    }

    /// Counts a ticket that opened, or ended.
    pub(super) fn count_open(&mut self, key: &ObjectKey, finding: &Finding, opened: bool) {
        if self.is_aggregate(key, finding) {
            return;
        }
        let bucket = bucket(finding, key);
        let count = self.overflow.open.entry(bucket.clone()).or_default();
        if opened {
            *count += 1;
            return;
        }
        *count = count.saturating_sub(1);
        // A place is free: whoever waits may try again.
        let waiting: Vec<ObjectKey> = self
            .overflow
            .waiting
            .get(&bucket)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for key in waiting {
            self.tickets.touch(&key);
        }
    }

    /// A finding that waited holds no more.
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
        self.aggregate_place(&bucket, &finding.subject) == *key
    }

    fn aggregate_place(&self, bucket: &Bucket, subject: &Subject) -> ObjectKey {
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
        let _ = now;
        for bucket in std::mem::take(&mut self.overflow.changed) {
            self.settle_aggregate(&bucket);
        }
        if self.evaluation.complete_once {
            // Aggregates found at start, whose findings were judged meanwhile.
            for key in self.tickets.unsettled_aggregates() {
                let Some(finding) = self.tickets.finding(&key) else {
                    continue;
                };
                let bucket = bucket(finding, &key);
                self.settle_aggregate(&bucket);
            }
        }
    }

    fn settle_aggregate(&mut self, bucket: &Bucket) {
        let subject = Self::aggregate_subject(bucket);
        let key = self.aggregate_place(bucket, &subject);
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
        let assessment = match standings.iter().max_by_key(|s| s.severity) {
            Some(worst) => {
                let mut sample: Vec<String> = standings
                    .iter()
                    .map(|s| format!("{}/{}", s.judgement.subject.kind, s.judgement.subject.name))
                    .collect();
                sample.sort();
                sample.truncate(Affected::SAMPLE);
                let mut judgement = Judgement::new(subject.clone(), Verdict::Fail)
                    .reason("ceiling-reached")
                    .message(format!(
                        "{count} more subjects in namespace {} have this finding; spec.tickets.maxPerCheck of policy {} keeps them in this one ticket",
                        bucket.2, bucket.0
                    ));
                judgement.affected = Affected {
                    count: u32::try_from(count).unwrap_or(u32::MAX),
                    total: u32::try_from(count).unwrap_or(u32::MAX),
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
            None => Assessment::Passing { fresh: true },
        };
        if count == 0 && !self.tickets.contains(&key) {
            self.evaluation.forget(&key);
            return;
        }
        let layer = self
            .config
            .catalogue
            .find(&bucket.1)
            .map_or(patrol_api::words::Layer::L6, |c| c.meta().layer);
        let known = Known {
            unit: Unit::Cluster,
            finding: Finding {
                policy: bucket.0.to_string(),
                check: bucket.1.to_string(),
                requirement: None,
                subject_ref: format!("Namespace/{}", bucket.2),
                subject,
                layer,
                cluster: Some(self.config.cluster.name.clone()).filter(|c| !c.is_empty()),
            },
            assessment,
            enforced: true,
        };
        self.evaluation.learn_apart(key.clone(), known);
        self.tickets.touch(&key);
    }
}
