//! One object of JSON to one fact. A failure names the object and is that object's alone.

use std::fmt;

use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::Ticket;
use patrol_api::waiver::TicketWaiver;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cluster::{
    ApiService, CrdFact, EndpointSlice, Namespace, RawApiService, RawCrd, RawEndpointSlice,
    RawNamespace, RawService, RawWebhookConfiguration, Service, WebhookConfiguration,
};
use super::meta::{ObjectKey, RawMeta};
use super::node::{Node, RawNode};
use super::pod::{PodFact, RawPod};
use super::sidecar_set::{RawSidecarSet, SidecarSet};
use super::workload::{RawWorkload, Workload};
use crate::kind::Kind;

/// A decoded object.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Fact {
    Pod(Box<PodFact>),
    Node(Box<Node>),
    Namespace(Box<Namespace>),
    Workload(Box<Workload>),
    Service(Box<Service>),
    EndpointSlice(EndpointSlice),
    Webhook(Box<WebhookConfiguration>),
    Crd(Box<CrdFact>),
    ApiService(Box<ApiService>),
    SidecarSet(Box<SidecarSet>),
    Policy(Box<PatrolPolicy>),
    Receiver(Box<AlertReceiver>),
    Ticket(Box<Ticket>),
    Waiver(Box<TicketWaiver>),
}

/// A fact with its place and version.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Kind.
    pub kind: Kind,
    /// Where it is.
    pub key: ObjectKey,
    /// `resourceVersion`, as the server wrote it; empty for files.
    pub version: String,
    /// What it says.
    pub fact: Fact,
}

/// An object that could not be decoded: a blind spot, never a dead watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Kind.
    pub kind: Kind,
    /// The object, when at least that much could be read.
    pub key: Option<ObjectKey>,
    /// What is wrong, without any value of the object.
    pub reason: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} {key}: cannot be decoded: {}", self.kind, self.reason),
            None => write!(f, "{}: cannot be decoded: {}", self.kind, self.reason),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes one object of `kind` from JSON text.
///
/// # Errors
/// When a field that a check reads has the wrong type, or the object has no name.
pub fn decode(kind: Kind, json: &[u8]) -> Result<Observed, DecodeError> {
    build(kind, &Text(json))
}

/// Decodes one object of `kind` from a JSON value.
///
/// # Errors
/// As [`decode`].
pub fn decode_value(kind: Kind, value: &serde_json::Value) -> Result<Observed, DecodeError> {
    build(kind, &Tree(value))
}

/// The key of an object whose rest cannot be decoded, if at least that is readable.
#[must_use]
pub fn identity_of(json: &[u8]) -> Option<ObjectKey> {
    identity(&Text(json))
}

trait Source {
    fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error>;
}

struct Text<'a>(&'a [u8]);
struct Tree<'a>(&'a serde_json::Value);

impl Source for Text<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.0)
    }
}

impl Source for Tree<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(self.0)
    }
}

fn identity(source: &impl Source) -> Option<ObjectKey> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Names,
    }
    #[derive(Deserialize)]
    struct Names {
        name: String,
        #[serde(default)]
        namespace: Option<String>,
    }
    let named: Named = source.read().ok()?;
    Some(ObjectKey::new(
        named.metadata.namespace.as_deref().unwrap_or(""),
        &named.metadata.name,
    ))
}

fn build(kind: Kind, source: &impl Source) -> Result<Observed, DecodeError> {
    let fail = |error: &dyn fmt::Display| DecodeError {
        kind,
        key: identity(source),
        reason: plain(&redact(&error.to_string())),
    };
    let (key, version, fact) = parts(kind, source).map_err(|e| fail(&e))?;
    if key.name.is_empty() {
        return Err(fail(&"metadata.name is missing"));
    }
    Ok(Observed {
        kind,
        key,
        version,
        fact,
    })
}

fn parts(kind: Kind, source: &impl Source) -> Result<(ObjectKey, String, Fact), String> {
    fn text(e: serde_json::Error) -> String {
        e.to_string()
    }
    macro_rules! plain {
        ($raw:ty, $variant:ident) => {{
            let (key, version, fact) = source.read::<$raw>().map_err(text)?.fact();
            Ok((key, version, Fact::$variant(fact.into())))
        }};
    }
    match kind {
        Kind::Pod => plain!(RawPod, Pod),
        Kind::Node => plain!(RawNode, Node),
        Kind::Namespace => plain!(RawNamespace, Namespace),
        Kind::Service => plain!(RawService, Service),
        Kind::EndpointSlice => plain!(RawEndpointSlice, EndpointSlice),
        Kind::CustomResourceDefinition => plain!(RawCrd, Crd),
        Kind::ApiService => plain!(RawApiService, ApiService),
        Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => {
            let raw: RawWebhookConfiguration = source.read().map_err(text)?;
            let (key, version, fact) = raw.fact(kind)?;
            Ok((key, version, Fact::Webhook(Box::new(fact))))
        }
        Kind::Deployment
        | Kind::ReplicaSet
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::Job
        | Kind::CronJob
        | Kind::ReplicationController => {
            let (key, version, fact) = source.read::<RawWorkload>().map_err(text)?.fact(kind);
            Ok((key, version, Fact::Workload(Box::new(fact))))
        }
        Kind::SidecarSet => {
            let raw: RawSidecarSet = source.read().map_err(text)?;
            let (key, version, fact) = raw.fact()?;
            Ok((key, version, Fact::SidecarSet(Box::new(fact))))
        }
        Kind::PatrolPolicy => ours(source, Fact::Policy),
        Kind::AlertReceiver => ours(source, Fact::Receiver),
        Kind::Ticket => ours(source, Fact::Ticket),
        Kind::TicketWaiver => ours(source, Fact::Waiver),
    }
}

