//! One ticket by its name or the beginning of it, from a state folder or from the cluster.
//! In a cluster it asks for no more than the caller may see: with a namespace, for that one
//! alone.

use std::path::Path;

use patrol_api::ticket::Ticket;
use patrol_kube::Connection;
use patrol_kube::ask::{NoAnswer, Resource};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Failure, source, ui};

/// A runtime for a command that asks a few questions.
///
/// # Errors
/// When the system gives none.
pub fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A connection as the kubeconfig says.
///
/// # Errors
/// When there is none or it cannot be used.
pub async fn connect() -> Result<Connection, Failure> {
    Connection::infer()
        .await
        .map_err(|error| Failure::new(error.to_string()))
}

/// A ticket of a state folder.
///
/// # Errors
/// When there is none, or more than one.
pub fn ticket_in(state: &Path, name: &str, namespace: Option<&str>) -> Result<Ticket, Failure> {
    let all = source::tickets_in(state)?;
    let list = format!("`kube-patrol tickets --state {}`", state.display());
    one(all, name, namespace, &list)
}

/// A ticket of the cluster.
///
/// # Errors
/// When there is none, more than one, or they cannot be read.
pub async fn ticket_of(
    connection: &Connection,
    name: &str,
    namespace: Option<&str>,
) -> Result<Ticket, Failure> {
    let tickets = Resource::ours("tickets", namespace.unwrap_or_default());
    if namespace.is_some() {
        match connection.reads.read(&tickets, name).await {
            Ok(object) => return decode(object, name),
            // It may be the beginning of a name.
            Err(NoAnswer::Absent | NoAnswer::Denied) => {}
            Err(why) => return Err(unreadable(namespace, why)),
        }
    }
    let list = connection.reads.list(&tickets).await;
    let all = list.map_err(|why| unreadable(namespace, why))?;
    let all: Result<Vec<Ticket>, Failure> =
        all.into_iter().map(|object| decode(object, name)).collect();
    one(all?, name, namespace, "`kube-patrol tickets`")
}

fn decode(object: Value, name: &str) -> Result<Ticket, Failure> {
    serde_json::from_value(object).map_err(|_| {
        Failure::new(format!(
            "ticket {name}: it cannot be read by this program: use the version of the operator"
        ))
    })
}

fn unreadable(namespace: Option<&str>, why: NoAnswer) -> Failure {
    let (place, flag) = match namespace {
        Some(namespace) => (format!("namespace {namespace}"), ""),
        None => ("all namespaces".to_owned(), ", or give -n NAMESPACE"),
    };
    Failure::new(match why {
        NoAnswer::Denied => format!(
            "tickets: you may not list them in {place}: allow get and list on tickets of group kubepatrol.io{flag}"
        ),
        NoAnswer::Absent => "tickets.kubepatrol.io: the kind is not installed in this cluster: install kube-patrol, or give --state DIR for local mode".to_owned(),
        other => format!("tickets: {other}: see whether the kubeconfig is right"),
    })
}

fn one(
    tickets: Vec<Ticket>,
    name: &str,
    namespace: Option<&str>,
    list: &str,
) -> Result<Ticket, Failure> {
    let of = |t: &Ticket| t.metadata.name.clone().unwrap_or_default();
    let mut found: Vec<Ticket> = tickets
        .into_iter()
        .filter(|t| namespace.is_none_or(|ns| t.metadata.namespace.as_deref() == Some(ns)))
        .filter(|t| of(t).starts_with(name))
        .collect();
    // A whole name is never ambiguous because another one goes on after it.
    if found.iter().filter(|t| of(t) == name).count() == 1 {
        found.retain(|t| of(t) == name);
    }
    let more = found.len();
    match (found.pop(), more) {
        (Some(ticket), 1) => Ok(ticket),
        (None, _) => Err(Failure::new(format!(
            "ticket {}: not found{}: {list} lists them",
            ui::clean(name),
            namespace.map_or(String::new(), |ns| format!(
                " in namespace {}",
                ui::clean(ns)
            ))
        ))),
        (Some(_), many) => Err(Failure::new(format!(
            "ticket {}: {many} tickets begin like this: give more of the name, or -n NAMESPACE",
            ui::clean(name)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ticket(namespace: &str, name: &str) -> Ticket {
        let finding = json!({
            "policy": "p", "check": "c", "subject": {"kind": "Pod", "name": "web"},
            "subjectRef": "Pod/web", "layer": "L3",
        });
        serde_json::from_value(json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"finding": finding},
        }))
        .unwrap()
    }

    #[test]
    fn a_name_or_its_beginning_finds_one() {
        let all = || vec![ticket("a", "c-1"), ticket("a", "c-12"), ticket("b", "d-1")];
        let find = |name: &str, namespace: Option<&str>| {
            one(all(), name, namespace, "the list")
                .map(|t| ui::ticket_name(&t))
                .map_err(|e| e.to_string())
        };
        assert_eq!(find("d", None).as_deref(), Ok("b/d-1"));
        assert_eq!(find("c-1", None).as_deref(), Ok("a/c-1"));
        assert_eq!(find("c-12", Some("a")).as_deref(), Ok("a/c-12"));
        let many = find("c", None).unwrap_err();
        assert!(many.contains("2 tickets begin like this"), "{many}");
        let none = find("d", Some("a")).unwrap_err();
        assert_eq!(
            none,
            "ticket d: not found in namespace a: the list lists them"
        );
    }
}
