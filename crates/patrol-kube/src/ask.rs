//! Single questions and edits of somebody at a terminal, with their own rights.
//!
//! Each is one call (a list may take several) with a deadline, and never repeated. Never
//! hands on a word of the API server's own: what went wrong is one of a few cases.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use http::Method;
use patrol_api::ticket::Ticket;
use patrol_core::event::Refusal;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::Connection;
use crate::client::{
    Call, Http, JSON, MERGE_PATCH, OBJECT_DEADLINE, OBJECT_MAX, PAGE_DEADLINE, Reply,
};
use crate::error::{CallError, SetupError};
use crate::path;
use crate::status::Status;

/// Who writes, in `managedFields`; a field the server does not know is an error.
const WRITE: &str = "fieldManager=kubectl-patrol&fieldValidation=Strict";
/// Objects of one page of a list.
const PAGE: usize = 500;
/// More pages than any list of ours has.
const PAGES: usize = 1000;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// The rights do not reach so far.
    #[error("access is denied")]
    Denied,
    /// Nobody is known by these credentials.
    #[error("the API server does not accept the credentials")]
    Unauthenticated,
    /// No object of the name, or no such kind.
    #[error("it is not there")]
    Absent,
    /// Somebody else wrote first.
    #[error("it was changed meanwhile")]
    Conflict,
    /// Refused for good.
    #[error("the API server refuses it ({})", .0.as_str())]
    Refused(Refusal),
    /// Another status.
    #[error("the API server answers with status {0}")]
    Status(u16),
    /// An answer that makes no sense.
    #[error("the API server's answer cannot be read")]
    Unreadable,
    /// No answer.
    #[error("the API server does not answer: {0}")]
    Call(#[from] CallError),
}

impl NoAnswer {
    /// Whether something is there and only our rights do not reach it.
    #[must_use]
    pub const fn is_denied(self) -> bool {
        matches!(self, Self::Denied)
    }
}

/// A resource, in one namespace or in the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// API group, empty for the core.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Namespace; empty for cluster-scoped objects and for lists of all namespaces.
    pub namespace: &'a str,
}

impl<'a> Resource<'a> {
    /// One of our own kinds.
    #[must_use]
    pub const fn ours(resource: &'a str, namespace: &'a str) -> Self {
        Self {
            group: patrol_api::names::GROUP,
            version: "v1alpha1",
            resource,
            namespace,
        }
    }

    fn path(&self) -> String {
        let root = path::version_root(self.group, self.version);
        if self.namespace.is_empty() {
            format!("{root}/{}", path::escape(self.resource))
        } else {
            format!(
                "{root}/namespaces/{}/{}",
                path::escape(self.namespace),
                path::escape(self.resource)
            )
        }
    }
}

/// What the API server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Major and minor version.
    pub version: (u32, u32),
    /// The time in the head of its reply.
    pub date: Option<DateTime<Utc>>,
}

/// A question of the kind "may it?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// Verb.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Plural name, with a subresource after a slash.
    pub resource: &'a str,
    /// Namespace; empty for the whole cluster.
    pub namespace: &'a str,
    /// Name of one object; empty for every.
    pub name: &'a str,
}

impl Access<'_> {
    fn attributes(&self) -> Value {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        json!({
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        })
    }
}

impl Connection {
    /// As [`Connection::infer`], acting as another user where the caller may do so.
    ///
    /// # Errors
    /// As [`Connection::infer`].
    pub async fn infer_as(user: &str, groups: &[String]) -> Result<Self, SetupError> {
        let mut config = kube::Config::infer()
            .await
            .map_err(|error| SetupError::Identity(Box::new(error)))?;
        let mut act_as = |header: &'static str, value: &str| {
            if let Ok(value) = http::HeaderValue::from_str(value) {
                config
                    .headers
                    .push((http::HeaderName::from_static(header), value));
            }
        };
        act_as("impersonate-user", user);
        for group in groups {
            act_as("impersonate-group", group);
        }
        Self::with(config)
    }
}

