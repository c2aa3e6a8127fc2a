//! One file that installs everything: the same objects as the kustomize base, in an order
//! that a bare API server takes in one `kubectl apply`.

use serde_json::Value;

use super::rbac::Object;
use super::{Artefact, generated};
use crate::{Failure, repo};

/// The hand-written part of the base that comes after the definitions and the rights.
const WORKLOAD: [&str; 4] = [
    "deployment.yaml",
    "service.yaml",
    "networkpolicy.yaml",
    "pdb.yaml",
];

/// `deploy/install.yaml`.
pub(super) fn file(crds: &[(String, Value)], objects: &[Vec<Object>]) -> Result<Artefact, Failure> {
    let mut parts = vec![base("namespace.yaml")?];
    for (_, manifest) in crds {
        parts.push(serde_saphyr::to_string(manifest)?);
    }
    for part in objects {
        parts.push(super::documents(part)?);
    }
    for name in WORKLOAD {
        parts.push(base(name)?);
    }
    Ok(Artefact {
        path: "deploy/install.yaml".into(),
        text: generated("#", "install")? + &parts.join("---\n"),
    })
}

fn base(name: &str) -> Result<String, Failure> {
    repo::read(&format!("deploy/base/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kustomize would build from the base: the files its list names, one level deep.
    #[test]
    fn the_one_file_holds_what_the_kustomization_names() {
        let list: Value = serde_saphyr::from_str(&base("kustomization.yaml").unwrap()).unwrap();
        let mut named: Vec<&str> = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        named.sort_unstable();
        let mut ours = vec!["../../crds", "namespace.yaml"];
        ours.extend(["rbac.yaml", "roles.yaml", "admission.yaml"]);
        ours.extend(WORKLOAD);
        ours.sort_unstable();
        assert_eq!(named, ours);
    }
}
