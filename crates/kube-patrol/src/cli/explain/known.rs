//! What else must be known to say what comes next: policies, receivers, waivers, the subject, and the ticket that says the
//! same of its namespace. Whoever may not see them is told so, and gets what the ticket alone says.

mod assumed;

use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use patrol_api::names::{COVERAGE_POLICY, DEFAULT_NAMESPACE};
use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::Ticket;
use patrol_api::time::Time;
use patrol_api::waiver::TicketWaiver;
use patrol_api::words::Treatment;
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::own_webhook_name;
use patrol_core::engine::{Config, Foresight, Patrol};
use patrol_core::event::Event;
use patrol_core::facts::{Fact, ObjectKey, Observed, decode_value};
use patrol_core::kind::Kind;
use patrol_kube::Connection;
use patrol_kube::ask::{NoAnswer, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::source;
use crate::local;

/// Everything about the ticket that is not in it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// All of them for the always-on checks, else the ticket's own.
    pub policies: Vec<PatrolPolicy>,
    pub receivers: Vec<AlertReceiver>,
    pub waivers: Vec<TicketWaiver>,
    /// Other tickets that may say the same.
    pub others: Vec<Ticket>,
    /// The subject itself.
    pub subject: Option<Observed>,
    /// What is not known, in a sentence each.
    pub gaps: Vec<String>,
}

impl Known {
    pub async fn of_cluster(connection: &Connection, ticket: &Ticket) -> Self {
        let mut known = Self::default();
        let policy_is_read = known.read_policies(connection, ticket).await;
        let receivers = list(connection, &Resource::ours("alertreceivers", "")).await;
        known.receivers = receivers.unwrap_or_else(|()| {
            known.gaps.push(
                "Receivers cannot be read with your rights: only those that were told are listed."
                    .to_owned(),
            );
            assumed::receivers(ticket)
        });
        if !policy_is_read {
            // A policy's own webhook is no object, and no object has such a name.
            let own = own_webhook_name("");
            let is_own = |r: &AlertReceiver| {
                let name = r.metadata.name.as_deref();
                name.is_some_and(|name| name.starts_with(&own))
            };
            known.receivers.retain(|r| !is_own(r));
            let assumed = assumed::receivers(ticket).into_iter();
            known.receivers.extend(assumed.filter(is_own));
        }
        known.read_waivers(connection, ticket).await;
        known.read_subject(connection, ticket).await;
        known.read_general(connection, ticket).await;
        known
    }

    async fn read_policies(&mut self, connection: &Connection, ticket: &Ticket) -> bool {
        let name = ticket.spec.finding.policy.as_str();
        if name == COVERAGE_POLICY {
            match list(connection, &Resource::ours("patrolpolicies", "")).await {
                Ok(all) => {
                    self.policies = all;
                    return true;
                }
                Err(()) => {
                    self.gaps.push(
                        "Policies cannot be read with your rights: who else is told is not known."
                            .to_owned(),
                    );
                    self.policies = assumed::policy(ticket);
                    return false;
                }
            }
        }
        let at = Resource::ours("patrolpolicies", "");
        let policy = connection.reads.read(&at, name).await;
        match policy.map(serde_json::from_value) {
            Ok(Ok(policy)) => self.policies.push(policy),
            Err(NoAnswer::Absent) => {}
            _ => {
                self.gaps.push(format!(
                    "The policy {name} cannot be read with your rights: the usual intervals are assumed."
                ));
                self.policies = assumed::policy(ticket);
                return false;
            }
        }
        true
    }

    /// Whoever may not see all of them may see those that can reach the ticket: of its namespace and of the operator's.
    async fn read_waivers(&mut self, connection: &Connection, ticket: &Ticket) {
        let waivers = |namespace| Resource::ours("ticketwaivers", namespace);
        if let Ok(all) = list(connection, &waivers("")).await {
            self.waivers = all;
            return;
        }
        let own = ticket.spec.finding.subject.namespace.as_deref();
        let shared = operators_namespace(ticket);
        let mut unread = vec![];
        for namespace in own.into_iter().filter(|own| *own != shared).chain([shared]) {
            match list(connection, &waivers(namespace)).await {
                Ok(some) => self.waivers.extend(some),
                Err(()) => unread.push(namespace),
            }
        }
        if !unread.is_empty() {
            self.gaps.push(format!(
                "Waivers in namespace {} cannot be read with your rights: whether one mutes this is not known.",
                unread.join(" and ")
            ));
        }
    }

    /// Only where something hangs on it: its labels for waivers that select by them, and whether a node is down.
    async fn read_subject(&mut self, connection: &Connection, ticket: &Ticket) {
        let subject = &ticket.spec.finding.subject;
        let by_label = |waiver: &TicketWaiver| {
            let subjects = waiver.spec.subjects.as_ref();
            waiver.spec.treatment == Treatment::Mute
                && subjects.is_some_and(|subjects| subjects.selector.is_some())
        };
        let Some(kind) = Kind::find(&subject.group, &subject.kind) else {
            return;
        };
        if kind != Kind::Node && !self.waivers.iter().any(by_label) {
            return;
        }
        let info = kind.info();
        let at = Resource {
            group: info.group,
            version: info.version,
            resource: info.resource,
            namespace: subject.namespace.as_deref().unwrap_or_default(),
        };
        let object = connection.reads.read(&at, &subject.name).await;
        match object.map(|object| decode_value(kind, &object)) {
            Ok(Ok(seen)) => self.subject = Some(seen),
            Err(NoAnswer::Absent) => {}
            _ => self.gaps.push(format!(
                "The {} itself cannot be read with your rights: whether its state or its labels hold messages back is not known.",
                subject.kind
            )),
        }
    }

