//! Object metadata, cut to what identifies, selects and ages an object.

use std::fmt;
use std::sync::Arc;

use patrol_api::time::Time;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::sym::{Name, Sym};

/// Where an object is: namespace (empty for cluster-scoped ones) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectKey {
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: Sym,
    /// Name. Not interned (names do not repeat), but shared by the indexes that hold it.
    pub name: Name,
}

impl ObjectKey {
    /// A key.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: Sym::new(namespace),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// An object's UID. UUIDs take 16 bytes; anything else (mirror pods, files) is kept as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Uid {
    /// None: a manifest that no API server has seen.
    #[default]
    Absent,
    /// A UUID in its canonical form.
    Uuid([u8; 16]),
    /// Any other text.
    Text(Sym),
}

impl Uid {
    /// Parses the API's text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self::Absent;
        }
        parse_uuid(text).map_or_else(
            || Self::Text(Sym::new(text)),
            |value| Self::Uuid(value.to_be_bytes()),
        )
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

fn parse_uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut value: u128 = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None, // upper case is not canonical: keep such a text as it is
        };
        value = value << 4 | u128::from(digit);
    }
    Some(value)
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                let v = u128::from_be_bytes(*bytes);
                write!(
                    f,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    v >> 96,
                    (v >> 80) & 0xffff,
                    (v >> 64) & 0xffff,
                    (v >> 48) & 0xffff,
                    v & 0xffff_ffff_ffff
                )
            }
        }
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parse;
        impl Visitor<'_> for Parse {
            type Value = Uid;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UID")
            }
            fn visit_str<E>(self, text: &str) -> Result<Uid, E> {
                Ok(Uid::new(text))
            }
        }
        deserializer.deserialize_str(Parse)
    }
}

/// The controller owner reference of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// API group of the owner.
    pub group: Sym,
    /// Kind of the owner.
    pub kind: Sym,
    /// Name of the owner, in the same namespace (or cluster-scoped).
    pub name: Sym,
    /// UID of the owner.
    pub uid: Uid,
}

/// Labels or annotations: sorted pairs of interned texts, shared by whoever has the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Arc<[(Sym, Sym)]>);

impl Labels {
    /// Sorts and keeps the last value of a repeated key, as a JSON object would.
    #[must_use]
    pub fn new(mut pairs: Vec<(Sym, Sym)>) -> Self {
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|a, b| a.0 == b.0);
        Self(pairs.into())
    }

    /// From plain pairs.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self::new(
            pairs
                .iter()
                .map(|(k, v)| (Sym::new(k), Sym::new(v)))
                .collect(),
        )
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Sym> {
        self.0
            .binary_search_by(|(k, _)| k.as_str().cmp(key))
            .ok()
            .and_then(|i| self.0.get(i))
            .map(|(_, v)| v)
    }

    /// Whether `key` has exactly this value.
    #[must_use]
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|v| v.as_str() == value)
    }

    /// The pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Sym, &Sym)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only the pairs whose key passes.
    #[must_use]
    pub fn filtered(self, keep: impl Fn(&str) -> bool) -> Self {
        self.filtered_pairs(|key, _| keep(key))
    }

    /// Only the pairs that pass.
    #[must_use]
    pub fn filtered_pairs(self, keep: impl Fn(&str, &str) -> bool) -> Self {
        if self.0.iter().all(|(k, v)| keep(k, v)) {
            return self;
        }
        Self(self.0.iter().filter(|(k, v)| keep(k, v)).cloned().collect())
    }

    /// Puts another copy of the same pairs into the place of these.
    pub(crate) fn replace(&mut self, same: impl FnOnce(Arc<[(Sym, Sym)]>) -> Arc<[(Sym, Sym)]>) {
        self.0 = same(std::mem::take(&mut self.0));
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Pairs(|_| true))
    }
}

/// Annotations that some check reads. All others, `last-applied-configuration` above all,
/// are skipped by the parser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Annotations(pub Labels);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Pairs(is_read_annotation))
            .map(Annotations)
    }
}

