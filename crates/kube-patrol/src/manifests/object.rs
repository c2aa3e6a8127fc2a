//! Documents to objects: lists taken apart, what an API server would fill in filled in, and
//! the kinds that checks read decoded.

use std::sync::Arc;

use patrol_core::facts::{DecodeError, ObjectKey, Observed, decode_value};
use patrol_core::fingerprint::derived_uid;
use patrol_core::kind::Kind;
use serde_json::{Map, Value};

use super::FileContent;
use super::coverage::{MayHold, NO_KIND, NotInspected, Source};
use super::parse::Document;

/// Lists in lists are taken apart this deep.
const MAX_LISTS: usize = 8;

/// The namespace of namespaced objects that name none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// One object of a manifest.
#[derive(Debug)]
pub struct Object {
    /// Where it is written.
    pub source: Source,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// The whole object, defaults filled in for the kinds that are decoded.
    pub value: Value,
    /// The fact, for kinds that are read.
    pub decoded: Decoded,
}

/// Whether an object is one that checks read.
#[derive(Debug)]
pub enum Decoded {
    /// No check reads this kind.
    Unread,
    /// A fact.
    Fact(Box<Observed>),
    /// A kind that is read, and an object that cannot be decoded.
    Broken(DecodeError),
}

impl Object {
    /// `metadata.name`, empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("")
    }

    /// Kind and place, where both are known.
    #[must_use]
    pub fn identity(&self) -> Option<(Kind, &ObjectKey)> {
        match &self.decoded {
            Decoded::Unread => None,
            Decoded::Fact(seen) => Some((seen.kind, &seen.key)),
            Decoded::Broken(error) => Some((error.kind, error.key.as_ref()?)),
        }
    }
}

/// Takes a document apart into `out`.
pub fn expand(file: &Arc<str>, document: Document, out: &mut FileContent) {
    let source = Source {
        file: Arc::clone(file),
        document: document.index,
        line: document.line,
    };
    Expansion { out }.any(source, document.value, &document.item_lines, 0);
}

struct Expansion<'a> {
    out: &'a mut FileContent,
}

impl Expansion<'_> {
    fn any(&mut self, source: Source, value: Value, lines: &[usize], depth: usize) {
        match value {
            Value::Null => {}
            Value::Object(fields) => self.mapping(source, fields, lines, depth),
            Value::Array(items) if depth == 0 && items.iter().any(is_object) => {
                self.items(&source, items, lines, depth, None);
            }
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.out.coverage.count(NO_KIND);
            }
        }
    }

    fn mapping(
        &mut self,
        source: Source,
        mut fields: Map<String, Value>,
        lines: &[usize],
        depth: usize,
    ) {
        let api_version = text(&fields, "apiVersion");
        let kind = text(&fields, "kind");
        if kind.is_empty() {
            self.out.coverage.count(NO_KIND);
            return;
        }
        self.out.coverage.count(&kind);
        if is_list(&kind, &fields) {
            let items = match fields.remove("items") {
                Some(Value::Array(items)) => items,
                _ => vec![],
            };
            if depth >= MAX_LISTS {
                let reason = "holds lists nested too deeply: flatten them".into();
                self.refuse(&source, reason, MayHold::Anything, None);
                return;
            }
            let item_kind = kind.strip_suffix("List").filter(|k| !k.is_empty());
            let default = item_kind.map(|kind| (api_version.as_str(), kind));
            self.items(&source, items, lines, depth, default);
            return;
        }
        if api_version.is_empty() {
            self.without_version(&source, &kind);
            return;
        }
        self.object(source, api_version, kind, Value::Object(fields));
    }

    fn items(
        &mut self,
        source: &Source,
        items: Vec<Value>,
        lines: &[usize],
        depth: usize,
        default: Option<(&str, &str)>,
    ) {
        for (i, mut item) in items.into_iter().enumerate() {
            // The items of a typed list (`PodList`) carry neither apiVersion nor kind.
            if let (Some((api_version, kind)), Value::Object(fields)) = (default, &mut item)
                && !fields.contains_key("kind")
            {
                fields.insert("apiVersion".into(), api_version.into());
                fields.insert("kind".into(), kind.into());
            }
            let source = Source {
                line: lines.get(i).copied().unwrap_or(source.line),
                ..source.clone()
            };
            self.any(source, item, &[], depth + 1);
        }
    }

    /// A kind that we read, written without its group, is a slip and not some other file.
    fn without_version(&mut self, source: &Source, kind: &str) {
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|k| k.info().kind == kind)
            .collect();
        if !kinds.is_empty() {
            self.refuse(
                source,
                format!("{kind} without apiVersion: add it"),
                MayHold::Kinds(kinds.into_iter().collect()),
                None,
            );
        }
    }

    fn object(&mut self, source: Source, api_version: String, kind: String, mut value: Value) {
        let decoded = match Kind::of_manifest(&api_version, &kind) {
            None => Decoded::Unread,
            Some(known) => {
                complete(known, &mut value);
                match decode_value(known, &value) {
                    Ok(seen) => Decoded::Fact(Box::new(seen)),
                    Err(error) => {
                        let reason =
                            format!("{kind} cannot be decoded ({}): correct it", error.reason);
                        let object = error.key.clone().map(|key| (known, key));
                        self.refuse(&source, reason, MayHold::Kinds([known].into()), object);
                        Decoded::Broken(error)
                    }
                }
            }
        };
        self.out.objects.push(Object {
            source,
            api_version,
            kind,
            value,
            decoded,
        });
    }

    fn refuse(
        &mut self,
        source: &Source,
        reason: String,
        may_hold: MayHold,
        object: Option<(Kind, ObjectKey)>,
    ) {
        self.out.coverage.not_inspected.push(NotInspected {
            file: Arc::clone(&source.file),
            document: Some(source.document),
            line: Some(source.line),
            reason,
            may_hold,
            object,
        });
    }
}

fn is_object(value: &Value) -> bool {
    value.get("apiVersion").is_some_and(Value::is_string)
        && value.get("kind").is_some_and(Value::is_string)
}

/// `List` always; another kind that ends so when it holds items and nothing of its own.
fn is_list(kind: &str, fields: &Map<String, Value>) -> bool {
    kind == "List"
        || (kind.ends_with("List")
            && !fields.contains_key("spec")
            && fields
                .get("items")
                .is_some_and(|i| i.is_array() || i.is_null()))
}

fn text(fields: &Map<String, Value>, key: &str) -> String {
    fields
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// What an API server would have filled in: the namespace, a name where one is to be
/// generated, and a UID (here one derived from the identity).
fn complete(kind: Kind, value: &mut Value) {
    let info = kind.info();
    let Some(Value::Object(metadata)) = value.get_mut("metadata") else {
        return;
    };
    if text(metadata, "name").is_empty()
        && let Some(generated) = metadata.get("generateName").filter(|n| n.is_string())
    {
        let generated = generated.clone();
        metadata.insert("name".into(), generated);
    }
    let given = text(metadata, "namespace");
    let namespace = match (info.namespaced, given.is_empty()) {
        (true, true) => DEFAULT_NAMESPACE.to_owned(),
        (true, false) => given,
        (false, _) => String::new(),
    };
    if info.namespaced {
        metadata.insert("namespace".into(), namespace.as_str().into());
    } else {
        metadata.remove("namespace");
    }
    if text(metadata, "uid").is_empty() {
        let uid = derived_uid(info.kind, &namespace, &text(metadata, "name"));
        metadata.insert("uid".into(), uid.into());
    }
}
