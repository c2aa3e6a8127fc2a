//! The single writes: how each is put to the server.

use std::collections::BTreeMap;

use http::Method;
use patrol_api::ticket::Ticket;
use patrol_core::effect::{Effect, Precondition};
use patrol_core::engine::FINALIZER;
use patrol_core::event::{Event, WriteId, WriteResult, Written};
use patrol_core::facts::{Fact, ObjectKey, Observed, decode};
use patrol_core::kind::Kind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::outcome::{object, result};
use crate::client::{Call, Http, JSON, MERGE_PATCH, OBJECT_MAX, Reply};
use crate::error::CallError;
use crate::lease::Fence;
use crate::path;
use crate::status::Status;

/// Who writes, in `managedFields`; a field the server does not know is an error and not
/// dropped in silence.
const WRITE: &str = "fieldManager=kube-patrol&fieldValidation=Strict";
/// The id of a write.
pub(super) fn id_of(effect: &Effect) -> Option<WriteId> {
    match effect {
        Effect::CreateTicket { id, .. }
        | Effect::WriteTicketStatus { id, .. }
        | Effect::WriteTicketLabels { id, .. }
        | Effect::DeleteTicket { id, .. }
        | Effect::ReadTicket { id, .. }
        | Effect::WritePolicyStatus { id, .. }
        | Effect::WritePolicyFinalizer { id, .. }
        | Effect::WriteReceiverStatus { id, .. }
        | Effect::WriteWaiverStatus { id, .. } => Some(*id),
        Effect::Send { .. }
        | Effect::Review(_)
        | Effect::Count(_)
        | Effect::Announce(_)
        | Effect::WakeAt(_) => None,
    }
}

/// The API server, for as long as a write may take, whatever number of calls it needs.
pub(super) struct Server<'a> {
    pub(super) http: &'a Http,
    pub(super) fence: &'a Fence,
    pub(super) until: Instant,
}

/// Metadata of a body: which object in which state is meant, and what is to change of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    uid: &'a str,
    resource_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalizers: Option<Vec<String>>,
}

impl<'a> Meta<'a> {
    fn of(at: &'a Precondition) -> Self {
        Self {
            uid: &at.uid,
            resource_version: &at.version,
            name: None,
            namespace: None,
            labels: None,
            finalizers: None,
        }
    }
}

/// Makes a write.
pub(super) async fn write(server: &Server<'_>, effect: Effect) -> WriteResult {
    match effect {
        Effect::CreateTicket { ticket, .. } => create(server, &ticket).await,
        Effect::WriteTicketStatus { at, status, .. } => {
            put_status(server, Kind::Ticket, &at, &*status).await
        }
        Effect::WritePolicyStatus { at, status, .. } => {
            put_status(server, Kind::PatrolPolicy, &at, &*status).await
        }
        Effect::WriteReceiverStatus { at, status, .. } => {
            put_status(server, Kind::AlertReceiver, &at, &*status).await
        }
        Effect::WriteWaiverStatus { at, status, .. } => {
            put_status(server, Kind::TicketWaiver, &at, &*status).await
        }
        Effect::WriteTicketLabels { at, labels, .. } => {
            let meta = Meta {
                labels: Some(&labels),
                ..Meta::of(&at)
            };
            patch(server, Kind::Ticket, &at, meta).await
        }
        Effect::DeleteTicket { at, .. } => delete(server, &at).await,
        Effect::WritePolicyFinalizer { at, present, .. } => finalizer(server, &at, present).await,
        Effect::ReadTicket { .. }
        | Effect::Send { .. }
        | Effect::Review(_)
        | Effect::Count(_)
        | Effect::Announce(_)
        | Effect::WakeAt(_) => WriteResult::Failed,
    }
}

async fn create(server: &Server<'_>, ticket: &Ticket) -> WriteResult {
    let namespace = ticket.metadata.namespace.as_deref().unwrap_or("");
    let name = ticket.metadata.name.as_deref().unwrap_or("");
    let target = format!("{}?{WRITE}", path::in_namespace(Kind::Ticket, namespace));
    let call = Call::send(Method::POST, target, JSON, &json!(ticket));
    match send(server, call).await {
        Ok(reply) if reply.status == 409 && Status::of(&reply).is("AlreadyExists") => {
            // Created before, by us or by someone else: what is there decides.
            let target = path::object(Kind::Ticket, namespace, name);
            let there = send(server, Call::get(target)).await.ok();
            let there = there.filter(|reply| reply.status == 200);
            WriteResult::Exists(there.and_then(|reply| match object(Kind::Ticket, &reply)? {
                Written::Ticket(ticket) => Some(ticket),
                _ => None,
            }))
        }
        other => result(Kind::Ticket, other),
    }
}