/// Annotation keys by prefix that the checks read (injection switches and markers,
/// mirror pods, our own).
fn is_read_annotation(key: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "kubernetes.io/config.",
        "sidecar.istio.io/",
        "istio.io/",
        "ambient.istio.io/",
        "linkerd.io/",
        "vault.hashicorp.com/agent-",
        "kruise.io/sidecarset-",
        "kubepatrol.io/",
        "config.linkerd.io/",
    ];
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        // Switches of injectors that only a policy names (`spec.checks[].sidecar.injector`).
        || key.contains("inject")
        || key.contains("sidecar")
}

/// Labels whose value is one object's own: most are dropped again, as they can be told from
/// names.
const OWN: [&str; 6] = [
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
    "job-name",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
];

struct Pairs(fn(&str) -> bool);

impl<'de> Visitor<'de> for Pairs {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E>(self) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_none<E>(self) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(8));
        while let Some(key) = map.next_key::<Sym>()? {
            if OWN.contains(&key.as_str()) {
                let value = map.next_value::<Option<String>>()?;
                pairs.push((key, Sym::unshared(&value.unwrap_or_default())));
            } else if (self.0)(&key) {
                pairs.push((key, map.next_value::<Option<Sym>>()?.unwrap_or_default()));
            } else {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(Labels::new(pairs))
    }
}

/// Metadata of any object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// UID.
    pub uid: Uid,
    /// Labels.
    pub labels: Labels,
    /// The annotations that some check reads.
    pub annotations: Labels,
    /// Controller owner.
    pub owner: Option<Arc<Owner>>,
    /// `creationTimestamp`; absent in a manifest.
    pub created: Option<Time>,
    /// Whether `deletionTimestamp` is set.
    pub deleting: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawMeta {
    pub name: Option<String>,
    pub namespace: Option<Sym>,
    pub uid: Option<Uid>,
    pub resource_version: Option<String>,
    pub generation: Option<i64>,
    pub labels: Option<Labels>,
    pub annotations: Option<Annotations>,
    pub owner_references: Option<Vec<RawOwner>>,
    pub creation_timestamp: Option<Time>,
    pub deletion_timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawOwner {
    #[serde(default)]
    api_version: Sym,
    #[serde(default)]
    kind: Sym,
    #[serde(default)]
    name: Sym,
    #[serde(default)]
    uid: Option<Uid>,
    #[serde(default)]
    controller: Option<bool>,
}

impl RawMeta {
    /// The key, the version and the rest.
    pub(crate) fn split(self) -> (ObjectKey, String, Meta) {
        let key = ObjectKey {
            namespace: self.namespace.unwrap_or_default(),
            name: self.name.unwrap_or_default().into(),
        };
        let owner = self
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| {
                Arc::new(Owner {
                    group: Sym::new(crate::kind::group_of(&owner.api_version)),
                    kind: owner.kind,
                    name: owner.name,
                    uid: owner.uid.unwrap_or_default(),
                })
            });
        let meta = Meta {
            uid: self.uid.unwrap_or_default(),
            labels: self.labels.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default().0,
            owner,
            created: self.creation_timestamp,
            deleting: self.deletion_timestamp.is_some(),
        };
        (key, self.resource_version.unwrap_or_default(), meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_survives_a_round_trip() {
        for text in [
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "0123456789abcdef0123456789abcdef",
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "",
        ] {
            assert_eq!(Uid::new(text).to_string(), text);
        }
    }

    #[test]
    fn only_the_controller_is_the_owner() {
        let raw: RawMeta = serde_json::from_value(serde_json::json!({
            "name": "p", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u1"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u2", "controller": true}
            ]
        }))
        .unwrap();
        let (_, _, meta) = raw.split();
        let owner = meta.owner.unwrap();
        assert_eq!(
            (
                owner.group.as_str(),
                owner.kind.as_str(),
                owner.name.as_str()
            ),
            ("apps", "ReplicaSet", "r")
        );
    }

    #[test]
    fn nulls_are_absent_and_unread_annotations_are_skipped() {
        let raw: RawMeta = serde_json::from_value(serde_json::json!({
            "name": "p", "labels": null, "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": {"not": "even a string"},
                "sidecar.istio.io/inject": "false"
            }
        }))
        .unwrap();
        let (_, _, meta) = raw.split();
        assert!(meta.labels.is_empty());
        assert!(meta.annotations.has("sidecar.istio.io/inject", "false"));
        assert_eq!(meta.annotations.iter().count(), 1);
    }
}
