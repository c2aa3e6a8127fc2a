//! OpenKruise SidecarSets: what an injector that is configured by objects would add.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;

use super::cluster::{Namespace, namespace_label};
use super::meta::{Labels, Meta, RawMeta};
use super::pod::{Container, RawContainer, Role};
use crate::selector::Selector;
use crate::sym::Sym;

/// Annotation of a SidecarSet with its current hash, and of a pod with those it got.
pub(super) const HASH: &str = "kruise.io/sidecarset-hash";

/// A SidecarSet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SidecarSet {
    /// Metadata.
    pub meta: Meta,
    /// `spec.selector` over pod labels; `None` (or an empty one) selects no pod.
    pub selector: Option<Selector>,
    /// `spec.namespace`: the only namespace it works in; empty for every one.
    pub namespace: Sym,
    /// `spec.namespaceSelector`; `None` selects every namespace.
    pub namespaces: Option<Selector>,
    /// Containers it adds, native sidecars among the init containers included.
    pub containers: Box<[Container]>,
    /// `spec.injectionStrategy.paused`: new pods get nothing.
    pub paused: bool,
}

impl SidecarSet {
    /// The hash of its current content; empty before its controller saw it.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.meta.annotations.get(HASH).map_or("", Sym::as_str)
    }

    /// Whether it selects a pod with these labels in this namespace.
    #[must_use]
    pub fn selects<'a>(
        &self,
        namespace: &'a str,
        fact: Option<&'a Namespace>,
        pod: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        (self.namespace.is_empty() || self.namespace.as_str() == namespace)
            && self
                .namespaces
                .as_ref()
                .is_none_or(|s| s.matches_with(|key| namespace_label(namespace, fact, key)))
            && self
                .selector
                .as_ref()
                .is_some_and(|s| !s.is_everything() && s.matches_with(pod))
    }
}

/// The hashes a pod was injected with, by SidecarSet, out of its annotation
/// `kruise.io/sidecarset-hash` as decoding left it (`name=hash;name=hash`).
#[must_use]
pub fn injected_hash<'a>(annotations: &'a Labels, set: &str) -> Option<&'a str> {
    annotations
        .get(HASH)?
        .as_str()
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == set)
        .map(|(_, hash)| hash)
}

/// Cuts the annotation down to names and hashes: as written it carries the second of the
/// injection, which would make every pod's shape its own.
pub(super) fn without_times(annotations: Labels) -> Labels {
    const TIMED: [&str; 3] = [
        "kruise.io/sidecarset-hash-without-image",
        "kruise.io/sidecarset-inplace-update-state",
        HASH,
    ];
    let Some(written) = annotations.get(HASH) else {
        return annotations.filtered(|key| !TIMED.contains(&key));
    };
    let compact = Sym::new(&compact(written));
    let mut pairs: Vec<(Sym, Sym)> = annotations
        .iter()
        .filter(|(key, _)| !TIMED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    pairs.push((Sym::new(HASH), compact));
    Labels::new(pairs)
}

fn compact(written: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(written).unwrap_or_default();
    let hash = |entry: &serde_json::Value| match entry {
        // The form of old releases.
        serde_json::Value::String(hash) => Some(hash.clone()),
        entry => entry.get("hash")?.as_str().map(str::to_owned),
    };
    let mut pairs: Vec<String> = parsed
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, entry)| hash(entry).map(|hash| format!("{name}={hash}")))
        .collect();
    pairs.sort();
    pairs.join(";")
}

#[derive(Deserialize)]
pub(crate) struct RawSidecarSet {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    spec: Option<RawSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    selector: Option<LabelSelector>,
    namespace: Option<Sym>,
    namespace_selector: Option<LabelSelector>,
    init_containers: Option<Vec<RawContainer>>,
    containers: Option<Vec<RawContainer>>,
    injection_strategy: Option<RawStrategy>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawStrategy {
    paused: Option<bool>,
}

impl RawSidecarSet {
    pub(crate) fn fact(self) -> Result<(super::ObjectKey, String, SidecarSet), String> {
        let (key, version, meta) = self.metadata.split();
        let spec = self.spec.unwrap_or_default();
        let selector = |s: Option<LabelSelector>| s.as_ref().map(Selector::compile).transpose();
        let groups = [
            ("initContainers", Role::Init, &spec.init_containers),
            ("containers", Role::Regular, &spec.containers),
        ];
        let mut containers = vec![];
        for (field, role, list) in groups {
            for (i, raw) in list.iter().flatten().enumerate() {
                containers.push(raw.fact(role, &format!("/{field}/{i}")));
            }
        }
        let fact = SidecarSet {
            meta,
            selector: selector(spec.selector)?,
            namespace: spec.namespace.unwrap_or_default(),
            namespaces: selector(spec.namespace_selector)?,
            containers: containers.into(),
            paused: spec
                .injection_strategy
                .is_some_and(|s| s.paused == Some(true)),
        };
        Ok((key, version, fact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_injected_at_different_seconds_share_one_annotation() {
        let pod = |at: &str| {
            without_times(Labels::of(&[
                (
                    HASH,
                    &format!(
                        r#"{{"agent":{{"updateTimestamp":"{at}","hash":"h1","sidecarSetName":"agent"}},"old":"h0"}}"#
                    ),
                ),
                ("kruise.io/sidecarset-hash-without-image", at),
                ("kruise.io/sidecarset-injected-list", "agent"),
            ]))
        };
        let (a, b) = (pod("2026-01-01T00:00:00Z"), pod("2026-01-01T00:00:07Z"));
        assert_eq!(a, b);
        assert_eq!(injected_hash(&a, "agent"), Some("h1"));
        assert_eq!(injected_hash(&a, "old"), Some("h0"));
        assert_eq!(injected_hash(&a, "other"), None);
        assert!(a.has("kruise.io/sidecarset-injected-list", "agent"));
    }

    #[test]
    fn an_empty_selector_selects_no_pod() {
        let mut set = SidecarSet {
            selector: Some(Selector::everything()),
            ..SidecarSet::default()
        };
        let labels = |key: &str| (key == "app").then_some("web");
        assert!(!set.selects("shop", None, labels));
        let web: LabelSelector =
            serde_json::from_value(serde_json::json!({"matchLabels": {"app": "web"}})).unwrap();
        set.selector = Some(Selector::compile(&web).unwrap());
        assert!(set.selects("shop", None, labels));
        set.namespace = Sym::new("bank");
        assert!(!set.selects("shop", None, labels));
    }
}
