//! The scheduler at rest: what it costs to know when 150,000 open tickets are next due to eight receivers.

use std::collections::VecDeque;
use std::process::Command;

use patrol_api::ticket::{AlertRecord, Finding, Subject, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Layer, Party, Severity, ToldState};
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::Effect;
use patrol_core::engine::{Config, Patrol};
use patrol_core::event::{DeliveryClass, Event, PartOutcome, Term, WriteResult, Written};
use patrol_core::facts::{ObjectKey, decode};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_core::ticket;
use serde::Serialize;
use serde_json::json;

use super::store::{cpu, resident};
use crate::Failure;

const NOW: i64 = 1_795_600_000;
const RECEIVERS: usize = 8;
const NAMESPACES: usize = 200;
/// Long enough for a pass of the auditor.
const REST: Span = Span::minutes(5);

/// Measures with one receiver and with eight, each in a process of its own.
pub fn run(tickets: usize) -> Result<(), Failure> {
    println!(
        "{tickets} open tickets, told to {RECEIVERS} receivers before; the agenda for one of them and for all"
    );
    let (one, all) = (child(tickets, 1)?, child(tickets, RECEIVERS)?);
    let pairs = tickets.saturating_mul(RECEIVERS - 1).max(1);
    let more = all.saturating_sub(one) / u64::try_from(pairs)?;
    println!("  memory for one ticket and one receiver: {more} bytes");
    Ok(())
}

/// Measures in another process; its resident bytes.
fn child(tickets: usize, routed: usize) -> Result<u64, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["bench", "--agenda", &format!("{tickets}/{routed}")])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (bytes, rest) = text.trim().split_once(' ').ok_or_else(|| {
        let why = String::from_utf8_lossy(&output.stderr);
        format!("the measurement ended early: {why}")
    })?;
    let bytes: u64 = bytes.parse()?;
    println!(
        "  {routed} routed: {:.1} MiB, {rest}",
        bytes as f64 / 1_048_576.0
    );
    Ok(bytes)
}

/// Measures `TICKETS/ROUTED`: prints resident bytes and words about CPU time.
pub fn measure(what: &str) -> Result<(), Failure> {
    let (tickets, routed) = what.split_once('/').ok_or("TICKETS/ROUTED")?;
    let (tickets, routed): (usize, usize) = (tickets.parse()?, routed.parse()?);
    let mut engine = Engine::new();
    for kind in Kind::ALL {
        engine.step(Event::ListStarted(kind));
    }
    engine.see(Kind::PatrolPolicy, &policy(routed))?;
    for n in 0..RECEIVERS {
        engine.see(Kind::AlertReceiver, &receiver(n))?;
    }
    for n in 0..NAMESPACES {
        let namespace = json!({"metadata": {"name": format!("ns-{n}"), "uid": format!("ns-{n}")}});
        engine.see(Kind::Namespace, &namespace)?;
    }
    for n in 0..tickets {
        engine.see(Kind::Ticket, &told(n))?;
    }
    for kind in Kind::ALL {
        engine.step(Event::ListFinished(kind));
    }
    // Their subjects cannot be seen: what is open stays open.
    engine.step(Event::Lost(Kind::Pod, Blindness::Denied("list".into())));
    engine.step(Event::Leading(Some(Term(1))));
    // What this very world is about, a kind that cannot be read, is told first.
    engine.rest(Span::minutes(10));
    engine.sent = 0;
    let before = cpu();
    engine.rest(REST);
    let minute = (cpu() - before) / u32::try_from(REST.as_secs() / 60)?;
    if engine.sent > 0 {
        return Err(format!("{} messages went out: this was no rest", engine.sent).into());
    }
    println!(
        "{} {:.0} ms of CPU time in an idle minute",
        resident()?,
        minute.as_secs_f64() * 1e3
    );
    Ok(())
}

struct Engine {
    patrol: Patrol,
    mono: u64,
    wake: Mono,
    sent: usize,
    /// Events that are on their way.
    answers: VecDeque<Event>,
}

impl Engine {
    fn new() -> Self {
        Self {
            patrol: Patrol::new(Config::new(patrol_checks::CATALOGUE)),
            mono: 1_000_000,
            wake: Mono::default(),
            sent: 0,
            answers: VecDeque::new(),
        }
    }

    fn step(&mut self, event: Event) {
        let now = Now {
            wall: Time::from_unix(NOW + i64::try_from(self.mono / 1_000).unwrap_or(0) - 1_000),
            mono: Mono(self.mono),
        };
        for effect in self.patrol.step(event, now) {
            match effect {
                Effect::WakeAt(at) => self.wake = at,
                Effect::Send { id, notice, .. } => {
                    self.sent += 1;
                    let told = notice.tickets.iter().map(|t| t.event_id.clone());
                    let accepted = PartOutcome {
                        event_ids: told.collect(),
                        by_number: 0,
                        class: DeliveryClass::Accepted,
                        at: now.wall,
                    };
                    self.answers.push_back(Event::Delivered(id, vec![accepted]));
                }
                other => self.answers.extend(answer(other)),
            }
        }
    }

