//! What the API server says in a `Status` body, reduced to our own words.
//!
//! Its message is matched against known phrases and never logged or handed on: it may
//! quote the object.

use patrol_core::event::Refusal;
use serde::Deserialize;

use crate::client::Reply;

/// A `Status` object.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) kind: String,
    pub(crate) reason: Option<String>,
    pub(crate) code: Option<u16>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Details {
    kind: Option<String>,
    causes: Option<Vec<Cause>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: Option<String>,
    field: Option<String>,
}

impl Status {
    /// Parses a body; one that is no Status says nothing.
    pub(crate) fn parse(body: &[u8]) -> Self {
        serde_json::from_slice::<Self>(body)
            .ok()
            .filter(|status| status.kind == "Status")
            .unwrap_or_default()
    }

    /// Of a reply.
    pub(crate) fn of(reply: &Reply) -> Self {
        Self::parse(&reply.body)
    }

    pub(crate) fn is(&self, reason: &str) -> bool {
        self.reason.as_deref() == Some(reason)
    }

    /// Whether the version asked for is too old.
    pub(crate) fn is_expired(&self) -> bool {
        self.code == Some(410) || self.is("Expired") || self.is("Gone")
    }

    fn says(&self, phrase: &str) -> bool {
        self.message.as_deref().is_some_and(|m| m.contains(phrase))
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.causes().any(|c| c.reason.as_deref() == Some(reason))
    }

    fn causes(&self) -> impl Iterator<Item = &Cause> {
        let causes = self.details.as_ref().and_then(|d| d.causes.as_deref());
        causes.unwrap_or_default().iter()
    }

    /// Whether a patch was refused because it names another UID than the object has: that
    /// is a failed precondition, not an invalid object.
    pub(crate) fn is_uid_mismatch(&self) -> bool {
        self.is("Invalid")
            && self
                .causes()
                .any(|c| c.field.as_deref() == Some("metadata.uid"))
    }

    /// Whether what was not found is the namespace rather than the object.
    pub(crate) fn is_about_namespace(&self) -> bool {
        self.details
            .as_ref()
            .is_some_and(|d| d.kind.as_deref() == Some("namespaces"))
    }

    /// Why a write was refused with this HTTP status, if it was refused for good.
    ///
    /// A webhook chooses its own code (403 by default, any 4xx otherwise), so its phrase
    /// comes first. A webhook that fails to answer is a 500 and no refusal.
    pub(crate) fn refusal(&self, http: u16) -> Option<Refusal> {
        if !(400..500).contains(&http) {
            return None;
        }
        if self.says("admission webhook \"") && self.says("denied the request") {
            return Some(Refusal::AdmissionDenied);
        }
        match http {
            403 if self.has_cause("NamespaceTerminating")
                || self.says("because it is being terminated") =>
            {
                Some(Refusal::NamespaceTerminating)
            }
            403 if self.says("exceeded quota:") => Some(Refusal::QuotaExceeded),
            // ValidatingAdmissionPolicy answers 422 unless told otherwise, also 403.
            _ if self.says("ValidatingAdmissionPolicy '") && self.says("denied request") => {
                Some(Refusal::AdmissionDenied)
            }
            403 => Some(Refusal::Forbidden),
            404 if self.is_about_namespace() => Some(Refusal::NamespaceNotFound),
            400 | 405 | 413 | 415 | 422 => Some(Refusal::Invalid),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(http: u16, body: serde_json::Value) -> Option<Refusal> {
        let mut body = body;
        body["kind"] = "Status".into();
        Status::parse(body.to_string().as_bytes()).refusal(http)
    }

    #[test]
    fn refusals_are_told_apart() {
        use Refusal as R;
        let rows = [
            (
                403,
                json!({"reason": "Forbidden", "message": "tickets is forbidden: User \"x\" cannot"}),
                Some(R::Forbidden),
            ),
            (
                403,
                json!({"reason": "Forbidden", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}),
                Some(R::NamespaceTerminating),
            ),
            (
                403,
                json!({"message": "tickets \"t\" is forbidden: exceeded quota: q, requested: 1"}),
                Some(R::QuotaExceeded),
            ),
            (
                403,
                json!({"message": "admission webhook \"w.example\" denied the request: no"}),
                Some(R::AdmissionDenied),
            ),
            (
                400,
                json!({"message": "admission webhook \"w.example\" denied the request: no"}),
                Some(R::AdmissionDenied),
            ),
            (
                422,
                json!({"reason": "Invalid", "message": "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"}),
                Some(R::AdmissionDenied),
            ),
            (422, json!({"reason": "Invalid"}), Some(R::Invalid)),
            (
                404,
                json!({"reason": "NotFound", "details": {"kind": "namespaces", "name": "shop"}}),
                Some(R::NamespaceNotFound),
            ),
            (
                404,
                json!({"reason": "NotFound", "details": {"kind": "tickets"}}),
                None,
            ),
            (409, json!({"reason": "Conflict"}), None),
            // Wrong credentials say nothing of the object: a rotated token is read again.
            (401, json!({"reason": "Unauthorized"}), None),
            (
                500,
                json!({"message": "failed calling webhook \"w\": denied the request"}),
                None,
            ),
        ];
        for (http, body, expected) in rows {
            assert_eq!(refusal(http, body.clone()), expected, "{http} {body}");
        }
    }

    #[test]
    fn a_body_that_is_no_status_says_nothing() {
        for body in ["", "404 page not found", "{\"kind\": \"Pod\"}", "[1]"] {
            let status = Status::parse(body.as_bytes());
            assert!(status.reason.is_none() && !status.is_expired(), "{body}");
        }
    }
}
