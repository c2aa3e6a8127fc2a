//! The harness proves itself before anything is proved with it.

use std::path::Path;
use std::time::{Duration, Instant};

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Error, Result, wait_until};
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

/// Whether a process runs, without signalling it.
fn runs(id: u32) -> bool {
    let out = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &id.to_string()])
        .output();
    out.is_ok_and(|out| !out.stdout.is_empty() && !out.stdout.starts_with(b"Z"))
}

#[test]
fn is_ready_keeps_identities_apart_and_leaves_nothing_behind() -> Result<()> {
    let started = Instant::now();
    let plane = ControlPlane::builder()
        .identity("eve", &["visitors"])
        .audit()
        .start();
    let Some(plane) = or_skip("is_ready", plane)? else {
        return Ok(());
    };
    eprintln!("ready after {:?}", started.elapsed());

    let version = plane.request(ADMIN, "GET", "/version", None)?.success()?;
    if std::env::var_os(patrol_e2e::build::ASSETS).is_none() {
        assert_eq!(version["gitVersion"], "v1.36.3");
        assert_eq!(
            (&version["major"], &version["minor"]),
            (&json!("1"), &json!("36"))
        );
    }

    // RBAC: nothing without a rule, exactly the rule with one.
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(plane.request("eve", "GET", pods, None)?.status, 403);
    plane.apply(
        r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": "see-pods", "namespace": "default"},
             "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": "visitors", "namespace": "default"},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "see-pods"},
             "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "visitors"}]}]}"#,
    )?;
    wait_until(MINUTE, "eve to see pods", || {
        plane.request("eve", "GET", pods, None)?.success()
    })?;
    let refused = plane.kubectl("eve", ["get", "secrets"])?.failure()?;
    assert!(
        refused.contains("Forbidden") && refused.contains("\"eve\""),
        "{refused}"
    );
    assert!(
        plane.kubeconfig("nobody").is_err(),
        "an identity that was not asked for"
    );

    // A service account is an identity too, through TokenRequest.
    plane
        .kubectl(ADMIN, ["create", "serviceaccount", "robot"])?
        .success()?;
    let robot = plane.service_account_kubeconfig("default", "robot")?;
    let who = plane
        .kubectl(
            ADMIN,
            [
                "auth",
                "whoami",
                "-o",
                "jsonpath={.status.userInfo.username}",
                "--kubeconfig",
            ]
            .map(Path::new)
            .into_iter()
            .chain([robot.as_path()]),
        )?
        .success()?;
    assert_eq!(who, "system:serviceaccount:default:robot");

    // Without controllers a bare pod needs no service account.
    plane.create_namespace("shop")?;
    plane
        .kubectl(ADMIN, ["run", "web", "--image=web", "-n", "shop"])?
        .success()?;

    let refusals = plane
        .audit()?
        .into_iter()
        .filter(|event| {
            event["user"]["username"] == "eve" && event["responseStatus"]["code"] == 403
        })
        .count();
    assert!(refusals >= 2, "{refusals} refusals of eve in the audit log");

    let (ids, folder) = (plane.process_ids(), plane.folder().to_owned());
    assert!(ids.values().all(|id| runs(*id)), "{ids:?}");
    drop(plane);
    for (name, id) in ids {
        assert!(!runs(id), "{name} still runs as {id}");
    }
    assert!(!folder.exists(), "{} is still there", folder.display());
    Ok(())
}

#[test]
fn a_restarted_api_server_has_the_same_address_data_and_tokens() -> Result<()> {
    let Some(plane) = or_skip("a_restarted_api_server", ControlPlane::builder().start())? else {
        return Ok(());
    };
    let path = "/api/v1/namespaces/default/configmaps";
    let body = json!({"metadata": {"name": "kept"}, "data": {"n": "1"}});
    plane.request(ADMIN, "POST", path, Some(&body))?.success()?;

    for restart in ["stop", "kill"] {
        match restart {
            "stop" => plane.stop_api_server()?,
            _ => plane.kill_api_server()?,
        }
        let gone = plane.request(ADMIN, "GET", "/readyz", None);
        assert!(gone.is_err(), "{restart}: {gone:?}");
        assert!(plane.stop_api_server().is_err(), "stopped twice");
        let started = Instant::now();
        plane.start_api_server()?;
        eprintln!("ready again after {:?}", started.elapsed());
        assert!(plane.start_api_server().is_err(), "started twice");
        let kept = plane.get(&["configmap", "kept"])?;
        assert_eq!(kept["data"]["n"], "1");
    }
    Ok(())
}

#[test]
fn a_failed_start_names_its_log_and_repeats_the_reason() {
    let started = ControlPlane::builder()
        .api_server_flag("--no-such-flag")
        .start();
    match started {
        Err(Error::Unavailable(_)) => {
            or_skip("a_failed_start", started).unwrap();
        }
        Err(Error::Failed(text)) => {
            assert!(
                text.contains("kube-apiserver.log") && text.contains("no-such-flag"),
                "{text}"
            );
        }
        Ok(_) => panic!("started with a flag that does not exist"),
    }
}