    /// The ticket that says the same of the whole namespace.
    async fn read_general(&mut self, connection: &Connection, ticket: &Ticket) {
        let Some(key) = engine(ticket).key_for_namespace(&ticket.spec.finding) else {
            return;
        };
        let at = Resource::ours("tickets", &key.namespace);
        let general = connection.reads.read(&at, &key.name).await;
        match general.map(serde_json::from_value) {
            Ok(Ok(general)) => self.others.push(general),
            Err(NoAnswer::Absent) => {}
            _ => self.gaps.push(format!(
                "Tickets in namespace {} cannot be read with your rights: whether one says the same of the whole namespace is not known.",
                key.namespace
            )),
        }
    }

    pub fn of_folder(state: &Path, ticket: &Ticket) -> Self {
        let mut known = Self {
            policies: kept(state, "policies"),
            receivers: kept(state, "receivers"),
            waivers: kept(state, "waivers"),
            // Those that cannot be read are said by `tickets`.
            others: source::tickets_in(state).unwrap_or_default(),
            ..Self::default()
        };
        let own = &ticket.metadata;
        known
            .others
            .retain(|t| (&t.metadata.name, &t.metadata.namespace) != (&own.name, &own.namespace));
        known
    }

    /// Of somebody who may read neither policies nor receivers.
    #[cfg(test)]
    pub fn assumed(ticket: &Ticket) -> Self {
        Self {
            policies: assumed::policy(ticket),
            receivers: assumed::receivers(ticket),
            ..Self::default()
        }
    }

    /// The policy of a ticket.
    pub fn policy_of(&self, ticket: &Ticket) -> Option<&PatrolPolicy> {
        let name = Some(ticket.spec.finding.policy.as_str());
        let mut all = self.policies.iter();
        all.find(|policy| policy.metadata.name.as_deref() == name)
    }

    /// What comes next, as the engine says that is fed with all of it.
    pub fn foresee(&self, ticket: &Ticket, now: Time) -> Foresight {
        let now = Now {
            wall: now,
            mono: Mono::default(),
        };
        let mut patrol = engine(ticket);
        // What is not among them is not there: who may lack something is told so.
        let ours = [
            Kind::PatrolPolicy,
            Kind::AlertReceiver,
            Kind::TicketWaiver,
            Kind::Ticket,
        ];
        for kind in ours {
            patrol.step(Event::ListStarted(kind), now);
        }
        let mut see = |kind, metadata: &ObjectMeta, fact| {
            let seen = Observed {
                kind,
                key: key_of(metadata),
                version: metadata.resource_version.clone().unwrap_or_default(),
                fact,
            };
            patrol.step(Event::Seen(Box::new(seen)), now);
        };
        for policy in &self.policies {
            let fact = Fact::Policy(Box::new(policy.clone()));
            see(Kind::PatrolPolicy, &policy.metadata, fact);
        }
        for receiver in &self.receivers {
            let fact = Fact::Receiver(Box::new(receiver.clone()));
            see(Kind::AlertReceiver, &receiver.metadata, fact);
        }
        for waiver in &self.waivers {
            let fact = Fact::Waiver(Box::new(waiver.clone()));
            see(Kind::TicketWaiver, &waiver.metadata, fact);
        }
        for ticket in self.others.iter().chain([ticket]) {
            let fact = Fact::Ticket(Box::new(ticket.clone()));
            see(Kind::Ticket, &ticket.metadata, fact);
        }
        for kind in ours {
            patrol.step(Event::ListFinished(kind), now);
        }
        if let Some(subject) = &self.subject {
            patrol.step(Event::Seen(Box::new(subject.clone())), now);
        }
        patrol.foresee(&key_of(&ticket.metadata), now)
    }
}

/// An engine that has seen nothing.
fn engine(ticket: &Ticket) -> Patrol {
    Patrol::new(Config {
        namespace: operators_namespace(ticket).to_owned(),
        ..Config::new(patrol_checks::CATALOGUE)
    })
}

/// Tickets about the cluster are where the operator is; of others it is not known.
fn operators_namespace(ticket: &Ticket) -> &str {
    let home = ticket.metadata.namespace.as_deref();
    let of_cluster = ticket.spec.finding.subject.namespace.is_none();
    home.filter(|_| of_cluster).unwrap_or(DEFAULT_NAMESPACE)
}

fn key_of(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// Every object of a kind of ours; none where the kind is not installed.
async fn list<T: DeserializeOwned>(
    connection: &Connection,
    at: &Resource<'_>,
) -> Result<Vec<T>, ()> {
    let all: Vec<Value> = match connection.reads.list(at).await {
        Ok(all) => all,
        Err(NoAnswer::Absent) => vec![],
        Err(_) => return Err(()),
    };
    let read = all.into_iter().map(serde_json::from_value);
    Ok(read.filter_map(Result::ok).collect())
}

fn kept<T: DeserializeOwned>(state: &Path, folder: &str) -> Vec<T> {
    local::kept_objects(&state.join(folder))
}
