//! What switches injectors on and off: the markers of pods and namespaces, read exactly as
//! the injectors read them. Never decides what that means for a pod.

use patrol_core::facts::{Labels, PodShape};
use patrol_core::sym::Sym;

/// Where a marker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Pod,
    Namespace,
}

/// A label or annotation that switches injection off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// On the pod (or template) or on the namespace.
    pub place: Place,
    /// `labels` or `annotations`.
    pub field: &'static str,
    /// Its key.
    pub key: Sym,
}

/// What the markers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    Off(Marker),
    /// Nothing: whatever the injector's default is.
    Unset,
}

fn off(place: Place, field: &'static str, key: &str) -> Switch {
    Switch::Off(Marker {
        place,
        field,
        key: Sym::new(key),
    })
}

/// A namespace that is switched off is never asked about its pods; a pod's label beats its
/// annotation (istio/istio pkg/kube/inject, injectRequired).
pub(crate) fn istio(namespace: &Labels, shape: &PodShape) -> Switch {
    const NAMESPACE: &str = "istio-injection";
    const REVISION: &str = "istio.io/rev";
    const POD: &str = "sidecar.istio.io/inject";
    let whole = namespace.get(NAMESPACE).map(Sym::as_str);
    if whole.is_some_and(|value| value != "enabled") {
        return off(Place::Namespace, "labels", NAMESPACE);
    }
    let own = [
        ("labels", shape.labels.get(POD)),
        ("annotations", shape.annotations.get(POD)),
    ]
    .into_iter()
    .find_map(|(field, value)| Some((field, value.filter(|v| !v.is_empty())?)));
    match own {
        Some((_, value)) if is_istio_yes(value) => Switch::On,
        Some((field, _)) => off(Place::Pod, field, POD),
        None if whole.is_some()
            || namespace.get(REVISION).is_some()
            || shape.labels.get(REVISION).is_some() =>
        {
            Switch::On
        }
        None => Switch::Unset,
    }
}

fn is_istio_yes(value: &str) -> bool {
    ["y", "yes", "true", "on"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

/// The truth table of linkerd/linkerd2 pkg/inject/report.go: an invalid word anywhere is
/// off, the pod's word beats the namespace's.
pub(crate) fn linkerd(labels: &Labels, namespace: &Labels, shape: &PodShape) -> Switch {
    const INJECT: &str = "linkerd.io/inject";
    const WEBHOOKS: &str = "config.linkerd.io/admission-webhooks";
    let word = |pairs: &Labels| match pairs.get(INJECT).map(Sym::as_str) {
        None | Some("") => None,
        Some("enabled" | "ingress") => Some(Ok(true)),
        Some("disabled") => Some(Ok(false)),
        Some(_) => Some(Err(())),
    };
    if labels.has(WEBHOOKS, "disabled") {
        return off(Place::Namespace, "labels", WEBHOOKS);
    }
    match (word(namespace), word(&shape.annotations)) {
        (Some(Err(())), _) => off(Place::Namespace, "annotations", INJECT),
        (_, Some(Err(()) | Ok(false))) => off(Place::Pod, "annotations", INJECT),
        (_, Some(Ok(true))) | (Some(Ok(true)), None) => Switch::On,
        (Some(Ok(false)), None) => off(Place::Namespace, "annotations", INJECT),
        (None, None) => Switch::Unset,
    }
}

/// `agent-pre-populate-only` leaves an init container alone and no sidecar.
pub(crate) fn vault(shape: &PodShape) -> Switch {
    const INJECT: &str = "vault.hashicorp.com/agent-inject";
    let said = |key| shape.annotations.get(key).map(|value| go_bool(value));
    if said(VAULT_INIT_ONLY) == Some(Some(true)) {
        return off(Place::Pod, "annotations", VAULT_INIT_ONLY);
    }
    match said(INJECT) {
        Some(Some(true)) => Switch::On,
        Some(_) => off(Place::Pod, "annotations", INJECT),
        None => Switch::Unset,
    }
}

/// Vault's switch that leaves out the sidecar.
pub(crate) const VAULT_INIT_ONLY: &str = "vault.hashicorp.com/agent-pre-populate-only";

/// What Go's `strconv.ParseBool` makes of a text.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> PodShape {
        PodShape {
            labels: Labels::of(labels),
            annotations: Labels::of(annotations),
            ..PodShape::default()
        }
    }

    fn word(switch: &Switch) -> &'static str {
        match switch {
            Switch::On => "on",
            Switch::Off(m) if m.place == Place::Pod => "off by pod",
            Switch::Off(_) => "off by namespace",
            Switch::Unset => "unset",
        }
    }

    #[test]
    fn linkerds_truth_table() {
        for (namespace, pod, expected) in [
            ("enabled", "enabled", "on"),
            ("enabled", "", "on"),
            ("enabled", "disabled", "off by pod"),
            ("disabled", "enabled", "on"),
            ("", "enabled", "on"),
            ("disabled", "disabled", "off by pod"),
            ("", "disabled", "off by pod"),
            ("disabled", "", "off by namespace"),
            ("", "", "unset"),
            ("enabled", "ingress", "on"),
            ("enabled", "true", "off by pod"),
            ("true", "enabled", "off by namespace"),
        ] {
            let key = "linkerd.io/inject";
            let seen = linkerd(
                &Labels::default(),
                &Labels::of(&[(key, namespace)]),
                &shape(&[], &[(key, pod)]),
            );
            assert_eq!(word(&seen), expected, "{namespace:?} {pod:?}");
        }
    }

    #[test]
    fn istios_label_beats_its_annotation_and_a_namespace_that_is_off_beats_both() {
        let key = "sidecar.istio.io/inject";
        let enabled = Labels::of(&[("istio-injection", "enabled")]);
        let disabled = Labels::of(&[("istio-injection", "disabled")]);
        let revision = Labels::of(&[("istio.io/rev", "1-20")]);
        let none = Labels::default();
        let yes = shape(&[(key, "YES")], &[(key, "false")]);
        let no = shape(&[(key, "false")], &[(key, "true")]);
        let odd = shape(&[], &[(key, "enabled")]);
        let plain = shape(&[], &[]);
        for (namespace, pod, expected) in [
            (&enabled, &plain, "on"),
            (&revision, &plain, "on"),
            (&none, &plain, "unset"),
            (&none, &yes, "on"),
            (&enabled, &no, "off by pod"),
            (&enabled, &odd, "off by pod"),
            (&disabled, &yes, "off by namespace"),
        ] {
            assert_eq!(
                word(&istio(namespace, pod)),
                expected,
                "{namespace:?} {pod:?}"
            );
        }
    }

    #[test]
    fn vaults_init_only_is_no_sidecar() {
        let inject = ("vault.hashicorp.com/agent-inject", "true");
        assert_eq!(word(&vault(&shape(&[], &[inject]))), "on");
        let init_only = [inject, (VAULT_INIT_ONLY, "true")];
        assert_eq!(word(&vault(&shape(&[], &init_only))), "off by pod");
        assert_eq!(word(&vault(&shape(&[], &[]))), "unset");
    }
}
