//! The single writes: how each is put, and how its reply is read.

use http::Method;
use patrol_api::time::Span;
use patrol_core::effect::{Effect, Precondition};
use patrol_core::event::{Event, Refusal, WriteId, WriteResult, Written};
use patrol_core::facts::{Fact, ObjectKey, decode};
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::client::{Call, Http, JSON, MERGE_PATCH, OBJECT_DEADLINE, OBJECT_MAX, Reply};
use crate::error::CallError;
use crate::path;
use crate::status::Status;

/// Who writes, in `managedFields`.
const MANAGER: &str = "fieldManager=kube-patrol";
/// The finalizer on a policy whose closings are owed.
const FINALIZER: &str = "kubepatrol.io/closing";

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
        | Effect::WriteReceiverStatus { id, .. } => Some(*id),
        Effect::Send { .. }
        | Effect::Review(_)
        | Effect::Count(_)
        | Effect::Announce(_)
        | Effect::WakeAt(_) => None,
    }
}

/// Makes a write.
pub(super) async fn write(http: &Http, effect: Effect) -> WriteResult {
    match effect {
        Effect::CreateTicket { ticket, .. } => create(http, &ticket).await,
        Effect::WriteTicketStatus { at, status, .. } => {
            put_status(http, Kind::Ticket, &at, &json!(status)).await
        }
        Effect::WritePolicyStatus { at, status, .. } => {
            put_status(http, Kind::PatrolPolicy, &at, &json!(status)).await
        }
        Effect::WriteReceiverStatus { at, status, .. } => {
            put_status(http, Kind::AlertReceiver, &at, &json!(status)).await
        }
        Effect::WriteTicketLabels { at, labels, .. } => {
            let mut body = precondition(&at);
            body["metadata"]["labels"] = json!(labels);
            patch(http, Kind::Ticket, &at, &body).await
        }
        Effect::DeleteTicket { at, .. } => delete(http, &at).await,
        Effect::WritePolicyFinalizer { at, present, .. } => finalizer(http, &at, present).await,
        _ => WriteResult::Failed,
    }
}

async fn create(http: &Http, ticket: &patrol_api::ticket::Ticket) -> WriteResult {
    let namespace = ticket.metadata.namespace.as_deref().unwrap_or("");
    let name = ticket.metadata.name.as_deref().unwrap_or("");
    let target = format!("{}?{MANAGER}", path::in_namespace(Kind::Ticket, namespace));
    let call = Call::send(Method::POST, target, JSON, &json!(ticket));
    match send(http, call).await {
        Ok(reply) if reply.status == 409 && Status::of(&reply).is("AlreadyExists") => {
            // Created before, by us or by someone else: what is there decides.
            let target = path::object(Kind::Ticket, namespace, name);
            let there = http.get(target).await.ok().filter(|r| r.status == 200);
            let ticket = there.and_then(|reply| match object(Kind::Ticket, &reply)? {
                Written::Ticket(ticket) => Some(ticket),
                _ => None,
            });
            WriteResult::Exists(ticket)
        }
        other => result(Kind::Ticket, other),
    }
}

/// A PUT replaces the whole status; spec and metadata of the body are ignored but for the
/// name and the precondition.
async fn put_status(http: &Http, kind: Kind, at: &Precondition, status: &Value) -> WriteResult {
    let mut body = precondition(at);
    let info = kind.info();
    body["apiVersion"] = format!("{}/{}", info.group, info.version).into();
    body["kind"] = info.kind.into();
    body["metadata"]["name"] = (*at.key.name).into();
    if info.namespaced {
        body["metadata"]["namespace"] = at.key.namespace.as_str().into();
    }
    body["status"] = status.clone();
    let target = format!("{}/status?{MANAGER}", place(kind, at));
    result(
        kind,
        send(http, Call::send(Method::PUT, target, JSON, &body)).await,
    )
}

async fn patch(http: &Http, kind: Kind, at: &Precondition, body: &Value) -> WriteResult {
    let target = format!("{}?{MANAGER}", place(kind, at));
    let call = Call::send(Method::PATCH, target, MERGE_PATCH, body);
    result(kind, send(http, call).await)
}

