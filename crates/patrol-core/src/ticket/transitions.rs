//! Every change of phase that a ticket can make, and its reason. The diagram in `docs/concepts.md` shows the same, and a
//! test walks random lives and finds these changes and no others.

use patrol_api::words::Phase;

/// From, reason, to. `None`: the ticket was not there.
pub const TRANSITIONS: &[(Option<Phase>, &str, Phase)] = &[
    (None, "Opened", Phase::Open),
    (Some(Phase::Open), "Acknowledged", Phase::Acknowledged),
    (Some(Phase::Open), "Snoozed", Phase::Snoozed),
    (Some(Phase::Open), "Waived", Phase::Waived),
    (Some(Phase::Open), "Resolved", Phase::Resolved),
    (Some(Phase::Acknowledged), "Snoozed", Phase::Snoozed),
    (Some(Phase::Acknowledged), "Waived", Phase::Waived),
    (Some(Phase::Acknowledged), "ReArmed", Phase::Open),
    (Some(Phase::Acknowledged), "SeverityRaised", Phase::Open),
    (Some(Phase::Acknowledged), "Resolved", Phase::Resolved),
    (Some(Phase::Snoozed), "Acknowledged", Phase::Acknowledged),
    (Some(Phase::Snoozed), "Waived", Phase::Waived),
    (Some(Phase::Snoozed), "ReArmed", Phase::Open),
    (Some(Phase::Snoozed), "SeverityRaised", Phase::Open),
    (Some(Phase::Snoozed), "Resolved", Phase::Resolved),
    (Some(Phase::Waived), "WaiverEnded", Phase::Open),
    (Some(Phase::Waived), "Acknowledged", Phase::Acknowledged),
    (Some(Phase::Waived), "Snoozed", Phase::Snoozed),
    (Some(Phase::Waived), "Resolved", Phase::Resolved),
    (Some(Phase::Resolved), "Reopened", Phase::Open),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use patrol_api::policy::{Alerts, TicketRules};
    use patrol_api::ticket::{Pause, Subject};
    use patrol_api::time::{Span, Time};
    use patrol_api::words::{Party, Resolution, Severity};

    use super::*;
    use crate::check::{Judgement, Verdict};
    use crate::fingerprint::hash64;
    use crate::ticket::life::{self, Assessment, LifeRules, Standing};
    use crate::ticket::overlay::{Waived, Wishes};

    fn standing(severity: Severity) -> Standing {
        let judgement = Judgement::new(Subject::default(), Verdict::Fail);
        Standing {
            severity,
            party: Party::Customer,
            title: "t".into(),
            judgement,
            remediation: "r".into(),
        }
    }

    /// The word of a change in the table: how an episode ended is told apart elsewhere.
    fn word(reason: &str) -> &str {
        let ends = Resolution::ALL.iter().any(|r| r.as_str() == reason);
        if ends && reason != "Waived" {
            "Resolved"
        } else {
            reason
        }
    }

    #[test]
    fn random_lives_make_every_change_of_the_table_and_no_other() {
        let rules = LifeRules::of(&TicketRules::default(), &Alerts::default());
        let mut made = BTreeSet::new();
        for seed in 0..400_u64 {
            let mut now = Time::from_unix(1_800_000_000);
            let mut status = life::open(&standing(Severity::High), &rules, now);
            let mut clean = None;
            made.extend(
                status
                    .history
                    .iter()
                    .map(|h| (h.from, h.reason.clone(), h.to)),
            );
            for step in 0..40_u64 {
                let dice = |what: &str, of: u64| {
                    hash64(&[&seed.to_be_bytes(), &step.to_be_bytes(), what.as_bytes()]) % of
                };
                now = now.plus(Span::minutes(1 + dice("time", 600)));
                let pause = |what: &str| {
                    (dice(what, 3) == 0).then(|| Pause {
                        until: now.plus(Span::minutes(1 + dice("until", 900))),
                        reason: "why".into(),
                        by: None,
                    })
                };
                let (acknowledge, snooze) = (pause("acknowledge"), pause("snooze"));
                let waiver = (dice("waiver", 4) == 0).then(|| Waived {
                    waiver: "shop/w".into(),
                    owner: "o".into(),
                    reason: "why".into(),
                    until: now.plus(Span::hours(1)),
                    reset_sla: dice("reset", 2) == 0,
                });
                let wishes = Wishes {
                    acknowledge: acknowledge.as_ref(),
                    snooze: snooze.as_ref(),
                    assignee: None,
                    recheck: None,
                    waiver: waiver.as_ref(),
                };
                let assessment = match dice("seen", 8) {
                    0 => Assessment::Passing {
                        fresh_since: Some(Time::from_unix(0)),
                    },
                    1 => Assessment::Gone,
                    2 => Assessment::Unknown("AccessDenied".into()),
                    3 => Assessment::Failing(Box::new(standing(Severity::Critical))),
                    _ => Assessment::Failing(Box::new(standing(Severity::High))),
                };
                let known = status.history.len();
                let before = status.history.clone();
                life::advance(&mut status, &mut clean, &assessment, &wishes, &rules, now);
                let new = status.history.iter().filter(|h| !before.contains(h));
                made.extend(new.map(|h| (h.from, h.reason.clone(), h.to)));
                assert!(status.history.len() >= known.min(20));
                let last = status.history.last().map(|h| h.to);
                assert_eq!(
                    last,
                    Some(status.phase),
                    "seed {seed} step {step}: history says where it stands"
                );
            }
        }
        let changes: BTreeSet<(Option<Phase>, String, Phase)> = made
            .into_iter()
            .filter(|(from, _, to)| *from != Some(*to))
            .map(|(from, reason, to)| (from, word(&reason).to_owned(), to))
            .collect();
        let table: BTreeSet<(Option<Phase>, String, Phase)> = TRANSITIONS
            .iter()
            .map(|(from, reason, to)| (*from, (*reason).to_owned(), *to))
            .collect();
        assert_eq!(changes, table);
    }
}