/// A PUT replaces the whole status, so that what vanished from ours vanishes there too; of
/// the rest of the body only the name and the precondition count.
async fn put_status(
    server: &Server<'_>,
    kind: Kind,
    at: &Precondition,
    status: &impl Serialize,
) -> WriteResult {
    let info = kind.info();
    let meta = Meta {
        name: Some(&at.key.name),
        namespace: info.namespaced.then(|| at.key.namespace.as_str()),
        ..Meta::of(at)
    };
    let body = json!({
        "apiVersion": format!("{}/{}", info.group, info.version),
        "kind": info.kind,
        "metadata": meta,
        "status": status,
    });
    let target = format!("{}/status?{WRITE}", place(kind, at));
    let call = Call::send(Method::PUT, target, JSON, &body);
    result(kind, send(server, call).await)
}

async fn patch(server: &Server<'_>, kind: Kind, at: &Precondition, meta: Meta<'_>) -> WriteResult {
    let target = format!("{}?{WRITE}", place(kind, at));
    let body = json!({"metadata": meta});
    let call = Call::send(Method::PATCH, target, MERGE_PATCH, &body);
    result(kind, send(server, call).await)
}

async fn delete(server: &Server<'_>, at: &Precondition) -> WriteResult {
    let body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": at.uid, "resourceVersion": at.version},
    });
    let call = Call::send(Method::DELETE, place(Kind::Ticket, at), JSON, &body);
    match send(server, call).await {
        Ok(reply) if reply.status.is_success() => WriteResult::Done(Written::Nothing),
        other => result(Kind::Ticket, other),
    }
}

/// Adds or removes our finalizer among those that are there. A JSON patch would need no
/// read, but its failed tests are indistinguishable from invalid objects.
async fn finalizer(server: &Server<'_>, at: &Precondition, present: bool) -> WriteResult {
    #[derive(Deserialize)]
    struct Object {
        metadata: Found,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        uid: String,
        resource_version: String,
        #[serde(default)]
        finalizers: Vec<String>,
    }
    let there = match send(server, Call::get(place(Kind::PatrolPolicy, at))).await {
        Ok(reply) if reply.status == 200 => reply,
        other => return result(Kind::PatrolPolicy, other),
    };
    let Ok(Object { metadata: found }) = serde_json::from_slice(&there.body) else {
        return WriteResult::Failed;
    };
    if found.uid != at.uid || found.resource_version != at.version {
        return WriteResult::Conflict;
    }
    let mut finalizers = found.finalizers;
    finalizers.retain(|f| f != FINALIZER);
    if present {
        finalizers.push(FINALIZER.to_owned());
    }
    let meta = Meta {
        finalizers: Some(finalizers),
        ..Meta::of(at)
    };
    patch(server, Kind::PatrolPolicy, at, meta).await
}

/// Reads a ticket: what was seen, as an event, and how the reading ended.
pub(super) async fn read_ticket(http: &Http, key: &ObjectKey) -> (Option<Event>, WriteResult) {
    let target = path::object(Kind::Ticket, &key.namespace, &key.name);
    match http.get(target).await {
        Ok(reply) if reply.status == 200 => match decode(Kind::Ticket, &reply.body) {
            Ok(Observed {
                fact: Fact::Ticket(ticket),
                ..
            }) => (None, WriteResult::Done(Written::Ticket(ticket))),
            // No other fact is decoded from a ticket.
            Ok(_) => (None, WriteResult::Failed),
            Err(error) => (
                Some(Event::Undecodable(error)),
                WriteResult::Done(Written::Nothing),
            ),
        },
        other => (None, result(Kind::Ticket, other)),
    }
}

fn place(kind: Kind, at: &Precondition) -> String {
    path::object(kind, &at.key.namespace, &at.key.name)
}

/// Makes one call. Asks right before it whether this process leads, and goes on with it no longer
/// than it certainly does: no call is waited for that another leader might contradict.
async fn send(server: &Server<'_>, call: Call) -> Result<Reply, CallError> {
    let led = server.fence.remaining().ok_or(CallError::NotLeader)?;
    let left = server.until.saturating_duration_since(Instant::now());
    let changes_nothing = call.method == Method::GET;
    let call = server.http.call(call, left.min(led), OBJECT_MAX);
    let done = server.fence.while_leading(call).await;
    done.unwrap_or(Err(match changes_nothing {
        true => CallError::NotLeader,
        // It may have been carried out.
        false => CallError::Deadline(led),
    }))
}