async fn delete(http: &Http, at: &Precondition) -> WriteResult {
    let body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": at.uid, "resourceVersion": at.version},
    });
    let call = Call::send(Method::DELETE, place(Kind::Ticket, at), JSON, &body);
    match send(http, call).await {
        Ok(reply) if reply.status.is_success() => WriteResult::Done(Written::Nothing),
        other => result(Kind::Ticket, other),
    }
}

/// Adds or removes our finalizer among those that are there.
async fn finalizer(http: &Http, at: &Precondition, present: bool) -> WriteResult {
    let there = match http.get(place(Kind::PatrolPolicy, at)).await {
        Ok(reply) if reply.status == 200 => reply,
        other => return result(Kind::PatrolPolicy, other),
    };
    let Ok(object) = serde_json::from_slice::<Value>(&there.body) else {
        return WriteResult::Failed;
    };
    let metadata = &object["metadata"];
    if metadata["uid"] != at.uid.as_str() || metadata["resourceVersion"] != at.version.as_str() {
        return WriteResult::Conflict;
    }
    let mut finalizers: Vec<Value> = metadata["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    finalizers.retain(|f| f != FINALIZER);
    if present {
        finalizers.push(FINALIZER.into());
    }
    let mut body = precondition(at);
    body["metadata"]["finalizers"] = finalizers.into();
    patch(http, Kind::PatrolPolicy, at, &body).await
}

/// Reads a ticket: what was seen, as an event, and how the reading ended.
pub(super) async fn read_ticket(http: &Http, key: &ObjectKey) -> (Option<Event>, WriteResult) {
    let target = path::object(Kind::Ticket, &key.namespace, &key.name);
    match http.get(target).await {
        Ok(reply) if reply.status == 200 => match decode(Kind::Ticket, &reply.body) {
            Ok(seen) => (
                Some(Event::Seen(Box::new(seen))),
                WriteResult::Done(Written::Nothing),
            ),
            Err(error) => (
                Some(Event::Undecodable(error)),
                WriteResult::Done(Written::Nothing),
            ),
        },
        Ok(reply) if reply.status == 404 => (
            Some(Event::Gone(Kind::Ticket, key.clone())),
            WriteResult::Done(Written::Nothing),
        ),
        other => (None, result(Kind::Ticket, other)),
    }
}

fn precondition(at: &Precondition) -> Value {
    json!({"metadata": {"uid": at.uid, "resourceVersion": at.version}})
}

fn place(kind: Kind, at: &Precondition) -> String {
    path::object(kind, &at.key.namespace, &at.key.name)
}

async fn send(http: &Http, call: Call) -> Result<Reply, CallError> {
    http.call(call, OBJECT_DEADLINE, OBJECT_MAX).await
}

/// How a reply is to be taken.
fn result(kind: Kind, reply: Result<Reply, CallError>) -> WriteResult {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!(kind = %kind, reason = error.as_str(), "a write brought no reply");
            return WriteResult::Failed;
        }
    };
    let code = reply.status.as_u16();
    if reply.status.is_success() {
        return match object(kind, &reply) {
            Some(written) => WriteResult::Done(written),
            None => WriteResult::Done(Written::Nothing),
        };
    }
    let status = Status::of(&reply);
    if code == 409 || status.is_uid_mismatch() {
        return WriteResult::Conflict;
    }
    if code == 429 {
        let wait = reply.retry_after.map(|w| Span::seconds(w.as_secs()));
        return WriteResult::Throttled(wait);
    }
    match status.refusal(code) {
        Some(Refusal::NamespaceNotFound) => WriteResult::Refused(Refusal::NamespaceNotFound),
        Some(refusal) => {
            tracing::warn!(kind = %kind, status = code, reason = refusal.as_str(), "a write was refused");
            WriteResult::Refused(refusal)
        }
        None if code == 404 => WriteResult::NotFound,
        None => {
            tracing::warn!(kind = %kind, status = code, "a write failed");
            WriteResult::Failed
        }
    }
}

fn object(kind: Kind, reply: &Reply) -> Option<Written> {
    let seen = decode(kind, &reply.body).ok()?;
    Some(match seen.fact {
        Fact::Ticket(ticket) => Written::Ticket(ticket),
        Fact::Policy(policy) => Written::Policy(policy),
        Fact::Receiver(receiver) => Written::Receiver(receiver),
        _ => return None,
    })
}
