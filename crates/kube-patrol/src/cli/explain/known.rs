//! What else must be known to say what comes next: the ticket's policy and the receivers.
//! Whoever may not see them is told so, and gets what the ticket alone says.

use std::path::Path;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::Ticket;
use patrol_kube::Connection;
use patrol_kube::ask::{NoAnswer, Resource};
use serde::de::DeserializeOwned;

use crate::local;

/// Policy and receivers.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub policy: Option<PatrolPolicy>,
    pub receivers: Vec<AlertReceiver>,
    /// What is not known, in a sentence each.
    pub gaps: Vec<String>,
}

impl Known {
    pub async fn of_cluster(connection: &Connection, ticket: &Ticket) -> Self {
        let http = &connection.reads;
        let name = &ticket.spec.finding.policy;
        let mut known = Self::default();
        if name != COVERAGE_POLICY {
            let policy = http.read(&Resource::ours("patrolpolicies", ""), name).await;
            match policy.map(serde_json::from_value) {
                Ok(Ok(policy)) => known.policy = Some(policy),
                Err(NoAnswer::Absent) => {}
                _ => known.gaps.push(format!(
                    "The policy {name} cannot be read with your rights: the usual intervals are assumed."
                )),
            }
        }
        match http.list(&Resource::ours("alertreceivers", "")).await {
            Ok(all) => {
                let read = all.into_iter().map(serde_json::from_value);
                known.receivers = read.filter_map(Result::ok).collect();
            }
            Err(NoAnswer::Absent) => {}
            Err(_) => known.gaps.push(
                "Receivers cannot be read with your rights: only those that were told are listed."
                    .to_owned(),
            ),
        }
        known
    }

    pub fn of_folder(state: &Path, ticket: &Ticket) -> Self {
        let policies: Vec<PatrolPolicy> = kept(state, "policies");
        let name = Some(ticket.spec.finding.policy.as_str());
        Self {
            policy: policies
                .into_iter()
                .find(|p| p.metadata.name.as_deref() == name),
            receivers: kept(state, "receivers"),
            gaps: vec![],
        }
    }
}

fn kept<T: DeserializeOwned>(state: &Path, folder: &str) -> Vec<T> {
    local::kept_objects(&state.join(folder))
}