    fn see(&mut self, kind: Kind, object: &impl Serialize) -> Result<(), Failure> {
        let seen = decode(kind, &serde_json::to_vec(object)?)?;
        self.step(Event::Seen(Box::new(seen)));
        Ok(())
    }

    /// Ticks whenever the engine asks for it.
    fn rest(&mut self, span: Span) {
        let end = self.mono + span.as_millis();
        while self.mono < end {
            self.step(Event::Tick);
            let busy = !self.answers.is_empty();
            while let Some(answer) = self.answers.pop_front() {
                self.step(answer);
            }
            // The shell ticks after each burst.
            self.mono = match busy {
                true => self.mono + 10,
                false => self.wake.0.max(self.mono + 1),
            };
        }
    }
}

/// What a server says that takes everything, and lets nobody see pods.
fn answer(effect: Effect) -> Option<Event> {
    match effect {
        Effect::WriteTicketStatus { id, at, status } => {
            let n = at.key.name.rsplit('-').next()?.parse().ok()?;
            let mut ticket = told(n);
            ticket.status = Some(*status);
            ticket.metadata.resource_version = Some(format!("{}", id.0 + 1_000_000));
            let written = Written::Ticket(Box::new(ticket));
            Some(Event::Written(id, WriteResult::Done(written)))
        }
        Effect::CreateTicket { id, mut ticket } => {
            ticket.metadata.uid = Some(format!("made-{}", id.0));
            ticket.metadata.resource_version = Some(format!("{}", id.0 + 1_000_000));
            Some(Event::Written(
                id,
                WriteResult::Done(Written::Ticket(ticket)),
            ))
        }
        Effect::WritePolicyStatus { id, .. } | Effect::WriteReceiverStatus { id, .. } => {
            Some(Event::Written(id, WriteResult::Done(Written::Nothing)))
        }
        Effect::Review(kinds) => {
            let right = |kind: &Kind| match kind {
                Kind::Pod => Err(Blindness::Denied("list".into())),
                _ => Ok(()),
            };
            Some(Event::Reviewed(
                kinds.iter().map(|kind| (*kind, right(kind))).collect(),
            ))
        }
        _ => None,
    }
}

fn name(n: usize) -> String {
    format!("receiver-{n}")
}

fn policy(routed: usize) -> serde_json::Value {
    let routes: Vec<_> = (0..routed).map(|n| json!({"name": name(n)})).collect();
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
        "metadata": {"name": "bench", "uid": "policy", "generation": 1, "creationTimestamp": Time::from_unix(NOW - 7_200)},
        "spec": {
            "schedule": {"every": "24h"},
            "checks": [{"name": "aegis", "sidecar": {"images": ["security/aegis*"]}}],
            "tickets": {"maxPerCheck": 100_000},
            "alerts": {"receivers": routes}
        }
    })
}

fn receiver(n: usize) -> serde_json::Value {
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver",
        "metadata": {"name": name(n), "uid": format!("uid-{n}"), "creationTimestamp": Time::from_unix(NOW - 7_200)},
        "spec": {"webhook": {"url": format!("https://receiver-{n}.example.com/hook")}}
    })
}

/// An open ticket of an hour ago that everybody was told of.
fn told(n: usize) -> Ticket {
    let opened = Time::from_unix(NOW - 3_600);
    // The next reminder is hours away.
    let lately = Time::from_unix(NOW - 60);
    let finding = Finding {
        policy: "bench".into(),
        check: "sidecar-missing".into(),
        requirement: Some("aegis".into()),
        subject: Subject {
            group: String::new(),
            kind: "Pod".into(),
            namespace: Some(format!("ns-{}", n % NAMESPACES)),
            name: format!("work-{n}"),
            uid: Some(format!("work-{n}")),
        },
        subject_ref: format!("Pod/work-{n}"),
        layer: Layer::L3,
        cluster: None,
    };
    let key = ObjectKey::new(
        &format!("ns-{}", n % NAMESPACES),
        &format!("sidecar-missing-{n}"),
    );
    let mut status = TicketStatus {
        severity: Some(Severity::High),
        party: Some(Party::Customer),
        first_opened_at: Some(opened),
        phase_since: Some(opened),
        alert_at: Some(opened),
        alert_seq: 1,
        ..TicketStatus::default()
    };
    status.episode.n = 1;
    status.episode.opened_at = Some(opened);
    status.episode.sla_start = Some(opened);
    status.alerts = (0..RECEIVERS)
        .map(|r| AlertRecord {
            receiver: name(r),
            uid: format!("uid-{r}"),
            state: ToldState::Firing,
            episode: 1,
            seq: 1,
            n: 1,
            at: lately,
            reason: Some(AlertReason::Opened),
            level: 0,
            digest: false,
            quiet_at: None,
        })
        .collect();
    let mut ticket = ticket::new_object(&key, finding, &status);
    ticket.metadata.uid = Some(format!("ticket-{n}"));
    ticket.metadata.resource_version = Some((n + 1).to_string());
    ticket.status = Some(status);
    ticket
}
