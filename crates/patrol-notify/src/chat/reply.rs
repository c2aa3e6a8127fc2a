//! What a chat's reply holds: a code, a word, a page. It is looked at and let go; no byte of it gets into a verdict.

use std::time::Duration;

use serde_json::Value;

use crate::classify::{Class, Verdict};

/// The body of a reply as far as it was read.
pub(crate) struct Reply {
    /// As text; a stand-in for what is none, so that a body in another encoding is not taken for an empty one.
    pub(crate) text: String,
    json: Option<Value>,
}

impl Reply {
    pub(crate) fn new(body: &[u8]) -> Self {
        Self {
            text: String::from_utf8_lossy(body).trim().to_owned(),
            json: serde_json::from_slice(body).ok(),
        }
    }

    /// A field of the object, when the reply is one.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.json.as_ref()?.get(name)
    }

    pub(crate) fn is_object(&self) -> bool {
        self.json.as_ref().is_some_and(Value::is_object)
    }

    /// A whole number.
    pub(crate) fn code(&self, name: &str) -> Option<i64> {
        self.field(name)?.as_i64()
    }

    /// A text, in lower case.
    pub(crate) fn word(&self, name: &str) -> String {
        self.field(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    }
}

/// Whether a reply is a page for people, as gateways and login portals answer.
pub(crate) fn is_page(reply: &Reply) -> bool {
    let marks = |c: char| c.is_whitespace() || c == '\u{feff}';
    reply.text.trim_start_matches(marks).starts_with('<')
}

pub(crate) const fn config(detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Config,
        detail,
    }
}

pub(crate) const fn payload(detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Payload,
        detail,
    }
}

pub(crate) const fn transient(detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Transient,
        detail,
    }
}

pub(crate) const fn throttled(retry_after: Option<Duration>, detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Throttled { retry_after },
        detail,
    }
}