impl Http {
    /// Version and clock of the API server.
    ///
    /// # Errors
    /// When it does not answer, or not with a version.
    pub async fn greet(&self) -> Result<Greeting, NoAnswer> {
        let opened = self
            .open(Call::get("/version".to_owned()), OBJECT_DEADLINE)
            .await?;
        let (date, status) = (opened.date, opened.status);
        if !status.is_success() {
            return Err(no_answer(status.as_u16(), &Status::default()));
        }
        drop(opened);
        let version = self.server_version().await?;
        Ok(Greeting { version, date })
    }

    /// The user name by which the API server knows the caller.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn who_am_i(&self) -> Result<String, NoAnswer> {
        let at = Resource {
            group: "authentication.k8s.io",
            version: "v1",
            resource: "selfsubjectreviews",
            namespace: "",
        };
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let review = self.review(&at, &body).await?;
        text(&review, "/status/userInfo/username").ok_or(NoAnswer::Unreadable)
    }

    /// Whether the caller may do something.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn may_i(&self, what: &Access<'_>) -> Result<bool, NoAnswer> {
        let spec = json!({"resourceAttributes": what.attributes()});
        self.access("SelfSubjectAccessReview", "selfsubjectaccessreviews", &spec)
            .await
    }

    /// Whether a user may do something.
    ///
    /// # Errors
    /// When the API server does not say, or not to this caller.
    pub async fn may(
        &self,
        user: &str,
        groups: &[String],
        what: &Access<'_>,
    ) -> Result<bool, NoAnswer> {
        let spec = json!({
            "user": user, "groups": groups, "resourceAttributes": what.attributes(),
        });
        self.access("SubjectAccessReview", "subjectaccessreviews", &spec)
            .await
    }

    async fn access(&self, kind: &str, resource: &str, spec: &Value) -> Result<bool, NoAnswer> {
        const GROUP: &str = "authorization.k8s.io";
        let at = Resource {
            group: GROUP,
            version: "v1",
            resource,
            namespace: "",
        };
        let body = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "spec": spec});
        let review = self.review(&at, &body).await?;
        let allowed = review.pointer("/status/allowed").and_then(Value::as_bool);
        allowed.ok_or(NoAnswer::Unreadable)
    }

    async fn review(&self, at: &Resource<'_>, body: &Value) -> Result<Value, NoAnswer> {
        let call = Call::send(Method::POST, at.path(), JSON, body);
        answer(&self.call(call, OBJECT_DEADLINE, OBJECT_MAX).await?)
    }

    /// One object.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn read(&self, at: &Resource<'_>, name: &str) -> Result<Value, NoAnswer> {
        let target = format!("{}/{}", at.path(), path::escape(name));
        answer(&self.get(target).await?)
    }

    /// Every object of a resource.
    ///
    /// # Errors
    /// When they cannot be had, all of them.
    pub async fn list(&self, at: &Resource<'_>) -> Result<Vec<Value>, NoAnswer> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            metadata: BTreeMap<String, Value>,
            #[serde(default)]
            items: Vec<Value>,
        }
        let mut all = vec![];
        let mut next = String::new();
        for _ in 0..PAGES {
            let mut target = format!("{}?limit={PAGE}", at.path());
            if !next.is_empty() {
                target.push_str("&continue=");
                target.push_str(&path::escape(&next));
            }
            let reply = self
                .call(Call::get(target), PAGE_DEADLINE, OBJECT_MAX)
                .await?;
            if !reply.status.is_success() {
                return Err(failure(&reply));
            }
            let page: Page =
                serde_json::from_slice(&reply.body).map_err(|_| NoAnswer::Unreadable)?;
            all.extend(page.items);
            let more = page.metadata.get("continue").and_then(Value::as_str);
            match more.filter(|token| !token.is_empty()) {
                Some(token) => token.clone_into(&mut next),
                None => return Ok(all),
            }
        }
        Err(NoAnswer::Unreadable)
    }

    /// Changes fields of a ticket's spec, if nobody changed the ticket since it was read.
    ///
    /// # Errors
    /// When the API server refuses, or somebody was faster.
    pub async fn change_ticket(&self, ticket: &Ticket, spec: &Value) -> Result<(), NoAnswer> {
        let metadata = &ticket.metadata;
        let at = Resource::ours("tickets", metadata.namespace.as_deref().unwrap_or_default());
        let name = path::escape(metadata.name.as_deref().unwrap_or_default());
        let target = format!("{}/{name}?{WRITE}", at.path());
        let body = json!({
            "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
            "spec": spec,
        });
        let call = Call::send(Method::PATCH, target, MERGE_PATCH, &body);
        let reply = self.call(call, OBJECT_DEADLINE, OBJECT_MAX).await?;
        answer(&reply).map(drop)
    }
}

