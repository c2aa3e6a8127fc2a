//! The audit log of the API server, as requests with their times.

use std::time::Duration;

use chrono::{DateTime, Utc};
use patrol_e2e::control_plane::{AuditMark, ControlPlane};
use patrol_e2e::{Error, Result, installed, wait_until};
use serde_json::Value;

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether the operator asked.
    pub ours: bool,
    pub verb: String,
    /// `tickets` or `tickets/status`.
    pub resource: String,
    pub name: String,
    pub code: u64,
    /// When the server had the request.
    pub received: DateTime<Utc>,
    /// When it had answered.
    pub done: DateTime<Utc>,
}

impl Request {
    fn parse(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let time = |pointer| text(pointer)?.parse::<DateTime<Utc>>().ok();
        let resource =
            text("/objectRef/resource").unwrap_or_else(|| text("/requestURI").unwrap_or(""));
        let resource = match text("/objectRef/subresource") {
            Some(sub) => format!("{resource}/{sub}"),
            None => resource.to_owned(),
        };
        let account = format!("system:serviceaccount:{0}:{0}", installed::NAMESPACE);
        Some(Self {
            ours: text("/user/username") == Some(&account),
            verb: text("/verb")?.to_owned(),
            resource,
            name: text("/objectRef/name").unwrap_or("").to_owned(),
            code: event.pointer("/responseStatus/code")?.as_u64()?,
            received: time("/requestReceivedTimestamp")?,
            done: time("/stageTimestamp")?,
        })
    }

    /// Whether the operator opened a ticket about a sidecar with it.
    pub fn opens(&self) -> bool {
        self.ours && self.is("create", "tickets") && self.code == 201 && self.is_sidecar()
    }

    /// Whether it is about a ticket of the check that the benchmark provokes.
    pub fn is_sidecar(&self) -> bool {
        self.name.starts_with("sidecar-missing-")
    }

    pub fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }

    /// How long the server took.
    pub fn took(&self) -> Duration {
        between(self.received, self.done)
    }
}

/// The time from one to the other, nothing when they are the other way round.
pub fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

/// Reads the log on and on.
pub struct Log<'a> {
    plane: &'a ControlPlane,
    mark: AuditMark,
}

impl<'a> Log<'a> {
    /// What is answered from now on.
    pub fn from_now(plane: &'a ControlPlane) -> Result<Self> {
        let mut mark = AuditMark::default();
        plane.audit_since(&mut mark)?;
        Ok(Self { plane, mark })
    }

    /// What was answered since the last look.
    pub fn more(&mut self) -> Result<Vec<Request>> {
        let events = self.plane.audit_since(&mut self.mark)?;
        Ok(events.iter().filter_map(Request::parse).collect())
    }

    /// Reads until `count` requests are `wanted`; returns everything read.
    pub fn until(
        &mut self,
        within: Duration,
        what: &str,
        count: usize,
        wanted: impl Fn(&Request) -> bool,
    ) -> Result<Vec<Request>> {
        let mut all: Vec<Request> = vec![];
        let mut seen = 0;
        wait_until(within, what, || {
            let more = self.more()?;
            seen += more.iter().filter(|r| wanted(r)).count();
            all.extend(more);
            match seen >= count {
                true => Ok(()),
                false => Err(Error::failed(format!("{seen} of {count}"))),
            }
        })?;
        Ok(all)
    }
}
