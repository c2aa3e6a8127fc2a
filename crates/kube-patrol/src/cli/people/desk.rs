//! Where tickets are found and changed: the cluster with the caller's own rights, or the
//! state folder of local mode. Writes the spec of a ticket and nothing else.

use std::path::{Path, PathBuf};

use patrol_api::ticket::{Ticket, TicketSpec};
use patrol_core::event::Refusal;
use patrol_kube::Connection;
use patrol_kube::ask::NoAnswer;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::decide::Decided;
use crate::cli::{Failure, find, ui};
use crate::local::store::edits::{self, EditError};

/// The operator writes, too: whoever lost a race looks again.
const TRIES: usize = 8;

/// Where tickets are.
pub(super) enum Desk {
    /// In a cluster.
    Cluster {
        runtime: Runtime,
        connection: Box<Connection>,
        who: String,
    },
    /// In a state folder.
    Folder { state: PathBuf, who: String },
}

impl Desk {
    /// A desk; in a cluster the API server says who the caller is.
    pub fn open(state: Option<&Path>) -> Result<Self, Failure> {
        if let Some(state) = state {
            return Ok(Self::Folder {
                state: state.to_path_buf(),
                who: local_user(),
            });
        }
        let runtime = find::runtime()?;
        let (connection, who) = runtime.block_on(async {
            let connection = find::connect().await?;
            let who = connection.writes.who_am_i().await;
            let who = who.map_err(|why| {
                Failure::new(format!(
                    "your user name: {why}: allow create on selfsubjectreviews of group authentication.k8s.io, as the ClusterRole system:basic-user does"
                ))
            })?;
            Ok::<_, Failure>((connection, who))
        })?;
        Ok(Self::Cluster {
            runtime,
            connection: Box::new(connection),
            who,
        })
    }

    /// Who asks.
    pub fn who(&self) -> &str {
        match self {
            Self::Cluster { who, .. } | Self::Folder { who, .. } => who,
        }
    }

    /// The one ticket of this name or beginning.
    pub fn find(&self, name: &str, namespace: Option<&str>) -> Result<Ticket, Failure> {
        match self {
            Self::Cluster {
                runtime,
                connection,
                ..
            } => runtime.block_on(find::ticket_of(connection, name, namespace)),
            Self::Folder { state, .. } => find::ticket_in(state, name, namespace),
        }
    }

    /// Changes a ticket as decided; decides anew when somebody else was faster.
    pub fn change(
        &self,
        mut ticket: Ticket,
        decide: impl Fn(&Ticket) -> Result<Decided, String>,
    ) -> Result<Decided, Failure> {
        let who = ui::ticket_name(&ticket);
        for _ in 0..TRIES {
            let decided = decide(&ticket).map_err(Failure::new)?;
            let Some(spec) = &decided.spec else {
                return Ok(decided);
            };
            check(&ticket, spec)?;
            if self.write(&ticket, spec)? {
                return Ok(decided);
            }
            let metadata = &ticket.metadata;
            ticket = self.find(
                metadata.name.as_deref().unwrap_or_default(),
                Some(metadata.namespace.as_deref().unwrap_or_default()),
            )?;
        }
        Err(Failure::new(format!(
            "ticket {who}: it was changed by others again and again: try again"
        )))
    }

    /// Writes a spec; `false`: somebody else was faster.
    fn write(&self, ticket: &Ticket, spec: &TicketSpec) -> Result<bool, Failure> {
        let who = ui::ticket_name(ticket);
        match self {
            Self::Cluster {
                runtime,
                connection,
                ..
            } => {
                let patch = patch(&ticket.spec, spec);
                match runtime.block_on(connection.writes.change_ticket(ticket, &patch)) {
                    Ok(()) => Ok(true),
                    Err(NoAnswer::Conflict) => Ok(false),
                    Err(why) => Err(Failure::new(format!("ticket {who}: {}", advice(why)))),
                }
            }
            Self::Folder { state, .. } => {
                let wanted = spec.clone();
                match edits::change(state, ticket, |spec| *spec = wanted) {
                    Ok(()) => Ok(true),
                    Err(EditError::Changed) => Ok(false),
                    Err(EditError::Gone) => Err(Failure::new(format!(
                        "ticket {who}: it is gone: `kube-patrol tickets --state {}` lists those there are",
                        state.display()
                    ))),
                    Err(EditError::Io(error)) => Err(Failure::new(format!(
                        "ticket {who}: {}",
                        crate::local::store::write_reason(&error)
                    ))),
                }
            }
        }
    }
}

/// The fields that differ; a field that is taken away is `null`.
fn patch(before: &TicketSpec, after: &TicketSpec) -> Value {
    let fields = |spec: &TicketSpec| match json!(spec) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let mut patch = Map::new();
    for key in ["assignee", "acknowledge", "snooze", "recheck"] {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            patch.insert(key.to_owned(), new.cloned().unwrap_or(Value::Null));
        }
    }
    Value::Object(patch)
}

/// The API server would say the same, in the same words.
fn check(ticket: &Ticket, spec: &TicketSpec) -> Result<(), Failure> {
    let mut wanted = ticket.clone();
    wanted.spec = spec.clone();
    let problems = patrol_api::validate::validate(&json!(wanted));
    // What else is stored in the ticket is not for its reader to mend.
    match problems.iter().find(|p| is_peoples(&p.field)) {
        None => Ok(()),
        Some(problem) => Err(Failure::new(format!(
            "ticket {}: {problem}",
            ui::ticket_name(ticket)
        ))),
    }
}

fn is_peoples(field: &str) -> bool {
    ["assignee", "acknowledge", "snooze", "recheck"]
        .iter()
        .any(|name| field.starts_with(&format!("spec.{name}")))
}

fn advice(why: NoAnswer) -> String {
    match why {
        NoAnswer::Denied => {
            "you may not change it: allow get and patch on tickets of group kubepatrol.io in its namespace".into()
        }
        NoAnswer::Absent => "it is gone: `kubectl patrol tickets` lists those there are".into(),
        NoAnswer::Refused(Refusal::AdmissionDenied) => {
            "an admission policy of the cluster refuses the change: ask who installed it".into()
        }
        NoAnswer::Refused(Refusal::Invalid) => {
            "the API server does not know what is asked for: its CustomResourceDefinitions are older than this program, apply those of `kube-patrol crds`".into()
        }
        other => format!("{other}: try again"),
    }
}

/// The user of this process, as the system names them.
fn local_user() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_api::time::Time;

    #[test]
    fn a_patch_holds_what_differs_and_nothing_else() {
        let mut before: TicketSpec = serde_json::from_value(json!({
            "finding": {"policy": "p", "check": "c", "subject": {"kind": "Pod", "name": "web"},
                        "subjectRef": "Pod/web", "layer": "L3"},
            "assignee": "ann",
        }))
        .unwrap();
        assert_eq!(patch(&before, &before), json!({}));
        let mut after = before.clone();
        after.acknowledge = Some(patrol_api::ticket::Pause {
            until: Time::from_unix(1_800_000_000),
            reason: "known".into(),
            by: Some("ann".into()),
        });
        let pause = json!({"until": "2027-01-15T08:00:00Z", "reason": "known", "by": "ann"});
        assert_eq!(patch(&before, &after), json!({"acknowledge": pause}));
        std::mem::swap(&mut before, &mut after);
        assert_eq!(patch(&before, &after), json!({"acknowledge": null}));
    }
}
