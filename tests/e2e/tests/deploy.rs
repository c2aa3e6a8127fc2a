//! The shipped manifests on a bare API server, and judged by our own checks.

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, SOON};
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Result, operator};

#[test]
fn the_manifests_apply_to_a_bare_api_server() -> Result<()> {
    let Some(plane) = or_skip("manifests_apply", ControlPlane::builder().start())? else {
        return Ok(());
    };
    let file = installed::repository("deploy/install.yaml");
    let base = installed::repository("deploy/base");
    for (flag, path) in [("-f", file), ("-k", base)] {
        let path = path.to_string_lossy().into_owned();
        // Both are the same objects: the second run changes nothing and conflicts with
        // nothing. New kinds are waited for by nobody here: no object of ours is in them.
        let applied = plane
            .kubectl(ADMIN, ["apply", "--server-side", flag, &path])?
            .success()?;
        for object in [
            "namespace/kube-patrol serverside-applied",
            "deployment.apps/kube-patrol serverside-applied",
            "clusterrole.rbac.authorization.k8s.io/kube-patrol serverside-applied",
            "clusterrole.rbac.authorization.k8s.io/kube-patrol-waive serverside-applied",
            "validatingadmissionpolicy.admissionregistration.k8s.io/kube-patrol-tickets serverside-applied",
            "validatingadmissionpolicybinding.admissionregistration.k8s.io/kube-patrol-tickets serverside-applied",
            "poddisruptionbudget.policy/kube-patrol serverside-applied",
            "networkpolicy.networking.k8s.io/kube-patrol serverside-applied",
            "customresourcedefinition.apiextensions.k8s.io/tickets.kubepatrol.io serverside-applied",
        ] {
            assert!(
                applied.contains(object),
                "{path}: no {object:?} in:\n{applied}"
            );
        }
    }
    for kind in installed::KINDS {
        installed::established(&plane, kind)?;
    }
    let deployment = plane.get(&["deployment", "kube-patrol", "-n", installed::NAMESPACE])?;
    let generation = &deployment["metadata"]["generation"];
    assert_eq!(
        *generation, 1,
        "the two ways to install differ: {deployment}"
    );
    Ok(())
}

#[test]
fn our_own_namespace_passes_our_own_checks() -> Result<()> {
    let base = installed::repository("deploy/base");
    let base = base.to_string_lossy();
    let scan = operator::run_once(
        [
            "scan",
            &base,
            "--baseline",
            "namespace-coverage",
            "-o",
            "json",
        ],
        None,
        SOON,
    )?;
    let report: serde_json::Value =
        serde_json::from_str(&scan.clone().success()?).unwrap_or_default();
    assert_eq!(report["summary"]["fail"], 0, "{report}");
    // It did judge something.
    assert!(report["summary"]["pass"].as_u64() >= Some(1), "{report}");
    Ok(())
}