fn answer(reply: &Reply) -> Result<Value, NoAnswer> {
    if !reply.status.is_success() {
        return Err(failure(reply));
    }
    serde_json::from_slice(&reply.body).map_err(|_| NoAnswer::Unreadable)
}

fn failure(reply: &Reply) -> NoAnswer {
    no_answer(reply.status.as_u16(), &Status::of(reply))
}

fn no_answer(http: u16, status: &Status) -> NoAnswer {
    if status.is_uid_mismatch() {
        return NoAnswer::Conflict;
    }
    match (http, status.refusal(http)) {
        (401, _) => NoAnswer::Unauthenticated,
        (403, None | Some(Refusal::Forbidden)) => NoAnswer::Denied,
        (409, _) => NoAnswer::Conflict,
        (_, Some(refusal)) => NoAnswer::Refused(refusal),
        (404, None) => NoAnswer::Absent,
        (other, None) => NoAnswer::Status(other),
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_apart() {
        let said = |http: u16, body: Value| {
            let status = Status::parse(body.to_string().as_bytes());
            no_answer(http, &status)
        };
        let status = |reason: &str| json!({"kind": "Status", "reason": reason});
        assert_eq!(said(401, status("Unauthorized")), NoAnswer::Unauthenticated);
        assert_eq!(said(403, status("Forbidden")), NoAnswer::Denied);
        assert_eq!(said(404, status("NotFound")), NoAnswer::Absent);
        assert_eq!(said(404, json!("404 page not found")), NoAnswer::Absent);
        assert_eq!(said(409, status("Conflict")), NoAnswer::Conflict);
        assert_eq!(said(503, json!({})), NoAnswer::Status(503));
        let invalid = said(422, status("Invalid"));
        assert_eq!(invalid, NoAnswer::Refused(Refusal::Invalid));
        let admission = json!({
            "kind": "Status",
            "message": "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        });
        let refused = NoAnswer::Refused(Refusal::AdmissionDenied);
        assert_eq!(said(403, admission), refused);
        let another = json!({
            "kind": "Status", "reason": "Invalid",
            "details": {"causes": [{"field": "metadata.uid"}]},
        });
        assert_eq!(said(422, another), NoAnswer::Conflict);
    }

    #[test]
    fn a_subresource_is_asked_about_as_one() {
        let access = Access {
            verb: "update",
            group: "kubepatrol.io",
            resource: "tickets/status",
            namespace: "",
            name: "",
        };
        let attributes = access.attributes();
        let said = |key: &str| attributes.get(key).and_then(Value::as_str);
        assert_eq!(
            (said("resource"), said("subresource")),
            (Some("tickets"), Some("status"))
        );
    }

    #[test]
    fn paths_name_the_namespace_only_where_there_is_one() {
        assert_eq!(
            Resource::ours("tickets", "shop").path(),
            "/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets"
        );
        assert_eq!(
            Resource::ours("tickets", "").path(),
            "/apis/kubepatrol.io/v1alpha1/tickets"
        );
    }
}