/// Our own objects are kept whole: they are few, and tickets are the record.
fn ours<T: DeserializeOwned>(
    source: &impl Source,
    wrap: fn(Box<T>) -> Fact,
) -> Result<(ObjectKey, String, Fact), String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        metadata: RawMeta,
    }
    let (key, version, _) = source
        .read::<Named>()
        .map_err(|e| e.to_string())?
        .metadata
        .split();
    let object: T = source.read().map_err(|e| e.to_string())?;
    Ok((key, version, wrap(Box::new(object))))
}

/// In the words of people who write manifests: no type of ours, no number of the object,
/// no place in a text that nobody has.
fn plain(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.split_once(", expected "))
    else {
        // `unknown variant`, `invalid value` and the like quote the object in backticks.
        return match message.split_once(", expected ") {
            Some((what, expected)) => {
                let what = what.split(['`', ':']).next().unwrap_or_default().trim();
                format!("{what}, expected {expected}")
            }
            None => message.to_owned(),
        };
    };
    format!("{} where {} belongs", word(found), word(expected))
}

/// What serde calls a thing, as people call it.
fn word(of_serde: &str) -> &str {
    let first = of_serde.split([' ', '`']).next().unwrap_or_default();
    let rest = of_serde.strip_prefix("a ").unwrap_or(of_serde);
    match (first, rest) {
        ("string" | "character", _) => "a text",
        ("integer" | "floating" | "number", _) => "a number",
        ("boolean", _) => "true or false",
        ("sequence", _) => "a list",
        ("map" | "struct", _) => "an object",
        ("null" | "unit", _) => "nothing",
        (_, "string" | "borrowed string" | "str") => "a text",
        (_, "sequence" | "tuple") => "a list",
        (_, "map") => "an object",
        (_, "boolean") => "true or false",
        ("i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "f64", _) => {
            "a number"
        }
        _ => of_serde,
    }
}

/// serde quotes the offending value (`invalid type: string "hunter2", expected i64`); an
/// error text must not carry it.
fn redact(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find('"') {
        out.push_str(&rest[..start]);
        let tail = &rest[start + 1..];
        let Some(end) = closing_quote(tail) else {
            out.push_str("(value)");
            return out;
        };
        out.push_str("(value)");
        rest = &tail[end + 1..];
    }
    out.push_str(rest);
    out
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Some(i),
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_decoded_is_said_in_plain_words_without_values() {
        for (found, said) in [
            (
                "invalid type: integer `7`, expected struct RawTemplate",
                "a number where an object belongs",
            ),
            (
                "invalid type: string (value), expected a sequence at line 1 column 9",
                "a text where a list belongs",
            ),
            (
                "invalid type: boolean `true`, expected u32",
                "true or false where a number belongs",
            ),
            (
                "invalid type: null, expected a string",
                "nothing where a text belongs",
            ),
            (
                "invalid value: integer `99999999999`, expected u16",
                "invalid value, expected u16",
            ),
            (
                "unknown variant `hunter2`, expected one of `A`, `B`",
                "unknown variant, expected one of `A`, `B`",
            ),
            ("missing field `name`", "missing field `name`"),
        ] {
            assert_eq!(plain(found), said);
        }
        let bad = br#"{"metadata":{"name":"w","namespace":"n"},"spec":{"template":7}}"#;
        let error = decode(Kind::Deployment, bad).unwrap_err();
        assert_eq!(error.reason, "a number where an object belongs");
    }

    #[test]
    fn a_pod_without_status_or_defaults_decodes() {
        let pod =
            br#"{"metadata":{"name":"p","namespace":"n"},"spec":{"containers":[{"name":"c"}]}}"#;
        let seen = decode(Kind::Pod, pod).unwrap();
        let Fact::Pod(fact) = seen.fact else {
            panic!("not a pod")
        };
        assert_eq!(fact.shape.containers.len(), 1);
        assert!(fact.is_live());
    }

    #[test]
    fn an_error_names_the_object_and_hides_the_value() {
        let bad = br#"{"metadata":{"name":"p","namespace":"n"},"spec":{"hostNetwork":"s3cr\"et"}}"#;
        let error = decode(Kind::Pod, bad).unwrap_err();
        assert_eq!(error.key, Some(ObjectKey::new("n", "p")));
        assert!(!error.to_string().contains("s3cr"), "{error}");
        assert!(!error.to_string().contains("et\""), "{error}");
    }

    #[test]
    fn text_and_tree_decode_alike() {
        let json = serde_json::json!({"metadata": {"name": "d", "namespace": "n", "generation": 2},
            "spec": {"replicas": 0, "template": {"spec": {"containers": []}}}});
        let (a, b) = (
            decode(Kind::Deployment, json.to_string().as_bytes()).unwrap(),
            decode_value(Kind::Deployment, &json).unwrap(),
        );
        let (Fact::Workload(a), Fact::Workload(b)) = (a.fact, b.fact) else {
            panic!()
        };
        assert_eq!(a, b);
        assert_eq!(a.replicas, 0);
    }
}
