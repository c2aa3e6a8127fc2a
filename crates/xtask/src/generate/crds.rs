//! The custom resource definitions as files.

use patrol_api::crd;
use serde_json::Value;

use super::Artefact;
use crate::Failure;

/// The definitions, by file name.
pub(super) fn manifests() -> Vec<(String, Value)> {
    crd::crds()
        .iter()
        .map(|definition| {
            let name = format!(
                "{}_{}.yaml",
                definition.spec.group, definition.spec.names.plural
            );
            (name, crd::manifest(definition))
        })
        .collect()
}

/// One file each, and the list of them for kustomize.
pub(super) fn files(crds: &[(String, Value)]) -> Result<Vec<Artefact>, Failure> {
    let mut all = vec![];
    let mut list = String::from(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n",
    );
    for (name, manifest) in crds {
        list.push_str(&format!("- {name}\n"));
        all.push(Artefact {
            path: format!("crds/{name}"),
            text: serde_saphyr::to_string(manifest)?,
        });
    }
    all.push(Artefact {
        path: "crds/kustomization.yaml".into(),
        text: list,
    });
    Ok(all)
}
